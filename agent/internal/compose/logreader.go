package compose

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/agent/internal/redact"
	"ataraxis.dev/landfall/shared/fault"
)

// logReader reads the log of one container, over as many looks as it takes.
type logReader struct {
	compose *Compose
	id      string
	target  ports.LogTarget
	number  uint32
	tty     bool
	driver  string

	start logStart
	place logPlace // after the last line that was handed out

	wake chan struct{} // capacity 1: one look finds everything there is

	mu   sync.Mutex
	name string
	gone bool // the container was removed
}

// logStart is where a log is read from while nothing of it is known.
type logStart struct {
	tail  string // of ContainerLogs: a number, or "all"
	since time.Time
}

// Reasons of what ends, or keeps from, reading a log.
const (
	reasonLogGone       = "CONTAINER_GONE"
	reasonLogUnreadable = "LOG_UNREADABLE"
)

// newLogReader looks at a container closer: whether it has a terminal, and what its environment hides. A container that is gone is the fault
// CONTAINER_GONE.
func (c *Compose) newLogReader(ctx context.Context, s container.Summary, target ports.LogTarget, start logStart, known ports.LogPosition) (*logReader, error) {
	look, cancel := context.WithTimeout(ctx, c.lookTimeout)
	defer cancel()
	a, err := c.docker.ContainerInspect(look, s.ID)
	switch {
	case cerrdefs.IsNotFound(err):
		return nil, fault.Wrap(err, fault.NotFound, reasonLogGone, "container %s is gone", nameOf(s))
	case err != nil:
		return nil, engineFault(err)
	}
	r := &logReader{compose: c, id: s.ID, target: target, name: nameOf(s), start: start, wake: make(chan struct{}, 1)}
	r.place.at = known
	if n, err := strconv.ParseUint(s.Labels[labelNumber], 10, 32); err == nil {
		r.number = uint32(n)
	}
	if a.HostConfig != nil {
		r.driver = a.HostConfig.LogConfig.Type
	}
	if a.Config != nil {
		r.tty = a.Config.Tty
		if err := c.learnEnvironment(ctx, target.Service, a.Config.Env); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// learnEnvironment tells the secrets that a container was made with: it prints them, also when no file has them any more.
func (c *Compose) learnEnvironment(ctx context.Context, service string, env []string) error {
	if c.secrets == nil {
		return nil
	}
	var values []string
	for _, entry := range env {
		key, value, _ := strings.Cut(entry, "=")
		if redact.Secret(key, value) {
			values = append(append(values, value), userInfo(value)...)
		}
	}
	if hashes := redact.Commits(values); c.commits != nil && len(hashes) > 0 {
		c.secrets.Publish(c.commits(ctx, hashes))
	}
	c.teaching.Lock()
	defer c.teaching.Unlock()
	return c.secrets.Learn("containers of "+service, values)
}

// nearLines are how many entries more than a position needs are read at a seam, one after the other, before the whole log is gone
// through: the engine finds the last ones fast, however long the log is.
var nearLines = []uint64{1_000, 100_000}

// read reads the log once, from the place where the reader is, and counts the lines that were new. With follow it goes on until the
// container stops.
func (r *logReader) read(ctx context.Context, follow bool, out func(ports.LogLine) error) (fresh int, err error) {
	options := container.LogsOptions{Follow: follow, Tail: r.start.tail}
	known := r.place.at
	if known.From.IsZero() {
		if !r.start.since.IsZero() {
			options.Since = stamp(r.start.since)
		}
		return r.readOnce(ctx, options, seam{}, out)
	}
	for _, more := range nearLines {
		options.Tail = strconv.FormatUint(known.Skip+more, 10)
		if fresh, err = r.readOnce(ctx, options, seam{known: known, near: known.Skip + more}, out); !errors.Is(err, errFar) {
			return fresh, err
		}
	}
	options.Tail = "all"
	return r.readOnce(ctx, options, seam{known: known}, out)
}

func (r *logReader) readOnce(ctx context.Context, options container.LogsOptions, gap seam, out func(ports.LogLine) error) (fresh int, err error) {
	options.ShowStdout, options.ShowStderr, options.Timestamps = true, true, true
	body, err := r.open(ctx, options)
	if err != nil {
		return 0, r.explain(ctx, err)
	}
	defer func() { _ = body.Close() }() // only read
	now := logPlace{}
	var refused error
	err = readLog(body, r.tty, !options.Follow, func(p printed) error {
		isNew, counts, err := gap.line(p.time)
		if err != nil {
			refused = err
			return err
		}
		if counts {
			now.add(p.time)
		}
		if !isNew {
			return nil
		}
		fresh++
		line := ports.LogLine{
			LogTarget: r.target, Container: r.called(), ID: r.id, Number: r.number,
			Time: p.time, Stream: p.stream, Text: p.text, Truncated: p.cut, After: now.at,
		}
		if refused = out(line); refused == nil {
			r.place = now
		}
		return refused
	})
	if refused == nil && err == nil {
		refused = gap.end()
	}
	if refused != nil {
		return fresh, refused
	}
	return fresh, r.explain(ctx, err)
}

// open asks for the log. An engine that takes the question and does not answer is one that is down; one that follows is silent for as
// long as the container is.
func (r *logReader) open(ctx context.Context, options container.LogsOptions) (io.ReadCloser, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	late := time.AfterFunc(r.compose.lookTimeout, func() { cancel(context.DeadlineExceeded) })
	body, err := r.compose.docker.ContainerLogs(ctx, r.id, options)
	if !late.Stop() || err != nil {
		cause := context.Cause(ctx)
		cancel(nil)
		if body != nil {
			_ = body.Close()
		}
		return nil, errors.Join(err, cause)
	}
	b := &logBody{ReadCloser: body, cancel: cancel}
	if !options.Follow {
		b.patience = r.compose.lookTimeout
	}
	return b, nil
}

// logBody is a log that is being read.
type logBody struct {
	io.ReadCloser
	cancel   context.CancelCauseFunc
	patience time.Duration // of one read; 0 waits
}

// Read fails when an engine that is not asked to wait says nothing.
func (b *logBody) Read(p []byte) (int, error) {
	if b.patience > 0 {
		late := time.AfterFunc(b.patience, func() { b.cancel(context.DeadlineExceeded) })
		defer late.Stop()
	}
	return b.ReadCloser.Read(p)
}

func (b *logBody) Close() error {
	b.cancel(nil)
	return b.ReadCloser.Close()
}

// explain says what an error of reading means.
func (r *logReader) explain(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case cerrdefs.IsNotFound(err), cerrdefs.IsConflict(err): // removed, or being removed
		return fault.Wrap(err, fault.NotFound, reasonLogGone, "container %s is gone", r.called())
	case cerrdefs.IsNotImplemented(err), strings.Contains(err.Error(), "does not support reading"):
		return fault.New(fault.Failed, reasonLogUnreadable, "%s logs with the driver %q, which cannot be read", r.called(), r.driver).
			WithHint("read them where that driver sends them, or give the service the driver json-file or local")
	case errors.Is(err, context.Canceled): // by patience of ours
		return engineDown(err)
	case isDown(err):
		return engineDown(err)
	}
	return fault.Wrap(err, fault.Failed, reasonLogUnreadable, "the log of %s cannot be read", r.called())
}

// notice is what a line about the container itself says.
func (r *logReader) notice(err error) ports.LogLine {
	return ports.LogLine{
		LogTarget: r.target, Container: r.called(), ID: r.id, Number: r.number,
		Notice: &ports.LogNotice{Kind: ports.LogUnreadable, Message: err.Error()},
	}
}

func (r *logReader) called() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.name
}

// seen takes over what a look has found: Compose makes containers under a name for the time being.
func (r *logReader) seen(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.name = name
}

// leave has the reader end once it has read what is left.
func (r *logReader) leave() {
	r.mu.Lock()
	r.gone = true
	r.mu.Unlock()
	r.again()
}

func (r *logReader) left() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.gone
}

// again has the reader look once more.
func (r *logReader) again() {
	select {
	case r.wake <- struct{}{}:
	default: // it will
	}
}

// follow reads until the container is gone. It reads on at once as long as there is something new, and waits to be woken otherwise.
func (r *logReader) follow(ctx context.Context, out func(ports.LogLine) error) error {
	told := ""
	for {
		leaving := r.left() // before the look: what is read after it is all there is
		fresh, err := r.read(ctx, true, out)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case fault.ReasonOf(err) == reasonLogGone:
			return nil
		case fault.ReasonOf(err) == reasonLogUnreadable:
			if text := err.Error(); text != told {
				told = text
				if err := out(r.notice(err)); err != nil {
					return err
				}
			}
		}
		if leaving && (err != nil || fresh == 0) {
			return nil
		}
		if fresh > 0 && err == nil {
			continue
		}
		select {
		case <-r.wake:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// tailOf is a number of lines as the engine has it.
func tailOf(n int) string {
	if n < 0 {
		return "all"
	}
	return fmt.Sprint(n)
}

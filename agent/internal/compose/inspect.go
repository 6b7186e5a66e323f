package compose

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/pkg/stdcopy"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/shared/pipeline"
)

// list lists the containers of a compose project, ended ones included.
func (c *Compose) list(ctx context.Context, project string) ([]container.Summary, error) {
	look, cancel := context.WithTimeout(ctx, c.lookTimeout)
	defer cancel()
	all, err := c.docker.ContainerList(look, container.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("label", labelProject+"="+project))})
	if err != nil {
		return nil, engineFault(err)
	}
	return slices.DeleteFunc(all, func(s container.Summary) bool { return s.Labels[labelOneOff] == "True" }), nil
}

// Services implements ports.Inspector.
func (c *Compose) Services(ctx context.Context, plan *pipeline.Plan, stacks []string) ([]picture.Service, error) {
	models, err := c.Models(ctx, only(plan, stacks))
	if err != nil {
		return nil, err
	}
	return c.services(ctx, models, stacks)
}

// only is a plan of some stacks; none stands for all.
func only(plan *pipeline.Plan, stacks []string) *pipeline.Plan {
	if len(stacks) == 0 {
		return plan
	}
	some := *plan
	some.Stacks = slices.DeleteFunc(slices.Clone(plan.Stacks), func(s pipeline.Stack) bool { return !slices.Contains(stacks, s.Name) })
	return &some
}

func (c *Compose) services(ctx context.Context, models []picture.Model, stacks []string) ([]picture.Service, error) {
	now, err := c.Look(ctx, picture.Projects(models), nil, false)
	if err != nil {
		return nil, err
	}
	return picture.Services(models, now, stacks), nil
}

// LastLines implements ports.Inspector.
func (c *Compose) LastLines(ctx context.Context, id string, lines int) ([]string, error) {
	look, cancel := context.WithTimeout(ctx, c.lookTimeout)
	defer cancel()
	logs, err := c.docker.ContainerLogs(look, id, container.LogsOptions{ShowStdout: true, ShowStderr: true, Tail: fmt.Sprint(lines)})
	if err != nil {
		return nil, engineFault(err)
	}
	defer func() { _ = logs.Close() }() // only read
	var got []string
	collect := func(_ operation.Stream, text string, _ bool) { got = append(got, text) }
	stdout, stderr := &lineWriter{out: collect}, &lineWriter{out: collect}
	limited := io.LimitReader(logs, 1<<20)
	if info, inspectErr := c.docker.ContainerInspect(look, id); inspectErr == nil && info.Config != nil && info.Config.Tty {
		_, err = io.Copy(stdout, limited) // a terminal has one stream, and no frames
	} else {
		_, err = stdcopy.StdCopy(stdout, stderr, limited)
	}
	if err != nil && len(got) == 0 {
		return nil, engineFault(err)
	}
	stdout.flush()
	stderr.flush()
	return got, nil
}

// maxLine bounds one line, in bytes, as process.DefaultMaxLine does for children.
const maxLine = 16 << 10

// lineWriter cuts what is written into lines.
type lineWriter struct {
	stream operation.Stream
	out    ports.Output
	buf    []byte
	cut    bool
}

func (w *lineWriter) Write(p []byte) (int, error) {
	n := len(p)
	for {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			w.keep(p)
			return n, nil
		}
		w.keep(p[:i])
		w.emit()
		p = p[i+1:]
	}
}

func (w *lineWriter) keep(p []byte) {
	if room := maxLine - len(w.buf); len(p) > room {
		p, w.cut = p[:room], true
	}
	w.buf = append(w.buf, p...)
}

func (w *lineWriter) emit() {
	w.out(w.stream, strings.ToValidUTF8(strings.TrimSuffix(string(w.buf), "\r"), "\uFFFD"), w.cut)
	w.buf, w.cut = w.buf[:0], false
}

func (w *lineWriter) flush() {
	if len(w.buf) > 0 {
		w.emit()
	}
}

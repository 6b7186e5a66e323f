package compose

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"

	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/shared/fault"
)

const (
	// mostLogs bounds the logs that are read side by side, of all callers together: each is a connection to the engine, 32 KiB and a
	// line. mostLogsOne is of one caller.
	mostLogs    = 256
	mostLogsOne = 128
)

var _ ports.Logs = (*Compose)(nil)

// tail is one caller's reading.
type tail struct {
	compose *Compose
	q       ports.LogQuery
	began   time.Time

	targets  map[picture.Key]ports.LogTarget
	resolved time.Time             // when targets were asked for
	readers  map[string]*logReader // by container
	foreign  map[string]bool       // containers that are not read, for good
	refused  map[string]bool       // containers that no place was left for
	told     map[string]bool       // containers of which it was told that they are not read yet
}

// Tail implements ports.Logs.
func (c *Compose) Tail(ctx context.Context, q ports.LogQuery, out func(ports.LogLine) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	t := &tail{compose: c, q: q, began: time.Now(), readers: map[string]*logReader{}, foreign: map[string]bool{}, refused: map[string]bool{}, told: map[string]bool{}}
	defer t.release()
	if err := t.resolve(ctx); err != nil {
		return err
	}
	found, err := t.find(ctx)
	if err != nil {
		return err
	}
	if err := t.begin(ctx, found, t.old()); err != nil {
		return err
	}
	if len(t.refused) > 0 {
		return fault.New(fault.Refused, "TOO_MANY_LOGS", "there are logs of %d containers, and at most %d are read side by side, %d for all callers together", len(t.readers)+len(t.refused), mostLogsOne, mostLogs).
			WithHint("name fewer services")
	}
	if !q.Follow || q.Tail != 0 || len(q.Positions) > 0 || !q.From.IsZero() {
		if err := t.backlog(ctx, out); err != nil {
			return err
		}
	}
	if !q.Follow {
		return nil
	}
	if err := out(ports.LogLine{Notice: &ports.LogNotice{Kind: ports.LogFollowing, Message: "old lines end here", Began: t.began}}); err != nil {
		return err
	}
	return t.follow(ctx, cancel, out)
}

// resolve asks which services are wanted.
func (t *tail) resolve(ctx context.Context) error {
	if err := t.q.Learn(ctx); err != nil {
		return err
	}
	t.resolved = time.Now()
	targets, err := t.q.Targets(ctx)
	if err != nil {
		return err
	}
	t.targets = map[picture.Key]ports.LogTarget{}
	for _, target := range targets {
		t.targets[target.Key] = target
	}
	return nil
}

// find lists the containers of compose projects, those of `docker compose run` left out.
func (t *tail) find(ctx context.Context) ([]container.Summary, error) {
	look, cancel := context.WithTimeout(ctx, t.compose.lookTimeout)
	defer cancel()
	all, err := t.compose.docker.ContainerList(look, container.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("label", labelProject))})
	if err != nil {
		return nil, engineFault(err)
	}
	all = slices.DeleteFunc(all, func(s container.Summary) bool { return s.Labels[labelOneOff] == "True" })
	slices.SortFunc(all, func(a, b container.Summary) int { return cmp.Compare(a.Created, b.Created) })
	return all, nil
}

// keyOf is the service that a container belongs to.
func keyOf(s container.Summary) picture.Key {
	return picture.Key{Project: s.Labels[labelProject], Service: s.Labels[labelService]}
}

// old is where a container is read from that was there when the reading began.
func (t *tail) old() logStart {
	switch {
	case !t.q.From.IsZero():
		return logStart{"all", t.q.From}
	case t.q.Tail == 0:
		return logStart{"all", t.began}
	}
	return logStart{tailOf(t.q.Tail), t.q.Since}
}

// whole is where a container is read from that came later.
var whole = logStart{tail: "all"}

// begin makes readers for containers that are wanted and have none. Those that no place is left for are refused.
func (t *tail) begin(ctx context.Context, found []container.Summary, start logStart) error {
	for _, s := range found {
		if t.readers[s.ID] != nil || t.foreign[s.ID] || t.refused[s.ID] {
			continue
		}
		target, wanted := t.targets[keyOf(s)]
		if !wanted {
			continue
		}
		if len(t.readers) >= mostLogsOne || !t.compose.takeLog() {
			t.refused[s.ID] = true
			continue
		}
		r, err := t.compose.newLogReader(ctx, s, target, start, t.q.Positions[s.ID])
		if err != nil {
			t.compose.giveLog()
			if fault.ReasonOf(err) == reasonLogGone {
				continue
			}
			return err
		}
		t.readers[s.ID] = r
	}
	return nil
}

// release gives the places of all readers back; none runs any more.
func (t *tail) release() {
	for id := range t.readers {
		t.drop(id)
	}
}

func (t *tail) drop(id string) {
	if t.readers[id] != nil {
		delete(t.readers, id)
		t.compose.giveLog()
	}
}

// takeLog takes one of the places for logs that are read; giveLog gives it back.
func (c *Compose) takeLog() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.logs >= mostLogs {
		return false
	}
	c.logs++
	return true
}

func (c *Compose) giveLog() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.logs--
}

// source is the log of one reader while logs are merged.
type source struct {
	reader *logReader
	lines  chan ports.LogLine // closed at the end
	err    error              // valid once lines is closed
	head   ports.LogLine
}

// backlog hands out what there is now, in the order of its time. One line of each log is held, and nothing more.
func (t *tail) backlog(ctx context.Context, out func(ports.LogLine) error) error {
	ctx, cancel := context.WithCancel(ctx)
	var group sync.WaitGroup
	defer group.Wait()
	defer cancel()
	var sources []*source
	for _, r := range t.readers {
		s := &source{reader: r, lines: make(chan ports.LogLine)}
		sources = append(sources, s)
		group.Go(func() {
			defer close(s.lines)
			_, s.err = r.read(ctx, false, func(l ports.LogLine) error {
				select {
				case s.lines <- l:
					return nil
				case <-ctx.Done():
					return context.Cause(ctx)
				}
			})
		})
	}
	return merge(sources, out)
}

// merge hands out the lines of logs, the oldest first.
func merge(sources []*source, out func(ports.LogLine) error) error {
	slices.SortFunc(sources, func(a, b *source) int { return cmp.Compare(a.reader.id, b.reader.id) })
	var open []*source
	for _, s := range sources {
		more, err := s.next(out)
		if err != nil {
			return err
		}
		if more {
			open = append(open, s)
		}
	}
	for len(open) > 0 {
		oldest := slices.MinFunc(open, func(a, b *source) int { return a.head.Time.Compare(b.head.Time) })
		if err := out(oldest.head); err != nil {
			return err
		}
		more, err := oldest.next(out)
		if err != nil {
			return err
		}
		if !more {
			open = slices.DeleteFunc(open, func(s *source) bool { return s == oldest })
		}
	}
	return nil
}

// next waits for the next line. A log that cannot be read is told and ends, one whose container is gone ends.
func (s *source) next(out func(ports.LogLine) error) (more bool, err error) {
	if head, more := <-s.lines; more {
		s.head = head
		return true, nil
	}
	switch fault.ReasonOf(s.err) {
	case reasonLogGone:
		return false, nil
	case reasonLogUnreadable:
		return false, out(s.reader.notice(s.err))
	}
	return false, s.err
}

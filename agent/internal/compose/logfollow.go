package compose

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"

	"ataraxis.dev/landfall/agent/internal/ports"
)

const (
	// logLooks is the pause between two looks at the containers when no event asks for one: events may be lost.
	logLooks = 5 * time.Second
	// logPause is the least pause between two looks: an `up` of a fleet makes events by the hundred.
	logPause = 200 * time.Millisecond
	// targetPause is the least pause between two questions which services are wanted: containers of other projects may come and go all day.
	targetPause = 3 * time.Second
	// engineWait is the pause between two questions whether the engine is back.
	engineWait = 500 * time.Millisecond
)

// following is the part of a tail that goes on: readers that hand lines to one place, and a watch over the containers.
type following struct {
	*tail
	lines chan ports.LogLine // not buffered: who reads slowly slows the readers
	group sync.WaitGroup
	ended chan string // containers whose reader has ended
}

// follow hands out new lines until ctx ends, or out fails.
func (t *tail) follow(ctx context.Context, cancel context.CancelFunc, out func(ports.LogLine) error) error {
	f := &following{tail: t, lines: make(chan ports.LogLine), ended: make(chan string, mostLogsOne)}
	for _, r := range t.readers {
		f.run(ctx, r)
	}
	f.group.Go(func() { f.watch(ctx) })
	defer f.group.Wait()
	defer cancel()
	for {
		select {
		case l := <-f.lines:
			if err := out(l); err != nil {
				return err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// run starts a reader.
func (f *following) run(ctx context.Context, r *logReader) {
	f.group.Go(func() {
		_ = r.follow(ctx, func(l ports.LogLine) error { return f.tell(ctx, l) }) // its only error is ctx's
		f.ended <- r.id                                                          // there is room for each of them
	})
}

// tell hands a line on.
func (f *following) tell(ctx context.Context, l ports.LogLine) error {
	select {
	case f.lines <- l:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (f *following) notice(ctx context.Context, target ports.LogTarget, kind ports.LogNoticeKind, text string) {
	_ = f.tell(ctx, ports.LogLine{LogTarget: target, Notice: &ports.LogNotice{Kind: kind, Message: text}}) // the only error is ctx's
}

// watch looks at the containers until ctx ends: whenever the engine tells of a change, every now and then, and again when it is back.
func (f *following) watch(ctx context.Context) {
	down := false
	for since := f.began; ctx.Err() == nil; {
		began := time.Now()
		err := f.observe(ctx, since, func() {
			if down {
				f.notice(ctx, ports.LogTarget{}, ports.LogEngineBack, "the Docker Engine answers again")
			}
			down = false
		})
		if ctx.Err() != nil {
			return
		}
		since = began
		if !down {
			down = true
			f.notice(ctx, ports.LogTarget{}, ports.LogEngineDown, fmt.Sprintf("waiting for the Docker Engine: %v", err))
		}
		select {
		case <-time.After(engineWait):
		case <-ctx.Done():
		}
	}
}

// observe looks until the engine does not answer any more. ready is called after the first look.
func (f *following) observe(ctx context.Context, since time.Time, ready func()) error {
	if err := f.compose.Ready(ctx); err != nil {
		return err
	}
	listen, cancel := context.WithCancel(ctx) // readers that are begun here live longer
	defer cancel()
	messages, errs := f.compose.docker.Events(listen, events.ListOptions{Since: stamp(since), Filters: filters.NewArgs(filters.Arg("type", string(events.ContainerEventType)))})
	if err := f.look(ctx); err != nil {
		return err
	}
	ready()
	for _, r := range f.readers {
		r.again() // what stopped meanwhile may have lines that nobody has read
	}
	looks := time.NewTicker(logLooks)
	defer looks.Stop()
	var soon <-chan time.Time
	for {
		select {
		case m := <-messages:
			if f.heard(m) && soon == nil {
				soon = time.After(logPause)
			}
			continue
		case err := <-errs:
			return engineFault(err)
		case <-ctx.Done():
			return ctx.Err()
		case <-soon:
			soon = nil
		case <-looks.C:
		}
		if err := f.look(ctx); err != nil {
			return err
		}
	}
}

// heard takes an event over and says whether it is worth a look.
func (f *following) heard(m events.Message) bool {
	switch m.Action {
	case events.ActionCreate, events.ActionStart, events.ActionDie, events.ActionDestroy, events.ActionRename:
	default:
		return false
	}
	if r := f.readers[m.Actor.ID]; r != nil && (m.Action == events.ActionStart || m.Action == events.ActionDie) {
		r.again()
	}
	return true
}

// look finds containers that came and went.
func (f *following) look(ctx context.Context) error {
	f.bury()
	found, err := f.find(ctx)
	if err != nil {
		return err
	}
	there, fresh, unknown := map[string]bool{}, false, false
	for _, s := range found {
		there[s.ID] = true
		switch r := f.readers[s.ID]; {
		case r != nil:
			r.seen(nameOf(s))
			if s.State == container.StateRunning {
				r.again()
			}
		case !f.foreign[s.ID]:
			fresh = true
			if _, wanted := f.targets[keyOf(s)]; !wanted {
				unknown = true
			}
		}
	}
	for id, r := range f.readers {
		if !there[id] {
			r.leave()
		}
	}
	for _, remembered := range []map[string]bool{f.foreign, f.told} {
		maps.DeleteFunc(remembered, func(id string, _ bool) bool { return !there[id] })
	}
	if fresh {
		return f.admit(ctx, found, unknown)
	}
	return nil
}

// admit begins to read containers that were not there before. What keeps it from knowing their secrets is told, and tried again.
func (f *following) admit(ctx context.Context, found []container.Summary, unknown bool) error {
	before := maps.Clone(f.readers)
	ask := unknown && time.Since(f.resolved) >= targetPause
	var err error
	if ask {
		err = f.resolve(ctx)
	} else {
		err = f.q.Learn(ctx)
	}
	if err == nil {
		err = f.begin(ctx, found, whole)
	}
	for id, r := range f.readers {
		if before[id] == nil {
			f.run(ctx, r)
		}
	}
	if err != nil {
		if ctx.Err() != nil || f.compose.Ready(ctx) != nil {
			return err
		}
		f.trouble(ctx, found, err)
		return nil
	}
	for _, s := range found {
		_, wanted := f.targets[keyOf(s)]
		switch {
		case f.refused[s.ID]:
			f.notice(ctx, f.targets[keyOf(s)], ports.LogUnreadable, nameOf(s)+" is not read: too many logs are read already")
			delete(f.refused, s.ID)
			f.foreign[s.ID] = true
		case !wanted && ask:
			f.foreign[s.ID] = true
		}
	}
	return nil
}

// trouble tells once of each new container why it is not read yet.
func (f *following) trouble(ctx context.Context, found []container.Summary, err error) {
	for _, s := range found {
		target, wanted := f.targets[keyOf(s)]
		if f.readers[s.ID] == nil && wanted && !f.told[s.ID] {
			f.told[s.ID] = true
			f.notice(ctx, target, ports.LogUnreadable, fmt.Sprintf("%s is not read yet: %v", nameOf(s), err))
		}
	}
}

// bury forgets readers that have ended.
func (f *following) bury() {
	for {
		select {
		case id := <-f.ended:
			f.drop(id)
			f.foreign[id] = true
		default:
			return
		}
	}
}

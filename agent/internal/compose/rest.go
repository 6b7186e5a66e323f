package compose

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/shared/fault"
)

const (
	// restLook is how often the engine is looked at while it comes to rest; it is at rest when two looks see the same.
	restLook = 250 * time.Millisecond
	// restQuiet bounds how long it may go on making, renaming and removing.
	restQuiet = 30 * time.Second
	// restGrace is what a container may take beyond its own time to stop.
	restGrace = 5 * time.Second
	// keptEvents is how many events the engine remembers (moby, daemon/events: eventsLimit). With so many between, an older one may
	// be forgotten.
	keptEvents = 256
	// eventsMargin is for those that come while they are read.
	eventsMargin = 20
)

// Rest implements ports.Restorer. The engine goes on with what it was asked for when whoever asked is gone: a container that it was asked to
// stop runs until its time is over, a recreate is renamed and started.
func (c *Compose) Rest(ctx context.Context, cut ports.Cut, out ports.Output) error {
	var errs []error
	if cut.Left {
		errs = append(errs, c.endCommands(ctx, cut, out))
	}
	errs = append(errs, c.awaitStops(ctx, cut, out), c.awaitQuiet(ctx, cut.Projects))
	return errors.Join(errs...)
}

// awaitStops waits for containers that are being stopped, side by side.
func (c *Compose) awaitStops(ctx context.Context, cut ports.Cut, out ports.Output) error {
	now, err := c.Look(ctx, cut.Projects, nil, false)
	if err != nil {
		return err
	}
	reached := slices.DeleteFunc(now.Containers, func(t picture.Container) bool {
		return !t.Running() || !slices.ContainsFunc(cut.Reaches, func(r picture.Reach) bool { return r.Covers(t.Key()) })
	})
	if len(reached) == 0 {
		return nil
	}
	longest := slices.MaxFunc(reached, func(a, b picture.Container) int { return cmp.Compare(a.Grace, b.Grace) }).Grace
	asked, certain, err := c.asked(ctx, longest+restGrace)
	if err != nil {
		return err
	}
	errs := make([]error, len(reached))
	var group sync.WaitGroup
	for i, target := range reached {
		signals, known := asked[target.ID]
		if known || !certain {
			group.Go(func() { errs[i] = c.awaitStop(ctx, target, signals, certain, out) })
		}
	}
	group.Wait()
	return errors.Join(errs...)
}

// awaitStop waits until a container has stopped, or its time to stop is over and it runs on: then nobody is stopping it.
func (c *Compose) awaitStop(ctx context.Context, target picture.Container, signals []string, certain bool, out ports.Output) error {
	said := false
	for over := time.Now().Add(target.Grace + restGrace); time.Now().Before(over); {
		answer, err := c.inspect(ctx, target.ID)
		switch {
		case cerrdefs.IsNotFound(err):
			return nil
		case err != nil:
			return engineFault(err)
		}
		is, stops := containerOf(answer), stopsBy(answer, signals)
		if !is.Running() || !is.Started.Equal(target.Started) || (certain && !stops) {
			return nil
		}
		if !said && stops {
			said = true
			out(operation.Stdout, fmt.Sprintf("%s is being stopped; it has %s", target.Key(), target.Grace), false)
		}
		select {
		case <-time.After(restLook):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// inspect looks at one container.
func (c *Compose) inspect(ctx context.Context, id string) (container.InspectResponse, error) {
	look, cancel := context.WithTimeout(ctx, c.lookTimeout)
	defer cancel()
	return c.docker.ContainerInspect(look, id)
}

// stopsBy reports whether one of the signals that a container was sent, as numbers, may be there to end it: a reload by SIGHUP is not. One with
// a stop signal of its own is taken for stopping by any.
func stopsBy(a container.InspectResponse, signals []string) bool {
	if a.Config != nil && a.Config.StopSignal != "" {
		return len(signals) > 0
	}
	return slices.ContainsFunc(signals, func(s string) bool {
		return s == "" || s == strconv.Itoa(int(syscall.SIGTERM)) || s == strconv.Itoa(int(syscall.SIGKILL))
	})
}

// asked finds the containers that were sent signals within a time, which have not ended since, with the signals. Whoever was asked before
// that has been killed by now. certain is false where the engine may have forgotten some.
func (c *Compose) asked(ctx context.Context, within time.Duration) (asked map[string][]string, certain bool, err error) {
	look, cancel := context.WithTimeout(ctx, c.lookTimeout)
	defer cancel()
	// All events are asked for: the engine remembers a number of them, whatever they are about.
	now := time.Now()
	messages, errs := c.docker.Events(look, events.ListOptions{Since: stamp(now.Add(-within)), Until: stamp(now)})
	asked = map[string][]string{}
	for seen := 0; ; {
		select {
		case m := <-messages:
			seen++
			switch {
			case m.Type != events.ContainerEventType:
			case m.Action == events.ActionKill:
				asked[m.Actor.ID] = append(asked[m.Actor.ID], m.Actor.Attributes["signal"])
			case m.Action == events.ActionDie, m.Action == events.ActionDestroy:
				delete(asked, m.Actor.ID)
			}
		case err := <-errs:
			if !errors.Is(err, io.EOF) { // the end of what is past
				return nil, false, engineFault(err)
			}
			return asked, seen < c.keptEvents-eventsMargin, nil
		}
	}
}

func stamp(t time.Time) string {
	return strconv.FormatInt(t.Unix(), 10) + "." + fmt.Sprintf("%09d", t.Nanosecond())
}

// awaitQuiet waits until two looks at the containers of projects see the same.
func (c *Compose) awaitQuiet(ctx context.Context, projects []string) error {
	last := "never looked"
	for over := time.Now().Add(restQuiet); ; {
		now, err := c.quick(ctx, projects)
		if err != nil {
			return err
		}
		if now == last && !strings.Contains(now, "removing") {
			return nil
		}
		if time.Now().After(over) {
			return fault.New(fault.Failed, "ENGINE_BUSY", "the engine does not come to rest within %s: %s", restQuiet, now)
		}
		last = now
		select {
		case <-time.After(restLook):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// quick tells containers, names and states of projects in one line.
func (c *Compose) quick(ctx context.Context, projects []string) (string, error) {
	var lines []string
	for _, project := range projects {
		list, err := c.list(ctx, project)
		if err != nil {
			return "", err
		}
		for _, s := range list {
			lines = append(lines, fmt.Sprintf("%.12s %s %s", s.ID, nameOf(s), settledState(s)))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "; "), nil
}

// settledState leaves out that a looping container runs and does not, in turns.
func settledState(s container.Summary) string {
	if s.State == "restarting" {
		return "running"
	}
	return s.State
}

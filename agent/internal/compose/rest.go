package compose

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"

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

// awaitStops waits for containers that are being stopped.
func (c *Compose) awaitStops(ctx context.Context, cut ports.Cut, out ports.Output) error {
	now, err := c.Look(ctx, cut.Projects, nil, false)
	if err != nil {
		return err
	}
	stopping, certain, err := c.stopping(ctx, cut.Began)
	if err != nil {
		return err
	}
	for _, target := range now.Containers {
		reached := slices.ContainsFunc(cut.Reaches, func(r picture.Reach) bool { return r.Covers(target.Key()) })
		if !target.Running() || !reached || (certain && !stopping[target.ID]) {
			continue
		}
		if err := c.awaitStop(ctx, target, stopping[target.ID], out); err != nil {
			return err
		}
	}
	return nil
}

// awaitStop waits until a container has stopped, or its time to stop is over and it runs on: then nobody is stopping it.
func (c *Compose) awaitStop(ctx context.Context, target picture.Container, known bool, out ports.Output) error {
	said := false
	for over := time.Now().Add(target.Grace + restGrace); time.Now().Before(over); {
		answer, err := c.docker.ContainerInspect(ctx, target.ID)
		switch {
		case cerrdefs.IsNotFound(err):
			return nil
		case err != nil:
			return engineFault(err)
		}
		is := containerOf(answer)
		if !is.Running() || !is.Started.Equal(target.Started) {
			return nil
		}
		if !said && known {
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

// stopping finds the containers that were asked to end since a moment, and have not. certain is false where the engine may have
// forgotten some.
func (c *Compose) stopping(ctx context.Context, since time.Time) (stopping map[string]bool, certain bool, err error) {
	look, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	messages, errs := c.docker.Events(look, events.ListOptions{
		Since: unix(since), Until: unix(time.Now()), Filters: filters.NewArgs(filters.Arg("type", string(events.ContainerEventType))),
	})
	stopping = map[string]bool{}
	for seen := 0; ; {
		select {
		case m := <-messages:
			seen++
			switch m.Action {
			case events.ActionKill:
				stopping[m.Actor.ID] = true
			case events.ActionDie, events.ActionDestroy:
				delete(stopping, m.Actor.ID)
			}
		case err := <-errs:
			if err != nil && !isEnd(err) {
				return nil, false, engineFault(err)
			}
			return stopping, seen < keptEvents-20, nil
		}
	}
}

// isEnd tells the end of a list of events that are past.
func isEnd(err error) bool { return strings.Contains(err.Error(), "EOF") }

func unix(t time.Time) string {
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

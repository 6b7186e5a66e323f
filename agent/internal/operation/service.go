package operation

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"ataraxis.dev/landfall/shared/pipeline"
)

// Service is one compose service as it is configured, with the containers that exist.
type Service struct {
	Stack    string
	Project  string // compose project
	Name     string
	Image    string // as configured; "" when only built
	Replicas int    // containers wanted
	OneShot  bool   // its restart policy lets it end: exit code 0 is success

	Containers []Container
}

// Container is one container of a service, as the engine tells it.
type Container struct {
	ID        string // 64 hex digits
	Name      string
	State     string // "created", "running", "paused", "restarting", "removing", "exited", "dead"
	Health    string // "starting", "healthy", "unhealthy"; "" without a health check
	HealthLog string // last output of the health check, one line
	ImageID   string // "sha256:" and 64 hex digits
	Started   time.Time
	Up        time.Duration // since Started while it runs, 0 else; negative when the clock was set back since
	Restarts  int           // by the engine
	ExitCode  int
	OOMKilled bool
}

// Inspector looks at what runs. It changes nothing, apart from what the executed
// command itself does.
type Inspector interface {
	// Services lists the services of the named stacks, all when none is named, in order of
	// stack and name.
	Services(ctx context.Context, plan *pipeline.Plan, stacks []string) ([]Service, error)
	// Exec runs a command in the running container of a service.
	Exec(ctx context.Context, plan *pipeline.Plan, exec pipeline.Exec, out Output) (exitCode int, err error)
	// LastLines reads the end of a container's log, oldest line first.
	LastLines(ctx context.Context, containerID string, lines int) ([]string, error)
}

// crashLoop is the number of restarts by the engine after which a container that is
// down again counts as looping. One or two happen to services that wait for a database.
const crashLoop = 3

// settled is how long a container that the engine restarted must run before it counts as
// running: so long the engine itself takes a start for unsuccessful (Docker, "Start containers automatically").
// Between two crashes a looping container runs, too.
const settled = 10 * time.Second

// Verdict judges a service: as it should be, not yet, or not any more. container is the
// one to blame, nil when none is.
func (s Service) Verdict() (outcome ProbeOutcome, message string, container *Container) {
	outcome = ProbePassed
	for i := range s.Containers {
		o, m := s.judge(s.Containers[i])
		if worse(o, outcome) {
			outcome, message, container = o, s.Name+": "+m, &s.Containers[i]
		}
	}
	if len(s.Containers) < s.Replicas && outcome != ProbeFailed {
		return ProbeFailed, fmt.Sprintf("%s: %d of %d containers exist", s.Name, len(s.Containers), s.Replicas), nil
	}
	return outcome, message, container
}

// judge is Verdict for one container.
func (s Service) judge(c Container) (ProbeOutcome, string) {
	switch c.State {
	case "running":
		switch c.Health {
		case "", "healthy":
			if c.Restarts > 0 && c.Up >= 0 && c.Up < settled {
				return ProbeWaiting, fmt.Sprintf("restarted %d times, runs for less than %s", c.Restarts, settled)
			}
			return ProbePassed, ""
		case "unhealthy":
			return ProbeWaiting, strings.TrimSuffix("unhealthy: "+c.HealthLog, ": ")
		}
		return ProbeWaiting, "health is " + c.Health
	case "created":
		return ProbeWaiting, "created, not started"
	case "restarting":
		if c.Restarts >= crashLoop {
			return ProbeFailed, fmt.Sprintf("crash loop: restarted %d times, last exit code %d", c.Restarts, c.ExitCode)
		}
		return ProbeWaiting, fmt.Sprintf("restarting after exit code %d", c.ExitCode)
	case "exited":
		switch {
		case c.OOMKilled:
			return ProbeFailed, "killed for want of memory"
		case s.OneShot && c.ExitCode == 0:
			return ProbePassed, ""
		}
		return ProbeFailed, fmt.Sprintf("exited with code %d", c.ExitCode)
	}
	return ProbeFailed, "is " + c.State
}

func worse(a, b ProbeOutcome) bool { return severity(a) > severity(b) }

func severity(o ProbeOutcome) int {
	return slices.Index([]ProbeOutcome{ProbePassed, ProbeWaiting, ProbeFailed}, o)
}

// SortServices puts services in order of stack and name.
func SortServices(services []Service) {
	slices.SortFunc(services, func(a, b Service) int {
		return cmp.Or(cmp.Compare(a.Stack, b.Stack), cmp.Compare(a.Name, b.Name))
	})
}

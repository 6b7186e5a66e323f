package picture

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Verdict is how a service, or what a probe asked for, was found.
type Verdict string

// The verdicts, best first.
const (
	Passed  Verdict = "passed"
	Waiting Verdict = "waiting" // not yet; worth another look
	Failed  Verdict = "failed"  // and another look would not help
)

// Worse reports whether one verdict is worse than another.
func (v Verdict) Worse(than Verdict) bool { return severity(v) > severity(than) }

func severity(v Verdict) int { return slices.Index([]Verdict{Passed, Waiting, Failed}, v) }

// Service is one compose service as it is configured, with the containers that exist.
type Service struct {
	Stack    string // "" for one that no compose file names
	Project  string // compose project
	Name     string
	Image    string // as configured; "" when only built
	Replicas int    // containers wanted
	OneShot  bool   // its restart policy lets it end: exit code 0 is success
	// Unnamed says that no compose file of the checkout names it: its containers are left over, or somebody started them.
	Unnamed bool

	Containers []Container
	// Detached tells, by container ID, which namespace a container has lost: it runs, and reaches nothing.
	Detached map[string]string
}

// Key is the identity of the service.
func (s Service) Key() Key { return Key{s.Project, s.Name} }

// Services are the services that models name with what there is of them, then those that have containers in the models'
// projects and that no model names. In order of stack, project and name. No stacks stand for all, with the unnamed.
func Services(models []Model, now Picture, stacks []string) []Service {
	var services []Service
	named := map[Key]bool{}
	for _, m := range models {
		for name, spec := range m.Services {
			named[m.Key(name)] = true
			if len(stacks) > 0 && !slices.Contains(stacks, m.Stack) {
				continue
			}
			services = append(services, Service{
				Stack: m.Stack, Project: m.Project, Name: name, Image: spec.Configured, Replicas: spec.Replicas, OneShot: spec.OneShot,
			})
		}
	}
	if len(stacks) == 0 {
		for _, k := range now.Keys() {
			if !named[k] {
				services = append(services, Service{Project: k.Project, Name: k.Service, Unnamed: true})
			}
		}
	}
	for i := range services {
		s := &services[i]
		s.Containers = now.Of(s.Key())
		slices.SortFunc(s.Containers, func(a, b Container) int { return strings.Compare(a.Name, b.Name) })
		for _, c := range s.Containers {
			if lost := now.detached(c); lost != "" {
				if s.Detached == nil {
					s.Detached = map[string]string{}
				}
				s.Detached[c.ID] = lost
			}
		}
	}
	SortServices(services)
	return services
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
func (s Service) Verdict() (outcome Verdict, message string, container *Container) {
	outcome = Passed
	for i := range s.Containers {
		o, m := s.judge(s.Containers[i])
		if o.Worse(outcome) {
			outcome, message, container = o, s.Name+": "+m, &s.Containers[i]
		}
	}
	if len(s.Containers) < s.Replicas && outcome != Failed {
		return Failed, fmt.Sprintf("%s: %d of %d containers exist", s.Name, len(s.Containers), s.Replicas), nil
	}
	return outcome, message, container
}

// judge is Verdict for one container.
func (s Service) judge(c Container) (Verdict, string) {
	if lost := s.Detached[c.ID]; lost != "" && c.Running() {
		return Failed, lost
	}
	switch c.State {
	case "running":
		switch c.Health {
		case "", "healthy":
			if c.Restarts > 0 && c.Up >= 0 && c.Up < settled {
				return Waiting, fmt.Sprintf("restarted %d times, runs for less than %s", c.Restarts, settled)
			}
			return Passed, ""
		case "unhealthy":
			return Waiting, strings.TrimSuffix("unhealthy: "+c.HealthLog, ": ")
		}
		return Waiting, "health is " + c.Health
	case "created":
		return Waiting, "created, not started"
	case "restarting":
		if c.Restarts >= crashLoop {
			return Failed, fmt.Sprintf("crash loop: restarted %d times, last exit code %d", c.Restarts, c.ExitCode)
		}
		return Waiting, fmt.Sprintf("restarting after exit code %d", c.ExitCode)
	case "exited":
		switch {
		case c.OOMKilled:
			return Failed, "killed for want of memory"
		case s.OneShot && c.ExitCode == 0:
			return Passed, ""
		}
		if lost := s.Detached[c.ID]; lost != "" {
			return Failed, fmt.Sprintf("exited with code %d, and cannot be started any more: %s", c.ExitCode, lost)
		}
		return Failed, fmt.Sprintf("exited with code %d", c.ExitCode)
	}
	return Failed, "is " + c.State
}

// SortServices puts services in order of stack, project and name.
func SortServices(services []Service) {
	slices.SortFunc(services, func(a, b Service) int {
		return cmp.Or(cmp.Compare(a.Stack, b.Stack), cmp.Compare(a.Project, b.Project), cmp.Compare(a.Name, b.Name))
	})
}

package picture

import (
	"fmt"
	"slices"
)

// Judgement is how services were found together.
type Judgement struct {
	Verdict  Verdict
	Messages []string    // of the services that are to blame for the verdict: "core/app: exited with code 1"
	Blamed   []Container // the containers to blame, in the same order as far as there are some
	Services int         // that were judged
	// Containers is how many those have; Excused how many services were not judged.
	Containers, Excused int
}

// Judge takes the worst verdict of services. What has failed matters, not what is still coming. Those that no compose file names, and
// those that are excused, are not judged.
func Judge(services []Service, excuses []Excuse) Judgement {
	j := Judgement{Verdict: Passed}
	for _, s := range services {
		verdict, message, blamed := s.Verdict()
		switch {
		case s.Unnamed:
			continue
		case verdict != Passed && Forgives(excuses, s.Key()):
			j.Excused++
			continue
		}
		j.Services++
		j.Containers += len(s.Containers)
		if verdict.Worse(j.Verdict) {
			j.Verdict, j.Messages, j.Blamed = verdict, nil, nil
		}
		if verdict == Passed || verdict != j.Verdict {
			continue
		}
		j.Messages = append(j.Messages, s.Stack+"/"+message)
		if blamed != nil {
			j.Blamed = append(j.Blamed, *blamed)
		}
	}
	return j
}

// String says what passed.
func (j Judgement) String() string {
	text := fmt.Sprintf("%d services, %d containers", j.Services, j.Containers)
	if j.Excused > 0 {
		text += fmt.Sprintf("; %d not judged, because not as they should be before", j.Excused)
	}
	return text
}

// Troubled reports whether the engine itself has something to tell of a container that is still waited for.
func (c Container) Troubled() bool { return c.Health == "unhealthy" || c.Restarts > 0 }

// ForgivesIn is Forgives by the name of a stack.
func ForgivesIn(excuses []Excuse, stack, service string) bool {
	return slices.ContainsFunc(excuses, func(e Excuse) bool { return e.Stack == stack && e.Service == service })
}

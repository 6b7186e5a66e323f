package picture

import "slices"

// Excuse is a service that is not to blame on an operation, because it was not as it should be before.
type Excuse struct {
	Key
	Stack string `json:"stack"`
	Why   string `json:"why"` // "app: exited with code 143"
}

// Excused lists the services of models that were not as they should be before, apart from those that an operation speaks of:
// they are told, and not judged. One that was on its way, or is new, is judged like all others.
func Excused(models []Model, before Picture, touched []Reach) []Excuse {
	var excuses []Excuse
	for _, s := range Services(models, before, nil) {
		if s.Unnamed || covered(touched, s.Key()) {
			continue
		}
		verdict, why, container := s.Verdict()
		// One that the engine has restarted, and that runs again, is between two crashes rather than on its way.
		onItsWay := verdict == Waiting && container != nil && container.Restarts == 0 &&
			(container.Health == "starting" || (container.State == "running" && container.Health != "unhealthy"))
		if verdict == Passed || onItsWay {
			continue
		}
		excuses = append(excuses, Excuse{s.Key(), s.Stack, why})
	}
	return excuses
}

// Forgives reports whether a service is excused.
func Forgives(excuses []Excuse, k Key) bool {
	return slices.ContainsFunc(excuses, func(e Excuse) bool { return e.Key == k })
}

package compose

import (
	"testing"
	"time"

	"ataraxis.dev/landfall/agent/internal/operation"
)

// What a service needs depends on what it had, what it has, and what this revert has done before a crash.
func TestDecide(t *testing.T) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	past := func(id, image string, running bool, started time.Time) operation.Past {
		return operation.Past{Stack: "s", Service: "app", Container: id, ImageID: image, Running: running, Started: started}
	}
	later := past("a", "old", true, at.Add(time.Minute))
	was, job, other := past("a", "old", true, at), past("a", "old", false, at), past("b", "new", true, at)
	for name, c := range map[string]struct {
		was, now, present operation.Past
		shows             bool
		want              deed
	}{
		"untouched":                            {was, was, was, false, leave},
		"stopped":                              {was, was, past("a", "old", false, at), false, start},
		"another container":                    {was, other, other, false, recreate},
		"a job that has ended is left":         {job, job, job, false, leave},
		"made by an earlier attempt":           {was, other, past("c", "old", true, at), false, leave},
		"made, but not started":                {was, other, past("c", "old", false, time.Time{}), false, start},
		"made, started, ended":                 {was, other, past("c", "old", false, at), false, start},
		"a job that was made, but not started": {job, other, past("c", "old", false, time.Time{}), false, start},
		"a job that was made and has ended":    {job, other, past("c", "old", false, at), false, leave},
		"made of the wrong image":              {was, other, past("c", "new", true, at), false, recreate},
		"started again by the engine":          {was, later, later, false, leave},
		"started again on files that go back":  {was, later, later, true, restart},
		"and restarted by an earlier attempt":  {was, later, past("a", "old", true, at.Add(time.Hour)), true, leave},
		"never started again":                  {was, was, was, true, leave},
	} {
		r := &revert{Reversal: operation.Reversal{
			Past: operation.Snapshot{Projects: map[string]string{"s": "p"}, Containers: []operation.Past{c.was}},
			Now:  operation.Snapshot{Projects: map[string]string{"s": "p"}, Containers: []operation.Past{c.now}},
		}}
		if got := r.decide("s", "app", map[string][]operation.Past{"app": {c.present}}, c.shows); got != c.want {
			t.Errorf("%s: deed %d, want %d", name, got, c.want)
		}
	}
}

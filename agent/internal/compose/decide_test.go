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
	was, job, other := past("a", "old", true, at), past("a", "old", false, at), past("b", "new", true, at)
	for name, c := range map[string]struct {
		was, now, present operation.Past
		want              deed
	}{
		"untouched":                            {was, was, was, leave},
		"stopped":                              {was, was, past("a", "old", false, at), start},
		"another container":                    {was, other, other, recreate},
		"a job that has ended is left":         {job, job, job, leave},
		"made by an earlier attempt":           {was, other, past("c", "old", true, at), leave},
		"made, but not started":                {was, other, past("c", "old", false, time.Time{}), start},
		"made, started, ended":                 {was, other, past("c", "old", false, at), start},
		"a job that was made, but not started": {job, other, past("c", "old", false, time.Time{}), start},
		"a job that was made and has ended":    {job, other, past("c", "old", false, at), leave},
		"made of the wrong image":              {was, other, past("c", "new", true, at), recreate},
	} {
		r := &revert{Reversal: operation.Reversal{
			Past: operation.Snapshot{Projects: map[string]string{"s": "p"}, Containers: []operation.Past{c.was}},
			Now:  operation.Snapshot{Projects: map[string]string{"s": "p"}, Containers: []operation.Past{c.now}},
		}}
		if got := r.decide("s", "app", map[string][]operation.Past{"app": {c.present}}); got != c.want {
			t.Errorf("%s: deed %d, want %d", name, got, c.want)
		}
	}
}

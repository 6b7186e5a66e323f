package operation

import (
	"context"
	"slices"
	"time"

	"ataraxis.dev/landfall/shared/pipeline"
)

// Past is one container as it was at a moment.
type Past struct {
	Stack     string    `json:"stack"`
	Service   string    `json:"service"`
	Container string    `json:"container"`        // 64 hex digits
	ImageID   string    `json:"image_id"`         // "sha256:" and 64 hex digits
	ImageRef  string    `json:"image_ref"`        // the name it was created from: "shop-api", "postgres:16"
	Config    string    `json:"config,omitempty"` // hash of the configuration it was created from
	Running   bool      `json:"running,omitempty"`
	Started   time.Time `json:"started,omitzero"`
}

// Snapshot is every container of some stacks at a moment: what a rollback goes back to, and
// how a repeated step knows what it has done already.
type Snapshot struct {
	// Projects maps every stack that was looked at to its compose project, also one that
	// had no container yet.
	Projects   map[string]string `json:"projects"`
	Containers []Past            `json:"containers"` // in order of stack, service and container
}

// Of lists the containers of a service.
func (s Snapshot) Of(stack, service string) []Past {
	var of []Past
	for _, p := range s.Containers {
		if p.Stack == stack && p.Service == service {
			of = append(of, p)
		}
	}
	return of
}

// Has reports whether the very container was there.
func (s Snapshot) Has(container string) bool {
	return slices.ContainsFunc(s.Containers, func(p Past) bool { return p.Container == container })
}

// Images lists the images of the containers, each once, sorted.
func (s Snapshot) Images() []string {
	var ids []string
	for _, p := range s.Containers {
		ids = append(ids, p.ImageID)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// Reverter remembers what runs, and brings it back.
type Reverter interface {
	// Snapshot observes the containers of the named stacks, all when none is named.
	Snapshot(ctx context.Context, plan *pipeline.Plan, stacks []string) (Snapshot, error)
	// Pin keeps the images of a snapshot from being pruned, by tags that name the operation.
	// It may be repeated.
	Pin(ctx context.Context, operation string, snapshot Snapshot) error
	// Unpin drops the tags of every operation but those to keep.
	Unpin(ctx context.Context, keep []string) error
	// Revert brings services back to what the reversal tells, and leaves alone what still is
	// as it was. It may be repeated.
	Revert(ctx context.Context, r Reversal, out Output) (summary string, err error)
}

// Reversal is what a revert works from.
type Reversal struct {
	Plan *pipeline.Plan // of the commit to go back to, which is checked out
	Past Snapshot       // what ran then
	// Now is what was there when the revert first began: a container that is younger was made by it.
	Now Snapshot
	// Steps are those that may have touched services. A container that kept its ID, but not its start, is
	// restarted only where one of them speaks of it, or it shows what changed; others may have been restarted
	// by the engine.
	Steps []pipeline.Step
	// Changed are the paths of the checkout that may differ between what is left and where it goes.
	Changed Paths
}

// Orphans finds children that a dead agent left running.
type Orphans interface {
	// Mark returns a context whose children can be found by the operation.
	Mark(ctx context.Context, operation string) context.Context
	// End ends the operation's children, if there are any, and counts them.
	End(ctx context.Context, operation string) (ended int, err error)
}

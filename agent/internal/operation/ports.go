package operation

import (
	"context"
	"time"

	"ataraxis.dev/landfall/shared/pipeline"
)

// Output receives the lines of a child as they come. It may block: then the child waits.
// It is safe for concurrent use.
type Output func(stream Stream, text string, truncated bool)

// Commits reads the history of the checkout's repository. Errors are faults.
type Commits interface {
	// Fetch brings the branch and the target up to date from the remote and returns the
	// branch's commit there. A target that the remote does not have is NotFound/UNKNOWN_COMMIT.
	Fetch(ctx context.Context, target string, out Output) (branchHead string, err error)
	// Head is the commit that is checked out.
	Head(ctx context.Context) (string, error)
	// IsAncestor reports whether a is b or comes before it. An unknown commit is NotFound.
	IsAncestor(ctx context.Context, a, b string) (bool, error)
	// Changes lists the paths that differ between two trees, renames as deletion and addition.
	Changes(ctx context.Context, base, target string) ([]pipeline.Change, error)
}

// Trees reads the content of commits without touching the working tree.
type Trees interface {
	// Pipeline reads and checks the landfall.yaml of a commit.
	Pipeline(ctx context.Context, sha string) (*pipeline.Config, error)
	// SideTree lays the commit out in a directory beside the checkout, for proofs.
	SideTree(ctx context.Context, sha string) (dir string, err error)
}

// Checkout is the working tree the stacks run from. Every method may be repeated.
type Checkout interface {
	// Check refuses a tree in which somebody edited tracked files, other than those that
	// change at run time: the reset would lose the edit.
	Check(ctx context.Context, prepare pipeline.Prepare) error
	// Restore brings back tracked files that changed at run time and, with Own, gives
	// tracked files to the checkout's owner.
	Restore(ctx context.Context, prepare pipeline.Prepare, out Output) (summary string, err error)
	// Reset moves the working tree to exactly sha. Untracked files stay.
	Reset(ctx context.Context, sha string, out Output) error
}

// Runtime is Docker Compose and the engine behind it.
type Runtime interface {
	// Prove checks the compose files of every stack as they are in the side tree. It touches nothing.
	Prove(ctx context.Context, plan *pipeline.Plan, sideTree string, out Output) error
	// Complete builds or pulls the images that the apply phase needs and that are not there.
	Complete(ctx context.Context, plan *pipeline.Plan, out Output) (summary string, err error)
	// Run does one build, up, recreate, restart or exec step. It may be repeated. Services that
	// the step does not name keep their containers, else it fails; see [Work].
	Run(ctx context.Context, plan *pipeline.Plan, work Work, out Output) (summary string, err error)
	// Ready reports whether the engine answers; the fault ENGINE_DOWN is worth waiting for.
	Ready(ctx context.Context) error
}

// Scripts runs executables of the checkout.
type Scripts interface {
	// RunScript runs one script with the plan's environment.
	RunScript(ctx context.Context, plan *pipeline.Plan, script pipeline.Script, out Output) error
	// Migrate runs the migration script and calls applied for each migration it reports, as it does.
	Migrate(ctx context.Context, plan *pipeline.Plan, migrate pipeline.Migrate, out Output, applied func(name string)) error
}

// Prober asks one question of the running fleet.
type Prober interface {
	// Probe makes one attempt. The result's Outcome says whether another one is worth it;
	// Name, Attempts and Elapsed are filled in by the caller.
	Probe(ctx context.Context, plan *pipeline.Plan, probe pipeline.Probe) ProbeResult
}

// Gauge reads what the host has left.
type Gauge interface {
	// Check fails when disk or memory is below what agent.yaml demands.
	Check(ctx context.Context) error
}

// Journal is the durable record. Every method returns after the fact is on disk.
type Journal interface {
	// Create records a new operation by its first event. When the command is known
	// already it returns that operation and created is false.
	Create(first Event) (op Operation, created bool, err error)
	// Known finds the operation of a command.
	Known(commandID string) (op Operation, known bool, err error)
	// Append records events whose sequences follow the last one.
	Append(id string, events []Event) error
	// Events reads at most limit events after a sequence, in order.
	Events(id string, after uint64, limit int) ([]Event, error)
}

// Records reads operations back.
type Records interface {
	// Operation reads one by its identifier, its number or a unique beginning of the
	// identifier; "" means the newest. Unknown is NotFound.
	Operation(id string) (Operation, error)
	// Operations lists at most limit operations with numbers below before (0: from the newest), newest first.
	Operations(before uint64, limit int) ([]Operation, error)
	// Unfinished lists the operations that are not terminal, oldest first.
	Unfinished() ([]Operation, error)
}

// Stamp is the file that names the last commit deployed successfully.
type Stamp interface {
	// Stamp reads it; "" before the first successful deploy.
	Stamp() (sha string, written time.Time, err error)
	// SetStamp replaces it durably.
	SetStamp(sha string) error
}

// Pause keeps convergence from running.
type Pause struct {
	Reason    string    `json:"reason"`
	Owner     string    `json:"owner"` // who asked: "operator/chris", also for the deploy that paused
	Operation string    `json:"operation,omitempty"`
	Created   time.Time `json:"created_at"`
	Expires   time.Time `json:"expires_at"`
	// Before is the pause whose place this one took; an operation that ends without having
	// touched anything gives it back.
	Before *Pause `json:"before,omitempty"`
}

// Blocked is a commit that convergence must not deploy.
type Blocked struct {
	SHA       string    `json:"sha"`
	Operation string    `json:"operation"`
	Reason    string    `json:"reason"`
	Created   time.Time `json:"created_at"`
}

// Sentinels are the operator's files that steer convergence. A nil value with a nil
// error means that there is none; setting nil removes the file.
type Sentinels interface {
	Pause() (*Pause, error)
	SetPause(*Pause) error
	Blocked() (*Blocked, error)
	SetBlocked(*Blocked) error
}

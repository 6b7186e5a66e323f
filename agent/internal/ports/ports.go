// Package ports is what operations need from the outside: the interfaces that the adapters are behind.
//
// An interface has at most five methods, says which may be repeated and which errors mean something. Adapters
// import it, and neither the engine nor the flows; the engine imports no adapter. Start reading at [Ports].
package ports

import (
	"context"
	"strings"
	"time"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/shared/pipeline"
)

// Ports is everything that operations need. All are required, but for the last four.
type Ports struct {
	Commits   Commits
	Trees     Trees
	Checkout  Checkout
	Runtime   Runtime
	Restorer  Restorer
	Orphans   Orphans
	Inspector Inspector
	Configs   Configs
	Scripts   Scripts
	Prober    Prober
	Gauge     Gauge
	Journal   Journal
	Records   Records
	Stamp     Stamp
	Sentinels Sentinels
	Redactor  Redactor // nil takes nothing out
	Teacher   Teacher  // nil teaches nothing
	// Signatures judges who made a commit; nil where the host does not ask.
	Signatures Signatures
	Listener   Listener // nil: nobody hears of ends
}

// Signatures judges who made the commits that are deployed.
type Signatures interface {
	// Verify makes sure that target, and where the host wants it each commit since base ("" for none), was signed by
	// somebody who may. The error is Refused and names the commit. It asks no remote.
	Verify(ctx context.Context, base, target string) (summary string, err error)
}

// Redactor takes secrets out of text before it is recorded, told or logged.
type Redactor interface {
	// Text is a text without the secrets.
	Text(text string) string
	// Lines is Text for a line and the one before it of the same stream: a secret may be broken over both.
	Lines(before, line string) (string, string)
}

// Teacher has the redactor learn what children may print.
type Teacher interface {
	// Learn reads what a plan's stacks lead to: environment files, files of secrets. It must come before a child that is not
	// Compose's own, and before text of containers; it may be repeated, and costs little when nothing changed. An error is Refused and
	// names the file that cannot be learned.
	Learn(ctx context.Context, plan *pipeline.Plan) error
}

// Output receives the lines of a child as they come. It may block: then the child waits.
// It is safe for concurrent use.
type Output func(stream operation.Stream, text string, truncated bool)

// Commits reads the history of the checkout's repository. Errors are faults.
type Commits interface {
	// Fetch brings the branch and the target up to date from the remote and returns the
	// branch's commit there. A target that the remote does not have is NotFound/UNKNOWN_COMMIT.
	Fetch(ctx context.Context, target string, out Output) (branchHead string, err error)
	// RemoteHead is the branch's commit at the remote. It writes nothing.
	RemoteHead(ctx context.Context) (string, error)
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
	// Dirs are the checkout's folder by each path that leads to it: as it is configured, and without symbolic links.
	Dirs() []string
	// SideTree lays the commit out in a directory beside the checkout, one for each use: the next call for it lays out another.
	SideTree(ctx context.Context, sha string, use SideUse) (dir string, err error)
}

// SideUse is what a side tree is for.
type SideUse string

// The uses.
const (
	ForProof SideUse = ""     // of the operation that runs
	ForPlan  SideUse = "plan" // of a plan that somebody wants to see
)

// Checkout is the working tree the stacks run from. Every method may be repeated.
type Checkout interface {
	// Look observes the tree as it is before it is moved to target, and touches nothing. known are commits that were deployed here:
	// they are not lost when no branch has them.
	Look(ctx context.Context, target string, prepare pipeline.Prepare, known []string) (picture.Tree, error)
	// Stand tells what is checked out besides the commit.
	Stand(ctx context.Context) (picture.Stand, error)
	// Restore brings back tracked files that changed at run time and, with Own, gives
	// tracked files to the checkout's owner.
	Restore(ctx context.Context, prepare pipeline.Prepare, out Output) (summary string, err error)
	// Move brings the working tree to exactly a commit, on disk. Nothing that is not tracked is overwritten or deleted: without GoOn
	// what is in the way is Refused, and nothing is changed.
	Move(ctx context.Context, m picture.Move, out Output) (picture.Moved, error)
	// Pack keeps the repository small. It is called while no operation runs.
	Pack(ctx context.Context) error
}

// Runtime is Docker Compose and the engine behind it.
type Runtime interface {
	// Prove renders the compose files of every stack as they are in the side tree, and makes sure that every service that the plan
	// speaks of exists. It touches nothing.
	Prove(ctx context.Context, plan *pipeline.Plan, sideTree string, out Output) ([]picture.Model, error)
	// Models renders the compose files of every stack as they are in the checkout.
	Models(ctx context.Context, plan *pipeline.Plan) ([]picture.Model, error)
	// Complete builds or pulls the images that the apply phase needs and that are not there.
	Complete(ctx context.Context, plan *pipeline.Plan, out Output) (summary string, err error)
	// Run does one build, up, recreate, restart or exec step. It may be repeated. Services that
	// the step does not name keep their containers, else it fails; see [Work].
	Run(ctx context.Context, plan *pipeline.Plan, work Work, out Output) (summary string, err error)
	// Ready reports whether the engine answers; the fault ENGINE_DOWN is worth waiting for.
	Ready(ctx context.Context) error
}

// Work is a step for the runtime, with what it must know to do it once and to touch nothing else.
type Work struct {
	Step pipeline.Step
	// Before is what ran in the step's stack, with who shares namespaces elsewhere, when it began for the first time: what is younger was made by
	// it, before a crash. Nil for steps that change no container.
	Before *picture.Picture
	Ground
	// Warn records something that a person should know.
	Warn func(reason, message string)
}

// Ground is how the checkout moved beneath the containers.
type Ground struct {
	Past    *picture.Picture // what ran before it moved; nil when it did not
	Changed picture.Paths    // what may have another content since
}

// Restorer looks at what is on the host, remembers it, and brings it back. What is to be done is decided by package picture.
type Restorer interface {
	// Look observes compose projects, and what the named images mean. Everything is looked at for whole.
	Look(ctx context.Context, projects, refs []string, whole bool) (picture.Picture, error)
	// Rest waits until the engine has ended what work that was cut off had asked of it, and ends or waits for what it
	// left running inside containers. The error, LEFT_RUNNING or ENGINE_BUSY, names what does not end.
	Rest(ctx context.Context, cut Cut, out Output) error
	// Carry does a batch. It may be repeated.
	Carry(ctx context.Context, plan *pipeline.Plan, batch picture.Batch, out Output) error
	// Images keeps images: see [Images].
	Images
}

// Cut is work that was cut off, or failed half way.
type Cut struct {
	Projects []string        // compose projects that it may have asked something of
	Reaches  []picture.Reach // services that may be on their way to another state
	Began    time.Time       // when the work began
	// Left says that commands may have been left running inside containers.
	Left bool
}

// Images keeps the images that a rollback needs.
type Images interface {
	// Pin keeps images from being pruned, and Unpin lets go of all but those to keep.
	Pin(ctx context.Context, images []string) error
	Unpin(ctx context.Context, keep []string) error
	// Gone lists those of some images that the engine does not have.
	Gone(ctx context.Context, images []string) ([]string, error)
	// Rename makes names mean images.
	Rename(ctx context.Context, refs map[string]string, out Output) error
	// Rebuild builds or pulls the images of services again.
	Rebuild(ctx context.Context, plan *pipeline.Plan, services []picture.Key, out Output) error
}

// Orphans finds children that a dead agent left running.
type Orphans interface {
	// Mark returns a context whose children can be found by the operation.
	Mark(ctx context.Context, operation string) context.Context
	// End ends the operation's children, if there are any, and counts them.
	End(ctx context.Context, operation string) (ended int, err error)
}

// Inspector looks at what runs. It changes nothing, apart from what the executed
// command itself does.
type Inspector interface {
	// Services lists the services of the named stacks, all when none is named, and then also those that no
	// compose file names, in order of stack and name.
	Services(ctx context.Context, plan *pipeline.Plan, stacks []string) ([]picture.Service, error)
	// Exec runs a command in the running container of a service. When ctx ends the command is ended; where that cannot be done it is waited for.
	Exec(ctx context.Context, plan *pipeline.Plan, exec pipeline.Exec, out Output) (exitCode int, err error)
	// LastLines reads the end of a container's log, oldest line first.
	LastLines(ctx context.Context, containerID string, lines int) ([]string, error)
}

// Configs tells what Compose would make of the checkout.
type Configs interface {
	// Hashes are Compose's own hashes of the configuration of a stack's services, as it would make them now beside what there is. A service of
	// which nobody can tell is left out.
	Hashes(ctx context.Context, plan *pipeline.Plan, stack pipeline.Stack, now picture.Picture) (map[picture.Key]string, error)
	// Composer is the version of Compose that makes them: another may hash the same otherwise.
	Composer(ctx context.Context) (string, error)
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
	// Name, Attempts and Elapsed are filled in by the caller. Excused services are not judged.
	Probe(ctx context.Context, plan *pipeline.Plan, probe pipeline.Probe, excused []picture.Excuse) operation.ProbeResult
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
	Create(first operation.Event) (op operation.Operation, created bool, err error)
	// Known finds the operation of a command.
	Known(commandID string) (op operation.Operation, known bool, err error)
	// Append records events whose sequences follow the last one.
	Append(id string, events []operation.Event) error
	// Events reads at most limit events after a sequence, in order.
	Events(id string, after uint64, limit int) ([]operation.Event, error)
}

// Records reads operations back.
type Records interface {
	// Operation reads one by its identifier, its number or a unique beginning of the
	// identifier; "" means the newest. Unknown is NotFound.
	Operation(id string) (operation.Operation, error)
	// Operations lists at most limit operations with numbers below before (0: from the newest), newest first.
	Operations(before uint64, limit int) ([]operation.Operation, error)
	// Unfinished lists the operations that are not terminal, oldest first.
	Unfinished() ([]operation.Operation, error)
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
	Owner     string    `json:"owner"` // who asked: "operator/chris", "local/1000-chris", also for the deploy that paused
	Operation string    `json:"operation,omitempty"`
	Created   time.Time `json:"created_at"`
	Expires   time.Time `json:"expires_at"`
	// Before is the pause whose place this one took; an operation that ends without having
	// touched anything gives it back.
	Before *Pause `json:"before,omitempty"`
}

// Blocked is a commit that convergence must not deploy.
type Blocked struct {
	SHA       string    `json:"sha"` // of the commit, or the digest of an image, "sha256:" and 64 hex digits
	Operation string    `json:"operation"`
	Reason    string    `json:"reason"`
	Created   time.Time `json:"created_at"`
}

// IsImage reports whether it is an image that is blocked, and not a commit.
func (b Blocked) IsImage() bool { return strings.HasPrefix(b.SHA, "sha256:") }

// Sentinels are the operator's files that steer convergence. A nil pause with a nil
// error means that there is none; setting nil, or no blocks, removes the file. A change reads, decides and writes
// as one: nobody else's change comes between.
type Sentinels interface {
	Pause() (*Pause, error)
	// ChangePause replaces the pause by what change makes of it. One that cannot be read is nil for it, and can only be removed.
	ChangePause(change func(*Pause) *Pause) error
	// Blocked lists the blocks, oldest first.
	Blocked() ([]Blocked, error)
	// ChangeBlocked replaces the blocks by what change makes of them.
	ChangeBlocked(change func([]Blocked) []Blocked) error
}

// Listener hears that an operation has ended.
type Listener interface {
	// Ended is called after the end is on disk. It must not block, and nothing that it does changes the operation.
	Ended(op operation.Operation)
}

// Notification is a message that somebody was told an operation's end by.
type Notification struct {
	Channel string    `json:"channel"` // where: a name that says nothing of the address
	Message string    `json:"message"` // the channel's own identifier of the message
	Time    time.Time `json:"time"`    // when it was told here
}

// Notifications keeps which messages tell of which operation, so that whoever tells more of it edits the same one.
type Notifications interface {
	// Notifications are those of an operation, one a channel; none for one that nobody was told of.
	Notifications(operation string) []Notification
	// RecordNotification keeps one durably. A second one of the same operation and channel takes the first one's place.
	RecordNotification(operation string, n Notification) error
}

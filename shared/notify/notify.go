// Package notify decides what the end of a deploy is worth telling, then tells it on Discord, for coordinator and agent.
//
// What it promises: a failure is always worth telling; every message is within Discord's limits,
// mentions nobody and renders foreign text as text, whatever a commit or a child printed; the
// webhook's address is in no error. Nothing here can fail a deploy: an error of [Client.Send] is
// a warning for whoever called.
//
// Start reading at [Decide], then [Embed], then [Client.Send].
package notify

import "time"

// OperationState is where an operation stands, by the agent's own names, or how a deploy ended
// that never became an operation.
type OperationState string

// The states in which nothing follows.
const (
	Succeeded       OperationState = "SUCCEEDED"
	FailedUntouched OperationState = "FAILED_UNTOUCHED"
	RolledBack      OperationState = "ROLLED_BACK"
	RollbackFailed  OperationState = "ROLLBACK_FAILED"
	Failed          OperationState = "FAILED"
	Superseded      OperationState = "SUPERSEDED"
	Cancelled       OperationState = "CANCELLED"
	// NothingToDeploy is no state of the agent: the coordinator found that no path of the change deploys.
	NothingToDeploy OperationState = "NOTHING_TO_DEPLOY"
)

// failed reports whether the work was tried and not done.
func (s OperationState) failed() bool {
	switch s {
	case FailedUntouched, RolledBack, RollbackFailed, Failed:
		return true
	}
	return false
}

// Input is everything a message is made of. All text in it may be hostile. What is not
// known stays zero and is left out of the message.
type Input struct {
	Project   string    // as landfall.yaml names it
	Host      string    // the agent's host name
	Running   string    // commit that the host runs now, as last known; "" when nobody could ask
	Operation Operation // the deploy; the zero value when none was started
	FailedJob string    // job of the workflow that failed; "" when none did
	Problem   *Problem  // what failed outside of an operation: the gate's verdict, an agent out of reach
	Past      []Past    // what went before, newest first; see [Recovers]
	Change    Change
	Commit    Commit
	Run       Run
	GitOps    GitOps
	Policy    Policy
	Story     Story
}

// Story is what belongs to a message besides its own news: what came of it since, what it follows up, what is missing before it.
type Story struct {
	Over    string    `json:"over,omitempty"`    // how it came good since; "" while it has not
	OverAt  time.Time `json:"over_at,omitzero"`  // when
	Earlier string    `json:"earlier,omitempty"` // address of the message that it follows up: the failure that a recovery ends
	Missed  []string  `json:"missed,omitempty"`  // messages before it that may not have arrived
	Dropped int       `json:"dropped,omitempty"` // messages before it that were dropped, because there were too many
}

// Operation is the agent's record of the deploy.
type Operation struct {
	ID           string // "" with a State means that it ended before the agent was asked
	Kind         string // "deploy", "rollback", "converge", "repair", "update", "restart", "migrate"; "" is "deploy"
	Subject      string // what it is about besides a commit: "core/web, core/worker"; may be empty
	State        OperationState
	Target       string   // commit to deploy
	PreDeploy    string   // commit of the checkout before; "" until it was read
	Migrations   []string // applied, in order; a rollback does not undo them
	Warnings     []string // oldest first
	Problem      *Problem // why it did not succeed
	SupersededBy string   // with Superseded: the commit or run that took its place
	Summary      string   // what runs at its end, counted by the agent; "" where nothing was found out
	Start, End   time.Time
}

// Problem is why something did not succeed.
type Problem struct {
	Reason  string   // stable name: "BUILD_FAILED"
	Message string   // what failed and why
	Hint    string   // what to do about it
	Step    string   // title of the step that failed
	Output  []string // last lines of the child's output, oldest first
}

// Past is one earlier operation.
type Past struct {
	Kind  string
	State OperationState
}

// Change is what the deploy changes.
type Change struct {
	Flags                 []string // flags that are set
	Everything            string   // why every flag is set; "" when they come from the changed paths
	Unclaimed             []string // changed paths that no flag claims
	Commits, Files        int
	Insertions, Deletions int
}

// Commit is the head of what is deployed.
type Commit struct {
	Subject, Author string
	URL             string // page of the commit
}

// Run is the run of the workflow.
type Run struct {
	URL             string
	Name            string // of the workflow
	Number, Attempt int    // from 1
}

// GitOps is what keeps convergence from running, as the agent tells it after the deploy.
type GitOps struct {
	Paused      bool
	PausedUntil time.Time // zero when unknown
	BlockedSHA  string
}

// Policy is section notify of landfall.yaml.
type Policy struct {
	FullWhen         []string // flags that make a green deploy worth a full message
	SuppressWhenOnly []string // flags that alone are worth no message
}

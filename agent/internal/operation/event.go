package operation

import (
	"time"

	"ataraxis.dev/landfall/shared/pipeline"
)

// Event is a numbered fact about an operation. Exactly one of the pointers is set.
type Event struct {
	Sequence uint64    `json:"n"` // from 1, without gaps
	Time     time.Time `json:"t"` // the agent's clock

	Accepted     *Accepted      `json:"accepted,omitempty"`
	State        *StateChange   `json:"state,omitempty"`
	Plan         *pipeline.Plan `json:"plan,omitempty"` // the plan that the agent itself compiled
	PreDeploy    *PreDeploy     `json:"pre_deploy,omitempty"`
	StepStarted  *StepStarted   `json:"step,omitempty"`
	StepFinished *StepFinished  `json:"done,omitempty"`
	Output       *OutputLine    `json:"out,omitempty"`
	Probe        *ProbeResult   `json:"probe,omitempty"`
	Warning      *Warning       `json:"warning,omitempty"`
	Migration    *Migration     `json:"migration,omitempty"`
}

// Accepted is the first event of every operation.
type Accepted struct {
	Kind      Kind   `json:"kind"`
	CommandID string `json:"command_id"`
	Requester string `json:"requester"`
	Target    string `json:"target,omitempty"`
	Base      string `json:"base,omitempty"`

	// The rest of the request, so that whoever takes the operation up knows what was asked.
	Everything string `json:"everything,omitempty"`
	PlanDigest string `json:"plan_digest,omitempty"`
	AllowOlder bool   `json:"allow_older,omitempty"`
	AskNewer   bool   `json:"ask_newer,omitempty"`
	Undo       string `json:"undo,omitempty"` // operation that a rollback undoes
}

// StateChange says that the operation entered a state.
type StateChange struct {
	State        State     `json:"state"`
	Failure      *Failure  `json:"failure,omitempty"`
	SupersededBy string    `json:"superseded_by,omitempty"`
	VerifyBy     time.Time `json:"verify_by,omitzero"`
}

// PreDeploy carries what a rollback goes back to: the commit of the checkout before the
// operation, and what ran. Containers is nil where they were not looked at yet.
type PreDeploy struct {
	SHA        string    `json:"sha"`
	Containers *Snapshot `json:"containers,omitempty"`
}

// StepStarted says that a step started.
type StepStarted struct {
	ID    string `json:"id"`
	Title string `json:"title"`
	// Before is what ran when the step began, for steps that must know after a crash what
	// they had done already.
	Before *Snapshot `json:"before,omitempty"`
}

// StepOutcome is how a step ended; "" while it runs.
type StepOutcome string

// The outcomes.
const (
	StepDone        StepOutcome = "done"
	StepFailed      StepOutcome = "failed"
	StepInterrupted StepOutcome = "interrupted" // by a cancellation or a sibling's failure
)

// StepFinished says how a step ended.
type StepFinished struct {
	ID       string        `json:"id"`
	Outcome  StepOutcome   `json:"outcome"`
	Duration time.Duration `json:"duration"` // nanoseconds
	Failure  *Failure      `json:"failure,omitempty"`
	Summary  string        `json:"summary,omitempty"`
}

// Stream is the stream of a child that a line came from.
type Stream uint8

// The streams.
const (
	Stdout Stream = 1
	Stderr Stream = 2
)

// OutputLine is one line that a child printed. Its JSON keys are short because a
// build may have a hundred thousand of them.
type OutputLine struct {
	StepID    string `json:"s"`
	Stream    Stream `json:"f"`
	Text      string `json:"l"`
	Truncated bool   `json:"x,omitempty"` // longer than the limit, cut
}

// ProbeOutcome is what a probe found.
type ProbeOutcome string

// The outcomes of a probe.
const (
	ProbePassed  ProbeOutcome = "passed"
	ProbeWaiting ProbeOutcome = "waiting" // not yet; worth another attempt
	ProbeFailed  ProbeOutcome = "failed"  // and another attempt would not help
)

// ProbeResult is one finding of a probe.
type ProbeResult struct {
	Name       string        `json:"name"`
	Outcome    ProbeOutcome  `json:"outcome"`
	Message    string        `json:"message"`
	Attempts   int           `json:"attempts"`
	Elapsed    time.Duration `json:"elapsed"` // nanoseconds since the first attempt
	OutputTail []string      `json:"output_tail,omitempty"`
}

// Warning is something a person should know that stops nothing.
type Warning struct {
	Reason  string `json:"reason"`
	Message string `json:"message"`
}

// Migration names one migration that is now applied.
type Migration struct {
	Name string `json:"name"`
}

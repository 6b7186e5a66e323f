package operation

import (
	"fmt"
	"time"

	"ataraxis.dev/landfall/agent/internal/picture"
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
	Cancel       *Cancel        `json:"cancel,omitempty"`
	TakenUp      *TakenUp       `json:"taken_up,omitempty"`
	Alone        *Alone         `json:"alone,omitempty"`
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
	Moved      string `json:"moved,omitempty"` // where somebody moved the checkout; the change set is that of both
	Judge      bool   `json:"judge,omitempty"`
	Undo       string `json:"undo,omitempty"` // operation that a rollback undoes

	// Of the kinds that leave the commit as it is.
	Subject   string         `json:"subject,omitempty"`
	Signature string         `json:"signature,omitempty"`
	Stack     string         `json:"stack,omitempty"`    // to restart services of; "" for every stack
	Services  []string       `json:"services,omitempty"` // to restart, as patterns; none for all that run
	Deeds     []picture.Deed `json:"deeds,omitempty"`    // to repair, or to update
	Image     *Image         `json:"image,omitempty"`    // to update
	Within    time.Duration  `json:"within,omitempty"`   // how long migrations may take; 0 is the agent's own limit
}

// Image is what a name of an image means in its registry.
type Image struct {
	Ref    string `json:"ref"`    // as compose files give it: "postgres:16"
	Digest string `json:"digest"` // "sha256:" and 64 hex digits
}

// StateChange says that the operation entered a state.
type StateChange struct {
	State        State     `json:"state"`
	Failure      *Failure  `json:"failure,omitempty"`
	SupersededBy string    `json:"superseded_by,omitempty"`
	VerifyBy     time.Time `json:"verify_by,omitzero"`
	Summary      string    `json:"summary,omitempty"` // of a terminal state
}

// PreDeploy carries what a rollback goes back to: the commit of the checkout before the
// operation, and what ran.
type PreDeploy struct {
	SHA string `json:"sha"`
	// Before is what ran. It is nil where nobody looked yet.
	Before *picture.Picture `json:"before,omitempty"`
	Proven *Proven          `json:"proven,omitempty"`
}

// Proven is what the proof of a commit found out about the services that it names.
type Proven struct {
	// Projects are the compose projects of the commit's stacks, by stack.
	Projects map[string]string `json:"projects,omitempty"`
	Services []picture.Key     `json:"services,omitempty"` // that the commit names
	// Leaving are services that run and that the commit does not name any more: they are stopped and removed.
	Leaving []picture.Key `json:"leaving,omitempty"`
	// Excused are services that were not as they should be before; they are not judged.
	Excused []picture.Excuse `json:"excused,omitempty"`
	// FailedBefore are probes that failed before: going back is not judged by them.
	FailedBefore []picture.FailedProbe `json:"failed_before,omitempty"`
	// Stood is how the checkout stood. It is nil in the record of an older agent.
	Stood *picture.Stand `json:"stood,omitempty"`
}

// StepStarted says that a step started.
type StepStarted struct {
	ID    string `json:"id"`
	Title string `json:"title"`
	// Before is what ran when the step began, for steps that must know after a crash what
	// they had done already.
	Before *picture.Picture `json:"before,omitempty"`
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

// storedLine is what a journal needs for a line besides its text: the event around it, its key, the place in a page. Measured.
const storedLine = 164

// Size is about how many bytes the line takes in the journal: JSON writes some characters with several.
func (l OutputLine) Size() int64 {
	n := storedLine + len(l.StepID) + len(l.Text)
	for i := range len(l.Text) {
		switch c := l.Text[i]; {
		case c == '"' || c == '\\' || c == '\n' || c == '\r' || c == '\t':
			n++
		case c < 0x20 || c == '<' || c == '>' || c == '&':
			n += 5
		}
	}
	return int64(n)
}

// ProbeOutcome is what a probe found.
type ProbeOutcome = picture.Verdict

// The outcomes of a probe.
const (
	ProbePassed  = picture.Passed
	ProbeWaiting = picture.Waiting
	ProbeFailed  = picture.Failed
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

// Cancel keeps a person's wish to end the operation, over a restart of the agent too.
type Cancel struct {
	By string `json:"by"` // "operator/chris"
}

func (c Cancel) String() string { return "cancelled by " + c.By }

// TakenUp says that a restarted agent goes on with the operation.
type TakenUp struct {
	State State `json:"state"`           // in which the agent before it ended
	Ended int   `json:"ended,omitempty"` // processes of it that were ended
}

func (t TakenUp) String() string {
	message := fmt.Sprintf("the agent was restarted in %s and goes on", t.State)
	if t.Ended > 0 {
		message += fmt.Sprintf("; %d processes of its predecessor were ended", t.Ended)
	}
	return message
}

// Alone says that nobody came to verify.
type Alone struct {
	Waited time.Duration `json:"waited"` // nanoseconds
}

func (a Alone) String() string {
	return fmt.Sprintf("no verify command came within %s; the agent verifies by itself", a.Waited)
}

// Package operation is the record: what an operation is, the events it is the fold of, and the order of its states.
//
// It is pure, and everything durable is made of it: what a client sees on the wire, what `history` prints and what recovery reads are
// one thing. Only [Operation.Apply] changes an operation, only [Next] knows which state follows. Start reading at [Operation] and state.go.
package operation

import (
	"slices"
	"time"

	"ataraxis.dev/landfall/shared/fault"
)

// Kind says what an operation sets out to do.
type Kind string

// The kinds of operations.
const (
	KindDeploy   Kind = "deploy"
	KindRollback Kind = "rollback"
	KindRepair   Kind = "repair" // brings services back that drifted
	KindUpdate   Kind = "update" // takes newer images of the same names
	KindRestart  Kind = "restart"
	KindMigrate  Kind = "migrate"
)

// Moves reports whether operations of the kind bring the host to another commit. The others leave the commit that runs as it is.
func (k Kind) Moves() bool { return k == KindDeploy || k == KindRollback }

// Operation is one recorded change of the host. It is the fold of its events: only
// [Operation.Apply] changes it.
type Operation struct {
	ID         string `json:"id"`     // "op-42-k3f9x1", chosen by the journal
	Number     uint64 `json:"number"` // 42; counts the operations of this host
	Kind       Kind   `json:"kind"`
	State      State  `json:"state"`
	CommandID  string `json:"command_id"`
	Requester  string `json:"requester"` // "deployer/atlas"
	Target     string `json:"target,omitempty"`
	Base       string `json:"base,omitempty"`
	PreDeploy  string `json:"pre_deploy,omitempty"` // commit of the checkout before the operation
	PlanDigest string `json:"plan_digest,omitempty"`
	// Subject is what it is about besides a commit, for people: "core/web, core/worker".
	Subject string `json:"subject,omitempty"`
	// Signature tells whether two operations that the agent asked for by itself set out to do the same; see package converge.
	Signature string `json:"signature,omitempty"`

	Flags        []string      `json:"flags,omitempty"` // that are set, in name order
	Steps        []StepRecord  `json:"steps,omitempty"` // in the order they started
	Probes       []ProbeResult `json:"probes,omitempty"`
	Migrations   []string      `json:"migrations,omitempty"`
	Failure      *Failure      `json:"failure,omitempty"`
	States       []StateRecord `json:"states,omitempty"`
	Warnings     []string      `json:"warnings,omitempty"` // at most maxWarnings
	Summary      string        `json:"summary,omitempty"`  // what runs at its end, counted, for people
	SupersededBy string        `json:"superseded_by,omitempty"`

	Created      time.Time `json:"created"`
	Ended        time.Time `json:"ended,omitzero"`
	VerifyBy     time.Time `json:"verify_by,omitzero"`     // when the agent verifies by itself
	CancelledBy  string    `json:"cancelled_by,omitempty"` // who asked for its end
	Restarts     int       `json:"restarts,omitempty"`     // how often a restarted agent took it up
	Judge        bool      `json:"judge,omitempty"`        // nobody is waited for to judge it
	Alone        bool      `json:"alone,omitempty"`        // nobody came to verify, so nobody will come to finish
	OutputBytes  int64     `json:"output_bytes,omitempty"` // of output lines, as they are stored
	LastSequence uint64    `json:"last_sequence"`
}

// StateRecord is one state the operation entered.
type StateRecord struct {
	State   State     `json:"state"`
	Entered time.Time `json:"entered"`
}

// StepRecord is what is known of one step.
type StepRecord struct {
	ID          string      `json:"id"`
	Title       string      `json:"title"`
	State       State       `json:"state"` // the operation's state when it started
	Outcome     StepOutcome `json:"outcome,omitempty"`
	Started     time.Time   `json:"started"`
	Ended       time.Time   `json:"ended,omitzero"`
	Failure     *Failure    `json:"failure,omitempty"`
	Summary     string      `json:"summary,omitempty"`
	OutputLines uint64      `json:"output_lines,omitempty"`
}

// Failure is why an operation or a step did not succeed.
type Failure struct {
	Kind       fault.Kind `json:"kind"`
	Reason     string     `json:"reason"` // "BUILD_FAILED"
	Message    string     `json:"message"`
	Hint       string     `json:"hint,omitempty"`
	StepID     string     `json:"step_id,omitempty"`
	OutputTail []string   `json:"output_tail,omitempty"` // last lines of the child, oldest first, at most TailLines
}

const (
	// TailLines is how much of a failed child's output a Failure carries: a screenful.
	TailLines = 40
	// maxWarnings bounds the record, not the events.
	maxWarnings = 100
)

// Apply folds one event into the record. Events must come in order of sequence.
func (o *Operation) Apply(e Event) {
	o.LastSequence = e.Sequence
	switch {
	case e.Accepted != nil:
		a := e.Accepted
		o.Kind, o.CommandID, o.Requester, o.Target, o.Base = a.Kind, a.CommandID, a.Requester, a.Target, a.Base
		o.Judge, o.Subject, o.Signature = a.Judge, a.Subject, a.Signature
		o.Created = e.Time
		o.State = Pending
		o.States = append(o.States, StateRecord{Pending, e.Time})
	case e.State != nil:
		o.applyState(*e.State, e.Time)
	case e.Plan != nil:
		o.PlanDigest = e.Plan.Digest()
		o.Flags = e.Plan.SetFlags()
	case e.PreDeploy != nil:
		o.PreDeploy = e.PreDeploy.SHA
	case e.StepStarted != nil:
		o.Steps = append(o.Steps, StepRecord{
			ID: e.StepStarted.ID, Title: e.StepStarted.Title, State: o.State, Started: e.Time,
		})
	case e.StepFinished != nil:
		if s := o.openStep(e.StepFinished.ID); s != nil {
			s.Outcome, s.Ended = e.StepFinished.Outcome, e.Time
			s.Failure, s.Summary = e.StepFinished.Failure, e.StepFinished.Summary
		}
	case e.Output != nil:
		o.OutputBytes += e.Output.Size()
		if s := o.openStep(e.Output.StepID); s != nil {
			s.OutputLines++
		}
	case e.Probe != nil:
		o.applyProbe(*e.Probe)
	case e.Warning != nil:
		o.warn(e.Warning.Message)
	case e.Cancel != nil:
		o.CancelledBy = e.Cancel.By
		o.warn(e.Cancel.String())
	case e.TakenUp != nil:
		o.Restarts++
		o.warn(e.TakenUp.String())
	case e.Alone != nil:
		o.Alone = true
		o.warn(e.Alone.String())
	case e.Migration != nil:
		o.Migrations = append(o.Migrations, e.Migration.Name)
	}
}

func (o *Operation) warn(message string) {
	if len(o.Warnings) < maxWarnings {
		o.Warnings = append(o.Warnings, message)
	}
}

func (o *Operation) applyState(c StateChange, at time.Time) {
	o.State = c.State
	o.States = append(o.States, StateRecord{c.State, at})
	o.VerifyBy = c.VerifyBy
	o.SupersededBy = c.SupersededBy
	o.Summary = c.Summary
	if c.Failure != nil {
		o.Failure = c.Failure
	}
	if c.State.Terminal() {
		o.Ended = at
	}
}

// applyProbe keeps the last result of each probe, in name order.
func (o *Operation) applyProbe(p ProbeResult) {
	i, found := slices.BinarySearchFunc(o.Probes, p.Name, func(a ProbeResult, name string) int {
		switch {
		case a.Name < name:
			return -1
		case a.Name > name:
			return 1
		}
		return 0
	})
	if found {
		o.Probes[i] = p
		return
	}
	o.Probes = slices.Insert(o.Probes, i, p)
}

// openStep finds the running record of a step: the last one, because a step that is
// entered again after a restart has a record for each time.
func (o *Operation) openStep(id string) *StepRecord {
	for i := len(o.Steps) - 1; i >= 0; i-- {
		if o.Steps[i].ID == id {
			return &o.Steps[i]
		}
	}
	return nil
}

// LastTime is the latest time in the record.
func (o *Operation) LastTime() time.Time {
	last := o.Created
	for _, s := range o.States {
		last = later(last, s.Entered)
	}
	for _, s := range o.Steps {
		last = later(last, later(s.Started, s.Ended))
	}
	return last
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// About says what it sets out to do, in a few words: "deploy of 1a2b3c4d5e6f", "restart of core/web".
func (o *Operation) About() string {
	if o.Subject != "" {
		return string(o.Kind) + " of " + o.Subject
	}
	return string(o.Kind) + " of " + Short(o.Target)
}

// Clone is a deep copy, safe to hand to another goroutine.
func (o *Operation) Clone() Operation {
	c := *o
	c.Flags = slices.Clone(o.Flags)
	c.Steps = slices.Clone(o.Steps)
	c.Probes = slices.Clone(o.Probes)
	c.Migrations = slices.Clone(o.Migrations)
	c.States = slices.Clone(o.States)
	c.Warnings = slices.Clone(o.Warnings)
	return c
}

// Fold makes the record of an operation from all its events.
func Fold(id string, number uint64, events []Event) Operation {
	o := Operation{ID: id, Number: number}
	for _, e := range events {
		o.Apply(e)
	}
	return o
}

// Short is a commit as people read it.
func Short(sha string) string {
	if len(sha) > 12 {
		return sha[:12]
	}
	return sha
}

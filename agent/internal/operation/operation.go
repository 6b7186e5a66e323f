// Package operation is the domain of the agent: what an operation is, how it moves from state to state,
// who drives it.
//
// It promises that at most one operation runs at a time, that every fact is in the
// journal before anyone hears of it, and that every operation ends in a terminal state
// that tells the truth. It owns the interfaces of everything it needs (ports.go); the
// adapters that talk to git, Compose, PostgreSQL or bbolt import this package, never the
// other way round. Start reading at [Engine], then deploy.go.
package operation

import (
	"slices"
	"strings"
	"time"

	"ataraxis.dev/landfall/shared/fault"
)

// Kind says what an operation sets out to do.
type Kind string

// The kinds of operations.
const (
	KindDeploy   Kind = "deploy"
	KindRollback Kind = "rollback"
	KindConverge Kind = "converge"
	KindRestart  Kind = "restart"
	KindMigrate  Kind = "migrate"
)

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

	Flags        []string      `json:"flags,omitempty"` // that are set, in name order
	Steps        []StepRecord  `json:"steps,omitempty"` // in the order they started
	Probes       []ProbeResult `json:"probes,omitempty"`
	Migrations   []string      `json:"migrations,omitempty"`
	Failure      *Failure      `json:"failure,omitempty"`
	States       []StateRecord `json:"states,omitempty"`
	Warnings     []string      `json:"warnings,omitempty"` // at most maxWarnings
	SupersededBy string        `json:"superseded_by,omitempty"`

	Created      time.Time `json:"created"`
	Ended        time.Time `json:"ended,omitzero"`
	VerifyBy     time.Time `json:"verify_by,omitzero"`     // when the agent verifies by itself
	CancelledBy  string    `json:"cancelled_by,omitempty"` // who asked for its end
	Restarts     int       `json:"restarts,omitempty"`     // how often a restarted agent took it up
	Alone        bool      `json:"alone,omitempty"`        // nobody came to verify, so nobody will come to finish
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
	Before      *Snapshot   `json:"before,omitempty"` // see StepStarted
}

// Failure is why an operation or a step did not succeed.
type Failure struct {
	Kind       fault.Kind `json:"kind"`
	Reason     string     `json:"reason"` // "BUILD_FAILED"
	Message    string     `json:"message"`
	Hint       string     `json:"hint,omitempty"`
	StepID     string     `json:"step_id,omitempty"`
	OutputTail []string   `json:"output_tail,omitempty"` // last lines of the child, oldest first, at most tailLines
}

const (
	// tailLines is how much of a failed child's output a Failure carries: a screenful.
	tailLines = 40
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
			ID: e.StepStarted.ID, Title: e.StepStarted.Title, State: o.State, Started: e.Time, Before: e.StepStarted.Before,
		})
	case e.StepFinished != nil:
		if s := o.openStep(e.StepFinished.ID); s != nil {
			s.Outcome, s.Ended = e.StepFinished.Outcome, e.Time
			s.Failure, s.Summary = e.StepFinished.Failure, e.StepFinished.Summary
		}
	case e.Output != nil:
		if s := o.openStep(e.Output.StepID); s != nil {
			s.OutputLines++
		}
	case e.Probe != nil:
		o.applyProbe(*e.Probe)
	case e.Warning != nil:
		switch e.Warning.Reason {
		case reasonRestarted:
			o.Restarts++
		case reasonCancel:
			o.CancelledBy = strings.TrimPrefix(e.Warning.Message, cancelWords)
		}
		o.Alone = o.Alone || e.Warning.Reason == reasonAlone
		if len(o.Warnings) < maxWarnings {
			o.Warnings = append(o.Warnings, e.Warning.Message)
		}
	case e.Migration != nil:
		o.Migrations = append(o.Migrations, e.Migration.Name)
	}
}

func (o *Operation) applyState(c StateChange, at time.Time) {
	o.State = c.State
	o.States = append(o.States, StateRecord{c.State, at})
	o.VerifyBy = c.VerifyBy
	o.SupersededBy = c.SupersededBy
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

// lastTime is the latest time in the record.
func (o *Operation) lastTime() time.Time {
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

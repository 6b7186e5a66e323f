package hosttest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"ataraxis.dev/landfall/agent/internal/flow"
	"ataraxis.dev/landfall/agent/internal/operation"
)

// Story is one operation, told so that it can be told again however often the agent dies
// in the middle of it. See [Story.Stage].
type Story struct {
	// Before brings a new host to where the story begins.
	Before func(h *Host) error
	// Trouble, when set, says what goes wrong on the host.
	Trouble func(h *Host)
	// Command sends the operation's command; it is sent again to every new engine, as a client
	// that lost the answer does.
	Command func(h *Host, e *flow.Flows) (operation.Operation, error)
	// Along, when set, runs beside every engine that the operation meets, until ctx ends.
	Along func(ctx context.Context, e *flow.Flows, id string)
	// Ends are the states that are true ends of the story. The first is that of a story
	// that nothing interrupts.
	Ends []operation.State
	// Blocks says that the story's rollback blocks the target.
	Blocks bool
	// BlocksImage is the digest that is blocked instead; "" for the target.
	BlocksImage string
	// Meanwhile, when set, adds to the world before what somebody else does to the host while the operation runs.
	Meanwhile func(w *World)
	// Spare is how many containers of a service each death may cost more: Compose replaces all replicas again, where one was done.
	Spare int
	// Settle is how long after the end the host is looked at, 0 for a minute: what the engine had been asked for may come late.
	Settle time.Duration
}

// Stage is a story whose host is prepared and whose end, without any death, is known.
type Stage struct {
	Story
	Calls int // that the story takes when nothing interrupts it
	host  *Host
	end   End
}

// End is what a story left behind.
type End struct {
	World World
	Made  map[string]int // containers made meanwhile, by "stack/service"
}

// Stage prepares the host and tells the story once, checking its end.
func (s Story) Stage(t *testing.T) *Stage {
	t.Helper()
	stage := &Stage{Story: s}
	synctest.Test(t, func(t *testing.T) {
		stage.host = NewHost()
		if err := s.Before(stage.host); err != nil {
			t.Fatal(err)
		}
	})
	stage.play(t, func(p *play) {
		p.tell()
		stage.Calls, stage.end = len(p.h.Calls("")), p.end()
		p.check(stage.end)
	})
	return stage
}

// Play tells the story to its end, in fake time: deaths holds for each engine in turn where it
// dies, the engine after the last lives. It checks what must be true at the end. reached is false when
// an engine ended before its death.
func (s *Stage) Play(t *testing.T, deaths ...Death) (reached bool) {
	t.Helper()
	s.play(t, func(p *play) {
		p.deaths = deaths
		reached = p.tell()
		p.check(s.end)
	})
	return reached
}

// PlayLosing tells the story with the answer to the n-th change lost; it returns which that was, "" when
// there are fewer. The end may be any that is true to the host: the story's own, or a
// rollback that the lost answer brought about.
func (s *Stage) PlayLosing(t *testing.T, n int, answer error) (lost string) {
	t.Helper()
	s.play(t, func(p *play) {
		which := p.h.LoseAnswer(n, answer)
		if err := p.engine(); err != nil {
			p.errorf("%v", err)
		}
		p.h.Restore()
		if lost = which(); lost == "" {
			return
		}
		p.lost = lost
		p.checkLost()
	})
	return lost
}

// play tells the story on a copy of the prepared host.
func (s *Stage) play(t *testing.T, tell func(p *play)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Hour) // fake time begins anew in each bubble; now it is after what was prepared
		h := s.host.copy()
		if s.Trouble != nil {
			s.Trouble(h)
		}
		tell(&play{
			Story: s.Story, t: t, h: h, before: h.World(), ids: h.ContainerIDs(), made: h.made(), operations: len(h.record.operations),
		})
	})
}

// Death is where an engine dies: at its n-th call, or right after its n-th change.
type Death struct {
	At          int
	AfterEffect bool
}

func (d Death) String() string {
	if d.AfterEffect {
		return fmt.Sprintf("after change %d", d.At)
	}
	return fmt.Sprintf("at call %d", d.At)
}

type play struct {
	Story
	t          *testing.T
	h          *Host
	deaths     []Death
	before     World
	ids        map[string]string
	made       map[string]int
	operations int
	id         string
	lost       string // change whose answer was lost
}

// tell runs one engine after the other; false when one was not cut off.
func (p *play) tell() (reached bool) {
	reached = true
	for _, death := range p.deaths {
		cut := p.h.Cut(death.At, death.AfterEffect)
		p.engine()
		if !cut() {
			reached = false
		}
		p.h.Restore()
	}
	if err := p.engine(); err != nil {
		p.errorf("the last engine: %v", err)
	}
	return reached
}

func (p *play) errorf(format string, args ...any) {
	p.t.Helper()
	p.t.Errorf("died %v%s: %s", p.deaths, p.lost, fmt.Sprintf(format, args...))
}

// end looks at what there is now.
func (p *play) end() End {
	end := End{World: p.h.World(), Made: p.h.made()}
	for service, n := range p.made {
		end.Made[service] -= n
	}
	return end
}

// engine is the life of one engine, from start to death or to the operation's end.
func (p *play) engine() error {
	e := p.h.Engine(func(policy *flow.Policy) { policy.Parallelism = 1 }) // so that calls have an order
	defer e.Close()
	if err := e.Start(); err != nil {
		return err
	}
	op, err := p.Command(p.h, e)
	if err != nil {
		return err
	}
	if p.id != "" && op.ID != p.id {
		p.errorf("the command sent again became %s, it was %s", op.ID, p.id)
	}
	p.id = op.ID
	ctx, cancel := context.WithTimeoutCause(context.Background(), time.Hour, errors.New("the operation does not end"))
	defer cancel()
	if p.Along != nil {
		go p.Along(ctx, e, op.ID)
	}
	err = e.Watch(ctx, op.ID, 0, func([]operation.Event) error { return nil }, func(s operation.State) bool {
		if s == operation.AwaitingVerify {
			_, _ = e.Verify(op.ID) // refused by an engine that is dead
		}
		return true
	})
	synctest.Wait()
	if e.Current() != nil {
		p.errorf("%s still runs", op.ID)
	}
	return err
}

// check holds the host to what the operation's end promises.
func (p *play) check(reference End) {
	p.t.Helper()
	time.Sleep(cmp.Or(p.Settle, time.Minute)) // fake time
	end := p.end()
	op, err := Journal{p.h}.Operation(p.id)
	if err != nil {
		p.errorf("%v", err)
		return
	}
	if !slices.Contains(p.Ends, op.State) || (len(p.deaths) == 0 && op.State != p.Ends[0]) {
		p.errorf("ended in %s, %+v; want %v", op.State, op.Failure, p.Ends)
		return
	}
	want := p.before
	if p.Meanwhile != nil {
		p.Meanwhile(&want)
	}
	switch op.State {
	case operation.Succeeded:
		if want = reference.World; p.Ends[0] != operation.Succeeded { // there is nothing to compare with
			want = end.World
			if want.Head != op.Target || want.Stamp != op.Target || len(want.Detached) > 0 {
				p.errorf("%s, but head and stamp are %s and %s, detached %v", op.State, want.Head, want.Stamp, want.Detached)
			}
			for service, state := range want.States {
				if state != "running" {
					p.errorf("%s, but %s is %s", op.State, service, state)
				}
			}
		}
	case operation.RolledBack:
		want.Migrations = end.World.Migrations
		if op.Kind.Moves() { // who brings another commit, and fails, leaves convergence paused
			want.Pause = op.ID
		}
		if p.Blocks {
			want.Blocked = append(slices.Clone(want.Blocked), cmp.Or(p.BlocksImage, op.Target))
		}
	case operation.RollbackFailed, operation.Failed:
		if op.Failure == nil || op.Failure.Message == "" {
			p.errorf("%s does not say what is wrong", op.State)
		}
		want = end.World
	case operation.FailedUntouched, operation.Cancelled, operation.Superseded:
		if d := gocmp.Diff(p.ids, p.h.ContainerIDs()); d != "" {
			p.errorf("%s, but containers were replaced:\n%s", op.State, d)
		}
	}
	if d := gocmp.Diff(want, end.World); d != "" {
		p.errorf("%s, but the host is not as it says (-want +got):\n%s", op.State, d)
	}
	for service, n := range end.Made {
		if enough := reference.Made[service] + p.Spare*len(p.deaths); n > enough {
			p.errorf("%d containers were made for %s, where %d are enough", n, service, enough)
		}
	}
	p.checkRecord(op)
}

// checkLost holds the host to what the state says, whatever the state.
func (p *play) checkLost() {
	p.t.Helper()
	op, err := Journal{p.h}.Operation(p.id)
	if err != nil {
		p.errorf("%v", err)
		return
	}
	now := p.h.World()
	switch op.State {
	case operation.Succeeded:
		if now.Head != op.Target || now.Stamp != op.Target {
			p.errorf("%s, but head and stamp are %s and %s", op.State, now.Head, now.Stamp)
		}
	case operation.RollbackFailed:
		if op.Failure.Reason != "ANSWER_LOST" {
			p.errorf("%s: %+v", op.State, op.Failure)
		}
	default:
		if now.Stamp != p.before.Stamp || now.Head != p.before.Head {
			p.errorf("%s, but head and stamp are %s and %s", op.State, now.Head, now.Stamp)
		}
		if d := gocmp.Diff(p.before.Images, now.Images); d != "" {
			p.errorf("%s, but other images run:\n%s", op.State, d)
		}
	}
	p.checkRecord(op)
}

// checkRecord: one operation, its events without gaps, its steps closed, its record their fold.
func (p *play) checkRecord(op operation.Operation) {
	p.t.Helper()
	if n := len(p.h.record.operations) - p.operations; n != 1 {
		p.errorf("%d operations were recorded", n)
	}
	events, err := Journal{p.h}.Events(p.id, 0, 1<<20)
	if err != nil {
		p.errorf("%v", err)
		return
	}
	open, planned, done := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for i, e := range events {
		if e.Sequence != uint64(i+1) {
			p.errorf("event %d has sequence %d", i+1, e.Sequence)
		}
		switch {
		case e.StepStarted != nil && open[e.StepStarted.ID]:
			p.errorf("step %s is begun twice without an end", e.StepStarted.ID)
		case e.StepStarted != nil && planned[e.StepStarted.ID] && done[e.StepStarted.ID]:
			p.errorf("step %s is done again", e.StepStarted.ID)
		case e.StepStarted != nil:
			open[e.StepStarted.ID] = true
		case e.StepFinished != nil && !open[e.StepFinished.ID]:
			p.errorf("step %s ends without a beginning", e.StepFinished.ID)
		case e.StepFinished != nil:
			delete(open, e.StepFinished.ID)
			done[e.StepFinished.ID] = e.StepFinished.Outcome == operation.StepDone
		case e.Plan != nil:
			for _, step := range e.Plan.Steps {
				planned[step.ID] = true
			}
		case e.State != nil && e.State.State.Terminal() && i != len(events)-1:
			p.errorf("%d events follow the end", len(events)-1-i)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(open)) {
		p.errorf("step %s is never closed", id)
	}
	if folded := operation.Fold(op.ID, op.Number, events); asJSON(p.t, folded) != asJSON(p.t, op) {
		p.errorf("the record is not the fold of the events:\n%s", gocmp.Diff(asJSON(p.t, folded), asJSON(p.t, op)))
	}
}

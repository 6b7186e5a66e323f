package flow

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
)

// restoration is the way back to a commit, and to what ran with it.
type restoration struct {
	flow
	summarised
	target string // commit to go back to
	left   string // commit to go back from
	// fallback has the landfall.yaml to use where the target's own is missing or wrong; "" for none.
	fallback string

	before       *picture.Picture      // what ran then; nil when nobody knows
	excused      []picture.Excuse      // services that were not as they should be then
	failedThen   []picture.FailedProbe // probes that failed then
	leftServices []picture.Key         // that the commit names from which it goes back
	touched      []picture.Reach       // what may have been changed since
	built        []picture.Reach       // what may have been built since
	stood        *picture.Stand        // how the checkout stood; nil when it is to stand on the branch
	dataStay     bool                  // see [picture.Restore]

	plan   *pipeline.Plan  // of the target; nil until checked
	models []picture.Model // of the target; nil until checked
	did    bool            // something was done to a container
	gone   []string        // images of before that the engine does not have any more
}

// restoreStep brings back what ran.
const restoreStep = "rollback/restore"

// notRestored is the reason of a restoration after which what runs is not what ran.
const notRestored = "NOT_RESTORED"

// all is the whole way back. touched says that containers may have been changed, so that the result is watched for a while.
func (b *restoration) all(ctx context.Context, touched bool) error {
	if err := b.persist(ctx, func(ctx context.Context) error { return b.rest(ctx, "rollback/rest") }); err != nil {
		return err
	}
	if err := b.persist(ctx, b.check); err != nil {
		return err
	}
	// What was not as it should be then is brought back like that, also where the operation speaks of it.
	for _, e := range picture.Excused(b.models, *b.before, nil) {
		if !picture.Forgives(b.excused, e.Key) {
			b.excused = append(slices.Clone(b.excused), e)
		}
	}
	if err := b.reset(ctx); err != nil {
		return err
	}
	if err := b.persist(ctx, b.restore); err != nil {
		return err
	}
	if len(b.before.Containers) > 0 { // else nothing ran, so nothing is there to judge
		if err := b.probeAll(ctx, "rollback", b.plan, b.plan.Verify, judgement{excused: b.excused, failed: b.failedThen, soak: touched || b.did}); err != nil {
			return err
		}
	}
	b.summary = b.sentence(ctx) // counted when all has stayed good
	return nil
}

// takeBack is the way back where neither a container nor the database was touched: the checkout, and the names of images.
func (b *restoration) takeBack(ctx context.Context) error {
	moved, err := b.moved(ctx)
	if err != nil {
		return err
	}
	if moved {
		if err := b.reset(ctx); err != nil {
			return err
		}
	}
	err = b.persist(ctx, func(ctx context.Context) error {
		return b.Step(ctx, "rollback/images", "give the names of images back", func(ctx context.Context, out ports.Output) (string, error) {
			if err := b.awaitEngine(ctx); err != nil {
				return "", err
			}
			now, err := b.ports.Restorer.Look(ctx, b.before.Projects, slices.Sorted(maps.Keys(b.before.Refs)), false)
			if err != nil {
				return "", err
			}
			r := picture.Restore{Before: *b.before, Began: now, Touched: b.touched, Built: b.built}
			if r.Gone, err = b.ports.Restorer.Gone(ctx, b.before.Images()); err != nil {
				return "", err
			}
			names := r.Meanings(now)
			b.summary = "no container was touched, the checkout is back at " + short(b.target)
			return fmt.Sprintf("%d names", len(names)), b.ports.Restorer.Rename(ctx, names, out)
		})
	})
	return err
}

// moved reports whether the checkout may have been moved, were it half way: a move that was refused has changed nothing, and what stood against it,
// an edit say, is left where it is.
func (b *restoration) moved(ctx context.Context) (bool, error) {
	for _, s := range b.Snapshot().Steps {
		if s.ID == "reset" && (s.Failure == nil || s.Failure.Kind != fault.Refused) {
			return true, nil
		}
	}
	head, err := b.ports.Commits.Head(ctx)
	return head != b.target, err
}

// check makes sure of the target before anything is stopped.
func (b *restoration) check(ctx context.Context) error {
	return b.Step(ctx, "rollback/check", "check "+short(b.target), func(ctx context.Context, out ports.Output) (string, error) {
		if err := b.awaitEngine(ctx); err != nil {
			return "", err
		}
		return "", b.ready(ctx, out)
	})
}

// ready compiles and renders the target.
func (b *restoration) ready(ctx context.Context, out ports.Output) error {
	plan, err := b.compile(ctx)
	if err != nil {
		return err
	}
	tree, err := b.ports.Trees.SideTree(ctx, b.target, ports.ForProof)
	if err != nil {
		return err
	}
	models, err := b.ports.Runtime.Prove(ctx, plan, tree, out)
	if err != nil {
		return err
	}
	b.plan, b.models = plan, models
	return nil
}

// compile makes the plan of the target: stacks, environment, probes.
func (b *restoration) compile(ctx context.Context) (*pipeline.Plan, error) {
	const why = "a rollback looks at everything"
	plan, err := b.PlanAt(ctx, PlanRequest{Target: b.target, Everything: why})
	if err != nil && fault.KindOf(err) == fault.Invalid && b.fallback != "" {
		config, readErr := b.ports.Trees.Pipeline(ctx, b.fallback)
		if readErr != nil {
			return nil, errors.Join(err, readErr)
		}
		plan, err = pipeline.Compile(config, pipeline.Input{Target: b.target, Everything: why})
	}
	if err != nil {
		return nil, err
	}
	plan = withoutConditions(plan)
	plan.Verify.Probes = slices.DeleteFunc(plan.Verify.Probes, func(p pipeline.Probe) bool {
		return !slices.Contains(plan.Rollback.Probes, p.Name)
	})
	plan.Steps = nil // what is remembered is brought back; a step that is wrong today must not be in the way
	return plan, nil
}

// reset moves the checkout back, whatever is in the way: it is saved first.
func (b *restoration) reset(ctx context.Context) error {
	known, err := b.deployedHere()
	if err != nil {
		return err
	}
	move := picture.Move{Target: b.target, Operation: b.ID(), Known: append(known, b.left), GoOn: true, Stood: b.stood}
	if b.plan != nil {
		move.Prepare = b.plan.Prepare
	}
	return b.Step(ctx, "rollback/reset", "move the checkout back to "+short(b.target), func(ctx context.Context, out ports.Output) (string, error) {
		return b.move(ctx, move, out)
	})
}

// restore brings back what ran, and makes sure of it.
func (b *restoration) restore(ctx context.Context) error {
	const id = restoreStep
	if b.Done()[id] {
		return nil
	}
	began, err := b.Before(id, func() (picture.Picture, error) { return b.look(ctx) })
	if err != nil {
		return err
	}
	changed := b.changed(ctx)
	return b.StepFrom(ctx, operation.StepStarted{ID: id, Title: "bring back what ran", Before: began}, func(ctx context.Context, out ports.Output) (string, error) {
		r := picture.Restore{Before: *b.before, Began: *began, Models: b.models, Left: b.leftServices, Touched: b.touched, Built: b.built, Changed: changed, DataStay: b.dataStay}
		return b.carry(ctx, r, out)
	})
}

// look observes everything that the restoration is about.
func (b *restoration) look(ctx context.Context) (picture.Picture, error) {
	refs := slices.Sorted(maps.Keys(b.before.Refs))
	return b.ports.Restorer.Look(ctx, b.projects(), append(refs, picture.Refs(b.models)...), true)
}

func (b *restoration) projects() []string {
	projects := append(slices.Clone(b.before.Projects), picture.Projects(b.models)...)
	for _, k := range b.leftServices {
		projects = append(projects, k.Project)
	}
	slices.Sort(projects)
	return slices.Compact(projects)
}

// carry does what is left to do, and compares the result with what ran.
func (b *restoration) carry(ctx context.Context, r picture.Restore, out ports.Output) (summary string, err error) {
	now, err := b.look(ctx)
	if err != nil {
		return "", err
	}
	if r.Gone, err = b.ports.Restorer.Gone(ctx, b.before.Images()); err != nil {
		return "", err
	}
	b.gone = r.Gone
	deeds := r.Deeds(now)
	b.did = len(deeds) > 0
	for more := deeds; len(more) > 0; deeds = append(deeds, more...) {
		if err := b.deeds(ctx, r, more, out); err != nil {
			return "", err
		}
		if now, err = b.look(ctx); err != nil {
			return "", err
		}
		more = r.Further(now, deeds)
	}
	if err := b.ports.Restorer.Rename(ctx, r.Meanings(now), out); err != nil {
		return "", err
	}
	b.warnOf(r.Strays(now))
	if wrong := r.Wrong(now); len(wrong) > 0 {
		return "", fault.New(fault.Degraded, notRestored, "what runs is not what ran: %s", strings.Join(wrong, "; "))
	}
	return deedsDone(deeds), nil
}

// deeds does deeds, in as few calls as go, and where that fails one after the other.
func (b *restoration) deeds(ctx context.Context, r picture.Restore, deeds []picture.Deed, out ports.Output) error {
	if err := b.rebuild(ctx, r, deeds, out); err != nil {
		return err
	}
	for _, d := range deeds {
		out(operation.Stdout, d.String(), false)
	}
	err := b.batches(ctx, r.Batches(deeds), out)
	if kind := fault.KindOf(err); err == nil || (kind != fault.Failed && kind != fault.Deadline) {
		return err
	}
	out(operation.Stderr, err.Error(), false)
	return b.oneByOne(ctx, r, out)
}

// rebuild makes images again that are gone.
func (b *restoration) rebuild(ctx context.Context, r picture.Restore, deeds []picture.Deed, out ports.Output) error {
	var services []picture.Key
	for _, d := range deeds {
		if (d.Verb == picture.Recreate || d.Verb == picture.Create) && d.Image == "" && len(r.Before.Of(d.Key)) > 0 {
			services = append(services, d.Key)
		}
	}
	if len(services) == 0 {
		return nil
	}
	if err := b.Warn("IMAGES_GONE", fmt.Sprintf("images of %s are gone; they are built or pulled again", keyList(services))); err != nil {
		return err
	}
	return b.ports.Restorer.Rebuild(ctx, b.plan, services, out)
}

func (b *restoration) batches(ctx context.Context, batches []picture.Batch, out ports.Output) error {
	for _, batch := range batches {
		if err := b.ports.Restorer.Rename(ctx, batch.Refs, out); err != nil {
			return err
		}
		if err := b.ports.Restorer.Carry(ctx, b.plan, batch, out); err != nil {
			return err
		}
	}
	return nil
}

// oneByOne does what is left to do, a service at a time, once the engine is at rest: where Compose cannot start one of several, it leaves
// the others created and not started. The error tells of those that cannot be brought back.
func (b *restoration) oneByOne(ctx context.Context, r picture.Restore, out ports.Output) error {
	cut := ports.Cut{Projects: b.projects(), Began: b.Now(), Reaches: everything(b.projects())}
	if err := b.ports.Restorer.Rest(ctx, cut, out); err != nil {
		return err
	}
	now, err := b.look(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, apart := range r.Apart(r.Deeds(now)) {
		if err := b.batches(ctx, r.Batches(apart), out); err != nil {
			errs = append(errs, fault.Wrap(err, fault.KindOf(err), fault.ReasonOf(err), "service %s", keysOf(apart)))
		}
	}
	return errors.Join(errs...)
}

func everything(projects []string) []picture.Reach {
	var all []picture.Reach
	for _, p := range projects {
		all = append(all, picture.Reach{Project: p})
	}
	return all
}

// changed lists the paths that a rollback changes. One that cannot be told is no reason not to go back.
func (b *restoration) changed(ctx context.Context) picture.Paths {
	changed, err := b.differing(ctx, b.target, b.left)
	if err != nil {
		b.log.Warn("the rollback takes every file for changed", "operation", b.ID(), "error", err)
		return picture.Paths{picture.AnyPath}
	}
	return changed
}

// sentence is the last word of a restoration: it counts.
func (b *restoration) sentence(ctx context.Context) string {
	now, err := b.look(ctx)
	if err != nil {
		return ""
	}
	began, err := b.Before(restoreStep, func() (picture.Picture, error) { return now, nil })
	if err != nil {
		return ""
	}
	r := picture.Restore{Before: *b.before, Began: *began, Models: b.models, Left: b.leftServices, Touched: b.touched, Built: b.built, Gone: b.gone, DataStay: b.dataStay}
	sentence := r.Sentence(now)
	if names := migrationsOf(b.Snapshot()); names != "" {
		sentence += "; the database is newer: " + names
	}
	if len(b.excused) > 0 {
		sentence += "; as before not as it should be: " + strings.Join(reasons(b.excused), ", ")
	}
	return sentence + notJudgedBy(b.failedThen)
}

// deedsDone says in one line what was done, by verb.
func deedsDone(deeds []picture.Deed) string {
	var parts []string
	for _, word := range []struct {
		verb picture.Verb
		past string
	}{
		{picture.Recreate, "recreated"},
		{picture.Create, "recreated and left stopped"},
		{picture.Reconnect, "reconnected"},
		{picture.Restart, "restarted"},
		{picture.Start, "started"},
		{picture.Pause, "paused"},
		{picture.Stop, "stopped"},
		{picture.Remove, "removed"},
	} {
		var names []string
		for _, d := range deeds {
			if d.Verb == word.verb {
				names = append(names, d.Service)
			}
		}
		if len(names) > 0 {
			parts = append(parts, word.past+" "+strings.Join(names, " "))
		}
	}
	if len(parts) == 0 {
		return "nothing to bring back"
	}
	return strings.Join(parts, "; ")
}

func keysOf(deeds []picture.Deed) string {
	var keys []picture.Key
	for _, d := range deeds {
		keys = append(keys, d.Key)
	}
	return keyList(keys)
}

func keyList(keys []picture.Key) string {
	var names []string
	for _, k := range keys {
		names = append(names, k.String())
	}
	return strings.Join(names, ", ")
}

package tick_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"ataraxis.dev/landfall/agent/internal/converge"
	"ataraxis.dev/landfall/agent/internal/flow"
	"ataraxis.dev/landfall/agent/internal/hosttest"
	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/agent/internal/tick"
	"ataraxis.dev/landfall/shared/pipeline"
)

// verdicts are what CI says, by commit; green where nothing else is said.
type verdicts map[string]converge.CI

func (v verdicts) Of(_ context.Context, sha string, required []string) converge.CI {
	if len(required) == 0 {
		return converge.CI{Reason: "nothing is required"}
	}
	if c, said := v[sha]; said {
		return c
	}
	return converge.CI{Verdict: converge.CIGreen}
}

// bench is a host in memory that runs the sample fleet, with an engine and a ticker.
type bench struct {
	*hosttest.Host
	t      *testing.T
	engine *flow.Flows
	ticker *tick.Ticker
	ci     verdicts
	images *registry
}

func files() map[string]string {
	all := hosttest.Files()
	all["compose.yml"] = "app mount:config\ndatabase pulled:postgres:16\n"
	all["config/app.conf"] = "one"
	all[hosttest.ConfigPath] = strings.Replace(all[hosttest.ConfigPath], "verify:", "ci: {required: [test.yml]}\ngitops: {drift: {pulled_images: true}, images: {every: 24h, services: [core/database]}}\nskip: [Makefile]\nverify:", 1)
	return all
}

func inBubble(t *testing.T, test func(b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &bench{Host: hosttest.NewHost(), t: t, ci: verdicts{}, images: &registry{}}
		if _, err := b.Deployed(b.Push(files())); err != nil {
			t.Fatal(err)
		}
		b.start()
		defer func() { b.engine.Close() }()
		test(b)
	})
}

// start puts a new agent on the host.
func (b *bench) start() {
	b.t.Helper()
	b.engine = b.Engine()
	if err := b.engine.Start(); err != nil {
		b.t.Fatal(err)
	}
	p := b.Ports()
	b.ticker = tick.New(tick.Settings{
		Engine: b.engine, Sentinels: p.Sentinels, Stamp: p.Stamp, Commits: p.Commits, Trees: p.Trees, Branch: "main", Every: 15 * time.Minute, CI: b.ci, Images: b.images,
	}, hclog.NewNullLogger())
}

// tick makes one a quarter of an hour later, and waits for what it begins.
func (b *bench) tick() (tick.Tick, operation.Operation) {
	b.t.Helper()
	time.Sleep(15 * time.Minute)
	made, op, err := b.ticker.Tick(context.Background(), tick.Request{Requester: "local/root"})
	if err != nil {
		b.t.Fatal(err)
	}
	if op == nil {
		return made, operation.Operation{}
	}
	if err := b.engine.Watch(context.Background(), op.ID, 0, func([]operation.Event) error { return nil }, nil); err != nil {
		b.t.Fatal(err)
	}
	ended, err := b.engine.Operation(op.ID)
	if err != nil {
		b.t.Fatal(err)
	}
	return made, ended
}

// must makes a tick and checks what it comes to.
func (b *bench) must(outcome converge.Outcome, reason string, state operation.State) (tick.Tick, operation.Operation) {
	b.t.Helper()
	made, op := b.tick()
	if made.Outcome != outcome || made.Reason != reason || op.State != state {
		b.t.Fatalf("%s %s (%s), the operation %s in %q: %+v", made.Outcome, made.Reason, made.Message, op.ID, op.State, op.Failure)
	}
	return made, op
}

// registry offers newer images, of those services alone that may be asked about.
type registry struct{ newer []converge.Newer }

func (r *registry) Newer(_ context.Context, _ pipeline.ImagesConfig, models []picture.Model, _ picture.Picture) ([]converge.Newer, []string) {
	var offered []converge.Newer
	for _, n := range r.newer {
		if slices.ContainsFunc(n.Services, func(k picture.Key) bool {
			return slices.ContainsFunc(models, func(m picture.Model) bool { _, named := m.Services[k.Service]; return named && m.Project == k.Project })
		}) {
			offered = append(offered, n)
		}
	}
	return offered, nil
}

// TestWhatIsLeftOutIsNotUpdated: gitops.leave_out outweighs gitops.images.
func TestWhatIsLeftOutIsNotUpdated(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.Publish("postgres:16", "sha256:good")
		b.images.newer = []converge.Newer{{Image: operation.Image{Ref: "postgres:16", Digest: "sha256:good"}, Services: []picture.Key{{Project: "core", Service: "database"}}}}
		all := files()
		all[hosttest.ConfigPath] = strings.Replace(all[hosttest.ConfigPath], "gitops: {", "gitops: {leave_out: [core/database], ", 1)
		if _, err := b.Deployed(b.Push(map[string]string{hosttest.ConfigPath: all[hosttest.ConfigPath]})); err != nil {
			b.t.Fatal(err)
		}
		for range 3 {
			if made, _ := b.tick(); made.Outcome == converge.Update {
				b.t.Fatalf("%+v", made)
			}
		}
	})
}

func TestAPushComesLiveAfterGreenCIAndNotBefore(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.must(converge.Nothing, "IN_STEP", "")
		target := b.Push(map[string]string{"app/main.go": "two"})
		b.ci[target] = converge.CI{Verdict: converge.CIPending, Reason: "test.yml is queued"}
		b.must(converge.Skipped, "CI_PENDING", "")
		b.ci[target] = converge.CI{Verdict: converge.CIRed, Reason: "test.yml failed"}
		b.must(converge.Skipped, "CI_RED", "")
		if w := b.World(); w.Head == target {
			b.t.Fatal("a commit without green CI was checked out")
		}
		delete(b.ci, target)
		_, op := b.must(converge.Deploy, "NEW_COMMIT", operation.Succeeded)
		w := b.World()
		if op.Requester != converge.Requester || op.Target != target || w.Stamp != target || w.Pause != "" {
			b.t.Errorf("%+v, stamp %s, pause %q", op, w.Stamp, w.Pause)
		}
		b.must(converge.Nothing, "IN_STEP", "")
	})
}

func TestABadCommitIsLeftAloneUntilTheNextPush(t *testing.T) {
	inBubble(t, func(b *bench) {
		bad := b.Push(map[string]string{"app/main.go": "two"})
		b.Answer("web", func(int) operation.ProbeResult {
			if b.Head() == bad {
				return operation.ProbeResult{Outcome: operation.ProbeFailed, Message: "crash loop"}
			}
			return operation.ProbeResult{Outcome: operation.ProbePassed, Message: "good"}
		})
		b.must(converge.Deploy, "NEW_COMMIT", operation.RolledBack)
		b.must(converge.Skipped, "PAUSED", "") // as after every deploy that was rolled back
		if _, err := b.engine.Resume(); err != nil {
			b.t.Fatal(err)
		}
		for range 5 {
			b.must(converge.Skipped, "BLOCKED", "")
		}
		b.Push(map[string]string{"app/main.go": "three"})
		b.must(converge.Deploy, "NEW_COMMIT", operation.Succeeded)
		if w := b.World(); len(w.Blocked) > 0 {
			b.t.Errorf("still blocked: %v", w.Blocked)
		}
	})
}

func TestWhatFailsUntouchedIsTriedAgainLaterAndLater(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.Push(map[string]string{"app/main.go": "two"})
		b.FailAt("Runtime.Run build/app/1", errors.New("no room"))
		b.must(converge.Deploy, "NEW_COMMIT", operation.FailedUntouched)
		b.must(converge.Deploy, "NEW_COMMIT", operation.FailedUntouched) // 15 minutes later
		b.must(converge.Skipped, "BACKING_OFF", "")
		b.engine.Close()
		b.start() // an agent that starts again has not forgotten
		b.must(converge.Deploy, "NEW_COMMIT", operation.FailedUntouched)
		for range 3 {
			b.must(converge.Skipped, "BACKING_OFF", "")
		}
		b.must(converge.Deploy, "NEW_COMMIT", operation.FailedUntouched) // an hour later
		b.must(converge.Skipped, "BACKING_OFF", "")
		b.On("Runtime.Run build/app/1", nil)
		b.Push(map[string]string{"app/main.go": "three"}) // a new head is tried at once
		b.must(converge.Deploy, "NEW_COMMIT", operation.Succeeded)
	})
}

func TestDriftIsRepairedWhenItIsSeenTwice(t *testing.T) {
	for name, c := range map[string]struct {
		breaks   func(b *bench)
		replaced []string
	}{
		"a container that is gone": {func(b *bench) { b.ChangeContainer("core", "app", nil) }, []string{"core/app"}},
		"one that was stopped": {func(b *bench) {
			b.ChangeContainer("core", "app", func(c *picture.Container) { c.State = "exited"; c.ExitCode = 1 })
		}, nil},
		"one that is not well": {func(b *bench) {
			b.ChangeContainer("core", "app", func(c *picture.Container) { c.Health = "unhealthy" })
		}, nil},
		"another configuration":    {func(b *bench) { b.ChangeContainer("core", "app", func(c *picture.Container) { c.Config = "by hand" }) }, []string{"core/app"}},
		"an image that moved on":   {func(b *bench) { b.Tag("postgres:16", "sha256:moved") }, []string{"core/database"}},
		"two of them":              {func(b *bench) { b.ChangeContainer("core", "app", nil); b.Tag("postgres:16", "sha256:moved") }, []string{"core/app", "core/database"}},
		"files that nobody saw to": {func(b *bench) { mounted(b) }, []string{"core/app"}},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(b *bench) {
				c.breaks(b)
				before := b.ContainerIDs()
				if made, _ := b.must(converge.Skipped, "DRIFT_SEEN", ""); len(made.Drift) == 0 || made.Drift[0].Confirmed {
					b.t.Errorf("%+v", made.Drift)
				}
				if now := b.ContainerIDs(); !equal(before, now) {
					b.t.Fatal("touched when it was seen once")
				}
				made, op := b.must(converge.Repair, "DRIFT", operation.Succeeded)
				if plan, err := b.engine.Plan(op.ID); err != nil || made.Plan == nil || made.Plan.Digest() != plan.Digest() {
					b.t.Errorf("it told of another plan than that of its operation: %v, %v, %v", made.Plan, plan, err)
				}
				var replaced []string
				for service, id := range b.ContainerIDs() {
					if before[service] != id {
						replaced = append(replaced, service)
					}
				}
				slices.Sort(replaced)
				if !slices.Equal(replaced, c.replaced) || op.Kind != operation.KindRepair || op.Requester != converge.Requester {
					b.t.Errorf("%+v replaced %v, want %v", op, replaced, c.replaced)
				}
				b.must(converge.Nothing, "IN_STEP", "")
			})
		})
	}
}

// mounted deploys a file that a service shows and that no flag claims: nobody sees to it.
func mounted(b *bench) {
	target := b.Push(map[string]string{"config/app.conf": "two"})
	if _, err := b.Deployed(target); err != nil {
		b.t.Fatal(err)
	}
}

func equal(a, b map[string]string) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		if b[k] != v {
			return false
		}
	}
	return true
}

func TestARepairThatChangesNothingIsNotRepeated(t *testing.T) {
	inBubble(t, func(b *bench) {
		always := func() {
			b.ChangeContainer("core", "app", func(c *picture.Container) { c.Config = "an identity that means nothing" })
		}
		always()
		b.must(converge.Skipped, "DRIFT_SEEN", "")
		b.must(converge.Repair, "DRIFT", operation.Succeeded)
		always()
		before := b.ContainerIDs()
		b.must(converge.Skipped, "DRIFT_SEEN", "")
		for range 100 {
			b.must(converge.Skipped, "REPAIRED_IN_VAIN", "")
		}
		if !equal(before, b.ContainerIDs()) {
			b.t.Error("recreated again")
		}
	})
}

func TestABadImageGoesBackAndItsDigestIsBlocked(t *testing.T) {
	const bad, good = "sha256:bad", "sha256:good"
	inBubble(t, func(b *bench) {
		b.Answer("web", func(int) operation.ProbeResult {
			if c, _ := b.Container("core", "database"); c.ImageID == bad {
				return operation.ProbeResult{Outcome: operation.ProbeFailed, Message: "refuses connections"}
			}
			return operation.ProbeResult{Outcome: operation.ProbePassed, Message: "good"}
		})
		offer := func(digest string) {
			b.Publish("postgres:16", digest)
			b.images.newer = []converge.Newer{{Image: operation.Image{Ref: "postgres:16", Digest: digest}, Services: []picture.Key{{Project: "core", Service: "database"}}}}
		}
		offer(bad)
		b.must(converge.Update, "NEWER_IMAGE", operation.RolledBack)
		for range 30 {
			b.must(converge.Nothing, "IN_STEP", "")
		}
		if w := b.World(); !slices.Equal(w.Blocked, []string{bad}) {
			b.t.Errorf("blocked: %v", w.Blocked)
		}
		offer(good)
		b.must(converge.Update, "NEWER_IMAGE", operation.Succeeded)
		if c, _ := b.Container("core", "database"); c.ImageID != good {
			b.t.Errorf("runs %s", c.ImageID)
		}
	})
}

// TestANameHasOneBlock: when a tag moves from a bad image to another bad one, the block moves with it, and blocks of commits stay.
func TestANameHasOneBlock(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.Answer("web", func(int) operation.ProbeResult {
			if c, _ := b.Container("core", "database"); strings.HasPrefix(c.ImageID, "sha256:bad") {
				return operation.ProbeResult{Outcome: operation.ProbeFailed, Message: "refuses connections"}
			}
			return operation.ProbeResult{Outcome: operation.ProbePassed, Message: "good"}
		})
		commit := strings.Repeat("d", 40)
		if err := b.Ports().Sentinels.ChangeBlocked(func(blocks []ports.Blocked) []ports.Blocked {
			return append(blocks, ports.Blocked{SHA: commit, Reason: "postgres:16: a commit"}, ports.Blocked{SHA: "sha256:other", Reason: "redis:7: of another name"})
		}); err != nil {
			b.t.Fatal(err)
		}
		for _, digest := range []string{"sha256:bad1", "sha256:bad2"} {
			b.Publish("postgres:16", digest)
			b.images.newer = []converge.Newer{{Image: operation.Image{Ref: "postgres:16", Digest: digest}, Services: []picture.Key{{Project: "core", Service: "database"}}}}
			b.must(converge.Update, "NEWER_IMAGE", operation.RolledBack)
		}
		if w := b.World(); !slices.Equal(w.Blocked, []string{commit, "sha256:other", "sha256:bad2"}) {
			b.t.Errorf("blocked: %v", w.Blocked)
		}
	})
}

func TestTicksWithNothingToDoTouchNothing(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.tick()
		before, ids := b.World(), b.ContainerIDs()
		writes := 0
		b.OnEffect = func(string) error { writes++; return nil }
		for range 500 {
			b.must(converge.Nothing, "IN_STEP", "")
		}
		b.OnEffect = nil
		ops, err := b.engine.Operations(0, 10)
		if err != nil || len(ops) != 1 || writes > 0 || !equal(ids, b.ContainerIDs()) || before.Head != b.World().Head {
			b.t.Errorf("%d operations, %d writes, %v", len(ops), writes, err)
		}
	})
}

func TestTicksOverlapSafely(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.Push(map[string]string{"app/main.go": "two"})
		reached, release := b.HoldAt("Commits.RemoteHead")
		first := make(chan tick.Tick)
		go func() {
			made, _, _ := b.ticker.Tick(context.Background(), tick.Request{Requester: "local/root"})
			first <- made
		}()
		<-reached
		second, op, err := b.ticker.Tick(context.Background(), tick.Request{Requester: "local/root"})
		if err != nil || op != nil || second.Reason != "BUSY" {
			b.t.Errorf("%+v, %v", second, err)
		}
		release()
		if made := <-first; made.Outcome != converge.Deploy {
			b.t.Errorf("%+v", made)
		}
		made, op, err := b.ticker.Tick(context.Background(), tick.Request{Requester: "local/root"}) // the deploy runs
		if err != nil || op != nil || made.Reason != "BUSY" {
			b.t.Errorf("%+v, %v", made, err)
		}
		synctest.Wait()
	})
}

// Who asks and goes away leaves nothing begun, nothing held, and a tick that says so.
func TestATickThatIsAbandoned(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.Push(map[string]string{"app/main.go": "two"})
		for _, at := range []string{"Commits.RemoteHead", "Commits.Fetch", "Configs.Hashes"} {
			if at == "Configs.Hashes" {
				b.ci[b.Push(map[string]string{"app/main.go": "three"})] = converge.CI{Verdict: converge.CIPending}
			}
			reached, release := b.HoldAt(at)
			ctx, cancel := context.WithCancel(context.Background())
			go func() { <-reached; cancel() }()
			made, op, err := b.ticker.Tick(ctx, tick.Request{Requester: "local/root"})
			if made.Reason != "ABANDONED" || op != nil || err != nil {
				b.t.Errorf("%s: %+v, %v, %v", at, made, op, err)
			}
			release()
			b.On(at, nil)
			if found := b.ticker.Status().Findings(); len(found) != 1 || !strings.HasPrefix(found[0], "ABANDONED: ") {
				b.t.Errorf("%v", found)
			}
		}
		clear(b.ci)
		b.must(converge.Deploy, "NEW_COMMIT", operation.Succeeded)
	})
}

func TestADryRunBeginsNothingAndConfirmsNothing(t *testing.T) {
	inBubble(t, func(b *bench) {
		target := b.Push(map[string]string{"app/main.go": "two"})
		made, op, err := b.ticker.Tick(context.Background(), tick.Request{DryRun: true})
		if err != nil || op != nil || made.Outcome != converge.Deploy || made.Plan == nil || made.Plan.Target != target || b.World().Head == target {
			b.t.Errorf("%+v, %v, %v", made, op, err)
		}
		if b.ticker.Status().Last != nil {
			b.t.Error("a dry run counts as a tick")
		}
		b.must(converge.Deploy, "NEW_COMMIT", operation.Succeeded)
		b.ChangeContainer("core", "app", nil)
		for range 3 {
			if made, _, _ := b.ticker.Tick(context.Background(), tick.Request{DryRun: true}); made.Reason != "DRIFT_SEEN" {
				b.t.Errorf("%+v", made)
			}
		}
	})
}

// By a name with a mistake nothing would be left out, so nothing is touched.
func TestAServiceOfGitOpsThatNothingHas(t *testing.T) {
	inBubble(t, func(b *bench) {
		config := strings.Replace(files()[hosttest.ConfigPath], "gitops: {", "gitops: {leave_out: [core/ap], ", 1)
		if _, err := b.Deployed(b.Push(map[string]string{hosttest.ConfigPath: config})); err != nil {
			b.t.Fatal(err)
		}
		b.ChangeContainer("core", "app", nil)
		for range 3 {
			if made, _ := b.must(converge.Skipped, "HOST_UNKNOWN", ""); !strings.Contains(made.Message, `did you mean "app"?`) {
				b.t.Errorf("%s", made.Message)
			}
		}
		if found := b.ticker.Status().Findings(); len(found) != 1 {
			b.t.Errorf("%v", found)
		}
	})
}

func TestADivergedCheckoutIsReported(t *testing.T) {
	inBubble(t, func(b *bench) {
		own := b.Commit(map[string]string{"app/main.go": "by hand"})
		b.Push(map[string]string{"app/main.go": "two"})
		for range 3 {
			if made, _ := b.must(converge.Skipped, "DIVERGED", ""); !strings.Contains(made.Message, own[:12]) {
				b.t.Errorf("%s", made.Message)
			}
			if found := b.ticker.Status().Findings(); len(found) != 1 || !strings.HasPrefix(found[0], "DIVERGED: ") {
				b.t.Errorf("%v", found)
			}
		}
		if b.Head() != own {
			b.t.Error("the commit of the host is gone")
		}
	})
}

func TestEditsOfTheCheckoutAreReported(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.Edit("compose.yml", "app\n")
		b.Push(map[string]string{"app/main.go": "two"})
		made, op := b.tick()
		if made.Outcome != converge.Skipped || op.ID != "" || !strings.Contains(made.Message, "compose.yml") {
			b.t.Errorf("%s %s: %s", made.Outcome, made.Reason, made.Message)
		}
	})
}

func TestStatusTellsWhenTheTimerIsDead(t *testing.T) {
	inBubble(t, func(b *bench) {
		if s := b.ticker.Status(); s.Last != nil || s.Overdue || s.NotFollowed != "" {
			b.t.Errorf("%+v", s)
		}
		b.tick()
		time.Sleep(29 * time.Minute)
		s := b.ticker.Status()
		if s.Overdue || s.Last == nil || !s.Next.Equal(s.Last.Began.Add(15*time.Minute)) {
			b.t.Errorf("%+v", s)
		}
		if found := s.Findings(); len(found) > 0 {
			b.t.Errorf("%v", found)
		}
		time.Sleep(2 * time.Minute)
		if s := b.ticker.Status(); !s.Overdue || len(s.Findings()) != 1 || !strings.Contains(s.Findings()[0], "does the timer fire?") {
			b.t.Errorf("%+v, %v", s, s.Findings())
		}
	})
}

func TestNobodyIsFollowedWithoutGitHub(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.ticker.CI = nil
		b.Push(map[string]string{"app/main.go": "two"})
		made, _ := b.must(converge.Nothing, "IN_STEP", "")
		if !strings.Contains(made.Message, "not followed") || b.ticker.Status().NotFollowed == "" {
			b.t.Errorf("%s", made.Message)
		}
	})
}

func TestPausesAndBrokenSentinels(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.Push(map[string]string{"app/main.go": "two"})
		p := b.Ports().Sentinels
		if err := p.ChangePause(func(*ports.Pause) *ports.Pause {
			return &ports.Pause{Reason: "disk", Owner: "operator/chris", Expires: time.Now().Add(time.Hour)}
		}); err != nil {
			b.t.Fatal(err)
		}
		for range 3 {
			b.must(converge.Skipped, "PAUSED", "")
		}
		time.Sleep(15 * time.Minute)
		b.must(converge.Deploy, "NEW_COMMIT", operation.Succeeded) // it is over by itself
	})
}

// Somebody else's deploy of the head ended half done: no tick tries it again, whatever its age, nor repairs around it; another commit is tried.
func TestAHostThatIsHalfDoneWaitsForAPerson(t *testing.T) {
	inBubble(t, func(b *bench) {
		bad := b.Push(map[string]string{"app/main.go": "two"})
		deployed := false
		b.Answer("web", func(int) operation.ProbeResult {
			if deployed = deployed || b.Head() == bad; deployed {
				return operation.ProbeResult{Outcome: operation.ProbeFailed, Message: "crash loop"}
			}
			return operation.ProbeResult{Outcome: operation.ProbePassed, Message: "good"}
		})
		if _, err := b.Deployed(bad); err == nil {
			b.t.Fatal("the deploy succeeded")
		}
		if ops, err := b.engine.Operations(0, 1); err != nil || ops[0].State != operation.RollbackFailed {
			b.t.Fatalf("%+v, %v", ops, err)
		}
		b.Answer("web", nil)
		b.must(converge.Skipped, "PAUSED", "")
		time.Sleep(5 * time.Hour) // the pause is over
		b.ChangeContainer("core", "database", nil)
		for range 3 {
			b.must(converge.Skipped, "DEGRADED", "")
		}
		b.Push(map[string]string{"app/main.go": "three"})
		b.must(converge.Deploy, "NEW_COMMIT", operation.Succeeded)
	})
}

func TestAPauseWhileATickLooksIsHeard(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.Push(map[string]string{"app/main.go": "two"})
		b.On("Commits.RemoteHead", func(context.Context, hosttest.Call) error {
			return b.Ports().Sentinels.ChangePause(func(*ports.Pause) *ports.Pause {
				return &ports.Pause{Reason: "wait", Owner: "operator/chris", Expires: time.Now().Add(time.Hour)}
			})
		})
		b.must(converge.Skipped, "PAUSED", "")
	})
}

// What a flag claims was seen to by the deploy that brought it, though its container was not started anew: a reload from a script, say.
func TestFilesThatAFlagClaimsAreNoDrift(t *testing.T) {
	inBubble(t, func(b *bench) {
		config := strings.Replace(files()[hosttest.ConfigPath], "flags:\n", "flags:\n  conf: {paths: [\"config/**\"]}\n", 1)
		if _, err := b.Deployed(b.Push(map[string]string{hosttest.ConfigPath: config})); err != nil {
			b.t.Fatal(err)
		}
		mounted(b)
		for range 3 {
			b.must(converge.Nothing, "IN_STEP", "")
		}
	})
}

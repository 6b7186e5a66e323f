package console

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
)

var update = flag.Bool("update", false, "write the golden files anew")

const (
	targetSHA = "c0dec0dec0dec0dec0dec0dec0dec0dec0dec0de"
	baseSHA   = "ba5eba5eba5eba5eba5eba5eba5eba5eba5eba5e"
	newerSHA  = "feedfeedfeedfeedfeedfeedfeedfeedfeedfeed"
)

var epoch = time.Date(2026, 11, 23, 6, 36, 17, 0, time.UTC)

// recording is a sequence of events as an agent sends them.
type recording struct {
	operation string
	events    []*landfallv1.Event
	at        time.Time
}

func record(operation string) *recording { return &recording{operation: operation, at: epoch} }

func (r *recording) wait(d time.Duration) *recording {
	r.at = r.at.Add(d)
	return r
}

func (r *recording) add(e *landfallv1.Event) *recording {
	e.Sequence, e.EventTime = uint64(len(r.events)+1), timestamppb.New(r.at)
	r.events = append(r.events, e)
	return r
}

func (r *recording) accepted() *recording {
	return r.add(&landfallv1.Event{Fact: &landfallv1.Event_Accepted{Accepted: &landfallv1.Accepted{
		Kind: landfallv1.OperationKind_OPERATION_KIND_DEPLOY, CommandId: "run-1", Requester: "deployer/atlas", TargetSha: targetSHA, BaseSha: baseSHA,
	}}})
}

func (r *recording) state(s landfallv1.OperationState, f *landfallv1.Failure) *recording {
	return r.change(&landfallv1.StateChanged{State: s, Failure: f})
}

func (r *recording) change(s *landfallv1.StateChanged) *recording {
	return r.add(&landfallv1.Event{Fact: &landfallv1.Event_StateChanged{StateChanged: s}})
}

func (r *recording) start(id, title string) *recording {
	return r.add(&landfallv1.Event{Fact: &landfallv1.Event_StepStarted{StepStarted: &landfallv1.StepStarted{StepId: id, Title: title}}})
}

func (r *recording) done(id string, took time.Duration, summary string) *recording {
	return r.finish(&landfallv1.StepFinished{
		StepId: id, Outcome: landfallv1.StepOutcome_STEP_OUTCOME_DONE, Duration: durationpb.New(took), Summary: summary,
	})
}

func (r *recording) finish(f *landfallv1.StepFinished) *recording {
	return r.add(&landfallv1.Event{Fact: &landfallv1.Event_StepFinished{StepFinished: f}})
}

func (r *recording) output(id, text string) *recording {
	return r.add(&landfallv1.Event{Fact: &landfallv1.Event_Output{Output: &landfallv1.OutputLine{
		StepId: id, Stream: landfallv1.OutputStream_OUTPUT_STREAM_STDOUT, Text: text,
	}}})
}

func (r *recording) probe(name string, o landfallv1.ProbeOutcome, attempts uint32, message string, tail ...string) *recording {
	return r.add(&landfallv1.Event{Fact: &landfallv1.Event_Probe{Probe: &landfallv1.ProbeResult{
		Name: name, Outcome: o, Attempts: attempts, Message: message, Elapsed: durationpb.New(time.Duration(attempts) * time.Second), OutputTail: tail,
	}}})
}

func (r *recording) warning(reason, message string) *recording {
	return r.add(&landfallv1.Event{Fact: &landfallv1.Event_Warning{Warning: &landfallv1.Warning{Reason: reason, Message: message}}})
}

// proven is what every deploy begins with.
func proven(operation string) *recording {
	return record(operation).accepted().
		state(landfallv1.OperationState_OPERATION_STATE_PROVING, nil).
		start("prove/fetch", "fetch c0dec0dec0de").wait(300*time.Millisecond).done("prove/fetch", 300*time.Millisecond, "").
		add(&landfallv1.Event{Fact: &landfallv1.Event_PreDeploy{PreDeploy: &landfallv1.PreDeployRecorded{Sha: baseSHA}}}).
		add(&landfallv1.Event{Fact: &landfallv1.Event_PlanCompiled{PlanCompiled: &landfallv1.PlanCompiled{Plan: examplePlan()}}})
}

func succeeded() *recording {
	return proven("op-1").
		state(landfallv1.OperationState_OPERATION_STATE_BUILDING, nil).
		start("build/dashboard/1", "dashboard: build dashboard-api").
		output("build/dashboard/1", "#1 load build definition").
		start("build/mcp/1", "core: build mcp-*").wait(time.Second).
		output("build/mcp/1", "#1 [mcp-auth] FROM scratch").
		output("build/dashboard/1", "#2\tcopy").wait(64*time.Second).
		done("build/mcp/1", 65*time.Second, "2 images").
		output("build/dashboard/1", "#3 done").
		done("build/dashboard/1", 65*time.Second, "1 image").
		state(landfallv1.OperationState_OPERATION_STATE_MIGRATING, nil).
		start("migrate/script/1", "scripts/migrate.sh --mode deploy").wait(1200*time.Millisecond).
		add(&landfallv1.Event{Fact: &landfallv1.Event_Migration{Migration: &landfallv1.MigrationApplied{Name: "012_add_index"}}}).
		done("migrate/script/1", 1200*time.Millisecond, "1 migration applied").
		warning("UNCLAIMED_PATHS", "1 changed path is claimed by no flag").
		change(&landfallv1.StateChanged{State: landfallv1.OperationState_OPERATION_STATE_AWAITING_VERIFY, VerifyByTime: timestamppb.New(epoch.Add(15 * time.Minute))}).
		state(landfallv1.OperationState_OPERATION_STATE_VERIFYING, nil).
		start("verify/probes", "2 probes").
		probe("postgres", landfallv1.ProbeOutcome_PROBE_OUTCOME_PASSED, 1, "accepting connections").
		probe("dashboard", landfallv1.ProbeOutcome_PROBE_OUTCOME_WAITING, 1, "HTTP 502").wait(time.Second).
		probe("dashboard", landfallv1.ProbeOutcome_PROBE_OUTCOME_WAITING, 2, "HTTP 502").wait(time.Second).
		probe("dashboard", landfallv1.ProbeOutcome_PROBE_OUTCOME_PASSED, 3, "HTTP 200").
		done("verify/probes", 2*time.Second, "").
		state(landfallv1.OperationState_OPERATION_STATE_SUCCEEDED, nil)
}

func buildFailure() *landfallv1.Failure {
	return &landfallv1.Failure{
		Kind: landfallv1.FaultKind_FAULT_KIND_FAILED, Reason: "BUILD_FAILED", Message: "docker compose build exited with 17",
		Hint: "run the build by hand", StepId: "build/dashboard/1", OutputTail: []string{"step 1", "error: no such file"},
	}
}

func buildFailed() *recording {
	return proven("op-2").
		state(landfallv1.OperationState_OPERATION_STATE_BUILDING, nil).
		start("build/dashboard/1", "dashboard: build dashboard-api").
		start("build/mcp/1", "core: build mcp-*").
		output("build/mcp/1", "compiling").
		output("build/dashboard/1", "step 1").
		output("build/dashboard/1", "error: no such file").wait(2*time.Second).
		finish(&landfallv1.StepFinished{
			StepId: "build/dashboard/1", Outcome: landfallv1.StepOutcome_STEP_OUTCOME_FAILED, Duration: durationpb.New(2 * time.Second), Failure: buildFailure(),
		}).
		finish(&landfallv1.StepFinished{
			StepId: "build/mcp/1", Outcome: landfallv1.StepOutcome_STEP_OUTCOME_INTERRUPTED, Duration: durationpb.New(2 * time.Second),
		}).
		state(landfallv1.OperationState_OPERATION_STATE_FAILED_UNTOUCHED, buildFailure())
}

func probeFailed() *recording {
	failure := &landfallv1.Failure{
		Kind: landfallv1.FaultKind_FAULT_KIND_FAILED, Reason: "PROBE_FAILED", Message: "probe dashboard failed", StepId: "verify/probes",
	}
	return proven("op-3").
		state(landfallv1.OperationState_OPERATION_STATE_VERIFYING, nil).
		start("verify/probes", "1 probe").
		probe("dashboard", landfallv1.ProbeOutcome_PROBE_OUTCOME_WAITING, 1, "HTTP 502").wait(3*time.Second).
		probe("dashboard", landfallv1.ProbeOutcome_PROBE_OUTCOME_FAILED, 4, "restarting all the time", "panic: no config", "exit status 2").
		finish(&landfallv1.StepFinished{
			StepId: "verify/probes", Outcome: landfallv1.StepOutcome_STEP_OUTCOME_FAILED, Duration: durationpb.New(3 * time.Second), Failure: failure,
		}).
		state(landfallv1.OperationState_OPERATION_STATE_ROLLING_BACK, failure).
		start("rollback/reset", "git reset --hard ba5eba5eba5e").wait(time.Second).done("rollback/reset", time.Second, "").
		state(landfallv1.OperationState_OPERATION_STATE_ROLLED_BACK, failure)
}

func superseded() *recording {
	return record("op-4").accepted().
		state(landfallv1.OperationState_OPERATION_STATE_PROVING, nil).wait(time.Second).
		change(&landfallv1.StateChanged{State: landfallv1.OperationState_OPERATION_STATE_SUPERSEDED, SupersededBy: newerSHA})
}

// troubled is a deploy whose agent was restarted, that nobody came to verify, and that a person cancelled.
func troubled() *recording {
	return proven("op-5").
		state(landfallv1.OperationState_OPERATION_STATE_APPLYING, nil).
		add(&landfallv1.Event{Fact: &landfallv1.Event_TakenUp{TakenUp: &landfallv1.TakenUp{State: landfallv1.OperationState_OPERATION_STATE_APPLYING, EndedProcesses: 3}}}).
		change(&landfallv1.StateChanged{State: landfallv1.OperationState_OPERATION_STATE_AWAITING_VERIFY, VerifyByTime: timestamppb.New(epoch.Add(15 * time.Minute))}).
		wait(15*time.Minute).
		add(&landfallv1.Event{Fact: &landfallv1.Event_JudgedAlone{JudgedAlone: &landfallv1.JudgedAlone{Waited: durationpb.New(15 * time.Minute)}}}).
		state(landfallv1.OperationState_OPERATION_STATE_VERIFYING, nil).
		add(&landfallv1.Event{Fact: &landfallv1.Event_CancelRequested{CancelRequested: &landfallv1.CancelRequested{Requester: "operator/chris"}}}).
		state(landfallv1.OperationState_OPERATION_STATE_ROLLING_BACK, nil).
		change(&landfallv1.StateChanged{
			State: landfallv1.OperationState_OPERATION_STATE_ROLLED_BACK, Summary: "30 of 30 services run what ran before; the database is newer: 004_drop_x",
			Failure: &landfallv1.Failure{Reason: "CANCELLED", Message: "cancelled by operator/chris"},
		})
}

// olderThanWhatRuns is a deploy of a commit that what runs has moved past, as an older agent tells it.
func olderThanWhatRuns() *recording {
	failure := &landfallv1.Failure{Kind: landfallv1.FaultKind_FAULT_KIND_INTERNAL, Reason: "INTERNAL", Message: "superseded by " + newerSHA, StepId: "prove/fetch"}
	return record("op-6").accepted().
		state(landfallv1.OperationState_OPERATION_STATE_PROVING, nil).
		start("prove/fetch", "fetch c0dec0dec0de").
		finish(&landfallv1.StepFinished{StepId: "prove/fetch", Outcome: landfallv1.StepOutcome_STEP_OUTCOME_FAILED, Duration: durationpb.New(time.Second), Failure: failure}).
		change(&landfallv1.StateChanged{State: landfallv1.OperationState_OPERATION_STATE_SUPERSEDED, SupersededBy: newerSHA, Failure: failure})
}

// scenes are the recordings that every renderer is held to.
var scenes = []struct {
	name string
	make func() *recording
}{
	{"succeeded", succeeded},
	{"build-failed", buildFailed},
	{"probe-failed", probeFailed},
	{"superseded", superseded},
	{"troubled", troubled},
	{"older", olderThanWhatRuns},
}

// handClock is a clock that tests move.
type handClock struct{ at time.Time }

func (c *handClock) now() time.Time { return c.at }

// noEnv is an environment in which nothing is set.
func noEnv(string) string { return "" }

// show plays a recording into a renderer that is not a tty, with a note before and a warning after.
func show(t *testing.T, mode Mode, colour bool, r *recording) string {
	t.Helper()
	var b bytes.Buffer
	clock := &handClock{epoch.Add(-2 * time.Second)}
	n := New(mode, &b, Options{Colour: colour, Now: clock.now, GetEnv: noEnv})
	n.Note("waiting for the gate\nlint.yml passed")
	for _, e := range r.events {
		clock.at = e.GetEventTime().AsTime()
		n.Event(r.operation, e)
	}
	n.Warn("convergence stays paused")
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// golden compares got with a file in testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v (write it by go test -update)", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

// sgr finds the colours.
var sgr = regexp.MustCompile("\x1b\\[[0-9;]*m")

// tokenPattern finds the random tokens of the actions renderer.
var tokenPattern = regexp.MustCompile(`[A-Z2-7]{26}`)

func examplePlan() *landfallv1.Plan {
	return &landfallv1.Plan{
		Digest: "sha256:6ef8f80712df6d8b2cc6548f1b635c5878214797edc0f894c30c7fb658b28bf3", Project: "chris-os", Branch: "main",
		BaseSha: baseSHA, TargetSha: targetSHA, AnyDeploy: true,
		Flags: []*landfallv1.Flag{
			{Name: "caddy"},
			{Name: "dashboard_api", Set: true, PathCount: 3, Paths: []string{"dashboard/api/a.go", "dashboard/api/b.go"}},
			{Name: "docs", Set: true, PathCount: 1, Paths: []string{"docs/a|b_*.md"}},
			{Name: "mcp", Set: true, PathCount: 1, Paths: []string{"mcp/日本.ts"}},
		},
		UnclaimedPaths: []string{"odd/file", "odd/`tick`"}, UnclaimedCount: 3,
		ResetPatterns: []string{"n8n/workflows/**"}, RestoreOwnership: true,
		Steps: []*landfallv1.Step{
			{Id: "build/dashboard/1", Phase: landfallv1.Phase_PHASE_BUILD, Action: "dashboard", Flags: []string{"dashboard_api"}, Title: "scripts/build-commit-cache.sh"},
			{Id: "build/dashboard/2", Phase: landfallv1.Phase_PHASE_BUILD, Action: "dashboard", Flags: []string{"dashboard_api"}, Title: "dashboard: build dashboard-api", After: []string{"build/dashboard/1"}},
			{Id: "build/mcp/1", Phase: landfallv1.Phase_PHASE_BUILD, Action: "mcp", Flags: []string{"mcp"}, Title: "core: build mcp-*"},
			{Id: "migrate/script/1", Phase: landfallv1.Phase_PHASE_MIGRATE, Action: "script", Title: "scripts/migrate.sh --mode deploy"},
			{Id: "apply/dashboard/3", Phase: landfallv1.Phase_PHASE_APPLY, Action: "dashboard", Flags: []string{"dashboard_api"}, Title: "dashboard: up dashboard-api"},
			{Id: "apply/mcp/2", Phase: landfallv1.Phase_PHASE_APPLY, Action: "mcp", Flags: []string{"mcp"}, Title: "core: up mcp-*"},
		},
		Verification: &landfallv1.Verification{
			Deadline: durationpb.New(2 * time.Minute), Soak: durationpb.New(10 * time.Second),
			Probes: []*landfallv1.ProbeSpec{{Name: "dashboard"}, {Name: "postgres"}},
		},
		RollbackProbes: []string{"postgres"},
	}
}

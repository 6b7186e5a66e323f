package console

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
	"unicode"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/fault"
)

// after is a time of the example, some seconds after its beginning.
func after(seconds float64) *timestamppb.Timestamp {
	return timestamppb.New(epoch.Add(time.Duration(seconds * float64(time.Second))))
}

var exampleStyle = Style{Width: 110, Now: epoch.Add(10 * time.Minute).In(time.FixedZone("CET", 3600))}

func exampleOperation() *landfallv1.Operation {
	return &landfallv1.Operation{
		Id: "op-7", Kind: landfallv1.OperationKind_OPERATION_KIND_DEPLOY, State: landfallv1.OperationState_OPERATION_STATE_ROLLED_BACK,
		CommandId: "run-7", Requester: "deployer/atlas", TargetSha: targetSHA, BaseSha: baseSHA, PreDeploySha: baseSHA,
		PlanDigest: examplePlan().GetDigest(), Flags: []string{"dashboard_api", "mcp"}, Failure: buildFailure(),
		CreateTime: after(0), EndTime: after(100), Migrations: []string{"012_add_index"}, Warnings: []string{"1 changed path is claimed by no flag"},
		Probes: []*landfallv1.ProbeResult{
			{Name: "dashboard", Outcome: landfallv1.ProbeOutcome_PROBE_OUTCOME_FAILED, Attempts: 4, Elapsed: durationpb.New(4 * time.Second), Message: "restarting all the time", OutputTail: []string{"panic: no config"}},
			{Name: "postgres", Outcome: landfallv1.ProbeOutcome_PROBE_OUTCOME_PASSED, Attempts: 1, Elapsed: durationpb.New(70 * time.Millisecond), Message: "accepting connections"},
		},
		States: []*landfallv1.StateRecord{
			{State: landfallv1.OperationState_OPERATION_STATE_PENDING, EnterTime: after(0)},
			{State: landfallv1.OperationState_OPERATION_STATE_PROVING, EnterTime: after(0)},
			{State: landfallv1.OperationState_OPERATION_STATE_BUILDING, EnterTime: after(1)},
			{State: landfallv1.OperationState_OPERATION_STATE_BUILDING, EnterTime: after(50)},
			{State: landfallv1.OperationState_OPERATION_STATE_ROLLED_BACK, EnterTime: after(100)},
		},
		Steps: []*landfallv1.StepRecord{
			{Id: "prove/fetch", Title: "fetch c0dec0dec0de", Outcome: landfallv1.StepOutcome_STEP_OUTCOME_DONE, StartTime: after(0), EndTime: after(0.3), State: landfallv1.OperationState_OPERATION_STATE_PROVING},
			{Id: "build/mcp/1", Title: "core: build mcp-* 日本", Outcome: landfallv1.StepOutcome_STEP_OUTCOME_INTERRUPTED, StartTime: after(1), EndTime: after(40), State: landfallv1.OperationState_OPERATION_STATE_BUILDING},
			{Id: "build/mcp/1", Title: "core: build mcp-* 日本", Outcome: landfallv1.StepOutcome_STEP_OUTCOME_DONE, StartTime: after(50), EndTime: after(90), State: landfallv1.OperationState_OPERATION_STATE_BUILDING, Summary: "2 images", OutputLines: 1234},
			{Id: "build/dashboard/1", Title: "dashboard: build dashboard-api", Outcome: landfallv1.StepOutcome_STEP_OUTCOME_FAILED, StartTime: after(50), EndTime: after(99.9), State: landfallv1.OperationState_OPERATION_STATE_BUILDING},
			{Id: "odd", StartTime: after(100), State: landfallv1.OperationState_OPERATION_STATE_APPLYING},
		},
	}
}

func exampleHistory() []*landfallv1.Operation {
	done := &landfallv1.Operation{
		Id: "op-6", Kind: landfallv1.OperationKind_OPERATION_KIND_REPAIR, State: landfallv1.OperationState_OPERATION_STATE_SUCCEEDED, Subject: "core/web, core/w\u202eorker",
		Requester: "operator/日本太郎", CreateTime: after(-86400 * 3), EndTime: after(-86400*3 + 0.34),
	}
	gone := &landfallv1.Operation{
		Id: "op-5", Kind: landfallv1.OperationKind_OPERATION_KIND_DEPLOY, State: landfallv1.OperationState_OPERATION_STATE_SUPERSEDED,
		TargetSha: targetSHA, CreateTime: after(-86400 * 400), EndTime: after(-86400*400 + 4000), SupersededBy: newerSHA,
	}
	running := &landfallv1.Operation{
		Id: "op-8", Kind: landfallv1.OperationKind_OPERATION_KIND_DEPLOY, State: landfallv1.OperationState_OPERATION_STATE_APPLYING,
		Requester: "deployer/atlas", TargetSha: newerSHA, CreateTime: after(590),
	}
	return []*landfallv1.Operation{running, exampleOperation(), done, gone}
}

func exampleHost() *landfallv1.Host {
	return &landfallv1.Host{
		Name: "caroline", AgentVersion: "1.2.0", ProtocolVersion: 1, Platform: "linux/arm64", CurrentTime: after(600), StartTime: after(-86400 * 3),
		Checkout: &landfallv1.Checkout{
			Path: "/srv/chris-os", HeadSha: newerSHA, Branch: "main", HeadBranch: "other", Dirty: true, DirtyPaths: []string{"n8n/workflows/a.json"},
			Head: &landfallv1.CommitInfo{Sha: newerSHA, Subject: "local pi fix", Author: "Chris"},
		},
		Stamp:    &landfallv1.Stamp{Sha: targetSHA, WriteTime: after(0), Commit: &landfallv1.CommitInfo{Sha: targetSHA, Subject: "web v5", Author: "Ada"}},
		MovedSha: newerSHA, KeepVersions: 3,
		Gitops: &landfallv1.GitOpsStatus{
			Pause:   &landfallv1.GitOpsPause{Reason: "a deploy failed", Owner: "agent", OperationId: "op-7", CreateTime: after(0), ExpireTime: after(4 * 3600)},
			Blocked: exampleBlocks()[1], AllBlocked: exampleBlocks(),
		},
		CurrentOperationId: "op-8", Engine: &landfallv1.Engine{Version: "28.5.2", Error: "docker compose is not installed"},
		DiskFreeBytes: 12 << 30, MemoryAvailableBytes: 1288490189, CertificateExpireTime: after(86400 * 90),
		Problems: []string{"the checkout is edited"},
	}
}

func exampleBlocks() []*landfallv1.BlockedCommit {
	return []*landfallv1.BlockedCommit{
		{Sha: targetSHA, OperationId: "op-7", Reason: "rolled back", CreateTime: after(100)}, {Sha: newerSHA, OperationId: "op-5", Reason: "rolled back"},
	}
}

func exampleRollback() *landfallv1.GetRollbackPlanResponse {
	return &landfallv1.GetRollbackPlanResponse{
		From:         &landfallv1.CommitInfo{Sha: targetSHA, Subject: "web v5", Author: "Ada"},
		Target:       &landfallv1.CommitInfo{Sha: baseSHA, Subject: "web v4", Author: "Chris"},
		KeptServices: 27, Migrations: []string{"004_drop_x"}, Warnings: []string{"nothing remembers what ran with the target"},
		Services: []*landfallv1.ServiceRestore{
			{Project: "chris-os", Service: "edge", Action: landfallv1.RestoreAction_RESTORE_ACTION_RESTART, Reason: "reads files that go back"},
			{Project: "chris-os", Service: "new", Action: landfallv1.RestoreAction_RESTORE_ACTION_REMOVE, Reason: "did not exist then"},
			{Project: "chris-os", Service: "web", Action: landfallv1.RestoreAction_RESTORE_ACTION_RECREATE, Reason: "another image", ImageMissing: true},
		},
	}
}

// nothingRollback is a rollback to what runs.
func nothingRollback() *landfallv1.GetRollbackPlanResponse {
	plan := exampleRollback()
	plan.From, plan.Services, plan.Migrations, plan.Warnings, plan.KeptServices = plan.GetTarget(), nil, nil, nil, 30
	return plan
}

func exampleVersions() []Version {
	return []Version{
		{Operation: "op-9", SHA: targetSHA, Subject: "web v5", Author: "Ada", Time: after(0), State: "runs now"},
		{Operation: "op-6", SHA: baseSHA, Subject: "web v4", Author: "Chris", Time: after(-7200), State: "SUCCEEDED", Means: "2 services change, 1 image is gone and is made again"},
		{Operation: "op-3", SHA: newerSHA, Time: after(-86400 * 3), State: "blocked"},
	}
}

// countedOperation is a deploy that was cancelled after a migration and undone, by an agent that counts and was restarted.
func countedOperation() *landfallv1.Operation {
	op := exampleOperation()
	op.CancelledBy, op.RestartCount = "operator/chris", 2
	op.Summary = "30 of 30 services run what ran before; the database is newer: 012_add_index"
	op.Steps = append(op.GetSteps(), &landfallv1.StepRecord{
		Id: "rollback/probes", Title: "1 probe", Outcome: landfallv1.StepOutcome_STEP_OUTCOME_DONE, StartTime: after(99), EndTime: after(100),
		State: landfallv1.OperationState_OPERATION_STATE_ROLLING_BACK,
	})
	return op
}

func exampleServices() []*landfallv1.Service {
	return []*landfallv1.Service{
		{Stack: "core", Project: "chris-os", Name: "caddy", Image: "caddy:2", Ready: true, Containers: []*landfallv1.Container{
			{State: "running", Health: "healthy", StartTime: after(-7200)},
		}},
		{Stack: "core", Project: "chris-os", Name: "migrate", Image: "migrate:1", Ready: true, Containers: []*landfallv1.Container{{State: "exited"}}},
		{Stack: "core", Project: "chris-os", Name: "n8n", Problem: "restarts again and again", Containers: []*landfallv1.Container{
			{State: "running", Health: "starting", StartTime: after(599), RestartCount: 12},
			{State: "exited", ExitCode: 137, OomKilled: true},
			{State: "dead", ExitCode: 2},
			{State: "created"},
		}},
		{Stack: "core", Project: "chris-os", Name: "postgres", Containers: []*landfallv1.Container{{State: "running", Health: "unhealthy", StartTime: after(0)}}},
		{Project: "old", Name: "grafana", Image: "grafana:9", Unnamed: true, Ready: true, Containers: []*landfallv1.Container{{State: "running", StartTime: after(0)}}},
		{Stack: "日本", Project: "日本", Name: "サービス", Image: "registry.example.org/with/a/very/long/name/that/does/not/fit/in/the/terminal/at/all:latest"},
	}
}

func TestAnswers(t *testing.T) {
	nothing := &landfallv1.Plan{Project: "chris-os", BaseSha: targetSHA, TargetSha: targetSHA, Digest: "sha256:00"}
	skipped := &landfallv1.Plan{Project: "chris-os", BaseSha: baseSHA, TargetSha: targetSHA, Digest: "sha256:00"}
	first := &landfallv1.Plan{
		Project: "chris-os", TargetSha: targetSHA, AnyDeploy: true, EverythingReason: "nothing was deployed yet", Digest: "sha256:00",
		Flags: []*landfallv1.Flag{{Name: "docs", Set: true}},
	}
	answers := []struct {
		name  string
		write func(io.Writer, Style) error
	}{
		{"history", func(w io.Writer, s Style) error { return WriteHistory(w, exampleHistory(), exampleBlocks(), s) }},
		{"history-wide", func(w io.Writer, s Style) error {
			s.Width = 160
			return WriteHistory(w, exampleHistory(), exampleBlocks(), s)
		}},
		{"history-narrow", func(w io.Writer, s Style) error {
			s.Width = 60
			return WriteHistory(w, exampleHistory(), exampleBlocks(), s)
		}},
		{"history-empty", func(w io.Writer, s Style) error { return WriteHistory(w, nil, nil, s) }},
		{"operation", func(w io.Writer, s Style) error {
			return WriteOperation(w, exampleOperation(), examplePlan(), exampleBlocks(), s)
		}},
		{"operation-running", func(w io.Writer, s Style) error { return WriteOperation(w, waitingOperation(), nil, nil, s) }},
		{"operation-counted", func(w io.Writer, s Style) error {
			return WriteOperation(w, countedOperation(), examplePlan(), nil, s)
		}},
		{"operation-counted.md", func(w io.Writer, s Style) error { return WriteOperationMarkdown(w, countedOperation(), s) }},
		{"rollback-plan", func(w io.Writer, s Style) error { return WriteRollbackPlan(w, exampleRollback(), false, s) }},
		{"rollback-plan-nothing", func(w io.Writer, s Style) error { return WriteRollbackPlan(w, nothingRollback(), true, s) }},
		{"rollback-plan-checkout", func(w io.Writer, s Style) error { return WriteRollbackPlan(w, nothingRollback(), false, s) }},
		{"versions", func(w io.Writer, s Style) error { return WriteVersions(w, exampleVersions(), 3, s) }},
		{"versions-none", func(w io.Writer, s Style) error { return WriteVersions(w, nil, 0, s) }},
		{"plan-revert", func(w io.Writer, s Style) error {
			return WritePlan(w, revertPlan(), Text, s, "no change against what runs: checkout and stamp move")
		}},
		{"plan-revert.md", func(w io.Writer, s Style) error {
			return WritePlan(w, revertPlan(), Markdown, s, "no change against what runs: checkout and stamp move")
		}},
		{"operation-superseded", func(w io.Writer, s Style) error { return WriteOperation(w, exampleHistory()[3], nil, nil, s) }},
		{"operation.md", func(w io.Writer, s Style) error { return WriteOperationMarkdown(w, exampleOperation(), s) }},
		{"operation-running.md", func(w io.Writer, s Style) error { return WriteOperationMarkdown(w, waitingOperation(), s) }},
		{"operation-superseded.md", func(w io.Writer, s Style) error { return WriteOperationMarkdown(w, exampleHistory()[3], s) }},
		{"status", func(w io.Writer, s Style) error {
			return WriteStatus(w, exampleHost(), exampleServices(), waitingOperation(), s)
		}},
		{"status-converging", func(w io.Writer, s Style) error {
			host := &landfallv1.Host{Name: "caroline", Gitops: &landfallv1.GitOpsStatus{LastTick: exampleTick(), NextTickTime: after(1000), NotFollowedReason: "agent.yaml has no github"}}
			return WriteStatus(w, host, exampleServices()[:1], nil, s)
		}},
		{"status-overdue", func(w io.Writer, s Style) error {
			host := &landfallv1.Host{Name: "caroline", Gitops: &landfallv1.GitOpsStatus{NextTickTime: after(-3000), Overdue: true}}
			return WriteStatus(w, host, exampleServices()[:1], nil, s)
		}},
		{"tick", func(w io.Writer, s Style) error { return WriteTick(w, exampleTick(), s) }},
		{"tick-nothing", func(w io.Writer, s Style) error {
			return WriteTick(w, &landfallv1.Tick{Outcome: landfallv1.TickOutcome_TICK_OUTCOME_NOTHING, Reason: "IN_STEP", Message: "c0dec0dec0de, the head of main, runs here"}, s)
		}},
		{"tick-dry", func(w io.Writer, s Style) error {
			return WriteTick(w, &landfallv1.Tick{Outcome: landfallv1.TickOutcome_TICK_OUTCOME_DEPLOY, Reason: "NEW_COMMIT", Message: "c0dec0dec0de, the head of main, passed CI", DryRun: true}, s)
		}},
		{"drift", func(w io.Writer, s Style) error {
			return WriteDrift(w, &landfallv1.GetDriftResponse{Drift: exampleTick().GetDrift(), Unknown: []string{"core/db: its image cannot be compared"}, Services: 30}, s)
		}},
		{"drift-none", func(w io.Writer, s Style) error { return WriteDrift(w, &landfallv1.GetDriftResponse{Services: 30}, s) }},
		{"status-fresh", func(w io.Writer, s Style) error {
			host := &landfallv1.Host{Name: "caroline", CertificateExpireTime: after(0), Engine: &landfallv1.Engine{Version: "28.5.2", ComposeVersion: "2.40.0"}}
			return WriteStatus(w, host, exampleServices()[:1], nil, s)
		}},
		{"plan", func(w io.Writer, s Style) error { return WritePlan(w, examplePlan(), Text, s) }},
		{"plan-nothing", func(w io.Writer, s Style) error { return WritePlan(w, nothing, Text, s) }},
		{"plan-skipped", func(w io.Writer, s Style) error { return WritePlan(w, skipped, Text, s) }},
		{"plan-first", func(w io.Writer, s Style) error { return WritePlan(w, first, Text, s) }},
		{"plan.md", func(w io.Writer, s Style) error { return WritePlan(w, examplePlan(), Markdown, s) }},
		{"plan-nothing.md", func(w io.Writer, s Style) error { return WritePlan(w, nothing, Markdown, s) }},
		{"plan-first.md", func(w io.Writer, s Style) error { return WritePlan(w, first, Markdown, s) }},
		{"probes", func(w io.Writer, s Style) error { return WriteProbes(w, exampleOperation().GetProbes(), s) }},
		{"probes-passed", func(w io.Writer, s Style) error { return WriteProbes(w, exampleOperation().GetProbes()[1:], s) }},
		{"probes-none", func(w io.Writer, s Style) error { return WriteProbes(w, nil, s) }},
	}
	for _, a := range answers {
		t.Run(a.name, func(t *testing.T) {
			var b, coloured bytes.Buffer
			if err := a.write(&b, exampleStyle); err != nil {
				t.Fatal(err)
			}
			golden(t, "answers/"+a.name, b.String())

			style := exampleStyle
			style.Colour = true
			if err := a.write(&coloured, style); err != nil {
				t.Fatal(err)
			}
			if bare := sgr.ReplaceAllString(coloured.String(), ""); bare != b.String() {
				t.Errorf("colour changes the text:\n%s", bare)
			}
			if err := a.write(&brokenPipe{}, exampleStyle); err == nil {
				t.Error("a failed write is not told")
			}
		})
	}
}

func revertPlan() *landfallv1.Plan {
	return &landfallv1.Plan{Project: "chris-os", BaseSha: baseSHA, TargetSha: targetSHA, AnyDeploy: true, Digest: "sha256:00"}
}

func waitingOperation() *landfallv1.Operation {
	op := exampleHistory()[0]
	op.State, op.VerifyByTime = landfallv1.OperationState_OPERATION_STATE_AWAITING_VERIFY, after(900)
	op.States = []*landfallv1.StateRecord{
		{State: landfallv1.OperationState_OPERATION_STATE_APPLYING, EnterTime: after(590)},
		{State: landfallv1.OperationState_OPERATION_STATE_AWAITING_VERIFY, EnterTime: after(595)},
	}
	return op
}

func TestTablesFitTheTerminal(t *testing.T) {
	for _, columns := range []int{100, 110, 140} {
		var b bytes.Buffer
		style := exampleStyle
		style.Width = columns
		if err := WriteStatus(&b, exampleHost(), exampleServices(), nil, style); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(b.String()) {
			if n := cellsOf(strings.TrimSuffix(line, "\n")); strings.Contains(line, "サービス") && n > columns {
				t.Errorf("%d columns: %q has %d cells", columns, line, n)
			}
		}
	}
	var b bytes.Buffer
	if err := WriteStatus(&b, exampleHost(), exampleServices(), nil, Style{}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), ":latest") || strings.Contains(b.String(), "…") {
		t.Error("something is shortened though there is no terminal")
	}
}

func TestUnknownPlanFormat(t *testing.T) {
	err := WritePlan(io.Discard, examplePlan(), "html", exampleStyle)
	if fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), "use text or markdown") {
		t.Errorf("got %v", err)
	}
}

func TestHostileTextIsInertInAnswers(t *testing.T) {
	for _, attack := range attacks {
		failure := &landfallv1.Failure{Reason: attack, Message: attack, Hint: attack, StepId: attack, OutputTail: []string{attack}}
		probes := []*landfallv1.ProbeResult{{Name: attack, Message: attack, OutputTail: []string{attack}}}
		op := &landfallv1.Operation{
			Id: attack, CommandId: attack, Requester: attack, TargetSha: attack, BaseSha: attack, PreDeploySha: attack, PlanDigest: attack, SupersededBy: attack, Summary: attack, CancelledBy: attack,
			Flags: []string{attack}, Warnings: []string{attack}, Migrations: []string{attack}, Failure: failure, Probes: probes,
			Steps: []*landfallv1.StepRecord{{Id: attack, Title: attack, Summary: attack}},
		}
		host := &landfallv1.Host{
			Name: attack, AgentVersion: attack, Platform: attack, CurrentOperationId: attack, Problems: []string{attack}, Stamp: &landfallv1.Stamp{Sha: attack},
			Checkout: &landfallv1.Checkout{Path: attack, HeadSha: attack, Branch: attack, HeadBranch: attack + "x", Dirty: true, DirtyPaths: []string{attack}},
			Engine:   &landfallv1.Engine{Version: attack, ComposeVersion: attack, Error: attack},
			Gitops: &landfallv1.GitOpsStatus{
				Pause:      &landfallv1.GitOpsPause{Reason: attack, Owner: attack, OperationId: attack},
				AllBlocked: []*landfallv1.BlockedCommit{{Sha: attack, Reason: attack, OperationId: attack}},
			},
			MovedSha: attack,
		}
		services := []*landfallv1.Service{{
			Stack: attack, Project: attack + "x", Name: attack, Image: attack, Problem: attack, Containers: []*landfallv1.Container{{State: attack, Health: attack}},
		}, {
			Project: attack, Name: attack, Image: attack, Unnamed: true, Containers: []*landfallv1.Container{{State: attack, Health: attack}},
		}}
		commit := &landfallv1.CommitInfo{Sha: attack, Subject: attack, Author: attack}
		host.Stamp.Commit, host.Checkout.Head = commit, commit
		rollback := &landfallv1.GetRollbackPlanResponse{
			From: commit, Target: commit, Migrations: []string{attack}, Warnings: []string{attack},
			Services: []*landfallv1.ServiceRestore{{Project: attack, Service: attack, Reason: attack, ImageMissing: true}},
		}
		plan := &landfallv1.Plan{
			Digest: attack, Project: attack, Branch: attack, TargetSha: attack, BaseSha: attack, AnyDeploy: true, EverythingReason: attack,
			Flags: []*landfallv1.Flag{{Name: attack, Set: true, PathCount: 1, Paths: []string{attack}}}, UnclaimedPaths: []string{attack}, UnclaimedCount: 1,
			Steps:         []*landfallv1.Step{{Id: attack, Action: attack, Title: attack, Flags: []string{attack}, After: []string{attack}}},
			ResetPatterns: []string{attack}, RollbackProbes: []string{attack},
			Verification: &landfallv1.Verification{Probes: []*landfallv1.ProbeSpec{{Name: attack}}},
		}
		var b bytes.Buffer
		for _, err := range []error{
			WriteHistory(&b, []*landfallv1.Operation{op}, host.GetGitops().GetAllBlocked(), exampleStyle),
			WriteOperation(&b, op, plan, host.GetGitops().GetAllBlocked(), exampleStyle),
			WriteOperationMarkdown(&b, op, exampleStyle),
			WriteStatus(&b, host, services, op, exampleStyle),
			WriteProbes(&b, probes, exampleStyle),
			WritePlan(&b, plan, Text, exampleStyle, attack),
			WritePlan(&b, plan, Markdown, exampleStyle, attack),
			WriteJSON(&b, plan),
			WriteRollbackPlan(&b, rollback, false, exampleStyle),
			WriteVersions(&b, []Version{{Operation: attack, SHA: attack, Subject: attack, Author: attack, State: attack, Means: attack}}, 3, exampleStyle),
			WritePaused(&b, host.GetGitops().GetPause(), host.GetGitops().GetPause(), exampleStyle),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		for _, r := range b.String() {
			if r != '\n' && r != '\t' && unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) {
				t.Errorf("%q lets %q through", attack, r)
			}
		}
	}
}

func TestMarkdownIsInert(t *testing.T) {
	tests := []struct{ in, text, code string }{
		{"plain", "plain", "`plain`"},
		{"a|b", `a\|b`, "`a\\|b`"},
		{`a\|b`, `a\\\|b`, `a\\\|b`},
		{"`x`", "\\`x\\`", "`` `x` ``"},
		{"<img src=x> @chris #1", "&lt;img src=x&gt; &#64;chris &#35;1", "`<img src=x> @chris #1`"},
		{"![a](http://x)", `\!\[a\](http:&#47;/x)`, "`![a](http://x)`"},
		{"one\ntwo\tthree", "one␊two three", "`one␊two three`"},
		{"", "", ""},
	}
	for _, tt := range tests {
		if got := markdownText(tt.in); got != tt.text {
			t.Errorf("text %q: got %q, want %q", tt.in, got, tt.text)
		}
		if got := markdownCode(tt.in); got != tt.code {
			t.Errorf("code %q: got %q, want %q", tt.in, got, tt.code)
		}
	}
}

func TestWriteJSON(t *testing.T) {
	var b bytes.Buffer
	op := &landfallv1.Operation{Id: "op-\u202e1", State: landfallv1.OperationState_OPERATION_STATE_ROLLED_BACK, CreateTime: after(0.5), LastSequence: 7}
	if err := WriteJSON(&b, op); err != nil {
		t.Fatal(err)
	}
	want := `{"id":"op-\u202e1","state":"OPERATION_STATE_ROLLED_BACK","create_time":"2026-11-23T06:36:17.500Z","last_sequence":"7"}` + "\n"
	if b.String() != want || !json.Valid(b.Bytes()) {
		t.Errorf("got  %swant %s", b.String(), want)
	}
	if err := WriteJSON(io.Discard, &landfallv1.Operation{Id: "\xff"}); err == nil || !strings.Contains(err.Error(), "write Operation as JSON") {
		t.Errorf("got %v", err)
	}
	if err := WriteJSON(&brokenPipe{}, op); err == nil {
		t.Error("a failed write is not told")
	}
}

func TestBarsShowEveryStep(t *testing.T) {
	whole := span{epoch, epoch.Add(100 * time.Second)}
	for from := range 101 {
		s := span{epoch.Add(time.Duration(from) * time.Second), epoch.Add(time.Duration(from) * time.Second)}
		bar := s.bar(whole)
		if cellsOf(bar) != barWidth || !strings.Contains(bar, "█") {
			t.Fatalf("step at %ds: %q", from, bar)
		}
	}
	if got := whole.bar(whole); got != strings.Repeat("█", barWidth) {
		t.Errorf("whole: %q", got)
	}
	if got := (span{}).bar(span{}); cellsOf(got) != barWidth {
		t.Errorf("no time: %q", got)
	}
	beyond := span{epoch.Add(-time.Hour), epoch.Add(time.Hour)} // a clock that jumped
	if got := beyond.bar(whole); cellsOf(got) != barWidth {
		t.Errorf("beyond: %q", got)
	}
}

func TestHuman(t *testing.T) {
	durations := map[time.Duration]string{
		-time.Second: "0ms", 0: "0ms", 340 * time.Millisecond: "340ms", 999600 * time.Microsecond: "1s", 4250 * time.Millisecond: "4.3s",
		9960 * time.Millisecond: "10s", 10 * time.Second: "10s", 59600 * time.Millisecond: "1m", 64 * time.Second: "1m 4s", 2 * time.Minute: "2m",
		time.Hour - time.Millisecond: "1h", 2*time.Hour + 5*time.Minute: "2h 5m", 24*time.Hour - time.Second: "1d", 76 * time.Hour: "3d 4h",
	}
	for d, want := range durations {
		if got := Duration(d); got != want {
			t.Errorf("Duration(%d): got %q, want %q", d, got, want)
		}
	}
	sizes := map[uint64]string{
		0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536 << 20: "1.5 GiB", 1<<20 - 1: "1.0 MiB", 1 << 40: "1.0 TiB", 1<<64 - 1: "16.0 EiB",
	}
	for n, want := range sizes {
		if got := Bytes(n); got != want {
			t.Errorf("Bytes(%d): got %q, want %q", n, got, want)
		}
	}
	times := map[time.Duration]string{
		0: "just now", -4 * time.Second: "just now", -7 * time.Second: "7s ago", -3 * time.Minute: "3m ago", -47 * time.Hour: "47h ago",
		-48 * time.Hour: "2d ago", 3 * time.Second: "just now", 4 * time.Hour: "in 4h",
		4*time.Hour - time.Minute: "in 3h 59m", 2*time.Hour - 100*time.Millisecond: "in 2h", 90 * time.Second: "in 1m 30s",
	}
	for d, want := range times {
		if got := Relative(epoch.Add(d), epoch); got != want {
			t.Errorf("Relative(%s): got %q, want %q", d, got, want)
		}
	}
}

func TestFit(t *testing.T) {
	tests := []struct {
		in   string
		n    int
		want string
	}{
		{"abc", 3, "abc"},
		{"abcd", 3, "ab…"},
		{"日本語", 6, "日本語"},
		{"日本語", 5, "日本…"},
		{"日本語", 4, "日…"},
		{"e\u0301e\u0301", 2, "e\u0301e\u0301"},
		{"abc", 1, "…"},
		{"abc", 0, ""},
		{"👍👍", 3, "👍…"},
	}
	for _, tt := range tests {
		if got := fit(tt.in, tt.n); got != tt.want {
			t.Errorf("fit(%q, %d): got %q, want %q", tt.in, tt.n, got, tt.want)
		}
	}
	if got := fmt.Sprintf("%q", expandTabs("a\t日本語1\tb")); got != `"a       日本語1 b"` {
		t.Errorf("tabs: %s", got)
	}
}

func exampleTick() *landfallv1.Tick {
	return &landfallv1.Tick{
		Outcome: landfallv1.TickOutcome_TICK_OUTCOME_SKIPPED, Reason: "DRIFT_SEEN", Message: "core/web (exited): exited with code 1: seen for the first time", StartTime: after(-60),
		Drift: []*landfallv1.Drift{
			{Stack: "core", Project: "shop", Service: "web", Kind: landfallv1.DriftKind_DRIFT_KIND_EXITED, Message: "web: exited with code 1", Answer: landfallv1.DriftAnswer_DRIFT_ANSWER_REPAIR},
			{Stack: "core", Project: "shop", Service: "db", Kind: landfallv1.DriftKind_DRIFT_KIND_IMAGE, Message: "postgres:16 means another image than it was made from", Answer: landfallv1.DriftAnswer_DRIFT_ANSWER_REPAIR, Confirmed: true},
			{Project: "shop", Service: "left\x1b[31m", Kind: landfallv1.DriftKind_DRIFT_KIND_ORPHAN, Message: "no compose file of the checkout names it", Answer: landfallv1.DriftAnswer_DRIFT_ANSWER_REPORT},
		},
	}
}

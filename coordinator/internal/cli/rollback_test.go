package cli

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
)

func somethingToRollBack() *landfallv1.GetRollbackPlanResponse {
	return &landfallv1.GetRollbackPlanResponse{
		From:   &landfallv1.CommitInfo{Sha: strings.Repeat("b", 40), Subject: "web v5", Author: "Ada"},
		Target: &landfallv1.CommitInfo{Sha: strings.Repeat("a", 40), Subject: "web v4", Author: "Chris"},
		Services: []*landfallv1.ServiceRestore{
			{Project: "shop", Service: "edge", Action: landfallv1.RestoreAction_RESTORE_ACTION_RESTART, Reason: "reads files that go back"},
			{Project: "shop", Service: "web", Action: landfallv1.RestoreAction_RESTORE_ACTION_RECREATE, Reason: "another image", ImageMissing: true},
		},
		KeptServices: 28, Migrations: []string{"004_drop_x"}, Warnings: []string{"nothing remembers what ran"},
	}
}

func nothingToRollBack() *landfallv1.GetRollbackPlanResponse {
	same := &landfallv1.CommitInfo{Sha: strings.Repeat("a", 40), Subject: "web v4"}
	return &landfallv1.GetRollbackPlanResponse{From: same, Target: same, KeptServices: 30}
}

// foreseen is what every form of the preview says.
var foreseen = []string{
	"bbbbbbbbbbbb \"web v5\" (Ada)", "aaaaaaaaaaaa \"web v4\" (Chris)", "shop/edge", "restarted", "reads files that go back", "shop/web", "recreated", "another image",
	"gone: built or pulled again", "2 services change, 1 image is gone and is made again; 28 services stay as they are", "the database keeps 1 migration: 004_drop_x",
	"warning: nothing remembers what ran",
}

func TestRollbackDryRun(t *testing.T) {
	a := &agent{rollback: somethingToRollBack(), op: &landfallv1.Operation{Id: theOperation, State: succeeded}}
	a.serve(t)
	for _, where := range [][]string{{"--to", strings.Repeat("a", 40)}, {"--operation", theOperation}} {
		o := landfall(t, append([]string{"rollback", "--dry-run"}, where...)...)
		o.expect(t, 0)
		for _, part := range foreseen {
			if !strings.Contains(o.out, part) {
				t.Errorf("%s: it does not say %q:\n%s", where, part, o.out)
			}
		}
	}
	o := landfall(t, "rollback", "--dry-run", "--operation", theOperation, "--format", "json")
	if got := decode(t, o.out); len(got) != 1 || len(got[0]["services"].([]any)) != 2 || got[0]["kept_services"] != float64(28) {
		t.Errorf("%s", o.out)
	}
	a.rollback = nothingToRollBack()
	if o := landfall(t, "rollback", "--dry-run", "--to", strings.Repeat("a", 40)); strings.Contains(o.out, "nothing to do") || !strings.Contains(o.out, "no service is touched") {
		t.Errorf("the stamp is another one: %s", o.out)
	}
	a.stamp = strings.Repeat("a", 40)
	if o := landfall(t, "rollback", "--dry-run", "--to", a.stamp); !strings.Contains(o.out, "nothing to do: aaaaaaaaaaaa runs, 30 services stay as they are") {
		t.Errorf("%s", o.out)
	}
	a.rollback = nil
	landfall(t, "rollback", "--dry-run", "--to", a.stamp).expect(t, 7, "op-9 runs")
	a.older = true
	landfall(t, "rollback", "--dry-run", "--to", a.stamp).expect(t, 1, "this agent cannot tell beforehand")
	if len(a.commands) != 0 {
		t.Errorf("commands %q", a.commands)
	}
}

// Where nobody can be asked the plan is progress, and the rollback goes on.
func TestRollbackWithoutATerminal(t *testing.T) {
	a := &agent{ends: succeeded, rollback: somethingToRollBack(), endsBy: func(op *landfallv1.Operation) { op.Summary = "30 of 30 services run aaaaaaaaaaaa" }}
	a.serve(t)
	o := landfall(t, "rollback", "--to", strings.Repeat("a", 40))
	o.expect(t, 0, foreseen...)
	if len(a.commands) != 1 || !strings.HasSuffix(o.out, "\n30 of 30 services run aaaaaaaaaaaa\n") || strings.Contains(o.err, "[y/N]") {
		t.Errorf("commands %q, stdout %q", a.commands, o.out)
	}
	a.rollback, a.stamp, a.commands = nothingToRollBack(), strings.Repeat("a", 40), nil
	if o := landfall(t, "rollback", "--to", a.stamp); o.code != 0 || o.out != "nothing to do: aaaaaaaaaaaa runs, 30 services stay as they are\n" || len(a.commands) != 0 {
		t.Errorf("%+v, commands %q", o, a.commands)
	}
	a.older = true // and cannot tell: nobody is kept from going back
	landfall(t, "rollback", "--to", strings.Repeat("a", 40)).expect(t, 0, "this agent cannot tell beforehand what a rollback does")
	if len(a.commands) != 1 {
		t.Errorf("commands %q", a.commands)
	}
	a.older, a.rollback, a.commands = false, nil, nil
	landfall(t, "rollback", "--to", a.stamp).expect(t, 7, "op-9 runs")
	if len(a.commands) != 0 {
		t.Errorf("commands %q", a.commands)
	}
}

func TestRollbackListsTheVersions(t *testing.T) {
	repo, base, head := clone(t)
	at := func(ago time.Duration) *timestamppb.Timestamp { return timestamppb.New(time.Now().Add(-ago)) }
	older := strings.Repeat("c", 40)
	a := &agent{
		stamp: head, rollback: somethingToRollBack(), blocks: []*landfallv1.BlockedCommit{{Sha: older}},
		host: func(h *landfallv1.Host) {
			h.KeepVersions = 3
			h.Stamp.Commit = &landfallv1.CommitInfo{Sha: head, Subject: "two", Author: "Grace"}
		},
		past: []*landfallv1.Operation{
			{Id: "op-9", State: succeeded, TargetSha: head, EndTime: at(time.Minute)},
			{Id: "op-8", State: rolledBack, TargetSha: strings.Repeat("e", 40), EndTime: at(time.Hour)},
			{Id: "op-7", State: succeeded, TargetSha: base, EndTime: at(3 * time.Hour)},
			{Id: "op-6", State: succeeded, TargetSha: head, EndTime: at(4 * time.Hour)},
			{Id: "op-5", State: succeeded, TargetSha: older, EndTime: at(72 * time.Hour)},
		},
	}
	a.serve(t)
	t.Chdir(repo.Dir)
	o := landfall(t, "rollback")
	o.expect(t, 2, "back to what?", "--to COMMIT", "--operation ID", "--dry-run", "images of the last 3 successful deploys are kept")
	rows := map[string][]string{
		"op-9": {head[:12], "two", "Grace", "1m ago", "runs now"}, "op-7": {base[:12], "web v4", "Chris", "3h ago", "SUCCEEDED", "2 services change, 1 image is gone"},
		"op-5": {older[:12], "3d ago", "blocked"},
	}
	for line := range strings.Lines(o.err) {
		id, _, _ := strings.Cut(line, " ")
		for _, part := range rows[id] {
			if !strings.Contains(line, part) {
				t.Errorf("%q does not say %q", line, part)
			}
		}
		delete(rows, id)
		if id == "op-8" || id == "op-6" {
			t.Errorf("%q is no version to go back to, or was listed before", line)
		}
	}
	if len(rows) != 0 {
		t.Errorf("not listed: %v\n%s", rows, o.err)
	}
	a.older = true // the clone knows subjects, too
	if o := landfall(t, "rollback"); o.code != 2 || !strings.Contains(o.err, base[:12]+"  one") {
		t.Errorf("of an older agent: %s", o.err)
	}
	landfall(t, "rollback", "--to", "x", "--operation", "y").expect(t, 2, "name two things")

	// What the list shows can be copied, wherever one stands.
	t.Chdir(t.TempDir())
	a.ends = succeeded
	landfall(t, "rollback", "--to", older[:12]).expect(t, 0)
	if len(a.commands) != 1 || a.commands[0] != "rollback "+older {
		t.Errorf("commands %q", a.commands)
	}
	landfall(t, "rollback", "--to", "0123456789").expect(t, 2, "landfall.yaml")
	if a.past = []*landfallv1.Operation{}; !strings.Contains(landfall(t, "rollback").err, "there is no version to go back to") {
		t.Error("where nothing was deployed it is not said")
	}
}

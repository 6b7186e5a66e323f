package cli

import (
	"errors"
	"slices"
	"strings"
	"testing"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
)

const (
	succeeded = landfallv1.OperationState_OPERATION_STATE_SUCCEEDED
	failed    = landfallv1.OperationState_OPERATION_STATE_FAILED

	rolledBack = landfallv1.OperationState_OPERATION_STATE_ROLLED_BACK
)

func TestTheMainJob(t *testing.T) {
	repo, base, head := clone(t)
	for name, tt := range map[string]struct {
		ends     landfallv1.OperationState
		code     int
		commands []string
		out      string
	}{
		"succeeds":       {succeeded, 0, []string{"deploy " + head}, theOperation + " SUCCEEDED " + head[:12]},
		"fails":          {failed, 5, []string{"deploy " + head}, theOperation + " FAILED " + head[:12]},
		"is rolled back": {rolledBack, 4, []string{"deploy " + head}, theOperation + " ROLLED_BACK " + head[:12]},
	} {
		t.Run(name, func(t *testing.T) {
			a := &agent{stamp: base, ends: tt.ends}
			a.serve(t)
			t.Chdir(repo.Dir)
			o := landfall(t, "run", "--no-gate")
			o.expect(t, tt.code, "caroline runs "+base[:12], "1 commit, 1 file,", "flags: app")
			if strings.Count(o.out, "\n") != 1 || !strings.HasPrefix(o.out, tt.out) || strings.Contains(o.out, "convergence") {
				t.Errorf("stdout: %q", o.out)
			}
			if !slices.Equal(a.commands, tt.commands) {
				t.Errorf("commands: %q, want %q", a.commands, tt.commands)
			}
			if tt.code != 0 && !strings.Contains(o.err, "app is down") {
				t.Errorf("the reason is not told:\n%s", o.err)
			}
		})
	}
}

func TestRunInJSON(t *testing.T) {
	repo, base, head := clone(t)
	a := &agent{stamp: base, ends: failed}
	a.serve(t)
	t.Chdir(repo.Dir)
	o := landfall(t, "run", "--no-gate", "--format", "json", "--progress", "json")
	o.expect(t, 5)
	answer := decode(t, o.out)
	if len(answer) != 1 || answer[0]["id"] != theOperation || answer[0]["state"] != "OPERATION_STATE_FAILED" || answer[0]["target_sha"] != head {
		t.Errorf("stdout: %s", o.out)
	}
	progress := decode(t, o.err)
	last, _ := progress[len(progress)-1]["error"].(map[string]any)
	if len(progress) < 3 || last["exit_code"] != float64(5) || last["reason"] != "PROBE_FAILED" {
		t.Errorf("stderr: %s", o.err)
	}
}

func TestNothingToDeploy(t *testing.T) {
	repo, _, head := clone(t)
	onlySkipped := repo.Commit("make", map[string]string{"Makefile": "all: x\n"})
	a := &agent{stamp: head}
	a.serve(t)
	t.Chdir(repo.Dir)
	for _, command := range [][]string{{"run", "--no-gate"}, {"deploy"}} {
		o := landfall(t, command...)
		o.expect(t, 0)
		if o.out != "nothing to deploy at "+onlySkipped[:12]+"\n" {
			t.Errorf("%s: %q", command, o.out)
		}
		o = landfall(t, append(command, "--format", "json")...)
		if got := decode(t, o.out); len(got) != 1 || got[0]["any_deploy"] != false || got[0]["target_sha"] != onlySkipped {
			t.Errorf("%s: %s", command, o.out)
		}
	}
	if len(a.commands) != 0 {
		t.Errorf("commands: %q", a.commands)
	}
}

func TestDeployThenVerify(t *testing.T) {
	repo, _, head := clone(t)
	a := &agent{ends: succeeded}
	a.serve(t)
	t.Chdir(repo.Dir)
	o := landfall(t, "deploy")
	o.expect(t, 0, "everything (nothing was deployed here yet)")
	if !strings.HasPrefix(o.out, theOperation+" AWAITING_VERIFY "+head[:12]) {
		t.Errorf("deploy: %q", o.out)
	}
	o = landfall(t, "verify", "--operation", theOperation)
	o.expect(t, 0)
	if !strings.HasPrefix(o.out, theOperation+" SUCCEEDED") {
		t.Errorf("verify: %q", o.out)
	}
	landfall(t, "verify").expect(t, 0) // again changes nothing
	landfall(t, "attach", theOperation).expect(t, 0)
	of := func(command string) string { return command + " " + theOperation }
	if want := []string{"deploy " + head, of("attach"), of("verify"), of("finish"), of("attach"), of("attach")}; !slices.Equal(a.commands, want) {
		t.Errorf("commands: %q, want %q", a.commands, want)
	}
	landfall(t, "verify", "--operation", "op-9").expect(t, 2, "op-9")
}

func TestDetach(t *testing.T) {
	repo, base, _ := clone(t)
	a := &agent{stamp: base}
	a.serve(t)
	t.Chdir(repo.Dir)
	o := landfall(t, "deploy", "--detach")
	o.expect(t, 0, "landfall-coordinator attach "+theOperation)
	if strings.Count(o.out, "\n") != 1 {
		t.Errorf("stdout: %q", o.out)
	}
}

func TestUnclaimedPathsAreNamed(t *testing.T) {
	repo, base, _ := clone(t)
	repo.Commit("odd", map[string]string{"odd/one.txt": "x"})
	(&agent{stamp: base, ends: succeeded}).serve(t)
	t.Chdir(repo.Dir)
	landfall(t, "deploy").expect(t, 0, "no flag claims odd/one.txt")
}

func TestStatusHistoryShow(t *testing.T) {
	a := &agent{stamp: strings.Repeat("a", 40), op: &landfallv1.Operation{Id: theOperation, State: succeeded}}
	a.serve(t)
	for _, tt := range []struct {
		args    []string
		says    []string
		objects int
	}{
		{[]string{"status"}, []string{"caroline", "app"}, 2},
		{[]string{"history"}, []string{"op-2-b", "op-1-a"}, 2},
		{[]string{"show"}, []string{theOperation}, 1},
		{[]string{"show", theOperation}, []string{theOperation}, 1},
	} {
		text := landfall(t, tt.args...)
		text.expect(t, 0)
		for _, part := range tt.says {
			if !strings.Contains(text.out, part) {
				t.Errorf("%s does not say %s:\n%s", tt.args, part, text.out)
			}
		}
		object := landfall(t, append(tt.args, "--format", "json")...)
		object.expect(t, 0)
		if got := decode(t, object.out); len(got) != tt.objects || text.err+object.err != "" {
			t.Errorf("%s: %d objects, want %d; stderr %q", tt.args, len(got), tt.objects, text.err+object.err)
		}
	}
	landfall(t, "show", "op-9").expect(t, 2, "op-9")
	landfall(t, "history", "--limit", "0").expect(t, 2, "--limit")
	landfall(t, "history", "--limit", "1001").expect(t, 2, "1000")
}

// The host can be told of although its services cannot.
func TestStatusOfAHostInTrouble(t *testing.T) {
	(&agent{trouble: errors.New("the engine is down")}).serve(t)
	o := landfall(t, "status")
	o.expect(t, 0)
	if !strings.Contains(o.out, "the engine is down") || !strings.Contains(o.out, "caroline") {
		t.Errorf("status: %s", o.out)
	}
}

func TestProbeAnswersAndFails(t *testing.T) {
	a := &agent{probes: []*landfallv1.ProbeResult{{Name: "web", Outcome: landfallv1.ProbeOutcome_PROBE_OUTCOME_PASSED, Message: "good"}}}
	a.serve(t)
	landfall(t, "probe").expect(t, 0)
	a.probes = append(a.probes, &landfallv1.ProbeResult{Name: "n8n", Outcome: landfallv1.ProbeOutcome_PROBE_OUTCOME_WAITING, Message: "status 503"})
	o := landfall(t, "probe", "--format", "json")
	o.expect(t, 1)
	if got := decode(t, o.out); len(got) != 1 || len(got[0]["results"].([]any)) != 2 {
		t.Errorf("the answer is missing: %s", o.out)
	}
	if got := decode(t, o.err); len(got) != 1 {
		t.Errorf("stderr: %s", o.err)
	}
	landfall(t, "probe").expect(t, 1, "probe n8n did not pass: status 503")
}

func TestPauseAndResume(t *testing.T) {
	a := &agent{}
	a.serve(t)
	if o := landfall(t, "pause", "--for", "2d", "--reason", "disk"); o.code != 0 || !strings.HasPrefix(o.out, "paused until ") || !strings.Contains(o.out, ", in 2d\n") || strings.Count(o.out, "\n") != 1 {
		t.Errorf("pause: %+v", o)
	}
	if o := landfall(t, "pause", "--reason", "again"); o.code != 0 || !strings.Contains(o.out, "it takes the place of the pause by operator/test: disk\n") {
		t.Errorf("a second pause: %+v", o)
	}
	if got := decode(t, landfall(t, "pause", "--reason", "disk", "--format", "json").out); len(got) != 1 || got[0]["pause"] == nil {
		t.Errorf("pause --format json: %v", got)
	}
	for _, length := range []string{"0", "0s", "-1h", "2x", "d", "99999d"} {
		landfall(t, "pause", "--reason", "disk", "--for", length).expect(t, 2, "--for")
	}
	landfall(t, "resume").expect(t, 7, "op-9 runs", "wait for its end")
}

func TestUnblock(t *testing.T) {
	one, two := strings.Repeat("d1", 20), strings.Repeat("d2", 20)
	blocks := func() []*landfallv1.BlockedCommit {
		return []*landfallv1.BlockedCommit{{Sha: one, OperationId: theOperation, Reason: "rolled back"}, {Sha: two, OperationId: "op-9", Reason: "rolled back"}}
	}
	a := &agent{blocks: blocks()}
	a.serve(t)
	landfall(t, "unblock", "abc").expect(t, 2, "abc is not blocked", one[:12], two[:12])
	landfall(t, "unblock", "d").expect(t, 2, "d begins 2 that are blocked")
	if o := landfall(t, "unblock", "D1"); o.code != 0 || o.out != "unblocked "+one+"\n" || len(a.blocks) != 1 {
		t.Errorf("one of two: %+v, left %v", o, a.blocks)
	}
	a.blocks = blocks()
	if o := landfall(t, "unblock"); o.code != 0 || o.out != "unblocked "+one+", "+two+"\n" || len(a.blocks) != 0 {
		t.Errorf("all: %+v, left %v", o, a.blocks)
	}
	if o := landfall(t, "unblock"); o.code != 0 || o.out != "nothing was blocked\n" {
		t.Errorf("none: %+v", o)
	}
	landfall(t, "unblock", "d1").expect(t, 2, "nothing is")
	image := "sha256:" + strings.Repeat("ab", 32)
	for _, named := range []string{image, "sha256:abab", "abab"} {
		a.blocks = append(blocks(), &landfallv1.BlockedCommit{Sha: image, OperationId: "op-9", Reason: "postgres:16: rolled back"})
		landfall(t, "unblock", "cc").expect(t, 2, "sha256:abababababab")
		if o := landfall(t, "unblock", named); o.code != 0 || o.out != "unblocked "+image+"\n" || len(a.blocks) != 2 {
			t.Errorf("an image by %s: %+v, left %v", named, o, a.blocks)
		}
	}
	a.blocks = blocks()
	if got := decode(t, landfall(t, "unblock", "--format", "json").out); got[0]["unblocked_sha"] != two {
		t.Errorf("unblock --format json: %v", got)
	}
}

// An older agent would lift its one block whatever is named.
func TestUnblockOnAnOlderAgent(t *testing.T) {
	one := strings.Repeat("d1", 20)
	a := &agent{older: true, blocks: []*landfallv1.BlockedCommit{{Sha: one}}}
	a.serve(t)
	if landfall(t, "unblock", "abc").expect(t, 2, "abc is not blocked"); len(a.blocks) != 1 {
		t.Error("another commit's block is gone")
	}
	if o := landfall(t, "unblock", "d1d1"); o.code != 0 || o.out != "unblocked "+one+"\n" {
		t.Errorf("%+v", o)
	}
}

package cli

import (
	"strings"
	"testing"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
)

// A pushed revert differs in nothing from what runs, and has to become what runs.
func TestARevertIsDeployed(t *testing.T) {
	repo, base, bad := clone(t)
	revert := repo.Commit("revert", map[string]string{"app/main.txt": "1\n"})
	const said = "no change against what runs: checkout and stamp move, block and pause are lifted"
	a := &agent{
		stamp: base, ends: succeeded, blocks: []*landfallv1.BlockedCommit{{Sha: bad}}, pause: &landfallv1.GitOpsPause{OperationId: "op-5-b"},
		past: []*landfallv1.Operation{{Id: "op-5-b", State: rolledBack}},
	}
	a.serve(t)
	t.Chdir(repo.Dir)
	if o := landfall(t, "plan"); !strings.Contains(o.out, said) || strings.Contains(o.out, "nothing to deploy") {
		t.Errorf("plan: %s", o.out)
	}
	if o := landfall(t, "detect-changes"); !strings.Contains(o.out, "yes: "+said) {
		t.Errorf("detect-changes: %s", o.out)
	}
	landfall(t, "run", "--no-gate").expect(t, 0, "2 commits, 0 files", said)
	if len(a.deploys) != 1 || a.deploys[0].GetTargetSha() != revert || a.deploys[0].GetEverythingReason() != "" {
		t.Errorf("deploys %v", a.deploys)
	}
	output, summary := runnerFiles(t)
	a.pause = nil
	landfall(t, "detect-changes").expect(t, 0)
	if got := outputs(t, output); got["any_deploy"] != "true" || got["any_deploy_reason"] != "no change against what runs: checkout and stamp move, the block is lifted" || got["app"] != "false" {
		t.Errorf("outputs %v", got)
	}
	if page := read(t, summary); !strings.Contains(page, "| Deploys | true: no change against what runs") {
		t.Errorf("summary: %s", page)
	}
	a.blocks = nil
	if o := landfall(t, "plan"); !strings.Contains(o.out, "no change against what runs: checkout and stamp move\n") {
		t.Errorf("plan where nothing is blocked: %s", o.out)
	}
}

// Nothing but a deploy lifts a block or the pause of an operation that failed, so that one is made also where only paths of skip changed.
func TestSkippedPathsAreDeployedWhereSomethingIsToBeLifted(t *testing.T) {
	repo, base, bad := clone(t)
	repo.Commit("revert", map[string]string{"app/main.txt": "1\n"})
	target := repo.Commit("make", map[string]string{"Makefile": "all: x\n"})
	elsewhere := repo.Git("commit-tree", "-m", "elsewhere", target+"^{tree}")
	for name, tt := range map[string]struct {
		blocks []string
		pauser landfallv1.OperationState // of the operation that paused; unspecified: none did
		says   string                    // "" is nothing to deploy
	}{
		"nothing":                {},
		"a block in the past":    {[]string{bad}, 0, "only paths of `skip` changed, but it lifts the block of " + bad[:12]},
		"a block elsewhere":      {[]string{elsewhere, strings.Repeat("c", 40)}, 0, ""},
		"the target is blocked":  {[]string{target}, 0, ""},
		"a failed one's pause":   {nil, rolledBack, "only paths of `skip` changed, but it lifts the pause of op-5-b"},
		"both":                   {[]string{bad}, rolledBack, "the block of " + bad[:12] + " and the pause of op-5-b"},
		"a finished one's pause": {nil, succeeded, ""},
	} {
		t.Run(name, func(t *testing.T) {
			a := &agent{stamp: base, ends: succeeded}
			for _, sha := range tt.blocks {
				a.blocks = append(a.blocks, &landfallv1.BlockedCommit{Sha: sha})
			}
			if tt.pauser != 0 {
				a.pause = &landfallv1.GitOpsPause{OperationId: "op-5-b"}
				a.past = []*landfallv1.Operation{{Id: "op-5-b", State: tt.pauser}}
			}
			a.serve(t)
			t.Chdir(repo.Dir)
			plan, detect, run := landfall(t, "plan"), landfall(t, "detect-changes", "--format", "json"), landfall(t, "run", "--no-gate")
			run.expect(t, 0, tt.says)
			deploys := tt.says != ""
			if len(a.deploys) == 1 != deploys || strings.Contains(run.out, "nothing to deploy") == deploys || strings.Contains(plan.out, "nothing to deploy") == deploys ||
				!strings.Contains(plan.out, tt.says) || decode(t, detect.out)[0]["any_deploy"] != deploys {
				t.Errorf("plan %s\ndetect-changes %s\nrun %q, commands %q", plan.out, detect.out, run.out, a.commands)
			}
		})
	}
}

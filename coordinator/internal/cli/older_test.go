package cli

import (
	"strings"
	"testing"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/git/gittest"
)

const supersededState = landfallv1.OperationState_OPERATION_STATE_SUPERSEDED

// At a prompt, exit code 0 says that what was asked for is so.
func TestOlderThanWhatRunsIsRefusedAtAPrompt(t *testing.T) {
	origin, first, second := clone(t)
	origin.Git("config", "uploadpack.allowAnySHA1InWant", "true")
	behind := gittest.Clone(t, origin)
	third := origin.Commit("three", map[string]string{"app/main.txt": "3\n"})
	stamp := origin.Commit("four", map[string]string{"app/main.txt": "4\n"})
	for name, tt := range map[string]struct {
		dir     string
		command string
		says    []string
	}{
		"run in a clone that is behind":    {behind.Dir, "run --no-gate", []string{"your clone is 2 commits behind what runs, " + stamp[:12], "git pull"}},
		"deploy in a clone that is behind": {behind.Dir, "deploy", []string{"your clone is 2 commits behind what runs, " + stamp[:12], "git pull"}},
		"plan in a clone that is behind":   {behind.Dir, "plan", []string{"your clone is 2 commits behind what runs, " + stamp[:12], "git pull"}},
		"run of an older commit":           {origin.Dir, "run --no-gate --sha HEAD~1", []string{third[:12] + " is older than what runs, 1 commit behind " + stamp[:12], "rollback --to " + third[:12], "--allow-older"}},
		"plan of an older commit":          {origin.Dir, "plan --sha " + first, []string{first[:12] + " is older than what runs, 3 commits behind " + stamp[:12]}},
	} {
		t.Run(name, func(t *testing.T) {
			a := &agent{stamp: stamp, ends: succeeded}
			a.serve(t)
			t.Chdir(tt.dir)
			o := landfall(t, strings.Fields(tt.command)...)
			o.expect(t, 7, tt.says...)
			if o.out != "" || len(a.commands) != 0 || strings.Contains(o.err, "INTERNAL") {
				t.Errorf("stdout %q, commands %q, stderr %s", o.out, a.commands, o.err)
			}
			o = landfall(t, append(strings.Fields(tt.command), "--allow-older", "--format", "json")...)
			o.expect(t, 0)
			if strings.HasPrefix(tt.command, "plan") {
				return
			}
			if len(a.deploys) != 1 || !a.deploys[0].GetAllowOlder() {
				t.Errorf("--allow-older: %v", a.deploys)
			}
		})
	}
	if behind.Head() != second {
		t.Error("looking moved the clone")
	}
}

// A job's run of an older commit is superseded: the newer one has a run of its own.
func TestOlderThanWhatRunsInAJob(t *testing.T) {
	repo, older, stamp := clone(t)
	a := &agent{stamp: stamp, ends: supersededState, endsBy: func(op *landfallv1.Operation) { op.SupersededBy = stamp }}
	a.serve(t)
	output, _ := runnerFiles(t)
	t.Chdir(repo.Dir)
	o := landfall(t, "run", "--no-gate", "--sha", older)
	o.expect(t, 0)
	if got := outputs(t, output); got["superseded"] != "true" || got["superseded_by"] != stamp || got["state"] != "SUPERSEDED" || got["operation"] != theOperation {
		t.Errorf("outputs %v", got)
	}
	if !strings.Contains(o.out, "superseded by "+stamp[:12]) || len(a.deploys) != 1 || strings.Contains(o.err, "::error") {
		t.Errorf("stdout %q, commands %q, stderr %s", o.out, a.commands, o.err)
	}
	if o := landfall(t, "plan", "--sha", older); o.code != 0 || !strings.Contains(o.out, "this deploy would be superseded: "+older[:12]+" is older than what runs") {
		t.Errorf("plan: %+v", o)
	}
}

// What the clone cannot tell the agent does: that is no success at a prompt either.
func TestSupersededByTheAgentAtAPrompt(t *testing.T) {
	repo, base, head := clone(t)
	by := strings.Repeat("b", 40)
	for _, command := range []string{"run --no-gate", "deploy"} {
		a := &agent{stamp: base, ends: supersededState, endsBy: func(op *landfallv1.Operation) { op.SupersededBy = by }}
		a.serve(t)
		t.Chdir(repo.Dir)
		o := landfall(t, strings.Fields(command)...)
		o.expect(t, 7, head[:12]+" was not deployed: "+by[:12]+" runs, which is newer", "git pull", "--allow-older")
		if !strings.Contains(o.out, "SUPERSEDED") {
			t.Errorf("%s: stdout %q", command, o.out)
		}
		landfall(t, "attach", theOperation).expect(t, 0) // nobody asked for a deploy here
	}
}

// A slip at a prompt is no news for a channel.
func TestAnOlderTargetIsNoNews(t *testing.T) {
	bare(t)
	repo, older, stamp := clone(t)
	(&agent{stamp: stamp}).serve(t)
	channel := discord(t)
	t.Chdir(repo.Dir)
	landfall(t, "run", "--no-gate", "--sha", older).expect(t, 7)
	if m := channel.Messages(); len(m) != 0 {
		t.Errorf("%d messages", len(m))
	}
}

// A deploy names what it deploys, and what of the clone it does not.
func TestWhatOfTheCloneIsNotDeployed(t *testing.T) {
	origin, base, head := clone(t)
	repo := gittest.Clone(t, origin)
	repo.Write("app/main.txt", "edited\n")
	a := &agent{stamp: head, ends: succeeded}
	a.serve(t)
	t.Chdir(repo.Dir)
	landfall(t, "run", "--no-gate").expect(t, 0, "1 edited file that nobody committed: app/main.txt", "target "+head[:12]+" (two)")
	repo.Git("checkout", "-q", "--", ".")
	unpushed := repo.Commit("make", map[string]string{"Makefile": "all: x\n"})
	o := landfall(t, "run", "--no-gate")
	o.expect(t, 0, "1 commit that origin/main does not have")
	if o.out != "nothing to deploy at "+unpushed[:12]+"\n" {
		t.Errorf("stdout %q", o.out)
	}
	a.stamp = base
	if o := landfall(t, "plan", "--sha", head); strings.Contains(o.err, "warning") {
		t.Errorf("plan warns: %s", o.err)
	}
}

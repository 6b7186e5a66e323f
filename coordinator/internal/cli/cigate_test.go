package cli

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"ataraxis.dev/landfall/shared/ci/githubtest"
	"ataraxis.dev/landfall/shared/git/gittest"
)

// onGitHub is a repository on GitHub with its workflows, and a job of deploy.yml in it.
type onGitHub struct {
	server             *githubtest.Server
	repo               *gittest.Repo
	base, head         string
	lint, test, deploy *githubtest.Workflow
	own                *githubtest.Run
	runs               []*githubtest.Run // lint, test
	output, summary    string
}

const ciConfig = sampleConfig + "ci: {required: [lint.yml, test.yml], poll: 50ms}\n"

// atGitHub pushes a commit to a repository on GitHub and enters the job that deploys it.
func atGitHub(t *testing.T, a *agent) *onGitHub {
	t.Helper()
	bare(t)
	if a != nil {
		a.serve(t)
	}
	h := &onGitHub{server: githubtest.New(t), repo: gittest.New(t)}
	always := "on: {push: {branches: [main]}}\njobs: {}\n"
	h.base = h.repo.Commit("one", map[string]string{
		"landfall.yaml": ciConfig, "compose.yml": "services: {}\n", "app/main.txt": "1\n",
		".github/workflows/lint.yml": always, ".github/workflows/test.yml": always,
	})
	h.head = h.repo.Commit("two", map[string]string{"app/main.txt": "2\n"})
	r := h.server.AddRepository("ada/fleet")
	h.lint, h.test, h.deploy = r.AddWorkflow("lint.yml"), r.AddWorkflow("test.yml"), r.AddWorkflow("deploy.yml")
	runs := r.Push(h.head, h.deploy, h.lint, h.test)
	h.own, h.runs = runs[0], runs[1:]
	h.own.Set("in_progress")
	if a != nil {
		a.stamp = h.base
	}
	h.output, h.summary = runnerFiles(t)
	for name, value := range map[string]string{
		"GITHUB_API_URL": h.server.URL(), "GITHUB_TOKEN": githubtest.Token, "GITHUB_REPOSITORY": "ada/fleet", "GITHUB_SHA": h.head, "GITHUB_REF": "refs/heads/main",
		"GITHUB_RUN_ID": strconv.FormatInt(h.own.ID(), 10), "GITHUB_WORKFLOW_REF": "ada/fleet/.github/workflows/deploy.yml@refs/heads/main", "GITHUB_JOB": "deploy",
	} {
		t.Setenv(name, value)
	}
	t.Chdir(h.repo.Dir)
	return h
}

// green completes the runs of lint and test.
func (h *onGitHub) green() {
	for _, run := range h.runs {
		run.Complete("success")
	}
}

func TestGatePasses(t *testing.T) {
	h := atGitHub(t, nil)
	h.green()
	o := landfall(t, "ci-gate")
	o.expect(t, 0, "waiting for lint.yml, test.yml of "+h.head[:12])
	if got := outputs(t, h.output); got["verdict"] != "pass" || !strings.Contains(got["reason"], "lint.yml (success)") {
		t.Errorf("outputs: %q", got)
	}
	if page := read(t, h.summary); !strings.Contains(page, "### CI gate: pass") || !strings.Contains(page, "| `test.yml` | pass | success |") {
		t.Errorf("summary: %s", page)
	}
	if !strings.HasPrefix(o.out, "pass: ") {
		t.Errorf("stdout: %s", o.out)
	}
}

func TestGateBlocks(t *testing.T) {
	h := atGitHub(t, nil)
	h.runs[1].Complete("failure") // lint still runs: one failure is enough
	landfall(t, "ci-gate").expect(t, 3, "::error title=GATE_BLOCKED::test.yml")
	o := landfall(t, "ci-gate", "--format", "json")
	o.expect(t, 3, "test.yml")
	got := decode(t, o.out)[0]
	if got["verdict"] != "blocked" || outputs(t, h.output)["verdict"] != "blocked" || !strings.Contains(o.out, `"file":"test.yml","decision":"blocked","status":"failure"`) {
		t.Errorf("stdout: %s", o.out)
	}
	if !strings.Contains(read(t, h.summary), "### CI gate: blocked") {
		t.Errorf("summary: %s", read(t, h.summary))
	}
}

func TestGateRunsOutOfTime(t *testing.T) {
	h := atGitHub(t, nil)
	h.runs[0].Set("in_progress")
	landfall(t, "ci-gate", "--timeout", "400ms").expect(t, 3, "lint.yml in_progress", "test.yml queued")
	if got := outputs(t, h.output); got["verdict"] != "timeout" {
		t.Errorf("outputs: %q", got)
	}
}

func TestGateEndsForANewerDeploy(t *testing.T) {
	h := atGitHub(t, nil)
	newer := h.deploy.Start(githubtest.NewRun{SHA: strings.Repeat("b", 40), Status: "pending"})
	landfall(t, "ci-gate", "--timeout", "10s").expect(t, 0, "superseded", fmt.Sprint(newer.Number()))
	if got := outputs(t, h.output); got["verdict"] != "superseded" {
		t.Errorf("outputs: %q", got)
	}
}

func TestGateNeedsAToken(t *testing.T) {
	atGitHub(t, nil)
	t.Setenv("GITHUB_TOKEN", "wrong")
	landfall(t, "ci-gate").expect(t, 2, "GITHUB_TOKEN")
	t.Setenv("GITHUB_REPOSITORY", "")
	landfall(t, "ci-gate").expect(t, 2, "--repository")
	landfall(t, "ci-gate", "--repository", "ada/nothing", "--workflows", "lint.yml").expect(t, 2)
}

// The main job waits for CI before it speaks to the agent at all.
func TestRunWaitsForCI(t *testing.T) {
	a := &agent{ends: succeeded}
	h := atGitHub(t, a)
	h.runs[0].Complete("failure")
	landfall(t, "run").expect(t, 3, "lint.yml")
	if len(a.commands) != 0 {
		t.Fatalf("commands: %q", a.commands)
	}

	h.runs[0].Rerun()
	h.green()
	landfall(t, "run").expect(t, 0, "caroline runs "+h.base[:12])
	got := outputs(t, h.output)
	for name, want := range map[string]string{
		"verdict": "pass", "any_deploy": "true", "app": "true", "docs": "false", "operation": theOperation, "state": "SUCCEEDED", "superseded": "false", "base_sha": h.base,
	} {
		if got[name] != want {
			t.Errorf("output %s is %q, want %q", name, got[name], want)
		}
	}
	page := read(t, h.summary)
	for _, part := range []string{"### CI gate: pass", "### Changes:", "### Plan for sample", "`" + h.head[:12] + "`: SUCCEEDED"} {
		if !strings.Contains(page, part) {
			t.Errorf("the summary lacks %q:\n%s", part, page)
		}
	}
}

func TestDeployYieldsToANewerOne(t *testing.T) {
	a := &agent{}
	h := atGitHub(t, a)
	const sha = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	newer := h.deploy.Start(githubtest.NewRun{SHA: sha})
	newer.Set("queued")
	o := landfall(t, "deploy")
	o.expect(t, 0, "superseded")
	if len(a.commands) != 0 || !strings.HasPrefix(o.out, "superseded: ") {
		t.Errorf("stdout %q, commands %q", o.out, a.commands)
	}
	if got := outputs(t, h.output); got["state"] != "SUPERSEDED" || got["superseded"] != "true" || got["superseded_by"] != sha || got["operation"] != "" {
		t.Errorf("outputs: %q", got)
	}

	newer.Complete("failure") // it will not deploy after all
	landfall(t, "deploy").expect(t, 0)
	if len(a.commands) != 1 || a.commands[0] != "deploy "+h.head+" asking" {
		t.Errorf("commands: %q", a.commands)
	}
}

func TestDeployCanIgnoreNewerOnes(t *testing.T) {
	a := &agent{}
	h := atGitHub(t, a)
	h.deploy.Start(githubtest.NewRun{SHA: strings.Repeat("b", 40), Status: "pending"})
	landfall(t, "deploy", "--no-supersede-check").expect(t, 0)
	if len(a.commands) != 1 || a.commands[0] != "deploy "+h.head {
		t.Errorf("commands: %q", a.commands)
	}
}

// A GitHub that does not answer stops no deploy: the agent itself refuses what is older than what runs.
func TestDeployWithoutAnAnswerOfGitHub(t *testing.T) {
	a := &agent{}
	h := atGitHub(t, a)
	h.server.SetSecondary(githubtest.Secondary{Requests: 100})
	landfall(t, "deploy").expect(t, 0, "warning: nobody could look for a newer deploy")
	if len(a.commands) != 1 {
		t.Errorf("commands: %q", a.commands)
	}
}

func TestRunCanIgnoreNewerOnes(t *testing.T) {
	a := &agent{ends: succeeded}
	h := atGitHub(t, a)
	h.green()
	const sha = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	h.deploy.Start(githubtest.NewRun{SHA: sha, Status: "pending"})
	landfall(t, "run").expect(t, 0, "superseded")
	if got := outputs(t, h.output); got["superseded_by"] != sha || len(a.commands) != 0 {
		t.Errorf("outputs %q, commands %q", got, a.commands)
	}
	landfall(t, "run", "--no-supersede-check").expect(t, 0)
	if len(a.commands) != 1 || a.commands[0] != "deploy "+h.head {
		t.Errorf("commands: %q", a.commands)
	}
}

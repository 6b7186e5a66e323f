package e2e

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ataraxis.dev/landfall/scripts/e2e/runner"
	"ataraxis.dev/landfall/shared/ci/githubtest"
	"ataraxis.dev/landfall/shared/discordtest"
)

// actionsConfig is a fleet that GitHub Actions deploys: rendered workflows, a gate, notifications. %s are the agent's
// address, the runner's identity, and where hosted runners get the coordinator.
const actionsConfig = `version: 1
project: den
stacks: {all: {files: [compose.yml]}}
environment: {REVISION: "${target_sha}"}
ci: {required: [lint.yml, test.yml], poll: 200ms, timeout: 60s}
flags:
  front: {paths: ["front/**"], actions: [rebuild]}
  settings: {paths: ["settings/**"], actions: [settings]}
  docs: {paths: ["docs/**"]}
actions:
  rebuild:
    - build: {stack: all, services: [front], args: {REVISION: "${target_sha}"}}
    - up: {stack: all, services: [front]}
  settings:
    - recreate: {stack: all, services: [side], no_deps: true}
skip: [Makefile]
verify: {deadline: 20s, soak: 1s, probes: {up: {containers: {}}}}
notify: {full_when: [settings], suppress_when_only: [docs]}
workflows:
  runner: [self-hosted, den]
  agent: %s
  identity: %s
  coordinator: {url: "%s", sha256: %s}
  lint: {shell: {paths: ["**/*.sh"], command: [shellcheck]}}
  test: {front: {flags: [front], commands: [[./test.sh]]}}
`

// github is a repository on GitHub whose workflows were rendered from landfall.yaml, with a host that they deploy to.
type github struct {
	*host
	server             *githubtest.Server
	discord            *discordtest.Server
	lint, test, deploy *githubtest.Workflow
	repository         *githubtest.Repository
	paths              map[string]string // PATH by kind of runner
	runs               int
}

// atGitHub makes the repository, renders its workflows, and takes a running fleet over.
func atGitHub(t *testing.T) *github {
	t.Helper()
	channel, err := discordtest.Start(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = channel.Close() })
	g := &github{server: githubtest.New(t), discord: channel}
	g.repository = g.server.AddRepository("ada/den")
	g.lint, g.test, g.deploy = g.repository.AddWorkflow("lint.yml"), g.repository.AddWorkflow("test.yml"), g.repository.AddWorkflow("deploy.yml")
	g.host = newHost(t, "landfall.yaml", map[string]string{
		"compose.yml":          tinyCompose,
		"front/Dockerfile":     "ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nARG REVISION=none\nENV GIT_SHA=${REVISION}\nCOPY message.txt /message.txt\nCMD [\"serve\", \"--message\", \"/message.txt\"]\n",
		"front/message.txt":    "one\n",
		"settings/message.txt": "one\n",
		"docs/a.md":            "one\n",
		"Makefile":             "all:\n",
		".gitignore":           ".env\n",
		"test.sh":              "#!/bin/sh\nexit 0\n",
	})
	g.address = freeAddress(t)
	url, sum := g.serveCoordinator()
	g.dev.Write("landfall.yaml", fmt.Sprintf(actionsConfig, g.address, filepath.Join(g.ids, "deployer"), url, sum))
	g.must("workflows", "render")
	g.must("check")
	g.push("workflows", nil)
	g.tree.Git("pull", "--quiet", "--ff-only", "origin", "main")
	g.tree.Write(".env", "COMPOSE_PROJECT_NAME="+g.project+"\nBASE_IMAGE="+baseImage(t)+"\n")
	g.compose("", nil, "up", "--detach", "--build")
	g.stamp(g.tree.Head())
	g.startAgent()
	g.layPaths()
	return g
}

// serveCoordinator offers the program as a release page does.
func (g *github) serveCoordinator() (url, sum string) {
	g.t.Helper()
	raw, err := os.ReadFile(bin.coordinator)
	if err != nil {
		g.t.Fatal(err)
	}
	files := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(raw) }))
	g.t.Cleanup(files.Close)
	return files.URL + "/landfall-coordinator", fmt.Sprintf("%x", sha256.Sum256(raw))
}

// layPaths gives the own runner a coordinator in its PATH, and hosted ones none.
func (g *github) layPaths() {
	g.t.Helper()
	own := shortDir(g.t)
	if err := os.Symlink(bin.coordinator, filepath.Join(own, "landfall-coordinator")); err != nil {
		g.t.Fatal(err)
	}
	if found, err := exec.LookPath("landfall-coordinator"); err == nil {
		g.t.Fatalf("PATH has a coordinator already: %s", found)
	}
	g.paths = map[string]string{"github-hosted": os.Getenv("PATH"), "self-hosted": own + ":" + os.Getenv("PATH")}
}

// pushed begins the runs of a push, the deploy's two minutes ago, so that the gate's grace is over.
func (g *github) pushed(sha string, others ...*githubtest.Workflow) (own *githubtest.Run, started []*githubtest.Run) {
	created := time.Now().Add(-2 * time.Minute)
	own = g.deploy.Start(githubtest.NewRun{SHA: sha, Status: "in_progress", Created: created})
	for _, w := range others {
		started = append(started, w.Start(githubtest.NewRun{SHA: sha, Status: "completed", Conclusion: "success", Created: created}))
	}
	return own, started
}

// actions runs deploy.yml as a runner does.
func (g *github) actions(own *githubtest.Run, event, sha string, change ...func(*runner.Run)) runner.Result {
	g.t.Helper()
	g.runs++
	r := runner.Run{
		File: filepath.Join(g.dev.Dir, ".github/workflows/deploy.yml"), Work: filepath.Join(g.ids, fmt.Sprintf("work%d", g.runs)),
		Event: event, Repository: "ada/den", Ref: "refs/heads/main", SHA: sha, ID: own.ID(), Number: own.Number(), Attempt: 1,
		APIURL: g.server.URL(), Token: githubtest.Token, Secrets: map[string]string{"DISCORD_WEBHOOK_URL": g.discord.WebhookURL()},
		Payload: map[string]any{
			"before": g.dev.Git("rev-parse", sha+"~1"), "after": sha, "ref": "refs/heads/main", "repository": map[string]any{"full_name": "ada/den"},
			"commits": []any{map[string]any{"id": sha}}, "head_commit": map[string]any{"message": g.dev.Git("log", "-1", "--format=%B", sha)},
		},
		Environ: func(kind string) []string { return []string{"PATH=" + g.paths[kind], "HOME=" + g.ids} },
		Checkout: func(_ context.Context, workspace string, with map[string]string) error {
			depth := []string{"--depth=1"}
			if with["fetch-depth"] == "0" {
				depth = nil
			}
			args := append(append([]string{"clone", "--quiet", "--no-checkout"}, depth...), g.origin.URL(), workspace)
			if out, err := exec.Command("git", args...).CombinedOutput(); err != nil {
				return fmt.Errorf("git %v: %w\n%s", args, err, out)
			}
			out, err := exec.Command("git", "-C", workspace, "checkout", "--quiet", "--detach", sha).CombinedOutput()
			if err != nil {
				return fmt.Errorf("git checkout: %w\n%s", err, out)
			}
			return nil
		},
	}
	for _, c := range change {
		c(&r)
	}
	ctx, cancel := context.WithTimeout(g.t.Context(), 3*time.Minute)
	defer cancel()
	result, err := runner.Execute(ctx, r)
	if err != nil {
		g.t.Fatal(err)
	}
	return result
}

// ended checks how every job ended: "ci-gate success, deploy skipped".
func (g *github) ended(result runner.Result, want string) {
	g.t.Helper()
	var got []string
	for _, id := range []string{"ci-gate", "detect-changes", "deploy", "verify", "notify"} {
		got = append(got, id+" "+result.Jobs[id].Result)
	}
	if text := strings.Join(got, ", "); text != want {
		g.t.Errorf("jobs: %s\nwant: %s\n%s", text, want, logs(result))
	}
}

// logs is everything that the steps printed.
func logs(result runner.Result) string {
	var b strings.Builder
	for _, id := range result.Order {
		for _, step := range result.Jobs[id].Steps {
			if step.Log != "" {
				fmt.Fprintf(&b, "--- %s, %s: %s\n%s", id, step.Name, step.Outcome, step.Log)
			}
		}
	}
	return b.String()
}

// commands are the workflow commands that the runner obeys, by name, of all steps.
func commands(result runner.Result, name string) []string {
	var values []string
	for _, id := range result.Order {
		for _, step := range result.Jobs[id].Steps {
			for _, c := range runner.Commands(step.Log) {
				if c.Name == name {
					values = append(values, strings.TrimSpace(c.Properties+" "+c.Value))
				}
			}
		}
	}
	return values
}

// summaries are the summaries of all steps of a job.
func summaries(result runner.Result, job string) string {
	var b strings.Builder
	for _, step := range result.Jobs[job].Steps {
		b.WriteString(step.Summary)
	}
	return b.String()
}

func (g *github) checkOutputs(result runner.Result, job string, want map[string]string) {
	g.t.Helper()
	for name, value := range want {
		if got := result.Jobs[job].Outputs[name]; got != value {
			g.t.Errorf("output %s of %s is %q, want %q", name, job, got, value)
		}
	}
}

const allGood = "ci-gate success, detect-changes success, deploy success, verify success, notify success"

// The rendered deploy.yml, run as a runner does: real programs, real agent, real engine; GitHub and Discord are
// the fakes that keep their limits.
func TestActionsDeploy(t *testing.T) {
	t.Parallel()
	g := atGitHub(t)
	base := g.tree.Head()

	t.Run("a push", func(t *testing.T) {
		sha := g.push("front: two", map[string]string{"front/message.txt": "two\n"})
		own, _ := g.pushed(sha, g.lint, g.test)
		before := g.containers()
		result := g.actions(own, "push", sha)
		g.ended(result, allGood)
		g.checkOutputs(result, "ci-gate", map[string]string{"verdict": "pass", "sha": sha})
		g.checkOutputs(result, "detect-changes", map[string]string{
			"any_deploy": "true", "front": "true", "settings": "false", "docs": "false", "base_sha": base, "head_sha": sha, "files_changed": "1",
			"insertions": "1", "deletions": "1", "commits": "1", "unclaimed": "[]",
		})
		g.checkOutputs(result, "deploy", map[string]string{"state": "AWAITING_VERIFY", "pre_deploy_sha": base, "superseded": "false", "superseded_by": ""})
		g.checkOutputs(result, "verify", map[string]string{"state": "SUCCEEDED"})
		g.checkOutputs(result, "notify", map[string]string{"notification": "CONDENSED"})
		after := g.containers()
		if g.readStamp() != sha || after["front"] == before["front"] || after["side"] != before["side"] {
			t.Errorf("stamp %s, containers before %v, after %v", g.readStamp(), before, after)
		}
		for job, parts := range map[string][]string{
			"ci-gate":        {"### CI gate: pass", "| `test.yml` | pass | success |"},
			"detect-changes": {"### Changes:", "| `front/message.txt` | `front` | `rebuild` |"},
			"deploy":         {"AWAITING_VERIFY", "```mermaid\ngantt\n"},
			"verify":         {"SUCCEEDED", "| Probe |", "| `up` | passed |", "section VERIFYING"},
		} {
			for _, part := range parts {
				if !strings.Contains(summaries(result, job), part) {
					t.Errorf("the summary of %s lacks %q:\n%s", job, part, summaries(result, job))
				}
			}
		}
		if errors := commands(result, "error"); len(errors) > 0 {
			t.Errorf("annotations: %q", errors)
		}
		if groups := commands(result, "group"); !slices.ContainsFunc(groups, func(s string) bool { return strings.Contains(s, "build/rebuild/1") }) {
			t.Errorf("groups: %q", groups)
		}
		if m := g.discord.Messages(); len(m) != 1 || !strings.Contains(m[0].Raw, sha[:10]) {
			t.Errorf("messages: %v", m)
		}
		if strings.Contains(strings.ReplaceAll(logs(result), "::add-mask::"+g.discord.Token(), ""), g.discord.Token()+" ") {
			t.Error("the log shows the webhook")
		}
	})

	t.Run("names that give commands", func(t *testing.T) {
		const evil = "settings/::error::x\n::add-mask::y `|<img>.txt"
		sha := g.push("::set-output name=x::y\n\n::error::forged\n`${{ github.token }}` $(touch /tmp/pwned) @everyone", map[string]string{
			evil: "x\n", "front/message.txt": "three\n", "$(id).txt": "unclaimed\n",
			"front/Dockerfile": "ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nARG REVISION=none\nENV GIT_SHA=${REVISION}\nLABEL x=\"::warning::from a build ##[error]\"\n" +
				"COPY message.txt /message.txt\nCMD [\"serve\", \"--message\", \"/message.txt\"]\n",
		})
		own, _ := g.pushed(sha, g.lint, g.test)
		result := g.actions(own, "push", sha)
		g.ended(result, allGood)
		g.checkOutputs(result, "detect-changes", map[string]string{"files_changed": "4", "front": "true", "settings": "true", "unclaimed": `["$(id).txt"]`})
		g.checkOutputs(result, "notify", map[string]string{"notification": "FULL"})
		for _, name := range []string{"error", "warning", "add-mask", "set-output"} {
			for _, value := range commands(result, name) {
				if strings.Contains(value, "forged") || strings.Contains(value, "from a build") || value == "x" || value == "y" || strings.HasPrefix(value, "y ") {
					t.Errorf("the runner obeys %s %q", name, value)
				}
			}
		}
		if g.readStamp() != sha {
			t.Errorf("stamp %s", g.readStamp())
		}
	})

	t.Run("nothing to deploy", func(t *testing.T) {
		sha := g.push("make", map[string]string{"Makefile": "all: x\n"})
		own, _ := g.pushed(sha, g.lint, g.test)
		g.ended(g.actions(own, "push", sha), "ci-gate success, detect-changes success, deploy skipped, verify skipped, notify skipped")
	})

	t.Run("not triggered", func(t *testing.T) {
		sha := g.push("docs", map[string]string{"docs/a.md": "two\n"})
		own, _ := g.pushed(sha) // neither lint.yml nor test.yml watches docs
		result := g.actions(own, "push", sha)
		g.ended(result, allGood)
		if reason := result.Jobs["ci-gate"].Outputs["reason"]; !strings.Contains(reason, "lint.yml (not triggered)") || !strings.Contains(reason, "test.yml (not triggered)") {
			t.Errorf("reason: %s", reason)
		}
		g.checkOutputs(result, "notify", map[string]string{"notification": "SUPPRESS"})
	})

	t.Run("lint fails", func(t *testing.T) {
		stamp, messages := g.readStamp(), len(g.discord.Messages())
		sha := g.push("bad lint", map[string]string{"front/message.txt": "four\n"})
		own, started := g.pushed(sha, g.lint, g.test)
		started[0].Complete("failure")
		result := g.actions(own, "push", sha)
		g.ended(result, "ci-gate failure, detect-changes success, deploy skipped, verify skipped, notify success")
		g.checkOutputs(result, "ci-gate", map[string]string{"verdict": "blocked"})
		if errors := commands(result, "error"); len(errors) != 1 || !strings.Contains(errors[0], "GATE_BLOCKED") {
			t.Errorf("annotations: %q", errors)
		}
		if m := g.discord.Messages(); len(m) != messages+1 || !strings.Contains(m[messages].Raw, "ci-gate") || g.readStamp() != stamp {
			t.Errorf("messages: %v, stamp %s", m[messages:], g.readStamp())
		}
	})

	t.Run("a bad commit", func(t *testing.T) {
		stamp, before, messages := g.readStamp(), g.containers(), len(g.discord.Messages())
		sha := g.push("bad", map[string]string{
			"front/message.txt": "five\n",
			"front/Dockerfile":  "ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nARG REVISION=none\nCOPY message.txt /message.txt\nCMD [\"serve\", \"--no-such-flag\"]\n",
		})
		own, _ := g.pushed(sha, g.lint, g.test)
		result := g.actions(own, "push", sha)
		verify, deploy := result.Jobs["verify"], result.Jobs["deploy"]
		if deploy.Result != "failure" && verify.Result != "failure" {
			t.Errorf("the jobs do not fail:\n%s", logs(result))
		}
		if g.readStamp() != stamp || g.tree.Git("rev-parse", "HEAD") != stamp || g.containers()["side"] != before["side"] {
			t.Errorf("not rolled back: stamp %s, HEAD %s", g.readStamp(), g.tree.Head())
		}
		g.checkOutputs(result, "notify", map[string]string{"notification": "FAILURE"})
		if m := g.discord.Messages(); len(m) != messages+1 || !strings.Contains(m[messages].Raw, "rolled back") {
			t.Errorf("messages: %v", m[messages:])
		}
		if page := summaries(result, "verify") + summaries(result, "deploy"); !strings.Contains(page, "ROLLED_BACK") || !strings.Contains(page, "> [!CAUTION]") {
			t.Errorf("summary:\n%s", page)
		}
	})

	t.Run("by hand", func(t *testing.T) {
		sha := g.push("mend", map[string]string{
			"front/message.txt": "six\n",
			"front/Dockerfile":  "ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nARG REVISION=none\nENV GIT_SHA=${REVISION}\nCOPY message.txt /message.txt\nCMD [\"serve\", \"--message\", \"/message.txt\"]\n",
		})
		g.pushed(sha, g.lint, g.test)
		own := g.deploy.Start(githubtest.NewRun{SHA: sha, Event: "workflow_dispatch", Status: "in_progress"})
		result := g.actions(own, "workflow_dispatch", sha, func(r *runner.Run) { r.Inputs = map[string]any{"sha": sha} })
		g.ended(result, allGood)
		g.checkOutputs(result, "notify", map[string]string{"notification": "FULL"}) // a recovery
		if g.readStamp() != sha {
			t.Errorf("stamp %s", g.readStamp())
		}
	})

	t.Run("a newer push meanwhile", func(t *testing.T) {
		stamp, before := g.readStamp(), g.containers()
		sha := g.push("overtaken", map[string]string{"front/message.txt": "seven\n"})
		newer := g.push("newer", map[string]string{"front/message.txt": "eight\n"})
		own, _ := g.pushed(sha, g.lint, g.test)
		result := g.actions(own, "push", sha, func(r *runner.Run) {
			r.Before = func(job string) {
				if job == "deploy" {
					g.newerAfterTheFirstLook(newer)
				}
			}
		})
		g.ended(result, "ci-gate success, detect-changes success, deploy success, verify skipped, notify skipped")
		g.checkOutputs(result, "deploy", map[string]string{"state": "SUPERSEDED", "superseded": "true", "superseded_by": newer})
		if log := logs(result); !strings.Contains(log, "prove/newer") {
			t.Errorf("it was superseded before the agent asked:\n%s", log)
		}
		after := g.containers()
		if g.readStamp() != stamp || after["front"] != before["front"] || g.tree.Git("rev-parse", "HEAD") != stamp {
			t.Errorf("something was touched: stamp %s, containers before %v, after %v", g.readStamp(), before, after)
		}
	})
}

// newerAfterTheFirstLook begins a newer deploy as soon as the coordinator has seen that there is none.
func (g *github) newerAfterTheFirstLook(sha string) {
	g.server.ForgetRequests()
	list := fmt.Sprintf("/actions/workflows/%d/runs", g.deploy.ID())
	go func() {
		for g.t.Context().Err() == nil {
			if slices.ContainsFunc(g.server.Requests(), func(r githubtest.Request) bool { return strings.HasSuffix(r.Path, list) && r.Status == http.StatusOK }) {
				g.deploy.Start(githubtest.NewRun{SHA: sha, Status: "pending"})
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
}

package e2e

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"ataraxis.dev/landfall/shared/ci/githubtest"
)

// alone is a host that follows its branch by itself: a tiny fleet with CI, and a GitHub.
type alone struct {
	*host
	github *githubtest.Server
	test   *githubtest.Workflow
	config string // agent.yaml
	side   string // name of the image of the service side
}

// aloneConfig is the tiny fleet's, with CI and a line more. Its noise builds nothing: an image that is built and not used is drift.
func aloneConfig(line string) string {
	config := strings.Replace(tinyConfig, "skip: [Makefile]", "skip: [Makefile]\nci: {required: [test.yml]}\n"+line, 1)
	return strings.Replace(config, "    - script: noise/print.sh\n    - build: {stack: all, services: [front]}\n", "    - script: noise/print.sh\n", 1)
}

func newAlone(t *testing.T) *alone {
	t.Helper()
	return newAloneWith(t, aloneConfig("gitops: {drift: {pulled_images: true}}"), "")
}

// newAloneWith has a landfall.yaml of its own, and may have another image of side, which is there.
func newAloneWith(t *testing.T, config, side string) *alone {
	t.Helper()
	a := &alone{host: tinyHost(t), github: githubtest.New(t)}
	a.test = a.github.AddRepository("owner/name").AddWorkflow("test.yml")
	token := filepath.Join(a.ids, "github-token")
	if err := os.WriteFile(token, []byte(githubtest.Token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	// The image of side has a name of its own, so that it can be moved on.
	if a.side = side; side == "" {
		a.side = a.project + "-side:1"
		a.docker("tag", baseImage(t), a.side)
	}
	t.Cleanup(func() { _ = exec.Command("docker", "rmi", "-f", a.side).Run() }) // it may be in use by what is cleaned up later
	sha := a.push("converge", map[string]string{
		"ops/landfall.yaml":          config,
		".github/workflows/test.yml": "on: {push: {branches: [main]}}\njobs: {a: {runs-on: x, steps: []}}\n",
		"docker-compose.yml":         strings.Replace(tinyCompose, "  side:\n    image: ${BASE_IMAGE}", "  side:\n    image: "+a.side, 1),
	})
	a.tree.Git("pull", "-q", "--ff-only")
	a.compose("", []string{"REVISION=" + sha}, "up", "--detach", "--build")
	a.stamp(sha)
	a.startAgent("converge: {every: 15m}", "github: {repository: owner/name, token_file: "+token+", api_url: "+a.github.URL()+"}")
	a.config = filepath.Join(a.ids, "agent.yaml")
	return a
}

// ticked is what a tick said.
type ticked struct {
	Tick struct {
		Outcome, Reason, Message string
		Drift                    []struct{ Service, Kind string }
	}
	Operation struct{ ID, State string }
}

// tick has the agent make a tick, as the timer does, and waits for what it begins.
func (a *alone) tick(outcome, reason string, args ...string) ticked {
	a.t.Helper()
	out, err := exec.Command(bin.agent, append([]string{"converge", "--config", a.config, "--format", "json"}, args...)...).CombinedOutput()
	var got ticked
	if err == nil {
		err = json.Unmarshal(out, &got)
	}
	if err != nil {
		a.t.Fatalf("%v: %s", err, out)
	}
	if got.Tick.Outcome != "TICK_OUTCOME_"+outcome || got.Tick.Reason != reason {
		a.t.Fatalf("%s %s: %s; want %s %s", got.Tick.Outcome, got.Tick.Reason, got.Tick.Message, outcome, reason)
	}
	if got.Operation.ID != "" && len(args) == 0 {
		a.coordinate("deployer", "attach", got.Operation.ID)
		got.Operation.State, _ = a.operation()["state"].(string)
		got.Operation.State = strings.TrimPrefix(got.Operation.State, "OPERATION_STATE_")
	}
	return got
}

// revision is the commit that a service's container was made with.
func (a *alone) revision(service string) string {
	a.t.Helper()
	return strings.Join(a.docker("inspect", "--format", `{{range .Config.Env}}{{println .}}{{end}}`, a.containers()[service]), " ")
}

// passes has CI run for a commit.
func (a *alone) passes(sha, conclusion string) *githubtest.Run {
	if conclusion == "" {
		return a.test.Start(githubtest.NewRun{SHA: sha, Status: "in_progress"})
	}
	return a.test.Start(githubtest.NewRun{SHA: sha, Conclusion: conclusion})
}

// TestConvergence: a host that nobody deploys to keeps itself right, by ticks alone.
func TestConvergence(t *testing.T) {
	t.Parallel()
	a := newAlone(t)
	a.tick("NOTHING", "IN_STEP")
	before := a.containers()

	// A push comes live after green CI, and not before.
	sha := a.push("second edition", map[string]string{"front/message.txt": "two\n"})
	a.tick("SKIPPED", "CI_PENDING")
	run := a.passes(sha, "")
	a.tick("SKIPPED", "CI_PENDING")
	run.Complete("failure")
	a.tick("SKIPPED", "CI_RED")
	if a.tree.Head() == sha || a.containers()["front"] != before["front"] {
		t.Fatal("a commit that did not pass CI was deployed")
	}
	run.Rerun()
	run.Complete("success")
	if got := a.tick("DEPLOY", "NEW_COMMIT", "--dry-run"); got.Operation.ID != "" || a.tree.Head() == sha {
		t.Errorf("a dry run did something: %+v", got)
	}
	if got := a.tick("DEPLOY", "NEW_COMMIT"); got.Operation.State != "SUCCEEDED" || a.readStamp() != sha || !strings.Contains(a.revision("front"), sha) {
		t.Fatalf("%+v, stamp %s, front has %s", got, a.readStamp(), a.revision("front"))
	}
	if who := a.operation()["requester"]; who != "agent/converge" {
		t.Errorf("asked for by %v", who)
	}
	if now := a.containers(); now["side"] != before["side"] {
		t.Error("side was replaced by a commit that does not speak of it")
	}
	a.tick("NOTHING", "IN_STEP")

	// What differs is repaired when it was seen twice, and nothing else is touched.
	a.repaired("missing", "side", func() { a.docker("rm", "-f", a.containers()["side"]) })
	a.repaired("exited", "front", func() { a.docker("kill", a.containers()["front"]) })
	byHand := filepath.Join(a.ids, "by-hand.yml")
	if err := os.WriteFile(byHand, []byte("services: {front: {labels: {by: hand}}}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	a.repaired("config", "front", func() {
		a.compose("", []string{"COMPOSE_FILE=docker-compose.yml:overlay.yml:" + byHand}, "up", "--detach", "--no-deps", "front")
	})
	a.repaired("image", "side", func() { a.docker("tag", a.other(), a.side) })

	// An agent that starts anew between two ticks touches nothing.
	before = a.containers()
	a.stopAgent()
	a.startAgent("converge: {every: 15m}", "github: {repository: owner/name, token_file: "+filepath.Join(a.ids, "github-token")+", api_url: "+a.github.URL()+"}")
	for range 3 {
		a.tick("NOTHING", "IN_STEP")
	}
	if now := a.containers(); !sameContainers(before, now) {
		t.Errorf("ticks with nothing to do replaced containers: %v, %v", before, now)
	}
	a.coordinate("observer", "status").expect(t, 0, "last tick", "nothing to do", "next tick")
	a.coordinate("observer", "drift").expect(t, 0, "2 services as the checkout says")
}

// other is another image with the same program.
func (a *alone) other() string {
	a.t.Helper()
	name := a.project + "-other:1"
	build := exec.Command("docker", "build", "-q", "-t", name, "-")
	build.Stdin = strings.NewReader("FROM " + baseImage(a.t) + "\nLABEL other=yes\n")
	if out, err := build.CombinedOutput(); err != nil {
		a.t.Fatalf("%v: %s", err, out)
	}
	a.t.Cleanup(func() { _ = exec.Command("docker", "rmi", "-f", name).Run() }) // it may be in use by what is cleaned up later
	return name
}

// repaired makes a service drift, and expects a tick to tell and the next one to repair that service alone.
func (a *alone) repaired(kind, service string, drift func()) {
	a.t.Helper()
	drift()
	before := a.containers()
	got := a.tick("SKIPPED", "DRIFT_SEEN")
	if len(got.Tick.Drift) != 1 || got.Tick.Drift[0].Service != service || got.Tick.Drift[0].Kind != "DRIFT_KIND_"+strings.ToUpper(kind) {
		a.t.Fatalf("%s: %+v", kind, got.Tick.Drift)
	}
	a.coordinate("observer", "drift").expect(a.t, 1, service, kind)
	if !sameContainers(before, a.containers()) {
		a.t.Fatalf("%s: touched when it was seen once", kind)
	}
	if got := a.tick("REPAIR", "DRIFT"); got.Operation.State != "SUCCEEDED" {
		a.t.Fatalf("%s: %+v, %s", kind, got, a.failure("message"))
	}
	for name, id := range a.containers() {
		if name != service && before[name] != id {
			a.t.Errorf("%s of %s replaced %s", kind, service, name)
		}
		if state := a.docker("inspect", "--format", "{{.State.Status}}", id)[0]; state != "running" {
			a.t.Errorf("%s: %s is %s", kind, name, state)
		}
	}
	a.tick("NOTHING", "IN_STEP")
}

func sameContainers(a, b map[string]string) bool {
	if len(a) != len(b) {
		return false
	}
	for service, id := range a {
		if b[service] != id {
			return false
		}
	}
	return true
}

// TestConvergenceMeetsTrouble: what is bad is rolled back, blocked and left alone; what diverged is reported; what cannot be told holds.
func TestConvergenceMeetsTrouble(t *testing.T) {
	t.Parallel()
	a := newAlone(t)
	// A tick while something else changes the host is skipped.
	slow := a.push("slow", map[string]string{"noise/print.sh": "#!/bin/sh\nsleep 5\n"})
	a.passes(slow, "success")
	begun := a.tick("DEPLOY", "NEW_COMMIT", "--timeout", "1m")
	a.tick("SKIPPED", "BUSY")
	a.coordinate("deployer", "attach", begun.Operation.ID).expect(t, 0)

	// A bad commit: rolled back, blocked, left alone by the next ticks, cleared by the next push.
	bad := a.push("bad", map[string]string{"front/Dockerfile": "ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nCMD [\"no-such-command\"]\n"})
	a.passes(bad, "success")
	if got := a.tick("DEPLOY", "NEW_COMMIT"); got.Operation.State != "ROLLED_BACK" || a.tree.Head() != slow {
		t.Fatalf("%+v, at %s", got, a.tree.Head())
	}
	a.tick("SKIPPED", "PAUSED")
	a.coordinate("operator", "resume").expect(t, 0)
	before := a.containers()
	for range 3 {
		a.tick("SKIPPED", "BLOCKED")
	}
	if !sameContainers(before, a.containers()) {
		t.Error("a blocked commit cost containers")
	}
	fixed := a.push("fixed", map[string]string{"front/Dockerfile": "ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nARG REVISION=none\nENV GIT_SHA=${REVISION}\nCOPY message.txt /message.txt\nCMD [\"serve\", \"--message\", \"/message.txt\"]\n"})
	a.passes(fixed, "success")
	if got := a.tick("DEPLOY", "NEW_COMMIT"); got.Operation.State != "SUCCEEDED" || a.readStamp() != fixed {
		t.Fatalf("%+v, stamp %s", got, a.readStamp())
	}

	// GitHub that does not answer, or not to us: nothing is deployed, and it is said.
	next := a.push("next", map[string]string{"front/message.txt": "next\n"})
	a.github.Revoke(githubtest.Token)
	if got := a.tick("SKIPPED", "CI_UNKNOWN"); strings.Contains(got.Tick.Message, githubtest.Token) {
		t.Errorf("the token is told: %s", got.Tick.Message)
	}
	a.github.Grant(githubtest.Token, githubtest.Grant{})
	a.passes(next, "success")

	// A checkout that somebody works in is reported, never forced.
	a.tree.Write("docker-compose.yml", "services: {}\n")
	if got := a.tick("SKIPPED", "DIRTY_TREE"); !strings.Contains(got.Tick.Message, "docker-compose.yml") {
		t.Errorf("%s", got.Tick.Message)
	}
	a.tree.Git("checkout", "--", "docker-compose.yml")
	own := a.tree.Commit("by hand", map[string]string{"by-hand.txt": "x\n"})
	a.tick("SKIPPED", "DIVERGED")
	a.coordinate("observer", "status").expect(t, 0, "DIVERGED")
	if a.tree.Head() != own {
		t.Error("a commit of the host is gone")
	}

	// A remote that lost the branch, an agent that does not run, options that make no sense: a reason each, nothing touched.
	a.origin.Git("update-ref", "-d", "refs/heads/main")
	if got := a.tick("SKIPPED", "BRANCH_UNKNOWN"); !strings.Contains(got.Tick.Message, "no branch main") {
		t.Errorf("%s", got.Tick.Message)
	}
	a.stopAgent()
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{nil, 6, "no agent serves"},
		{[]string{"--format", "yaml"}, 2, "unknown format"},
		{[]string{"--jitter", "-1s"}, 2, "--jitter"},
		{[]string{"--config", "/does/not/exist.yaml"}, 2, "read the configuration"},
	} {
		out, err := exec.Command(bin.agent, append([]string{"converge", "--config", a.config}, c.args...)...).CombinedOutput()
		if code := exitCode(t, err); code != c.code || !strings.Contains(string(out), c.says) {
			t.Errorf("converge %v: exit code %d, want %d: %s", c.args, code, c.code, out)
		}
	}
}

// TestUpkeep: restart and migrate, as operations.
func TestUpkeep(t *testing.T) {
	t.Parallel()
	a := newAlone(t)
	started := func(service string) string {
		return a.docker("inspect", "--format", "{{.State.StartedAt}}", a.containers()[service])[0]
	}
	before, front, side := a.containers(), started("front"), started("side")
	a.coordinate("operator", "restart", "fr*").expect(t, 0, "restart of fr*", "SUCCEEDED")
	if !sameContainers(before, a.containers()) || started("front") == front || started("side") != side {
		t.Error("a restart of front replaced a container, did not start front, or started side")
	}
	a.coordinate("operator", "restart").expect(t, 0)
	if started("side") == side {
		t.Error("a restart of everything did not start side")
	}
	a.coordinate("operator", "converge").expect(t, 0, "nothing to do")
	a.coordinate("deployer", "converge").expect(t, 6, "operator")
	sha := a.push("by a person", map[string]string{"front/message.txt": "person\n"})
	a.passes(sha, "success")
	a.coordinate("operator", "converge", "--dry-run").expect(t, 0, "would deploy", "all: build fr*")
	a.coordinate("operator", "converge").expect(t, 0, "deploy (NEW_COMMIT)", "SUCCEEDED")
	if a.readStamp() != sha {
		t.Errorf("the stamp is %s, want %s", a.readStamp(), sha)
	}
	a.coordinate("operator", "restart", "frnt").expect(t, 2, "did you mean", "front")
	a.coordinate("deployer", "restart").expect(t, 6)
	a.coordinate("operator", "migrate").expect(t, 7, "has no migrate")
	a.push("migrations", map[string]string{
		"ops/landfall.yaml": aloneConfig("migrate: {script: ops/migrate.sh}"),
		"ops/migrate.sh":    "#!/bin/sh\nif [ -e ../applied ]; then exit 0; fi\n[ -e applied.marker ] || { touch applied.marker; echo 'applied 001_first'; }\n",
		".gitignore":        ".env\napplied.marker\n",
	})
	a.deploys(a.dev.Head(), 0)
	if err := os.Remove(filepath.Join(a.tree.Dir, "applied.marker")); err != nil {
		t.Fatal(err)
	}
	before = a.containers()
	a.coordinate("operator", "migrate").expect(t, 0, "001_first")
	if !sameContainers(before, a.containers()) {
		t.Error("migrations alone replaced a container")
	}
}

// TestTicksCostNothing: ticks with nothing to do write nothing, and leave memory and descriptors as they are.
func TestTicksCostNothing(t *testing.T) {
	t.Parallel()
	a := newAlone(t)
	for range 5 {
		a.tick("NOTHING", "IN_STEP")
	}
	files := func() string { return fingerprint(t, a.state) + fingerprint(t, a.tree.Dir) }
	descriptors := func() int {
		list, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(a.agent.cmd.Process.Pid), "fd"))
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	before, open, ids := files(), descriptors(), a.containers()
	for range 25 {
		a.tick("NOTHING", "IN_STEP")
	}
	if now := files(); now != before {
		t.Errorf("ticks wrote:\nbefore %s\nafter %s", before, now)
	}
	if now := descriptors(); now > open+3 {
		t.Errorf("%d descriptors, %d before", now, open)
	}
	if !sameContainers(ids, a.containers()) {
		t.Error("ticks replaced containers")
	}
}

// fingerprint tells what every file of a folder is, and when it was written.
func fingerprint(t *testing.T, dir string) string {
	t.Helper()
	var lines strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil {
			fmt.Fprintf(&lines, "%s %d %s\n", path, info.Size(), info.ModTime())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines.String()
}

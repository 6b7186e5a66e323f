package e2e

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// yard is a host whose files a test writes itself, with PROJECT and BASE in them for the compose project and the image. Its verdicts are
// held against an independent look.
type yard struct{ *shop }

// newYard lays the files out and starts each of the compose files by hand.
func newYard(t *testing.T, files map[string]string, up ...string) *yard {
	t.Helper()
	y := &yard{&shop{newHost(t, "landfall.yaml", map[string]string{".gitignore": "ignored/\n*.secret\n"})}}
	t.Cleanup(y.removePins)
	y.commit("first edition", files)
	y.tree.Git("pull", "-q", "--ff-only", "origin", "main")
	for _, file := range up {
		y.compose("", nil, "--file", y.fill(file), "up", "--detach", "--build")
	}
	y.stamp(y.tree.Head())
	return y
}

// fill puts the names in.
func (y *yard) fill(text string) string {
	return strings.NewReplacer("PROJECT", y.project, "BASE", y.base()).Replace(text)
}

func (y *yard) base() string { return strings.TrimSpace(run1(y.t, nil, "../images/busybox.sh")) }

// commit pushes files with the names in them.
func (y *yard) commit(message string, files map[string]string) string {
	y.t.Helper()
	filled := map[string]string{}
	for path, content := range files {
		filled[y.fill(path)] = y.fill(content)
	}
	return y.push(message, filled)
}

// yardConfig is a landfall.yaml of one stack, or more, with flags and actions as they are written.
func yardConfig(stacks, flags, actions string) string {
	return "version: 1\nproject: yard\nstacks: {" + stacks + "}\nflags: {" + flags + "}\nactions: {" + actions + "}\n" +
		"verify: {deadline: 6s, soak: 1s, probes: {up: {containers: {}}}}\n"
}

// sleeper is a service that does nothing, with more of its definition.
func sleeper(name string, more ...string) string {
	return fmt.Sprintf("  %s: {image: BASE, init: true, restart: unless-stopped, stop_grace_period: 1s, command: [sleep, \"1000000\"]%s}\n", name, strings.Join(append([]string{""}, more...), ", "))
}

// broken makes a service fail at once.
func broken(name string) string {
	return fmt.Sprintf("  %s: {image: BASE, restart: unless-stopped, command: [sh, -c, \"exit 3\"]}\n", name)
}

// comesBack deploys a commit that must fail, and compares the host with what it was, by an independent look.
func (y *yard) comesBack(sha string, texts ...string) record {
	y.t.Helper()
	before := y.truth()
	y.deploys(sha, 4, append(texts, "ROLLED_BACK")...)
	op := y.newest()
	y.like(before, op)
	if !slices.Contains(y.blocked(), sha) {
		y.t.Errorf("blocked are %v, want %s", y.blocked(), sha)
	}
	y.tidyProcesses()
	return op
}

// like waits until nothing can be under way any more, and compares the host with what it was.
func (y *yard) like(before truth, op record) {
	y.t.Helper()
	longest := time.Second
	for _, list := range before.containers {
		for _, c := range list {
			longest = max(longest, c.grace)
		}
	}
	pause(longest + time.Second)
	for _, d := range before.differences(y.truth()) {
		y.t.Errorf("%s (%s), and yet %s", op.State, op.Failure.Reason, d)
	}
}

// refuses deploys a commit that must be refused with nothing touched.
func (y *yard) refuses(sha string, code int, reason string, texts ...string) {
	y.t.Helper()
	before := y.truth()
	y.deploys(sha, code, texts...)
	if op := y.newest(); op.State != "FAILED_UNTOUCHED" || op.Failure.Reason != reason || op.Target != sha {
		y.t.Errorf("%s: %s: %s; want FAILED_UNTOUCHED: %s", op.State, op.Failure.Reason, op.Failure.Message, reason)
	}
	now := y.truth()
	if d, touched := before.differences(now), before.touched(now); len(d)+len(touched) > 0 || now.pause != before.pause || !slices.Equal(now.blocked, before.blocked) {
		y.t.Errorf("it was refused, and yet %s; touched: %v", strings.Join(d, "; "), touched)
	}
}

// tidyProcesses checks that no child of an operation is left.
func (y *yard) tidyProcesses() {
	y.t.Helper()
	if left := y.children(); len(left) > 0 {
		y.t.Errorf("processes of an operation are left: %v", left)
	}
}

// insideOf lists the command lines that run inside a container.
func (y *yard) insideOf(container string) []string {
	y.t.Helper()
	return y.docker("top", container, "-eo", "pid,args")[1:]
}

// clean lifts block and pause, so that the next test begins without.
func (y *yard) clean() {
	y.t.Helper()
	y.coordinate("operator", "unblock").expect(y.t, 0)
	y.coordinate("operator", "resume").expect(y.t, 0)
}

// interruptedFiles are a service that does not heed SIGTERM, with ten seconds to stop, and one in which commands are run.
func interruptedFiles(seconds int, command string) map[string]string {
	return map[string]string{
		"compose.yml": "name: PROJECT\nservices:\n  slow: {image: BASE, restart: unless-stopped, stop_grace_period: 10s, command: [sh, -c, \"trap '' TERM; while :; do sleep 1; done\"], volumes: [\"./slow:/slow:ro\"]}\n" + sleeper("tool"),
		"landfall.yaml": yardConfig("core: {files: [compose.yml]}", `slow: {paths: ["slow/**"], actions: [slow]}, tool: {paths: ["tool/**"], actions: [tool]}`,
			`slow: [{recreate: {stack: core, services: [slow], no_deps: true}}], tool: [{exec: {stack: core, service: tool, command: [sh, -c, "`+command+`"]}}]`),
		"slow/text": "one\n", "tool/text": fmt.Sprint(seconds, "\n"),
	}
}

// What is interrupted leaves nothing behind: not a stop that the engine goes on with, not a command inside a container.
func TestInterruptedSteps(t *testing.T) {
	t.Parallel()
	y := newYard(t, interruptedFiles(0, "true"), "compose.yml")
	y.startAgent()
	t.Run("cancel in a recreate whose container takes ten seconds to stop", func(t *testing.T) {
		defer y.in(t)()
		before := y.truth()
		sha := y.commit("slow", map[string]string{"slow/text": "two\n"})
		wait := y.runs(sha)
		y.happens("the recreate has made its container", prints("apply/slow/1", "-slow-1  Recreate"))
		pause(time.Second)
		y.coordinate("deployer", "cancel").expect(t, 0, "ROLLED_BACK", "2 of 2 services run what ran before")
		wait()
		y.like(before, y.newest())
		if len(y.blocked()) > 0 {
			t.Errorf("blocked are %v because somebody cancelled", y.blocked())
		}
	})
	y.clean()
	hung := func(seconds int) string {
		return y.commit(fmt.Sprint("hung ", seconds), interruptedFiles(seconds, fmt.Sprintf("sleep %d; echo never", seconds)))
	}
	running := func(seconds int) bool {
		return slices.ContainsFunc(y.insideOf(y.project+"-tool-1"), func(line string) bool { return strings.Contains(line, fmt.Sprint("sleep ", seconds)) })
	}
	t.Run("cancel in an exec", func(t *testing.T) {
		defer y.in(t)()
		before := y.truth()
		sha := hung(601)
		wait := y.runs(sha)
		y.eventually(30*time.Second, "the command runs", func() bool { return running(601) })
		y.coordinate("deployer", "cancel").expect(t, 0, "ROLLED_BACK")
		wait()
		if running(601) {
			t.Error("the command runs on inside the container")
		}
		y.like(before, y.newest())
	})
	y.clean()
	y.stopAgent()
	y.startAgent("deadlines: {up: 4s}")
	t.Run("deadline of an exec", func(t *testing.T) {
		defer y.in(t)()
		op := y.comesBack(hung(602), "did not end in time")
		if running(602) {
			t.Errorf("%s, and the command runs on inside the container", op.State)
		}
	})
}

// What a migration has begun in the database ends with it: what the end says of the database stays true.
func TestSessionOfAMigrationEnds(t *testing.T) {
	t.Parallel()
	script, err := exec.Command("cat", "../migrate.sh").Output()
	if err != nil {
		t.Fatal(err)
	}
	image := strings.TrimSpace(run1(t, nil, "../images/postgres.sh"))
	y := newYard(t, map[string]string{
		"compose.yml": "name: PROJECT\nservices:\n  postgres: {image: \"" + image + "\", environment: {POSTGRES_PASSWORD: x}, stop_grace_period: 3s}\n",
		"landfall.yaml": "version: 1\nproject: yard\nstacks: {core: {files: [compose.yml]}}\nmigrate: {script: scripts/migrate.sh, args: [--mode, deploy], needs: {stack: core, services: [postgres], probe: pg}}\n" +
			"flags: {all: {paths: [\"**\"], actions: [all]}}\nactions: {all: [{up: {stack: core}}]}\nverify: {deadline: 30s, soak: 1s, probes: {pg: {postgres: {stack: core, service: postgres, user: postgres}}}}\n",
		"scripts/migrate.sh": string(script), "database/migrations/001_a.sql": "create table a ();\n",
	}, "compose.yml")
	y.startAgent("deadlines: {migrate: 6s}")
	ask := func(query string) string {
		return strings.Join(y.docker("exec", y.project+"-postgres-1", "psql", "-U", "postgres", "-Atc", query), " ")
	}
	y.deploys(y.commit("one", map[string]string{"readme": "one\n"}), 0, "SUCCEEDED")
	sha := y.commit("slow", map[string]string{"database/migrations/002_slow.sql": "create table slow ();\nselect pg_sleep(12);\ncreate table slow2 ();\n"})
	y.deploys(sha, 4, "ROLLED_BACK")
	recorded := ask("select count(*) from schema_migrations where version = '002'")
	if busy := ask("select count(*) from pg_stat_activity where query like '%pg_sleep(12)%' and pid <> pg_backend_pid()"); busy != "0" {
		t.Errorf("%s, and %s sessions of the migration run on", y.newest().State, busy)
	}
	pause(13 * time.Second)
	if later := ask("select count(*) from schema_migrations where version = '002'"); later != recorded {
		t.Errorf("002 was recorded %s times at the end, %s times later", recorded, later)
	}
}

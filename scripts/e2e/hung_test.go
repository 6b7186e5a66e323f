package e2e

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/identity"
)

// answersWithin is what Status, Cancel and Pause promise whatever a child does.
const answersWithin = time.Second

// hangingDocker stands before the real docker in the agent's PATH. A subcommand of compose hangs,
// with a child of its own, while a file of its name is there.
type hangingDocker struct {
	t   *testing.T
	dir string
}

func (h *host) hangDocker() *hangingDocker {
	h.t.Helper()
	docker, err := exec.LookPath("docker")
	if err != nil {
		h.t.Fatal(err)
	}
	d := &hangingDocker{h.t, shortDir(h.t)}
	script := fmt.Sprintf(`#!/bin/sh
for word in "$@"; do
  case $word in
  up | build | config | version)
    if [ -e %[1]s/$word ]; then
      sleep 600 &
      echo $$ $! >>%[1]s/pids
      wait
    fi
    ;;
  esac
done
exec %[2]s "$@"
`, d.dir, docker)
	if err := os.WriteFile(filepath.Join(d.dir, "docker"), []byte(script), 0o755); err != nil {
		h.t.Fatal(err)
	}
	h.env = append(h.env, "PATH="+d.dir+":"+os.Getenv("PATH"))
	return d
}

// hang makes subcommands hang from now on.
func (d *hangingDocker) hang(words ...string) {
	d.t.Helper()
	for _, word := range words {
		if err := os.WriteFile(filepath.Join(d.dir, word), nil, 0o644); err != nil {
			d.t.Fatal(err)
		}
	}
}

// mend lets everything that begins from now on through.
func (d *hangingDocker) mend() {
	d.t.Helper()
	for _, word := range []string{"up", "build", "config", "version"} {
		if err := os.Remove(filepath.Join(d.dir, word)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			d.t.Fatal(err)
		}
	}
}

// pids are the processes that have hung so far.
func (d *hangingDocker) pids() []int {
	d.t.Helper()
	raw, err := os.ReadFile(filepath.Join(d.dir, "pids"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		d.t.Fatal(err)
	}
	var pids []int
	for _, field := range strings.Fields(string(raw)) {
		pid, err := strconv.Atoi(field)
		if err != nil {
			d.t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	return pids
}

// gone checks that nothing that hung is left, once diagnostics have given up their own
// child, which they do after 10 s. A zombie is gone: whether it is reaped is up to
// the init of the machine.
func (d *hangingDocker) gone(h *host) {
	d.t.Helper()
	h.eventually(15*time.Second, "no process of a hung docker compose is left", func() bool {
		return !slices.ContainsFunc(d.pids(), func(pid int) bool {
			stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
			return err == nil && !strings.Contains(string(stat), ") Z ")
		})
	})
}

// latencies are how long calls took.
type latencies []time.Duration

// measure makes a call n times.
func measure(t *testing.T, n int, call func(context.Context) error) latencies {
	t.Helper()
	var l latencies
	for range n {
		began := time.Now()
		if err := call(t.Context()); err != nil {
			t.Fatal(err)
		}
		l = append(l, time.Since(began))
	}
	slices.Sort(l)
	return l
}

func (l latencies) quantile(q float64) time.Duration { return l[min(len(l)-1, int(q*float64(len(l))))] }

func (l latencies) String() string {
	return fmt.Sprintf("%d calls, p50 %s, p99 %s, most %s", len(l), l.quantile(.5).Round(10*time.Microsecond), l.quantile(.99).Round(10*time.Microsecond), l.quantile(1).Round(10*time.Microsecond))
}

// require prints what was measured and fails when one call in a hundred took longer than promised.
func (l latencies) require(t *testing.T, what string) {
	t.Helper()
	t.Logf("%s: %s", what, l)
	if slow := l.quantile(.99); slow > answersWithin {
		t.Errorf("%s: one call in a hundred takes %s", what, slow)
	}
}

// The calls that a person makes when something hangs.
func (h *host) looks() (host, services, pause func(context.Context) error) {
	diagnostics := landfallv1.NewDiagnosticsServiceClient(h.dial(identity.RoleObserver))
	gitops := landfallv1.NewGitOpsServiceClient(h.dial(identity.RoleOperator))
	host = func(ctx context.Context) error {
		_, err := diagnostics.GetHost(ctx, &landfallv1.GetHostRequest{})
		return err
	}
	services = func(ctx context.Context) error {
		_, err := diagnostics.ListServices(ctx, &landfallv1.ListServicesRequest{})
		return err
	}
	pause = func(ctx context.Context) error {
		_, err := gitops.Pause(ctx, &landfallv1.PauseRequest{Reason: "something hangs"})
		return err
	}
	return host, services, pause
}

// Status, Pause and Cancel answer within a second while every docker compose hangs.
func TestAnswersWhileComposeHangs(t *testing.T) {
	h := tinyHost(t)
	docker := h.hangDocker()
	h.startAgent()
	getHost, services, pause := h.looks()
	measure(t, 50, getHost).require(t, "GetHost, idle")
	measure(t, 5, services).require(t, "ListServices, idle")

	old := h.containers()
	sha := h.push("front: two", map[string]string{"front/message.txt": "two\n"})
	docker.hang("up")
	h.coordinate("deployer", "deploy", "--sha", sha, "--detach", "--config", filepath.Join(h.dev.Dir, h.config)).expect(t, 0)
	h.eventually(60*time.Second, "docker compose up hangs", func() bool { return len(docker.pids()) > 0 })
	docker.hang("config", "version")
	measure(t, 200, getHost).require(t, "GetHost while docker compose hangs")
	measure(t, 20, services).require(t, "ListServices while docker compose hangs")
	measure(t, 20, pause).require(t, "Pause while docker compose hangs")
	h.coordinate("observer", "status").expect(t, 0, "operation    op-1-", "2 of 2 services ready")

	docker.mend()
	conn := h.dial(identity.RoleDeployer)
	id, _ := h.operation()["id"].(string)
	measure(t, 1, func(context.Context) error {
		_, err := execute(t, conn, &landfallv1.ExecuteRequest{CommandId: "cancel-the-hung", Command: &landfallv1.ExecuteRequest_Cancel{Cancel: &landfallv1.CancelCommand{OperationId: id}}})
		return err
	}).require(t, "Cancel while docker compose hangs")
	began := time.Now()
	h.coordinate("deployer", "attach", id).expect(t, 4, "ROLLED_BACK")
	t.Logf("rolled back %s after the cancel", time.Since(began).Round(10*time.Millisecond))
	docker.gone(h)
	if after := h.containers(); after["side"] != old["side"] {
		t.Errorf("containers %v, before %v", after, old)
	}
}

// An agent that starts while docker compose hangs answers too.
func TestAnswersFromTheStartWhileComposeHangs(t *testing.T) {
	h := tinyHost(t)
	docker := h.hangDocker()
	docker.hang("up", "build", "config", "version")
	h.startAgent()
	getHost, _, pause := h.looks()
	measure(t, 200, getHost).require(t, "GetHost of an agent that started while docker compose hangs")
	measure(t, 20, pause).require(t, "Pause of an agent that started while docker compose hangs")
	h.coordinate("observer", "status").expect(t, 0, "engine: no answer within", "services: ", "docker compose config of stack all does not answer")
	docker.mend()
	h.eventually(20*time.Second, "the status is whole again", func() bool {
		a := h.coordinate("observer", "status")
		return strings.Contains(a.stdout, "2 of 2 services ready") && !strings.Contains(a.stdout, "no answer")
	})
	docker.gone(h)
}

// A child that hangs is ended with everything it has begun, and the deploy is rolled back.
func TestHungChildrenAreEnded(t *testing.T) {
	for word, want := range map[string]struct {
		code  int
		texts []string
	}{
		"up":    {4, []string{"docker compose up", "stopped at its deadline after 5", "ROLLED_BACK", "2 of 2 services run what ran before"}},
		"build": {1, []string{"docker compose build", "printed nothing for too long", "FAILED_UNTOUCHED"}},
	} {
		t.Run(word, func(t *testing.T) {
			t.Parallel()
			h := tinyHost(t)
			docker := h.hangDocker()
			h.startAgent("deadlines: {up: 5s, no_progress: 3s}")
			old, before := h.readStamp(), h.containers()
			sha := h.push("front: two", map[string]string{"front/message.txt": "two\n"})
			docker.hang(word)
			f := h.followRun(h.address, sha)
			h.eventually(60*time.Second, "docker compose hangs", func() bool { return len(docker.pids()) > 0 })
			docker.mend() // what hangs goes on hanging
			f.ends(want.code)
			answer{stdout: f.stdout.String(), stderr: f.stderr.String(), code: want.code}.expect(t, want.code, want.texts...)
			docker.gone(h)
			if h.readStamp() != old || h.tree.Head() != old {
				t.Errorf("stamp %s, HEAD %s, want %s", h.readStamp(), h.tree.Head(), old)
			}
			if after := h.containers(); after["side"] != before["side"] || (word == "build" && after["front"] != before["front"]) {
				t.Errorf("containers %v, before %v", after, before)
			}
			h.coordinate("observer", "probe").expect(t, 0)
		})
	}
}

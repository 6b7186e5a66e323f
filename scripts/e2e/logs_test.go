package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// logsCompose prints numbered lines, and a secret among them.
const logsCompose = `name: PROJECT
services:
  counter:
    image: BASE
    init: true
    stop_grace_period: 1s
    environment: {API_TOKEN: "${API_TOKEN}"}
    command: [sh, -c, "for p in 0 1 2 3 4 5 6 7 8 9; do seq $$((p*2000+1)) $$((p*2000+2000)) | sed 's/^/n /'; sleep 0.5; done; echo token is $$API_TOKEN; sleep 1000000"]
  quiet: {image: BASE, init: true, stop_grace_period: 1s, logging: {driver: none}, command: [sleep, "1000000"]}
`

const logsLast = 20_000

// TestLogs: who follows the logs gets each line once, though the agent is killed and the containers are replaced meanwhile.
func TestLogs(t *testing.T) {
	const token = "tkn-8Fq2LzRw71Vd"
	y := newYard(t, map[string]string{
		"landfall.yaml": yardConfig("core: {files: [compose.yml]}", "core: {paths: [compose.yml], actions: [core]}", "core: [{up: {stack: core}}]"),
		"compose.yml":   logsCompose, ".gitignore": ".env\n",
	})
	y.tree.Write(".env", "API_TOKEN="+token+"\n")
	y.compose("", nil, "up", "--detach")
	y.startAgent()
	cmd := exec.Command(bin.coordinator, "logs", "--follow", "--tail", "all", "--format", "json", "counter", "core/qui*", "--agent", y.address, "--identity", filepath.Join(y.ids, "observer"))
	var out, errs lockedBuffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-ended })
	y.await("lines are shown", func() bool { return strings.Count(out.String(), "\n") > 1000 })
	y.kill()
	y.startAgent()
	y.eventually(time.Minute, "the first container has printed all", func() bool { return strings.Contains(out.String(), "token is") })
	y.compose("", nil, "up", "--detach", "--force-recreate", "counter")
	y.await("the second container's lines are shown", func() bool { return strings.Count(out.String(), `"n 1"`) == 2 })
	y.stopAgent()
	y.startAgent()
	y.eventually(time.Minute, "the second container has printed all", func() bool { return strings.Count(out.String(), "token is") == 2 })
	_ = cmd.Process.Signal(syscall.SIGINT)
	<-ended
	if code := cmd.ProcessState.ExitCode(); code != 130 {
		t.Errorf("after Ctrl-C: exit code %d", code)
	}
	if !strings.Contains(errs.String(), `driver "none", which cannot be read`) || strings.Contains(errs.String(), "interrupted") {
		t.Errorf("stderr: %s", errs.String())
	}
	numbers := 0
	for _, line := range bytes.Split(bytes.TrimSpace([]byte(out.String())), []byte("\n")) {
		var object struct{ Text, Service, Stack, Stream string }
		if err := json.Unmarshal(line, &object); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if object.Service != "counter" || object.Stack != "core" || object.Stream != "stdout" {
			t.Fatalf("%s", line)
		}
		if strings.HasPrefix(object.Text, "n ") {
			if numbers++; object.Text != fmt.Sprint("n ", (numbers-1)%logsLast+1) {
				t.Fatalf("line %d is %q", numbers, object.Text)
			}
		} else if object.Text != "token is [redacted]" {
			t.Errorf("%s", line)
		}
	}
	if numbers != 2*logsLast {
		t.Errorf("%d lines, want %d", numbers, 2*logsLast)
	}
	a := y.coordinate("observer", "logs", "counter", "--tail", "2")
	a.expect(t, 0)
	if want := fmt.Sprintf("counter-1 | n %d\ncounter-1 | token is [redacted]\n", logsLast); a.stdout != want {
		t.Errorf("stdout: %q", a.stdout)
	}
	y.coordinate("observer", "logs", "conter").expect(t, 2, "there is no service \"conter\"", "did you mean counter?")
	head := exec.Command("sh", "-c", bin.coordinator+" logs --follow --tail all counter --agent "+y.address+" --identity "+filepath.Join(y.ids, "observer")+" 2>&1 | head -n 3")
	if shown, err := head.CombinedOutput(); err != nil || string(shown) != "counter-1 | n 1\ncounter-1 | n 2\ncounter-1 | n 3\n" {
		t.Errorf("| head: %v: %s", err, shown)
	}
}

// endlessCompose is a service that counts on, also over restarts.
const endlessCompose = `name: PROJECT
services:
  counter:
    image: BASE
    init: true
    restart: always
    stop_grace_period: 1s
    command: [sh, -c, "n=0; [ ! -f /tmp/n ] || read n </tmp/n; while :; do n=$$((n+1)); echo n $$n; echo $$n >/tmp/n; [ $$((n%200)) = 0 ] && sleep 0.1; done"]
`

// TestLogsOverAnEngineRestart: who follows the logs has in the end what the engine has, though the engine was stopped and killed meanwhile.
func TestLogsOverAnEngineRestart(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	y := &yard{&shop{newHost(t, "landfall.yaml", map[string]string{".gitignore": ".env\n"})}}
	y.engine = e
	y.commit("first edition", map[string]string{
		"landfall.yaml": yardConfig("core: {files: [compose.yml]}", "core: {paths: [compose.yml], actions: [core]}", "core: [{up: {stack: core}}]"),
		"compose.yml":   endlessCompose,
	})
	y.tree.Git("pull", "-q", "--ff-only", "origin", "main")
	y.compose("", nil, "up", "--detach")
	y.startAgent()
	cmd := exec.Command(bin.coordinator, "logs", "--follow", "--tail", "all", "--no-prefix", "--agent", y.address, "--identity", filepath.Join(y.ids, "observer"))
	var out, errs lockedBuffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-ended })
	lines := func() int { return strings.Count(out.String(), "\n") }
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		more := lines() + 500
		y.eventually(time.Minute, "lines come", func() bool { return lines() > more })
		told := strings.Count(errs.String(), "waiting for the Docker Engine")
		e.end(signal)
		y.eventually(time.Minute, "that the engine is away is told", func() bool { return strings.Count(errs.String(), "waiting for the Docker Engine") > told })
		e.start()
	}
	more := lines() + 1000
	y.eventually(time.Minute, "lines come again", func() bool { return lines() > more })
	y.docker("stop", y.project+"-counter-1")
	want := run1(t, y.engineEnv(), "docker", "logs", y.project+"-counter-1")
	y.eventually(time.Minute, "all lines are there", func() bool { return len(out.String()) >= len(want) })
	_ = cmd.Process.Signal(syscall.SIGINT)
	<-ended
	if got := out.String(); got != want {
		at := 0
		for at < min(len(got), len(want)) && got[at] == want[at] {
			at++
		}
		t.Errorf("%d and %d bytes differ at %d:\n%q\n%q", len(got), len(want), at, got[max(0, at-40):min(len(got), at+40)], want[max(0, at-40):min(len(want), at+40)])
	}
	if strings.Count(errs.String(), "the Docker Engine answers again") < 2 {
		t.Errorf("stderr: %s", errs.String())
	}
}

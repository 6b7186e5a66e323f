package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// longLog is how many lines the longest build log of the tests has.
const longLog = 200_000

// Every line of a long build log arrives, once and in order, while it is printed.
func TestLongOutputArrivesWhole(t *testing.T) {
	t.Parallel()
	h := tinyHost(t)
	h.startAgent()
	sha := h.push("noise", map[string]string{"noise/print.sh": fmt.Sprintf("#!/bin/sh\nexec seq -f 'line %%.0f of a long build log' 1 %d\n", longLog)})
	began := time.Now()
	a := h.coordinate("deployer", "run", "--no-gate", "--sha", sha, "--config", filepath.Join(h.dev.Dir, h.config), "--progress", "json")
	took := time.Since(began)
	if a.code != 0 {
		t.Fatalf("exit code %d: %s", a.code, a.stderr[max(0, len(a.stderr)-2000):])
	}
	lines, sequence := 0, 0
	scanner := bufio.NewScanner(strings.NewReader(a.stderr))
	for scanner.Scan() {
		var line struct {
			Event *struct {
				Sequence int `json:"sequence,string"`
				Output   *struct {
					StepID string `json:"step_id"`
					Text   string `json:"text"`
				} `json:"output"`
			} `json:"event"`
		}
		if err := json.Unmarshal(scanner.Bytes(), &line); err != nil {
			t.Fatalf("%v: %s", err, scanner.Text())
		}
		if line.Event == nil {
			continue // a note
		}
		sequence++
		if line.Event.Sequence != sequence {
			t.Fatalf("event %d follows event %d", line.Event.Sequence, sequence-1)
		}
		if o := line.Event.Output; o != nil && o.StepID == "build/noise/1" {
			lines++
			if want := fmt.Sprintf("line %d of a long build log", lines); o.Text != want {
				t.Fatalf("line %d is %q", lines, o.Text)
			}
		}
	}
	if err := scanner.Err(); err != nil {
		t.Fatal(err)
	}
	if lines != longLog {
		t.Errorf("%d of %d lines arrived", lines, longLog)
	}
	t.Logf("%d lines of output streamed without loss, whole run %s; agent RSS afterwards %s", lines, took.Round(time.Millisecond), h.agentRSS())
}

// agentRSS is the resident memory of the agent, as the kernel prints it.
func (h *host) agentRSS() string {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", h.agent.cmd.Process.Pid))
	if err != nil {
		h.t.Fatal(err)
	}
	for _, line := range strings.Split(string(raw), "\n") {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			return strings.TrimSpace(rest)
		}
	}
	return "unknown"
}

// deploy and verify are two commands with the operation waiting in between.
func TestDeployThenVerify(t *testing.T) {
	t.Parallel()
	h := tinyHost(t)
	h.startAgent()
	t.Logf("agent RSS idle: %s", h.agentRSS())
	config := filepath.Join(h.dev.Dir, h.config)
	old := h.readStamp()
	sha := h.push("front: two", map[string]string{"front/message.txt": "two\n"})

	h.coordinate("deployer", "deploy", "--sha", sha, "--config", config).expect(t, 0, "AWAITING_VERIFY")
	if h.readStamp() != old {
		t.Error("the stamp was written before the verdict")
	}
	if got := h.docker("inspect", "--format", `{{index .Config.Labels "overlay"}} {{index .Config.Labels "com.docker.compose.project"}}`, h.containers()["side"]); got[0] != "honoured "+h.project {
		t.Errorf("side has labels %q: COMPOSE_FILE or the project's name of .env is not honoured", got)
	}
	other := h.push("settings", map[string]string{"settings/message.txt": "two\n"})
	h.coordinate("deployer", "deploy", "--sha", other, "--config", config).expect(t, 7, "locked by op-1-", "landfall-coordinator verify --operation op-1-")
	h.coordinate("operator", "resume").expect(t, 7, "op-1-")
	pause := filepath.Join(h.state, "gitops-paused")
	if _, err := os.Stat(pause); err != nil {
		t.Errorf("convergence is not paused although the deploy is not judged: %v", err)
	}
	h.coordinate("deployer", "verify").expect(t, 0, "SUCCEEDED", "2 of 2 services are as they should be, 1 of them new")
	if _, err := os.Stat(pause); err == nil {
		t.Error("convergence is still paused after the verdict")
	}
	if h.readStamp() != sha {
		t.Errorf("stamp %s, want %s", h.readStamp(), sha)
	}
	h.coordinate("deployer", "verify").expect(t, 0, "SUCCEEDED")
	h.deploys(other, 0, "recreate side", "SUCCEEDED")
	if got := h.docker("inspect", "--format", `{{index .Config.Labels "overlay"}}`, h.containers()["side"]); got[0] != "honoured" {
		t.Errorf("side was recreated without the overlay that COMPOSE_FILE names")
	}
	h.coordinate("operator", "resume").expect(t, 0, "there was no pause")
	h.coordinate("operator", "pause", "--for", "1h", "--reason", "test").expect(t, 0, "paused until")
	if raw, err := os.ReadFile(pause); err != nil || !bytes.Contains(raw, []byte(`"owner": "operator/operator"`)) {
		t.Errorf("%v %s", err, raw)
	}
	sha = h.push("front: three", map[string]string{"front/message.txt": "three\n"})
	h.deploys(sha, 0, "SUCCEEDED", "convergence stays paused by operator/operator: test")
	if raw, err := os.ReadFile(pause); err != nil || !bytes.Contains(raw, []byte(`"owner": "operator/operator"`)) {
		t.Errorf("a deploy took a person's pause away: %v %s", err, raw)
	}
	h.coordinate("operator", "resume").expect(t, 0, "resumed")
	h.coordinate("operator", "unblock").expect(t, 0, "nothing was blocked")
}

// A coordinator that never comes back does not leave an unjudged host.
func TestAgentVerifiesWhenNobodyDoes(t *testing.T) {
	t.Parallel()
	h := tinyHost(t)
	h.startAgent("verify_within: 1s")
	sha := h.push("front: two", map[string]string{"front/message.txt": "two\n"})
	h.coordinate("deployer", "deploy", "--sha", sha, "--detach", "--config", filepath.Join(h.dev.Dir, h.config)).expect(t, 0, "attach op-1-")
	h.eventually(40*time.Second, "the stamp is written", func() bool { return h.readStamp() == sha })
	h.coordinate("deployer", "attach").expect(t, 0, "SUCCEEDED", "verifies by itself")
}

// Ctrl-C stops watching, not the deploy.
func TestInterruptDetaches(t *testing.T) {
	t.Parallel()
	h := tinyHost(t)
	h.startAgent("verify_within: 1s")
	sha := h.push("slow", map[string]string{"noise/print.sh": "#!/bin/sh\necho begun\nsleep 3\necho done\n"})
	cmd := exec.Command(bin.coordinator, "run", "--no-gate", "--sha", sha, "--config", filepath.Join(h.dev.Dir, h.config),
		"--agent", h.address, "--identity", filepath.Join(h.ids, "deployer"), "--progress", "plain")
	var out lockedBuffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	h.eventually(20*time.Second, "the script prints", func() bool { return strings.Contains(out.String(), "begun") })
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	answer{stderr: out.String(), code: exitCode(t, cmd.Wait())}.expect(t, 130)
	answer{stderr: out.String(), code: 130}.expect(t, 130, "interrupted; op-1-", "goes on", "landfall-coordinator attach op-1-")

	h.coordinate("deployer", "attach", "1").expect(t, 0, "begun", "done", "SUCCEEDED")
	if h.readStamp() != sha {
		t.Errorf("stamp %s, want %s", h.readStamp(), sha)
	}
}

// An agent that is stopped in the middle names the state it left, and takes up what it can.
func TestAgentStoppedInTheMiddle(t *testing.T) {
	t.Parallel()
	h := tinyHost(t)
	h.startAgent()
	config := filepath.Join(h.dev.Dir, h.config)
	good := h.readStamp()
	deploy := func(sha string) {
		h.coordinate("deployer", "deploy", "--sha", sha, "--detach", "--config", config).expect(t, 0)
	}

	// The script ends at once when it is run again: the step is entered again, not guessed.
	once := filepath.Join(shortDir(t), "once")
	sha := h.push("slow", map[string]string{"noise/print.sh": "#!/bin/sh\necho begun\n[ -e " + once + " ] || { touch " + once + "; sleep 60; }\n"})
	deploy(sha)
	h.eventually(20*time.Second, "the script runs", func() bool {
		_, err := os.Stat(once) // what it says of itself: the agent's log is earlier
		return err == nil
	})
	h.stopAgent()
	h.startAgent()
	if h.readStamp() != good {
		t.Errorf("the stamp moved to %s before the verdict", h.readStamp())
	}
	h.eventually(30*time.Second, "the deploy awaits its verdict", func() bool { return h.operation()["state"] == "OPERATION_STATE_AWAITING_VERIFY" })
	h.coordinate("deployer", "verify", "--operation", "1").expect(t, 0, "SUCCEEDED")
	h.coordinate("deployer", "attach", "1").expect(t, 0, "the agent was restarted and takes it up in BUILDING", "SUCCEEDED")
	if h.readStamp() != sha {
		t.Errorf("the stamp is %s, not %s", h.readStamp(), sha)
	}

	sha = h.push("quick", map[string]string{"noise/print.sh": "#!/bin/sh\necho quick\n", "front/message.txt": "two\n"})
	h.coordinate("deployer", "deploy", "--sha", sha, "--config", config).expect(t, 0, "AWAITING_VERIFY")
	h.stopAgent()
	h.startAgent()
	h.coordinate("deployer", "verify").expect(t, 0, "SUCCEEDED")
	if h.readStamp() != sha {
		t.Errorf("stamp %s, want %s", h.readStamp(), sha)
	}
}

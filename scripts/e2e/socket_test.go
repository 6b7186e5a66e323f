package e2e

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ataraxis.dev/landfall/shared/peercred"
)

// TestLocalSocket: a person on the host needs no certificate. Every command that asks an agent works over the socket, grpcurl does,
// others are kept out, the trail names who called, and the socket goes and comes with the agent.
func TestLocalSocket(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can be somebody else")
	}
	h := tinyHost(t)
	h.startAgent()
	socket := filepath.Join(h.state, "agent.sock")
	local := func(args ...string) answer {
		t.Helper()
		return h.command([]string{"LANDFALL_AGENT=unix://" + socket, "LANDFALL_IDENTITY="}, args...)
	}
	config := filepath.Join(h.dev.Dir, h.config)

	local("status").expect(t, 0, h.project[:8])
	local("probe").expect(t, 0)
	local("history").expect(t, 0)
	local("pause", "--reason", "a roof", "--for", "1h").expect(t, 0)
	local("status").expect(t, 0, "local/0-root", "a roof")
	local("resume").expect(t, 0)

	first := h.push("second edition", map[string]string{"front/message.txt": "two\n"})
	local("detect-changes", "--config", config).expect(t, 0, "front")
	local("plan", "--config", config).expect(t, 0, "front")
	local("run", "--no-gate", "--sha", first, "--config", config).expect(t, 0)
	if h.readStamp() != first {
		t.Errorf("the stamp is %s, want %s", h.readStamp(), first)
	}
	if who := h.operation()["requester"]; who != "local/0-root" {
		t.Errorf("the operation was asked for by %v", who)
	}
	local("show").expect(t, 0, "local/0-root")
	local("attach").expect(t, 0)

	second := h.push("third edition", map[string]string{"front/message.txt": "three\n"})
	local("deploy", "--sha", second, "--config", config).expect(t, 0)
	local("verify", "--config", config).expect(t, 0)
	local("rollback", "--to", first, "--yes", "--config", config).expect(t, 0)
	local("cancel").expect(t, 7) // nothing runs
	local("unblock").expect(t, 0)
	local("audit").expect(t, 0, "local/0-root", "rollback")
	local("audit", "verify").expect(t, 0, "every one follows")
	local("identity", "renew", "--by-agent").expect(t, 2, "without a certificate")

	t.Run("strangers", func(t *testing.T) { h.strangersAtTheSocket(socket) })
	t.Run("grpcurl", func(t *testing.T) { h.grpcurlOverTheSocket(socket) })
	t.Run("restarts", func(t *testing.T) { h.restartsOfTheSocket(socket, local) })
}

func (h *host) strangersAtTheSocket(socket string) {
	out, code := asUser(h.t, 40001, bin.coordinator, "status", "--agent", "unix://"+socket)
	answer{stderr: out, code: code}.expect(h.t, 6, "the user 40001 may not use the agent's socket", "group landfall")
	if err := os.Chmod(socket, 0o666); err != nil { // somebody opens it: the agent judges for itself
		h.t.Fatal(err)
	}
	for _, args := range [][]string{{"status"}, {"pause", "--reason", "x"}} {
		out, code = asUser(h.t, 40001, bin.coordinator, append(args, "--agent", "unix://"+socket)...)
		answer{stderr: out, code: code}.expect(h.t, 6, "the user 40001 may not call this agent")
	}
	a := h.coordinate("operator", "audit", "--format", "json")
	a.expect(h.t, 0, `"local/40001"`, "USER_NOT_ALLOWED")
}

// grpcurlOverTheSocket: in clear, as who we are.
func (h *host) grpcurlOverTheSocket(socket string) {
	tool, err := exec.Command("../tools/tool.sh", "grpcurl").Output()
	if err != nil {
		h.t.Fatalf("scripts/tools/tool.sh grpcurl: %v", err)
	}
	for want, args := range map[string][]string{
		"landfall.v1.DiagnosticsService": {socket, "list"},
		h.tree.Head():                    {socket, "landfall.v1.DiagnosticsService/GetHost"},
		"local/0-root":                   {"-d", `{"reason":"by grpcurl"}`, socket, "landfall.v1.GitOpsService/Pause"},
		"SERVING":                        {"-d", `{"service":"landfall.v1.DeployService"}`, socket, "grpc.health.v1.Health/Check"},
	} {
		out, err := exec.Command(strings.TrimSpace(string(tool)), append([]string{"-unix", "-plaintext"}, args...)...).CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) {
			h.t.Errorf("grpcurl %v: %v\n%s", args, err, out)
		}
	}
	// The port speaks TLS only, as ever.
	if out, err := exec.Command(strings.TrimSpace(string(tool)), "-plaintext", "-connect-timeout", "3", h.address, "list").CombinedOutput(); err == nil {
		h.t.Errorf("in clear over the network: %s", out)
	}
}

// restartsOfTheSocket: it goes with an orderly end, is replaced after a death, and what is in its place is told.
func (h *host) restartsOfTheSocket(socket string, local func(...string) answer) {
	_ = h.agent.cmd.Process.Signal(syscall.SIGKILL) // it serves
	<-h.agent.done
	if _, err := os.Lstat(socket); err != nil {
		h.t.Fatalf("the killed agent left no socket, this test shows nothing: %v", err)
	}
	local("status").expect(h.t, 6, "no agent serves "+socket, "systemctl status")
	h.startAgent()
	local("status").expect(h.t, 0)
	h.followedOverARestart(local)
	h.stopAgent()
	for _, path := range []string{socket, socket + ".lock"} {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			h.t.Errorf("%s is there after the stop: %v", path, err)
		}
	}
	if err := os.WriteFile(socket, []byte("precious"), 0o600); err != nil {
		h.t.Fatal(err)
	}
	out, code := h.serveFails()
	answer{stderr: out, code: code}.expect(h.t, 2, socket, "is no socket but a file")
	if got, err := os.ReadFile(socket); err != nil || string(got) != "precious" {
		h.t.Errorf("it is %q, %v", got, err)
	}
	if err := os.Remove(socket); err != nil {
		h.t.Fatal(err)
	}
}

// followedOverARestart: who watches a deploy over the socket watches on when the agent dies and another one takes its place.
func (h *host) followedOverARestart(local func(...string) answer) {
	sha := h.push("fourth edition", map[string]string{"front/message.txt": "four\n"})
	done := make(chan answer, 1)
	go func() {
		done <- local("run", "--no-gate", "--sha", sha, "--config", filepath.Join(h.dev.Dir, h.config))
	}()
	h.eventually(20*time.Second, "the deploy builds", func() bool { return strings.Contains(h.agent.log.String(), `args=["build"`) })
	_ = h.agent.cmd.Process.Kill() // it serves
	<-h.agent.done
	h.startAgent()
	select {
	case a := <-done:
		a.expect(h.t, 0, "connection to unix://")
	case <-time.After(time.Minute):
		h.t.Error("the deploy is watched without end")
	}
	if h.readStamp() != sha {
		h.t.Errorf("the stamp is %s, want %s", h.readStamp(), sha)
	}
}

// TestSentinelsByHand: what people and their scripts write holds, and is read by what they call.
func TestSentinelsByHand(t *testing.T) {
	t.Parallel()
	h := tinyHost(t)
	h.startAgent()
	sentinels := func(args ...string) answer {
		t.Helper()
		cmd := exec.Command(bin.agent, append([]string{"sentinels", "--config", filepath.Join(h.ids, "agent.yaml")}, args...)...)
		var stderr strings.Builder
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		return answer{stdout: string(out), stderr: stderr.String(), code: exitCode(t, err)}
	}
	sentinels("--check").expect(t, 0)

	sha := h.push("second edition", map[string]string{"front/message.txt": "two\n"})
	if out, err := exec.Command("sh", "-c", `touch "$1/gitops-paused" && echo "$2" > "$1/blocked-sha"`, "sh", h.state, sha).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	a := sentinels("--check")
	a.expect(t, 7, "paused until ", " by local/"+peercred.Name(uint32(os.Geteuid()))+": by hand", "blocked "+sha+" since ")
	h.coordinate("observer", "status").expect(t, 0, sha[:12], "by hand")
	h.deploys(sha, 7, "is blocked since", "by hand")
	var pause struct {
		Sentinel string    `json:"sentinel"`
		Expires  time.Time `json:"expires_at"`
	}
	line, _, _ := strings.Cut(sentinels("--format", "json").stdout, "\n")
	if err := json.Unmarshal([]byte(line), &pause); err != nil || pause.Sentinel != "paused" {
		t.Errorf("%q: %v", line, err)
	}
	if left := time.Until(pause.Expires); left < 4*time.Hour-5*time.Minute || left > 4*time.Hour {
		t.Errorf("the pause ends in %s", left)
	}
	// The block is lifted as one of the agent's own; the deploy leaves a person's pause alone.
	h.coordinate("operator", "unblock", sha[:7]).expect(t, 0, sha[:7])
	h.deploys(sha, 0)
	if raw, err := os.ReadFile(filepath.Join(h.state, "gitops-paused")); err != nil || len(raw) != 0 {
		t.Errorf("after the deploy the pause is %q, %v", raw, err)
	}
	h.coordinate("operator", "resume").expect(t, 0)
	sentinels("--check").expect(t, 0)

	if err := os.WriteFile(filepath.Join(h.state, "blocked-sha"), []byte("main\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	sentinels().expect(t, 5, filepath.Join(h.state, "blocked-sha"), "is neither a commit nor the digest of an image", "whole SHA")
	bad := h.push("third edition", map[string]string{"front/message.txt": "three\n"})
	h.deploys(bad, 5, "blocked-sha", "whole SHA")
}

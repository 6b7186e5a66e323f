package e2e

import (
	"context"
	"crypto/tls"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
)

// What must not be deployed is refused with its exit code and one message that says what to
// do, and the host stays as it was. One host serves every case, because none changes it.
func TestWrongCommitsAndConfigurationsChangeNothing(t *testing.T) {
	t.Parallel()
	h := tinyHost(t)
	h.startAgent()
	first := h.dev.Head()

	t.Run("unknown SHA", func(t *testing.T) {
		h.untouched(func() {
			h.deploys("0123456789abcdef0123456789abcdef01234567", 2, "has no commit 0123456789ab", "fetch")
		})
	})
	t.Run("no SHA at all", func(t *testing.T) {
		h.untouched(func() { h.deploys("--upload-pack=/bin/true", 2) })
	})
	t.Run("not on the branch", func(t *testing.T) {
		h.dev.Git("checkout", "-q", "-b", "side")
		sha := h.dev.Commit("not on main", map[string]string{"front/message.txt": "side\n"})
		h.dev.Git("push", "-q", "origin", "side")
		h.untouched(func() {
			h.deploys(sha, 7, "is not on the branch", "push it to the branch first")
		})
		if got := h.operation()["state"]; got != "OPERATION_STATE_FAILED_UNTOUCHED" {
			t.Errorf("state %v", got)
		}
		h.dev.Git("checkout", "-q", "main")
	})
	t.Run("broken landfall.yaml", func(t *testing.T) {
		broken := strings.NewReplacer("actions: [rebuild]", "actions: [rebiuld]", "soak: 1s", "soak: 1 parsec").Replace(tinyConfig)
		sha := h.push("broken", map[string]string{"ops/landfall.yaml": broken})
		h.untouched(func() {
			h.deploys(sha, 2, `did you mean "rebuild"?`, "ops/landfall.yaml:6:42", "1 parsec", "ops/landfall.yaml:21:9")
		})
	})
	t.Run("missing compose file", func(t *testing.T) {
		missing := strings.Replace(tinyConfig, "stacks: {all: {}}", "stacks: {all: {files: [docker-compose.yml, docker-compose.pi.yml]}}", 1)
		sha := h.push("names a file that is not there", map[string]string{"ops/landfall.yaml": missing})
		h.untouched(func() {
			h.deploys(sha, 2, "ops/landfall.yaml:3:", "docker-compose.pi.yml", "does not exist")
		})
	})
	t.Run("invalid compose file", func(t *testing.T) {
		sha := h.push("compose file is wrong", map[string]string{"ops/landfall.yaml": tinyConfig, "docker-compose.yml": "services:\n  front: {imagee: x}\n"})
		h.untouched(func() {
			h.deploys(sha, 2, "the target's compose files are not valid", "imagee")
		})
	})
	t.Run("step names a service that is not there", func(t *testing.T) {
		sha := h.push("a service is gone", map[string]string{"docker-compose.yml": "services:\n  fornt: {image: \"${BASE_IMAGE}\"}\n  side: {image: \"${BASE_IMAGE}\"}\n", "front/message.txt": "two\n"})
		h.untouched(func() {
			h.deploys(sha, 2, `has no service "fr*"`)
		})
	})
	t.Run("project renamed", func(t *testing.T) {
		sha := h.push("compose project is renamed", map[string]string{"docker-compose.yml": "name: other\n" + tinyCompose})
		h.tree.Write(".env", strings.Replace(h.tree.Read(".env"), "COMPOSE_PROJECT_NAME", "WAS_PROJECT_NAME", 1))
		h.untouched(func() {
			h.deploys(sha, 7, "every container would exist twice", `"other"`)
		})
		h.tree.Write(".env", strings.Replace(h.tree.Read(".env"), "WAS_PROJECT_NAME", "COMPOSE_PROJECT_NAME", 1))
	})
	t.Run("dirty checkout", func(t *testing.T) {
		sha := h.push("mended", map[string]string{"docker-compose.yml": tinyCompose})
		h.tree.Write("front/message.txt", "edited on the host\n")
		h.untouched(func() {
			h.deploys(sha, 7, "front/message.txt", "edited by hand", "git restore")
		})
		h.tree.Git("checkout", "front/message.txt")
	})
	t.Run("plan digest differs", func(t *testing.T) {
		// The two sides read different files: the coordinator's plan is not the agent's.
		h.push("a second configuration", map[string]string{"landfall.yaml": strings.Replace(tinyConfig, "soak: 1s", "soak: 3s", 1)})
		h.untouched(func() {
			a := h.coordinate("deployer", "run", "--no-gate", "--config", filepath.Join(h.dev.Dir, "landfall.yaml"))
			a.expect(t, 7, "the agent compiled plan sha256:", "the caller sent sha256:", "landfall-coordinator plan")
		})
		if got := h.failure("reason"); got != "PLAN_DIGEST_MISMATCH" {
			t.Errorf("reason %q", got)
		}
	})
	if h.readStamp() != first {
		t.Errorf("the stamp is %s, not %s", h.readStamp(), first)
	}
}

// Who is not let in reaches no handler, whatever it speaks.
func TestStrangersReachNothing(t *testing.T) {
	t.Parallel()
	h := tinyHost(t)
	h.startAgent()
	other := filepath.Join(h.ids, "other")
	h.must("identity", "init", "--dir", other)
	h.must("identity", "issue", "mallory", "--role", "operator", "--dir", other)

	ask := func(identity string) answer {
		return h.command(nil, "status", "--agent", h.address, "--identity", identity)
	}
	h.untouched(func() {
		t.Run("another CA", func(t *testing.T) {
			ask(filepath.Join(other, "mallory")).expect(t, 6, h.address)
		})
		t.Run("missing certificate", func(t *testing.T) {
			ask(filepath.Join(h.ids, "nobody")).expect(t, 6, "nobody")
			h.command(nil, "status", "--agent", h.address).expect(t, 2, "--identity")
		})
		t.Run("the agent's own certificate", func(t *testing.T) {
			ask(filepath.Join(h.ids, "agent")).expect(t, 6, "agent/")
		})
		t.Run("key that others can read", func(t *testing.T) {
			key := filepath.Join(h.ids, "observer", "key.pem")
			if err := os.Chmod(key, 0o644); err != nil {
				t.Fatal(err)
			}
			ask(filepath.Join(h.ids, "observer")).expect(t, 2, "chmod 600")
			if err := os.Chmod(key, 0o600); err != nil {
				t.Fatal(err)
			}
		})
		t.Run("plaintext", func(t *testing.T) {
			conn, err := grpc.NewClient("passthrough:///"+h.address, grpc.WithTransportCredentials(insecure.NewCredentials()))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }() // nothing was sent
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			_, err = landfallv1.NewDiagnosticsServiceClient(conn).GetHost(ctx, &landfallv1.GetHostRequest{})
			if status.Code(err) != codes.Unavailable {
				t.Errorf("a plaintext client got %v", err)
			}
		})
		t.Run("TLS 1.2", func(t *testing.T) {
			conn, err := tls.Dial("tcp", h.address, &tls.Config{MaxVersion: tls.VersionTLS12, InsecureSkipVerify: true})
			if err == nil {
				_ = conn.Close() // the error is that it stands
				t.Error("TLS 1.2 was accepted")
			}
		})
		t.Run("an agent that speaks no TLS", func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = l.Close() }() // ends the goroutine
			go func() {
				for {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					_, _ = conn.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")) // who listens is not us
					_ = conn.Close()                                              // enough said
				}
			}()
			h.command(nil, "status", "--agent", l.Addr().String(), "--identity", filepath.Join(h.ids, "observer")).expect(t, 6)
		})
		t.Run("nobody there", func(t *testing.T) {
			h.command(nil, "status", "--agent", freeAddress(t), "--identity", filepath.Join(h.ids, "observer")).expect(t, 6, "connection refused")
		})
		t.Run("observer may not deploy, deployer may not pause", func(t *testing.T) {
			sha := h.push("wanted", map[string]string{"front/message.txt": "wanted\n"})
			h.coordinate("observer", "run", "--no-gate", "--sha", sha, "--config", filepath.Join(h.dev.Dir, h.config)).expect(t, 6, "observer/observer may not deploy", "use a deployer's identity")
			h.coordinate("deployer", "pause", "--reason", "x").expect(t, 6, "deployer/deployer may not pause", "use an operator's identity")
		})
	})
}

// A host that cannot work says so, and starts or touches nothing.
func TestHostsThatCannotWork(t *testing.T) {
	t.Parallel()
	h := tinyHost(t)

	t.Run("port in use", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }() // only held for the test
		h.address = l.Addr().String()
		h.untouched(func() {
			out, code := h.serveFails()
			answer{stderr: out, code: code}.expect(t, 2, "address already in use", "ss -ltnp")
		})
		h.address = ""
	})
	t.Run("git not installed", func(t *testing.T) {
		h.env = []string{"PATH=" + t.TempDir()}
		h.untouched(func() {
			out, code := h.serveFails()
			answer{stderr: out, code: code}.expect(t, 1, "git", "install")
		})
		h.env = nil
		a := h.command([]string{"PATH=" + t.TempDir()}, "plan", "--base", "HEAD", "--config", filepath.Join(h.dev.Dir, h.config))
		a.expect(t, 1, "git", "install")
	})
	t.Run("broken agent.yaml", func(t *testing.T) {
		out, code := h.serveFails("verify_witin: 1m", "remote: ''")
		answer{stderr: out, code: code}.expect(t, 2, `did you mean "verify_within"?`, "agent.yaml:8:1", "agent.yaml:9:9")
	})
	t.Run("checkout of someone else", func(t *testing.T) {
		if os.Geteuid() != 0 {
			t.Fatal("this test needs root, to be someone else")
		}
		for _, dir := range []string{filepath.Dir(h.tree.Dir), h.tree.Dir} {
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		h.address = freeAddress(t)
		config := h.agentYAML()
		state := shortDir(t)
		ids := shortDir(t)
		if out, err := exec.Command("cp", "-r", filepath.Join(h.ids, "agent"), ids).CombinedOutput(); err != nil {
			t.Fatalf("%v %s", err, out)
		}
		if out, err := exec.Command("chown", "-R", "65534:65534", ids, state).CombinedOutput(); err != nil {
			t.Fatalf("%v %s", err, out)
		}
		raw, err := os.ReadFile(config)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.NewReplacer("state_dir: "+h.state, "state_dir: "+state, "identity: "+h.ids, "identity: "+ids).Replace(string(raw))
		path := filepath.Join(ids, "agent.yaml")
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		h.untouched(func() {
			out, code := asUser(t, 65534, bin.agent, "serve", "--config", path)
			answer{stderr: out, code: code}.expect(t, 2, "belongs to root, but the agent runs as user 65534", "chown")
		})
	})
	t.Run("engine down", func(t *testing.T) {
		sha := h.push("wanted", map[string]string{"front/message.txt": "wanted\n"})
		h.env = []string{"DOCKER_HOST=unix://" + filepath.Join(t.TempDir(), "docker.sock")}
		h.startAgent()
		h.untouched(func() {
			h.deploys(sha, 1, "the Docker Engine does not answer", "systemctl start docker")
		})
		h.coordinate("observer", "status").expect(t, 0, "the Docker Engine does not answer")
		h.stopAgent()
		h.env = nil
	})
	t.Run("two agents on one state_dir", func(t *testing.T) {
		h.startAgent()
		held := h.address
		h.address = freeAddress(t)
		out, code := h.serveFails()
		answer{stderr: out, code: code}.expect(t, 7, "another agent holds", "pid ")
		h.address = held
	})
}

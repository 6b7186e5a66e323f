package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestPolicyOfTheHost: what agent.yaml refuses is refused before anything is touched, with the service and the rule.
func TestPolicyOfTheHost(t *testing.T) {
	s := newShop(t)
	t.Setenv("GIT_CONFIG_GLOBAL", os.DevNull)
	s.startAgent("policy: {privileged: refuse, host_namespaces: warn, docker_socket: refuse, mounts: refuse, except: {shop/side: [privileged]}}")
	for name, c := range map[string]struct{ from, to, says string }{
		"privileged":         {"  app:\n", "  app:\n    privileged: true\n", "shop/app is privileged"},
		"docker's socket":    {"./side:/side:ro", "/var/run/docker.sock:/side", "rules the host"},
		"outside":            {"./side:/side:ro", "/etc:/side:ro", "mounts /etc"},
		"outside, by a link": {"./side:/side:ro", "./linked:/side:ro", "mounts /etc"},
		"its own state":      {"./side:/side:ro", s.state + ":/side:ro", "Landfall's own"},
		"a remote include":   {"services:\n", "include: ['https://example.invalid/x.git']\nservices:\n", "not a file of this repository"},
		"include outside":    {"services:\n", "include: [../../etc/compose.yml]\nservices:\n", "not a file of this repository"},
	} {
		if err := os.RemoveAll(filepath.Join(s.dev.Dir, "linked")); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("/etc", filepath.Join(s.dev.Dir, "linked")); err != nil {
			t.Fatal(err)
		}
		changed := strings.Replace(shopCompose, c.from, c.to, 1)
		if changed == shopCompose {
			t.Fatalf("%s: nothing is changed", name)
		}
		s.dev.Git("add", "linked")
		sha := s.push(name, map[string]string{"compose.yml": changed, "app/run.sh": serves(name)})
		s.coordinate("observer", "plan", "--sha", sha).expect(t, 0, "the host does not have this commit yet")
		s.untouched(func() { s.deploys(sha, 7, c.says) })
		if strings.Contains(name, "include") {
			continue // they are nobody's to allow
		}
		s.untouched(func() { s.coordinate("observer", "plan", "--sha", sha).expect(t, 0, "refused by this host", c.says) })
	}
	sha := s.push("allowed", map[string]string{
		"compose.yml": strings.Replace(shopCompose, "  side:\n", "  side:\n    privileged: true\n    pid: host\n", 1), "app/run.sh": serves("two"),
	})
	s.deploys(sha, 0, "lives in the host's namespaces: pid")
}

// TestOnlySignedCommits: whoever is not among the allowed signers deploys nothing, and the commit is named.
func TestOnlySignedCommits(t *testing.T) {
	s := newShop(t)
	key := filepath.Join(s.ids, "signer")
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key).CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen: %v\n%s", err, out)
	}
	public, err := os.ReadFile(key + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	signers := filepath.Join(s.ids, "allowed_signers")
	if err := os.WriteFile(signers, fmt.Appendf(nil, "ada@example.org namespaces=\"git\" %s", public), 0o644); err != nil {
		t.Fatal(err)
	}
	s.startAgent(fmt.Sprintf("require_signed: {allowed_signers: %s, every_commit: true}", signers))
	sign := func(on bool) {
		s.dev.Git("config", "gpg.format", "ssh")
		s.dev.Git("config", "user.signingkey", key+".pub")
		s.dev.Git("config", "commit.gpgsign", fmt.Sprint(on))
	}
	unsigned := s.push("by nobody", map[string]string{"app/run.sh": serves("two")})
	s.untouched(func() { s.deploys(unsigned, 7, "by nobody", "is not signed") })
	sign(true)
	onTop := s.push("by ada", map[string]string{"app/run.sh": serves("three")})
	s.untouched(func() { s.deploys(onTop, 7, "by nobody", "is not signed") })
	s.dev.Git("reset", "--quiet", "--hard", "HEAD~2")
	s.dev.Git("push", "--quiet", "--force", "origin", "HEAD:main")
	signed := s.push("by ada alone", map[string]string{"app/run.sh": serves("four")})
	s.deploys(signed, 0)
}

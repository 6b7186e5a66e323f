package git_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/git/gittest"
)

// key makes an ed25519 key pair of somebody and returns the private key's path and the public key.
func key(t *testing.T, name string) (path, public string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), name)
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", path).CombinedOutput(); err != nil {
		t.Skipf("ssh-keygen cannot be had: %v, %s", err, out)
	}
	raw, err := os.ReadFile(path + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	return path, strings.TrimSpace(string(raw))
}

// signed commits with a key; "" does not sign.
func signed(work *gittest.Repo, key, message string) string {
	work.Write("f", message)
	work.Git("add", "f")
	if key == "" {
		work.Git("commit", "-q", "-m", message)
	} else {
		work.Git("-c", "gpg.format=ssh", "-c", "user.signingkey="+key, "commit", "-q", "-S", "-m", message)
	}
	return work.Head()
}

func TestVerifySignature(t *testing.T) {
	t.Parallel()
	ours, public := key(t, "ada")
	theirs, _ := key(t, "mallory")
	allowed := filepath.Join(t.TempDir(), "allowed_signers")
	if err := os.WriteFile(allowed, []byte("ada@example.org namespaces=\"git\" "+public+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	work := gittest.New(t)
	repo := open(work)
	good := signed(work, ours, "good")
	bare := signed(work, "", "bare")
	foreign := signed(work, theirs, "foreign")
	// A repository's own configuration trusts everybody, and judges with a program of its own.
	evil := filepath.Join(t.TempDir(), "evil")
	if err := os.WriteFile(evil, []byte("#!/bin/sh\necho 'Good \"git\" signature for root with x'\nexit 0\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, setting := range []string{"gpg.program", "gpg.ssh.program", "gpg.openpgp.program", "gpg.x509.program"} {
		work.Git("config", setting, evil)
	}
	if signer, err := repo.VerifySignature(t.Context(), good, allowed); err != nil || signer != "ada@example.org" {
		t.Errorf("good: %q, %v", signer, err)
	}
	_, err := repo.VerifySignature(t.Context(), bare, allowed)
	requireFault(t, err, fault.Refused, "NOT_SIGNED")
	_, err = repo.VerifySignature(t.Context(), foreign, allowed)
	requireFault(t, err, fault.Refused, "BAD_SIGNATURE")

	// A signature on other content.
	raw := work.Git("cat-file", "commit", good)
	tampered := strings.Replace(raw, "good", "evil", 1)
	cmd := exec.Command("git", "-C", work.Dir, "hash-object", "-t", "commit", "-w", "--stdin")
	cmd.Stdin = strings.NewReader(tampered + "\n")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	_, err = repo.VerifySignature(t.Context(), strings.TrimSpace(string(out)), allowed)
	requireFault(t, err, fault.Refused, "BAD_SIGNATURE")

	// An OpenPGP header is nobody's signature here.
	pgp := strings.Replace(raw, "gpgsig -----BEGIN SSH SIGNATURE-----", "gpgsig -----BEGIN PGP SIGNATURE-----", 1)
	cmd = exec.Command("git", "-C", work.Dir, "hash-object", "-t", "commit", "-w", "--stdin", "--literally")
	cmd.Stdin = strings.NewReader(pgp + "\n")
	if out, err = cmd.Output(); err != nil {
		t.Fatal(err)
	}
	if signer, err := repo.VerifySignature(t.Context(), strings.TrimSpace(string(out)), allowed); err == nil {
		t.Errorf("a signature of another kind counts as that of %q", signer)
	}
}

func TestBetween(t *testing.T) {
	t.Parallel()
	work := gittest.New(t)
	repo := open(work)
	first, second, third := work.Commit("1", map[string]string{"a": "1"}), work.Commit("2", map[string]string{"a": "2"}), work.Commit("3", map[string]string{"a": "3"})
	got, err := repo.Between(t.Context(), first, third, 10)
	if err != nil || len(got) != 2 || got[0] != second || got[1] != third {
		t.Errorf("%v, %v", got, err)
	}
	if got, err = repo.Between(t.Context(), "", third, 10); err != nil || len(got) != 1 || got[0] != third {
		t.Errorf("of one alone: %v, %v", got, err)
	}
	_, err = repo.Between(t.Context(), first, third, 1)
	requireFault(t, err, fault.Refused, "TOO_MANY_COMMITS")
}

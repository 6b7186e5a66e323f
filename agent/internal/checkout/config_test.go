package checkout

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/hashicorp/go-hclog"

	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/shared/fault"
)

// TestFiltersOfTheRepositoryAreRefused: a program that .git/config names runs at no look, and nothing moves; one of the owner's
// configuration is the owner's.
func TestFiltersOfTheRepositoryAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		where   string
		refused bool
	}{"of the repository": {"--local", true}, "of the owner": {"--global", false}} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("GIT_CONFIG_GLOBAL", filepath.Join(t.TempDir(), "gitconfig"))
			w := newWorld(t)
			ran := filepath.Join(t.TempDir(), "ran")
			for _, args := range [][]string{
				{"config", c.where, "filter.evil.clean", "sh -c 'touch " + ran + "; cat'"},
				{"config", c.where, "filter.evil.smudge", "sh -c 'touch " + ran + "; cat'"},
			} {
				cmd := exec.Command("git", args...)
				cmd.Dir = w.host.Dir
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Fatalf("%v: %s", err, out)
				}
			}
			if err := os.WriteFile(filepath.Join(w.host.Dir, ".git", "info", "attributes"), []byte("* filter=evil\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			settings := w.settings()
			settings.Git.NoUserConfig = false
			checkout, err := Open(t.Context(), settings, hclog.NewNullLogger())
			if err != nil {
				t.Fatal(err)
			}
			head, err := checkout.Head(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			_, dirty := checkout.Dirty(t.Context())
			_, side := checkout.SideTree(t.Context(), head, ports.ForProof)
			for what, err := range map[string]error{"dirty": dirty, "side tree": side} {
				if (fault.ReasonOf(err) == "FILTER_IN_REPOSITORY") != c.refused {
					t.Errorf("%s: %v", what, err)
				}
			}
			if _, err := os.Stat(ran); (err == nil) == c.refused {
				t.Errorf("the filter ran: %v", err == nil)
			}
		})
	}
}

// TestCredentialsOfRemotesAreLearned, however git is given them.
func TestCredentialsOfRemotesAreLearned(t *testing.T) {
	w := newWorld(t)
	for _, args := range [][]string{
		{"remote", "add", "other", "https://bot:hunter2-hunter2@example.invalid/x.git"},
		{"config", "url.https://ghp_tokentoken@example.invalid/.insteadOf", "gh:"},
		{"config", "http.https://example.invalid/.extraHeader", "Authorization: Basic c2VjcmV0c2VjcmV0"},
	} {
		cmd := exec.Command("git", args...)
		cmd.Dir = w.host.Dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	var learned []string
	settings := w.settings()
	settings.Learn = func(_ string, secrets []string) error {
		learned = append(learned, secrets...)
		return nil
	}
	if _, err := Open(t.Context(), settings, hclog.NewNullLogger()); err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"hunter2-hunter2", "ghp_tokentoken", "c2VjcmV0c2VjcmV0"} {
		if !slices.Contains(learned, secret) {
			t.Errorf("%s is not among %q", secret, learned)
		}
	}
}

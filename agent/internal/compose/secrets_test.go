package compose

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/hashicorp/go-hclog"

	"ataraxis.dev/landfall/agent/internal/redact"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
	"ataraxis.dev/landfall/shared/process"
)

// pupil is a runtime of a folder that teaches a redactor.
func pupil(t *testing.T, files map[string]string, commits ...string) (*Compose, *redact.Redactor, *pipeline.Plan) {
	t.Helper()
	dir := t.TempDir()
	lay(t, dir, files)
	c, err := New(dir, &process.Owner{UID: uint32(os.Geteuid())}, Deadlines{}, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	r := redact.New()
	c.Teach(r, func(_ context.Context, hashes []string) []string {
		return slices.DeleteFunc(hashes, func(h string) bool { return !slices.Contains(commits, h) })
	})
	return c, r, &pipeline.Plan{Stacks: []pipeline.Stack{{Name: "core", Files: []string{"compose.yml"}}}}
}

// TestLearnKnowsWhatAScriptMayPrint, without any child: .env, what services name, files of secrets.
func TestLearnKnowsWhatAScriptMayPrint(t *testing.T) {
	t.Parallel()
	c, r, plan := pupil(t, map[string]string{
		"compose.yml": "services: {a: {env_file: [a.env]}}\nsecrets: {deep: {file: ./deep.secret}, named: {file: '${WHICH}.secret'}}\n",
		".env":        "WHICH=other\nPASSWORD=hunter2hunter2\n", "a.env": "TOKEN=t0ken-t0ken\n", "deep.secret": "d33p-d33p\n", "other.secret": "0ther-0ther\n",
	})
	if err := c.Learn(t.Context(), plan); err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"hunter2hunter2", "t0ken-t0ken", "d33p-d33p", "0ther-0ther"} {
		if got := r.Text(secret); got != redact.Mark {
			t.Errorf("%s becomes %s", secret, got)
		}
	}
}

// TestWhatCannotBeLearnedIsRefused, with the name of the file: nothing may print what nobody can take out.
func TestWhatCannotBeLearnedIsRefused(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(t *testing.T, path string) error{
		"too large": func(_ *testing.T, path string) error {
			return os.WriteFile(path, []byte("A="+strings.Repeat("x1", maxSecretFile)), 0o600)
		},
		"a pipe": func(_ *testing.T, path string) error { return syscall.Mkfifo(path, 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, _, plan := pupil(t, map[string]string{"compose.yml": "services: {a: {env_file: [big.env]}}\n"})
			if err := spoil(t, filepath.Join(c.dir, "big.env")); err != nil {
				t.Fatal(err)
			}
			err := c.Learn(t.Context(), plan)
			if fault.KindOf(err) != fault.Refused || !strings.Contains(err.Error(), "big.env") {
				t.Errorf("learned: %v", err)
			}
			_, err = c.run(t.Context(), command{stack: plan.Stacks[0], args: []string{"config"}})
			if !strings.Contains(err.Error(), "big.env") {
				t.Errorf("a child was started: %v", err)
			}
		})
	}
}

// TestCommitsInEnvFilesStay: a commit that the repository has is no secret, wherever it stands; a token that looks like one is.
func TestCommitsInEnvFilesStay(t *testing.T) {
	t.Parallel()
	const commit, token = "0123456789abcdef0123456789abcdef01234567", "fedcba9876543210fedcba9876543210fedcba98"
	digest := "sha256:" + strings.Repeat("0123456789abcdef", 4)
	c, r, plan := pupil(t, map[string]string{
		"compose.yml": "services: {}\n",
		".env":        "GIT_SHA=" + commit + "\nQUOTED=\"" + commit + "\"\nAPI_TOKEN=" + token + "\nIMAGE=ghcr.io/acme/shop@" + digest + "\n",
	}, commit)
	if err := c.Learn(t.Context(), plan); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{commit, "HEAD is " + commit[:12], "ghcr.io/acme/shop@" + digest, digest} {
		if got := r.Text(text); got != text {
			t.Errorf("%s becomes %s", text, got)
		}
	}
	if got := r.Text(token); got != redact.Mark {
		t.Errorf("the token becomes %s", got)
	}
}

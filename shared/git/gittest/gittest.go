// Package gittest makes real git repositories for tests, the same on every machine.
//
// Author, committer and dates are fixed and no configuration of the machine is read,
// so the same calls give the same SHAs. Every failure ends the test. Start at [New].
package gittest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Repo is a repository in a folder that the test removes.
type Repo struct {
	Dir string // absolute, without symbolic links

	t       testing.TB
	commits int
}

// New makes an empty repository with a working tree on branch main.
func New(t testing.TB) *Repo {
	t.Helper()
	r := &Repo{Dir: tempDir(t), t: t}
	r.Git("init", "--quiet", "--initial-branch=main")
	return r
}

// NewBare makes an empty bare repository, something to push to and fetch from.
func NewBare(t testing.TB) *Repo {
	t.Helper()
	r := &Repo{Dir: tempDir(t), t: t}
	r.Git("init", "--quiet", "--bare", "--initial-branch=main")
	return r
}

// Clone clones from, with further options such as --depth=1; its remote is origin.
func Clone(t testing.TB, from *Repo, options ...string) *Repo {
	t.Helper()
	r := &Repo{Dir: tempDir(t), t: t, commits: from.commits}
	r.Git(append(append([]string{"clone", "--quiet"}, options...), "--", from.URL(), ".")...)
	return r
}

// tempDir is t.TempDir without symbolic links, which git resolves in its answers.
func tempDir(t testing.TB) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// URL is the repository's file:// address.
func (r *Repo) URL() string { return "file://" + r.Dir }

// Git runs git in the repository and returns its output without the last line end.
func (r *Repo) Git(args ...string) string {
	r.t.Helper()
	out, err := r.Try(args...)
	if err != nil {
		r.t.Fatal(err)
	}
	return out
}

// Try is Git for commands that may fail.
func (r *Repo) Try(args ...string) (string, error) {
	cmd := exec.Command("git", append([]string{"-c", "protocol.file.allow=always", "-c", "gc.auto=0"}, args...)...)
	date := time.Date(2026, 1, 1, 12, r.commits, 0, 0, time.UTC).Format(time.RFC3339)
	cmd.Dir = r.Dir
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "LC_ALL=C", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.org", "GIT_AUTHOR_DATE=" + date,
		"GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.org", "GIT_COMMITTER_DATE=" + date,
	}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("git %s: %w\n%s", strings.Join(args, " "), err, errs.Bytes())
	}
	return strings.TrimSuffix(out.String(), "\n"), nil
}

// Write writes a file of the working tree and its folders; one that begins with #! is executable.
func (r *Repo) Write(path, content string) {
	r.t.Helper()
	full := filepath.Join(r.Dir, path)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		r.t.Fatal(err)
	}
	mode := os.FileMode(0o644)
	if strings.HasPrefix(content, "#!") {
		mode = 0o755
	}
	if err := os.WriteFile(full, []byte(content), mode); err != nil {
		r.t.Fatal(err)
	}
	if err := os.Chmod(full, mode); err != nil { // the file may have been there with another mode
		r.t.Fatal(err)
	}
}

// Read is the content of a file of the working tree.
func (r *Repo) Read(path string) string {
	r.t.Helper()
	content, err := os.ReadFile(filepath.Join(r.Dir, path))
	if err != nil {
		r.t.Fatal(err)
	}
	return string(content)
}

// Remove deletes a file or folder of the working tree.
func (r *Repo) Remove(path string) {
	r.t.Helper()
	if err := os.RemoveAll(filepath.Join(r.Dir, path)); err != nil {
		r.t.Fatal(err)
	}
}

// Commit writes the files, commits everything in the working tree, each commit a minute
// later than the one before, and returns its SHA. An empty commit is allowed.
func (r *Repo) Commit(message string, files map[string]string) string {
	r.t.Helper()
	for path, content := range files {
		r.Write(path, content)
	}
	r.Git("add", "--all")
	r.commits++
	r.Git("commit", "--quiet", "--allow-empty", "--message="+message)
	return r.Head()
}

// Head is the SHA of HEAD.
func (r *Repo) Head() string {
	r.t.Helper()
	return r.Git("rev-parse", "HEAD")
}

// Push pushes main to origin, by force when it must.
func (r *Repo) Push() {
	r.t.Helper()
	r.Git("push", "--quiet", "--force", "origin", "HEAD:refs/heads/main")
}

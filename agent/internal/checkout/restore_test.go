package checkout

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/hashicorp/go-hclog"

	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
)

var mutable = pipeline.Prepare{Reset: []string{"runtime/**"}}

func TestCheck(t *testing.T) {
	w := newWorld(t)
	if err := w.Check(t.Context(), mutable); err != nil {
		t.Errorf("a clean tree: %v", err)
	}
	w.host.Write("runtime/state.json", "{\"changed\": true}\n")
	w.host.Write("untracked.txt", "x")
	if err := w.Check(t.Context(), mutable); err != nil {
		t.Errorf("what changes at run time: %v", err)
	}
	w.host.Write("app/main.go", "hacked\n")
	err := w.Check(t.Context(), mutable)
	wantFault(t, err, fault.Refused, "DIRTY_TREE")
	if err != nil && (!strings.Contains(err.Error(), "app/main.go") || strings.Contains(err.Error(), "state.json")) {
		t.Errorf("the message is %v", err)
	}
	w.host.Git("checkout", "--quiet", "--", "app")
	w.host.Write("staged.txt", "x")
	w.host.Git("add", "staged.txt")
	wantFault(t, w.Check(t.Context(), mutable), fault.Refused, "DIRTY_TREE")
	w.host.Git("rm", "--quiet", "--cached", "staged.txt")
	w.host.Remove("app/main.go")
	wantFault(t, w.Check(t.Context(), mutable), fault.Refused, "DIRTY_TREE")
	if w.host.Git("status", "--porcelain", "app") != " D app/main.go" {
		t.Error("the check changed the tree")
	}
}

func TestCheckNamesAFewOfMany(t *testing.T) {
	w := newWorld(t)
	files := map[string]string{}
	for n := range 9 {
		files[fmt.Sprintf("many/%d", n)] = "x"
	}
	sha := w.push(files)
	w.fetch(sha)
	if err := w.Reset(t.Context(), sha, w.out); err != nil {
		t.Fatal(err)
	}
	for path := range files {
		w.host.Write(path, "y")
	}
	err := w.Check(t.Context(), mutable)
	if err == nil || !strings.Contains(err.Error(), "9 tracked files") || !strings.Contains(err.Error(), "many/4, ...") {
		t.Errorf("the message is %v", err)
	}
}

func TestPatternsThatAreNone(t *testing.T) {
	w := newWorld(t)
	bad := pipeline.Prepare{Reset: []string{"["}}
	if w.Check(t.Context(), bad) == nil {
		t.Error("Check takes a pattern that is none")
	}
	if _, err := w.Restore(t.Context(), bad, w.out); err == nil {
		t.Error("Restore takes a pattern that is none")
	}
}

// TestRestoreWithHostileNames: only what matches comes back, whatever the files are
// called; git would read these names as patterns or options.
func TestRestoreWithHostileNames(t *testing.T) {
	names := []string{
		"runtime/*", "runtime/[a-z]", "runtime/?", `runtime/back\slash`, "runtime/a b", "runtime/new\nline", "runtime/\xff\xfe",
		"runtime/-rf", "runtime/:(top)", "runtime/ü", "!runtime", "!", ":(exclude)x", "--force", "*", `"quoted"`,
	}
	w := newWorld(t)
	files := map[string]string{"other/x": "x\n", "runtime/x": "x\n"}
	for _, name := range names {
		files[name] = "x\n"
	}
	sha := w.push(files)
	w.fetch(sha)
	if err := w.Reset(t.Context(), sha, w.out); err != nil {
		t.Fatal(err)
	}
	for _, pattern := range names {
		exact := pipeline.Prepare{Reset: []string{escaped(pattern)}}
		for path := range files {
			w.host.Write(path, "changed\n")
		}
		if _, err := w.Restore(t.Context(), exact, w.out); err != nil {
			t.Fatalf("%q: %v", pattern, err)
		}
		for path := range files {
			if got := w.host.Read(path); (got == "x\n") != (path == pattern) {
				t.Errorf("restoring %q leaves %q as %q", pattern, path, got)
			}
		}
	}
}

// escaped is a pattern that matches one path only.
func escaped(path string) string {
	path = strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(path)
	if strings.HasPrefix(path, "!") {
		return `\` + path
	}
	return path
}

func TestRestore(t *testing.T) {
	w := newWorld(t)
	w.host.Write("runtime/state.json", "changed\n")
	w.host.Write("runtime/untracked.json", "stays\n")
	w.host.Write("app/main.go", "edited\n")
	summary, err := w.Restore(t.Context(), mutable, w.out)
	if err != nil || !strings.HasPrefix(summary, "1 files restored") {
		t.Errorf("%q, %v", summary, err)
	}
	if w.host.Read("runtime/state.json") != "{}\n" || w.host.Read("runtime/untracked.json") != "stays\n" || w.host.Read("app/main.go") != "edited\n" {
		t.Error("it did not restore exactly what changes at run time")
	}
	if len(w.printed) != 1 || w.printed[0] != "restored runtime/state.json" {
		t.Errorf("printed %q", w.printed)
	}
	w.host.Remove("runtime/state.json")
	if _, err = w.Restore(t.Context(), mutable, w.out); err != nil || w.host.Read("runtime/state.json") != "{}\n" {
		t.Errorf("a deleted file: %v", err)
	}
	if summary, err = w.Restore(t.Context(), mutable, w.out); err != nil || !strings.HasPrefix(summary, "0 files restored") {
		t.Errorf("with nothing to do: %q, %v", summary, err)
	}
}

func uidOf(t *testing.T, path string) uint32 {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Uid
}

const otherUID = 12345

// ownedByAnother makes a world whose checkout and origin belong to another user.
func ownedByAnother(t *testing.T) *world {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to give files away")
	}
	w := newWorld(t)
	for _, dir := range []string{w.host.Dir, w.origin.Dir} {
		give(t, dir, otherUID)
		for parent := filepath.Dir(dir); parent != filepath.Clean(os.TempDir()) && len(parent) > 1; parent = filepath.Dir(parent) {
			if err := os.Chmod(parent, 0o755); err != nil { // the test's own folders are closed to others
				t.Fatal(err)
			}
		}
	}
	s := w.settings()
	if err := os.Chmod(filepath.Dir(s.SideDir), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(filepath.Dir(s.SideDir)), 0o755); err != nil {
		t.Fatal(err)
	}
	c, err := Open(t.Context(), s, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	w.Checkout = c
	return w
}

func give(t *testing.T, dir string, uid int) {
	t.Helper()
	if err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, uid, uid)
	}); err != nil {
		t.Fatal(err)
	}
}

// TestGitRunsAsTheOwner deploys into another user's tree as root: git accepts it, and
// every file it writes belongs to that user.
func TestGitRunsAsTheOwner(t *testing.T) {
	w := ownedByAnother(t)
	if w.Owner().UID != otherUID {
		t.Fatalf("the owner is %+v", w.Owner())
	}
	give(t, w.origin.Dir, 0) // git pushes into no repository of another user
	target := w.push(map[string]string{"app/main.go": "two\n", "fresh/file": "x\n"})
	give(t, w.origin.Dir, otherUID)
	w.fetch(target)
	side, err := w.SideTree(t.Context(), target, ports.ForProof)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Reset(t.Context(), target, w.out); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"app/main.go", "fresh", "fresh/file", ".git/index", ".git/logs/HEAD"} {
		if uid := uidOf(t, filepath.Join(w.host.Dir, path)); uid != otherUID {
			t.Errorf("%s belongs to %d", path, uid)
		}
	}
	if uid := uidOf(t, filepath.Join(side, "app/main.go")); uid != otherUID {
		t.Errorf("the side tree belongs to %d", uid)
	}
}

func TestRestoreGivesFilesBackToTheOwner(t *testing.T) {
	w := ownedByAnother(t)
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	w.host.Write("data/live.db", "of a container\n")
	taken := []string{"runtime", "runtime/state.json", "app/main.go"}
	for _, path := range append(taken, "data/live.db") {
		if err := os.Lchown(filepath.Join(w.host.Dir, path), 0, 0); err != nil {
			t.Fatal(err)
		}
	}
	w.host.Remove("compose.yml")
	if err := os.Symlink(outside, filepath.Join(w.host.Dir, "compose.yml")); err != nil {
		t.Fatal(err)
	}
	keep := mutable
	if summary, err := w.Restore(t.Context(), keep, w.out); err != nil || !strings.Contains(summary, "0 given back") {
		t.Errorf("without own: %q, %v", summary, err)
	}
	keep.Own = true
	summary, err := w.Restore(t.Context(), keep, w.out)
	if err != nil || !strings.Contains(summary, "4 given back") {
		t.Errorf("with own: %q, %v", summary, err)
	}
	for _, path := range taken {
		if uid := uidOf(t, filepath.Join(w.host.Dir, path)); uid != otherUID {
			t.Errorf("%s belongs to %d", path, uid)
		}
	}
	if uidOf(t, filepath.Join(w.host.Dir, "data/live.db")) != 0 {
		t.Error("an untracked file was given away: it belongs to a container")
	}
	if uidOf(t, outside) != 0 {
		t.Error("a symbolic link led out of the checkout")
	}
}

// TestAFolderThatBecameALink: a link in place of a tracked folder leads nowhere.
func TestAFolderThatBecameALink(t *testing.T) {
	w := ownedByAnother(t)
	outside := t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "main.go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	w.host.Remove("app")
	if err := os.Symlink(outside, filepath.Join(w.host.Dir, "app")); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Restore(t.Context(), pipeline.Prepare{Own: true}, w.out); err != nil {
		t.Fatal(err)
	}
	if uidOf(t, filepath.Join(outside, "main.go")) != 0 {
		t.Error("a file outside was given away")
	}
}

func TestAnotherUsersCheckoutNeedsRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to become another user")
	}
	w := newWorld(t)
	program := filepath.Join(t.TempDir(), "agent")
	binary, err := os.ReadFile(os.Args[0]) // where it lies, other users may not run it
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, binary, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{filepath.Dir(program), filepath.Dir(filepath.Dir(program))} {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	child := exec.CommandContext(t.Context(), program)
	child.Dir, child.Env = "/", []string{foreignEnv + "=" + w.host.Dir}
	child.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: otherUID, Gid: otherUID}}
	said, err := child.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	for _, part := range []string{"invalid CHECKOUT_OWNER", "belongs to root", "runs as user 12345", "chown -R 12345 " + w.host.Dir} {
		if !strings.Contains(string(said), part) {
			t.Errorf("it says %q, not %q", said, part)
		}
	}
}

// foreignEnv makes the test binary an agent without root over somebody else's checkout.
const foreignEnv = "CHECKOUT_TEST_FOREIGN"

func TestMain(m *testing.M) {
	dir := os.Getenv(foreignEnv)
	if dir == "" {
		os.Exit(m.Run())
	}
	_, err := Open(context.Background(), Settings{Dir: dir}, hclog.NewNullLogger())
	fmt.Println(fault.KindOf(err), fault.ReasonOf(err), err)
}

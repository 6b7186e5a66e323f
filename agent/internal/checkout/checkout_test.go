package checkout

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/git"
	"ataraxis.dev/landfall/shared/git/gittest"
	"ataraxis.dev/landfall/shared/pipeline"
)

const config = `version: 1
project: sample
stacks: {core: {files: [compose.yml]}}
flags: {app: {paths: ["app/**"]}}
`

// world is an origin, somebody's clone that pushes to it, and the checkout under test.
type world struct {
	t      *testing.T
	origin *gittest.Repo
	dev    *gittest.Repo
	host   *gittest.Repo
	*Checkout
	printed []string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, origin: gittest.NewBare(t)}
	w.dev = gittest.New(t)
	w.dev.Git("remote", "add", "origin", w.origin.URL())
	w.dev.Commit("first", map[string]string{
		"landfall.yaml": config, "compose.yml": "services: {}\n", "app/main.go": "one\n", "runtime/state.json": "{}\n",
	})
	w.dev.Push()
	w.host = gittest.Clone(t, w.origin)
	w.open()
	return w
}

func (w *world) settings() Settings {
	return Settings{
		Dir: w.host.Dir, Remote: "origin", Branch: "main", Config: "landfall.yaml",
		SideDir: filepath.Join(w.t.TempDir(), "side"), Git: git.Options{NoUserConfig: true},
	}
}

func (w *world) open() {
	w.t.Helper()
	c, err := Open(w.t.Context(), w.settings(), hclog.NewNullLogger())
	if err != nil {
		w.t.Fatal(err)
	}
	w.Checkout = c
}

func (w *world) out(_ operation.Stream, text string, _ bool) { w.printed = append(w.printed, text) }

// push commits files to the branch of the origin.
func (w *world) push(files map[string]string) string {
	w.t.Helper()
	sha := w.dev.Commit("next", files)
	w.dev.Push()
	return sha
}

func (w *world) fetch(sha string) {
	w.t.Helper()
	if _, err := w.Fetch(w.t.Context(), sha, w.out); err != nil {
		w.t.Fatal(err)
	}
}

func wantFault(t *testing.T, err error, kind fault.Kind, reason string) {
	t.Helper()
	if err == nil || fault.KindOf(err) != kind || fault.ReasonOf(err) != reason {
		t.Errorf("error %v (%v, %s), want %v, %s", err, fault.KindOf(err), fault.ReasonOf(err), kind, reason)
	}
}

func TestOpen(t *testing.T) {
	w := newWorld(t)
	s := w.settings()
	s.Dir = filepath.Join(s.Dir, "missing")
	_, err := Open(t.Context(), s, hclog.NewNullLogger())
	wantFault(t, err, fault.Invalid, "CHECKOUT_MISSING")
	s.Dir = t.TempDir()
	_, err = Open(t.Context(), s, hclog.NewNullLogger())
	wantFault(t, err, fault.Invalid, "NOT_A_REPOSITORY")
	s.Dir = filepath.Join(w.host.Dir, "app") // a folder of a repository is none
	_, err = Open(t.Context(), s, hclog.NewNullLogger())
	wantFault(t, err, fault.Invalid, "NOT_A_REPOSITORY")
	s.Dir = gittest.New(t).Dir
	_, err = Open(t.Context(), s, hclog.NewNullLogger())
	wantFault(t, err, fault.NotFound, "UNKNOWN_COMMIT")
}

func TestFetch(t *testing.T) {
	w := newWorld(t)
	first := w.host.Head()
	target := w.push(map[string]string{"app/main.go": "two\n"})
	head := w.push(map[string]string{"app/main.go": "three\n"})
	got, err := w.Fetch(t.Context(), target, w.out)
	if err != nil || got != head {
		t.Errorf("the branch is at %s, %v; want %s", got, err, head)
	}
	if now, err := w.Head(t.Context()); now != first || err != nil {
		t.Errorf("the fetch moved the checkout to %s, %v", now, err)
	}
	on, err := w.IsAncestor(t.Context(), target, head)
	if !on || err != nil {
		t.Errorf("IsAncestor: %v, %v", on, err)
	}
	_, err = w.Fetch(t.Context(), strings.Repeat("e", 40), w.out)
	wantFault(t, err, fault.NotFound, "UNKNOWN_COMMIT")
	_, err = w.IsAncestor(t.Context(), strings.Repeat("e", 40), head)
	wantFault(t, err, fault.NotFound, "UNKNOWN_COMMIT")
	for _, hostile := range []string{"--upload-pack=touch /tmp/x", "main", "HEAD~1", "", "e", strings.Repeat("E", 40)} {
		if _, err := w.Fetch(t.Context(), hostile, w.out); err == nil {
			t.Errorf("%q was fetched", hostile)
		}
	}
	w.Remote = "nowhere"
	if _, err = w.Fetch(t.Context(), target, nil); err == nil {
		t.Error("a remote that is none was fetched from")
	}
}

func TestFetchAfterAForcedPush(t *testing.T) {
	w := newWorld(t)
	lost := w.push(map[string]string{"app/main.go": "two\n"})
	w.fetch(lost)
	w.dev.Git("reset", "--quiet", "--hard", "HEAD~1")
	target := w.push(map[string]string{"app/main.go": "other\n"})
	head, err := w.Fetch(t.Context(), target, w.out)
	if err != nil || head != target {
		t.Errorf("the branch is at %s, %v", head, err)
	}
	if on, err := w.IsAncestor(t.Context(), lost, head); on || err != nil {
		t.Errorf("the lost commit counts as on the branch: %v, %v", on, err)
	}
}

func TestChanges(t *testing.T) {
	w := newWorld(t)
	base := w.host.Head()
	w.dev.Git("mv", "runtime/state.json", "app/state.json")
	target := w.push(map[string]string{"app/main.go": "two\n", "new\nline": "x"})
	w.fetch(target)
	got, err := w.Changes(t.Context(), base, target)
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(got, func(a, b pipeline.Change) int { return strings.Compare(a.Path, b.Path) })
	want := []pipeline.Change{{Status: 'M', Path: "app/main.go"}, {Status: 'A', Path: "app/state.json"}, {Status: 'A', Path: "new\nline"}, {Status: 'D', Path: "runtime/state.json"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	_, err = w.Changes(t.Context(), strings.Repeat("e", 40), target)
	wantFault(t, err, fault.NotFound, "UNKNOWN_COMMIT")
}

func TestPipeline(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]struct {
		files  map[string]string
		remove string
		kind   fault.Kind
		reason string
	}{
		"no file":              {nil, "landfall.yaml", fault.Invalid, "NO_CONFIG"},
		"broken":               {map[string]string{"landfall.yaml": "version: ["}, "", fault.Invalid, "CONFIG_INVALID"},
		"another branch":       {map[string]string{"landfall.yaml": "branch: other\n" + config}, "", fault.Invalid, "OTHER_BRANCH"},
		"compose file missing": {map[string]string{"landfall.yaml": config}, "compose.yml", fault.Invalid, "CONFIG_INVALID"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.remove != "" {
				w.dev.Remove(c.remove)
			}
			sha := w.push(c.files)
			w.fetch(sha)
			_, err := w.Pipeline(t.Context(), sha)
			wantFault(t, err, c.kind, c.reason)
			w.push(map[string]string{"landfall.yaml": config, "compose.yml": "services: {}\n"})
		})
	}
	w.dev.Remove("landfall.yaml")
	if err := os.Symlink("/etc/passwd", filepath.Join(w.dev.Dir, "landfall.yaml")); err != nil {
		t.Fatal(err)
	}
	sha := w.push(nil)
	w.fetch(sha)
	_, err := w.Pipeline(t.Context(), sha)
	wantFault(t, err, fault.Invalid, "NOT_A_REGULAR_FILE")
	good, err := w.Pipeline(t.Context(), w.host.Head())
	if err != nil || good.Project != "sample" {
		t.Errorf("the good one: %+v, %v", good, err)
	}
	_, err = w.Pipeline(t.Context(), strings.Repeat("e", 40))
	wantFault(t, err, fault.NotFound, "UNKNOWN_COMMIT")
}

func TestSideTree(t *testing.T) {
	w := newWorld(t)
	target := w.push(map[string]string{"app/main.go": "two\n"})
	w.fetch(target)
	dir, err := w.SideTree(t.Context(), target, ports.ForProof)
	if err != nil {
		t.Fatal(err)
	}
	// Compose makes the project's name of the folder's.
	if filepath.Base(dir) != filepath.Base(w.host.Dir) || filepath.Dir(dir) != w.SideDir {
		t.Errorf("the side tree is %s", dir)
	}
	text, err := os.ReadFile(filepath.Join(dir, "app/main.go"))
	if string(text) != "two\n" || err != nil {
		t.Errorf("it has %q, %v", text, err)
	}
	if got := w.host.Read("app/main.go"); got != "one\n" || w.host.Git("status", "--porcelain") != "" {
		t.Errorf("the checkout was touched: %q", got)
	}
	// Whatever is left in it is gone the next time.
	if err := os.WriteFile(filepath.Join(dir, "left"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	again, err := w.SideTree(t.Context(), w.host.Head(), ports.ForProof)
	if err != nil || again != dir {
		t.Fatalf("again: %s, %v", again, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "left")); !os.IsNotExist(err) {
		t.Errorf("a leftover stayed: %v", err)
	}
	_, err = w.SideTree(t.Context(), strings.Repeat("e", 40), ports.ForProof)
	wantFault(t, err, fault.NotFound, "UNKNOWN_COMMIT")
	w.SideDir = filepath.Join(w.host.Dir, "app", "main.go", "side")
	_, err = w.SideTree(t.Context(), target, ports.ForProof)
	wantFault(t, err, fault.Failed, "SIDE_TREE")
}

func TestReset(t *testing.T) {
	w := newWorld(t)
	target := w.push(map[string]string{"app/main.go": "two\n", "new.txt": "new\n"})
	w.fetch(target)
	w.host.Write("app/main.go", "edited\n")
	w.host.Write("data/live.db", "precious\n")
	if err := w.Reset(t.Context(), target, w.out); err != nil {
		t.Fatal(err)
	}
	if w.host.Head() != target || w.host.Read("app/main.go") != "two\n" || w.host.Read("data/live.db") != "precious\n" {
		t.Error("the reset did not do exactly what it should")
	}
	if err := w.Reset(t.Context(), target, w.out); err != nil { // it may be repeated
		t.Error(err)
	}
	wantFault(t, w.Reset(t.Context(), strings.Repeat("e", 40), w.out), fault.NotFound, "UNKNOWN_COMMIT")
	if got := w.host.Git("rev-parse", "--abbrev-ref", "HEAD"); got != "main" {
		t.Errorf("the checkout is on %s", got)
	}
}

// A lock is left behind when it is old, also by a clock that was set back since.
func TestResetRemovesAStaleLock(t *testing.T) {
	for name, age := range map[string]time.Duration{"old": time.Minute, "from the future": -time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, target, _ := locked(t, age)
			if err := w.Reset(t.Context(), target, w.out); err != nil {
				t.Fatal(err)
			}
			if w.host.Head() != target || !slices.ContainsFunc(w.printed, func(l string) bool { return strings.Contains(l, "index.lock") }) {
				t.Errorf("at %s, printed %q", w.host.Head(), w.printed)
			}
		})
	}
}

// A person's git that is running is waited for, not broken, also where a clock that was set makes its lock look old.
func TestResetWaitsForALiveLock(t *testing.T) {
	for name, age := range map[string]time.Duration{"fresh": 0, "looks old": 3 * time.Hour, "from the future": -3 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, target, lock := locked(t, age)
			removed := make(chan error, 1)
			timer := time.AfterFunc(time.Second, func() { removed <- os.Remove(lock) })
			defer timer.Stop()
			if err := w.Reset(t.Context(), target, w.out); err != nil {
				t.Fatal(err)
			}
			if err := <-removed; err != nil {
				t.Errorf("the lock was not ours to remove: %v", err)
			}
			if w.host.Head() != target {
				t.Errorf("at %s", w.host.Head())
			}
		})
	}
}

// locked is a checkout with a target to reset to, and a git's lock of an age.
func locked(t *testing.T, age time.Duration) (w *world, target, lock string) {
	t.Helper()
	w = newWorld(t)
	target = w.push(map[string]string{"app/main.go": "two\n"})
	w.fetch(target)
	w.host.Write(".git/index.lock", "")
	lock = filepath.Join(w.host.Dir, ".git/index.lock")
	at := time.Now().Add(-age)
	if err := os.Chtimes(lock, at, at); err != nil {
		t.Fatal(err)
	}
	return w, target, lock
}

func TestStoppedWorkChangesNothing(t *testing.T) {
	w := newWorld(t)
	first := w.host.Head()
	target := w.push(map[string]string{"app/main.go": "two\n"})
	w.fetch(target)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(fmt.Errorf("stopped"))
	if err := w.Reset(ctx, target, w.out); err == nil || w.host.Head() != first {
		t.Errorf("a stopped reset: %v, at %s", err, w.host.Head())
	}
}

// Reset moves the checkout whatever is in the way, as a rollback does.
func (w *world) Reset(ctx context.Context, sha string, out ports.Output) error {
	_, err := w.Move(ctx, picture.Move{Target: sha, Operation: "op-1-x", GoOn: true}, out)
	return err
}

// Check says why the checkout may not be moved to where it stands.
func (w *world) Check(ctx context.Context, prepare pipeline.Prepare) error {
	tree, err := w.Look(ctx, w.host.Head(), prepare, nil)
	if err != nil {
		return err
	}
	return tree.Refusal(w.Branch, w.Config)
}

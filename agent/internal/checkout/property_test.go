package checkout

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/shared/fault"
)

// The names are few, so that files, folders and links meet in one place all the time.
var (
	parts   = []string{"a", "b", "c.ign"}
	ignores = "*.ign\n"
)

// chance makes random trees and hosts, the same for the same seed.
type chance struct {
	*rand.Rand
	w     *world
	bytes int // makes every content one of its own
}

func (c *chance) path() string {
	path := parts[c.IntN(len(parts))]
	for c.IntN(2) == 0 && strings.Count(path, "/") < 2 {
		path += "/" + parts[c.IntN(len(parts))]
	}
	return path
}

func (c *chance) content(who string) string {
	c.bytes++
	return fmt.Sprintf("%s %d\r\n", who, c.bytes)
}

// put makes a file or a link at a path, unless something is in its way.
func (c *chance) put(dir, path, content string) {
	full := filepath.Join(dir, path)
	if os.MkdirAll(filepath.Dir(full), 0o755) != nil {
		return
	}
	if c.IntN(6) == 0 {
		_ = os.Remove(full)                 // it fails where nothing is, or a folder
		_ = os.Symlink("to-"+content, full) // likewise
		return
	}
	if info, err := os.Lstat(full); err == nil && !info.Mode().IsRegular() {
		return
	}
	if err := os.WriteFile(full, []byte(content), 0o644); err != nil {
		c.w.t.Fatal(err)
	}
}

// commit makes a random commit of the developer's.
func (c *chance) commit() string {
	for range 1 + c.IntN(6) {
		if c.IntN(3) == 0 {
			_ = os.RemoveAll(filepath.Join(c.w.dev.Dir, c.path())) // a file may be where it wants a folder
		} else {
			c.put(c.w.dev.Dir, c.path(), c.content("theirs"))
		}
	}
	c.w.dev.Write("always", c.content("theirs"))
	c.w.dev.Git("add", "--force", "--all")
	sha := c.w.dev.Commit("next", nil)
	c.w.dev.Push()
	c.w.fetch(sha)
	return sha
}

// disturb does on the host what people and programs do.
func (c *chance) disturb() {
	host := c.w.host
	for range c.IntN(5) {
		switch path := c.path(); c.IntN(8) {
		case 0, 1, 2, 3:
			c.put(host.Dir, path, c.content("mine"))
		case 4: // away, with everything in it; only what git has, else the test loses it
			if out, err := host.Try("ls-files", "--others", "--", path); err == nil && out == "" {
				_ = os.RemoveAll(filepath.Join(host.Dir, path)) // likewise
			}
		case 5:
			_, _ = host.Try("add", "--force", path) // there may be nothing
		case 6:
			_, _ = host.Try("update-index", []string{"--skip-worktree", "--assume-unchanged"}[c.IntN(2)], path) // likewise
		case 7:
			_, _ = host.Try("rm", "--quiet", "--cached", path) // likewise
		}
	}
}

// TestNothingIsLost: whatever the host and the commits are like, a move forward is refused and
// changes nothing or loses nothing, and a way there and back loses nothing either.
func TestNothingIsLost(t *testing.T) {
	t.Parallel()
	rounds := 60
	if testing.Short() {
		rounds = 15
	}
	w := newWorld(t)
	w.hasty()
	w.dev.Write(".gitignore", ignores)
	c := &chance{Rand: rand.New(rand.NewPCG(seed(t), 2)), w: w}
	at := c.commit()
	if _, err := w.move(at, true); err != nil {
		t.Fatal(err)
	}
	refused, done := 0, 0
	for n := range rounds {
		target := c.commit()
		c.disturb()
		m := picture.Move{Target: target, Operation: fmt.Sprintf("op-%d", n)}
		before, repo := c.precious(), repository(w.host)
		_, err := w.Move(t.Context(), m, w.out)
		after := c.precious()
		switch {
		case err == nil:
			done++
		case fault.KindOf(err) == fault.Refused:
			refused++
			if diff := cmp.Diff(before, after); diff != "" || repository(w.host) != repo {
				t.Fatalf("round %d: refused with %v, and changed:\n%s", n, err, diff)
			}
		default:
			t.Fatalf("round %d: %v", n, err)
		}
		c.nothingLost(n, before, "forward")
		if c.IntN(2) == 0 {
			c.disturb()
		}
		// There, as a deploy that must go on, or back.
		for _, to := range []string{target, at} {
			before = c.precious()
			m := picture.Move{Target: to, Operation: m.Operation, GoOn: true}
			if _, err := w.Move(t.Context(), m, w.out); err != nil {
				t.Fatalf("round %d: %v\n%s", n, err, w.host.Git("status", "--porcelain"))
			}
			if w.host.Head() != to {
				t.Fatalf("round %d: at %s", n, w.host.Head())
			}
			c.nothingLost(n, before, "going on to "+to)
		}
		if c.IntN(2) == 0 {
			if _, err := w.Move(t.Context(), picture.Move{Target: target, Operation: m.Operation, GoOn: true}, w.out); err != nil {
				t.Fatal(err)
			}
			at = target
		}
		c.tidy()
	}
	t.Logf("%d refused, %d done", refused, done)
	if refused < rounds/10 || done < rounds/10 {
		t.Errorf("%d refused and %d done: the test does not try both", refused, done)
	}
}

// seed is the same in every run; LANDFALL_SEED tries another one.
func seed(t *testing.T) uint64 {
	t.Helper()
	text := os.Getenv("LANDFALL_SEED")
	if text == "" {
		return 1
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// precious is what lies on the disk, and what is staged.
func (c *chance) precious() map[string]string {
	c.w.t.Helper()
	all := contents(c.w.t, c.w.host.Dir)
	for path := range strings.SplitSeq(c.w.host.Git("diff", "--cached", "--name-only", "--no-renames", "--diff-filter=AMT", "-z"), "\x00") {
		if path == "" {
			continue
		}
		if staged, err := c.w.host.Try("show", ":"+path); err == nil { // one that is only intended has none
			all["staged "+path] = staged + "\n"
		}
	}
	return all
}

// nothingLost checks that what the host alone had is on the disk somewhere, or in a saved commit.
// Every content is written once, so that it is enough to look for the bytes.
func (c *chance) nothingLost(n int, before map[string]string, doing string) {
	c.w.t.Helper()
	var kept strings.Builder
	for _, what := range contents(c.w.t, c.w.host.Dir) {
		kept.WriteString(what + "\n")
	}
	var lost []string
	for path, what := range before {
		i := strings.Index(what, "mine ")
		if i >= 0 && !strings.Contains(kept.String(), what[i:]) {
			lost = append(lost, path+" "+what)
		}
	}
	if len(lost) == 0 {
		return
	}
	saved, err := c.w.host.Try("log", "--all", "-m", "-p", "--text", "--format=", "--glob=refs/landfall/saved")
	if err != nil {
		c.w.t.Fatal(err)
	}
	for _, l := range lost {
		if i := strings.Index(l, "mine "); !strings.Contains(saved, strings.TrimRight(l[i:], "\r\n")) {
			c.w.t.Fatalf("round %d, %s: %q is lost\n%s", n, doing, l, strings.Join(c.w.printed, "\n"))
		}
	}
}

// tidy gives the next round a host without leftovers.
func (c *chance) tidy() {
	for path := range strings.SplitSeq(c.w.host.Git("ls-files", "-z"), "\x00") {
		if path != "" {
			c.w.host.Git("update-index", "--no-skip-worktree", path)
			c.w.host.Git("update-index", "--no-assume-unchanged", path)
		}
	}
	c.w.host.Git("reset", "--quiet", "--hard")
	c.w.host.Git("clean", "-ffdxq")
	c.w.printed = nil
	if _, err := os.Lstat(filepath.Join(c.w.host.Dir, ".git/index.lock")); !errors.Is(err, os.ErrNotExist) {
		c.w.t.Fatalf("a lock is left: %v", err)
	}
}

package checkout

import (
	"testing"

	"ataraxis.dev/landfall/agent/internal/picture"
)

// TestGoingBackToTheStand: what was checked out is, and the branch is where it was; git itself is asked. A move that is cut off may be repeated.
func TestGoingBackToTheStand(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		leave  func(w *world, first, second string)
		branch string // at the end
		main   string // "first", "second", or "" for none
	}{
		"on the branch":              {func(w *world, _, _ string) { w.host.Git("reset", "--quiet", "--hard", "HEAD~1") }, "main", "first"},
		"detached, the branch ahead": {func(w *world, first, _ string) { w.host.Git("checkout", "--quiet", "--detach", first) }, "", "second"},
		"detached at the branch": {func(w *world, first, _ string) {
			w.host.Git("reset", "--quiet", "--hard", first)
			w.host.Git("checkout", "--quiet", "--detach")
		}, "", "first"},
		"detached, no branch": {func(w *world, first, _ string) {
			w.host.Git("checkout", "--quiet", "--detach", first)
			w.host.Git("branch", "--quiet", "-D", "main")
		}, "", ""},
		"another branch": {func(w *world, first, _ string) { w.host.Git("checkout", "--quiet", "-b", "mine", first) }, "mine", "second"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			first := w.host.Head()
			second := w.push(map[string]string{"app/main.go": "two\n"})
			target := w.push(map[string]string{"app/main.go": "three\n", "new": "new\n"})
			w.fetch(target)
			w.host.Git("reset", "--quiet", "--hard", second)
			c.leave(w, first, second)
			stood, err := w.Stand(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			refs := w.host.Git("for-each-ref", "refs/heads")
			if _, err := w.move(target, c.branch == "mine"); err != nil { // forward another branch is refused
				t.Fatal(err)
			}
			if got := w.host.Git("symbolic-ref", "HEAD"); got != "refs/heads/main" || w.host.Head() != target {
				t.Fatalf("forward: %s at %s", got, w.host.Head())
			}
			for _, again := range []string{"", "again", "after a cut"} {
				if again == "after a cut" { // git was done with the files, and not with the branch
					w.host.Git("update-ref", "refs/heads/main", target)
				}
				if _, err := w.Move(t.Context(), picture.Move{Target: first, Operation: op, GoOn: true, Stood: &stood}, w.out); err != nil {
					t.Fatal(err)
				}
				if again == "after a cut" && c.branch == "main" {
					continue
				}
				got, _ := w.host.Try("symbolic-ref", "--quiet", "--short", "HEAD")
				if got != c.branch || w.host.Head() != first || w.host.Read("app/main.go") != "one\n" || w.host.Git("status", "--porcelain") != "" {
					t.Errorf("%s: on %q at %s, app is %q, %s", again, got, w.host.Head(), w.host.Read("app/main.go"), w.host.Git("status", "--porcelain"))
				}
				if now := w.host.Git("for-each-ref", "refs/heads"); now != refs {
					t.Errorf("%s: branches are\n%s\nthey were\n%s", again, now, refs)
				}
				if at := map[string]string{"first": first, "second": second}[c.main]; at != stood.Follows {
					t.Errorf("the stand has main at %q, want %q", stood.Follows, at)
				}
			}
		})
	}
}

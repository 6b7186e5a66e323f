package git_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/git/gittest"
)

func TestTouchedPaths(t *testing.T) {
	t.Parallel()
	work := gittest.New(t)
	base := work.Commit("base", map[string]string{"back": "1\n", "gone": "g\n", "from": strings.Repeat("same\n", 50), "kept": "k\n"})
	work.Commit("there", map[string]string{"back": "2\n"})
	work.Commit("and back", map[string]string{"back": "1\n"})
	work.Git("checkout", "--quiet", "-b", "side", base)
	work.Commit("aside", map[string]string{"side/" + newlined: "s\n"})
	work.Git("checkout", "--quiet", "main")
	work.Remove("gone")
	work.Git("mv", "from", "to")
	work.Git("config", "diff.renames", "true")
	work.Commit("rename", nil)
	work.Git("merge", "--quiet", "--no-ff", "--no-commit", "side")
	work.Commit("merge, with a change of its own", map[string]string{"evil": "m\n"})
	work.Git("checkout", "--quiet", "--orphan", "other")
	work.Git("rm", "-r", "-f", "--quiet", ".")
	root := work.Commit("another history", map[string]string{"root": "r\n"})
	work.Git("rm", "--quiet", "root")
	work.Commit("without a trace", nil)
	work.Git("checkout", "--quiet", "main")
	work.Git("merge", "--quiet", "--allow-unrelated-histories", "--no-edit", "other")
	head := work.Head()

	got, err := open(work).TouchedPaths(t.Context(), base, head)
	requireNoError(t, err)
	want := []string{"back", "evil", "from", "gone", "kept", "root", "side/" + newlined, "to"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("paths (-want +got):\n%s", diff)
	}

	alone, err := open(work).TouchedPaths(t.Context(), base, root)
	requireNoError(t, err)
	if diff := cmp.Diff([]string{"root"}, alone); diff != "" {
		t.Errorf("a commit without parents (-want +got):\n%s", diff)
	}

	none, err := open(work).TouchedPaths(t.Context(), head, head)
	requireNoError(t, err)
	if len(none) != 0 {
		t.Errorf("nothing lies between a commit and itself, got %q", none)
	}
	_, err = open(work).TouchedPaths(t.Context(), absent, head)
	requireFault(t, err, fault.NotFound, "UNKNOWN_COMMIT")
	_, err = open(work).TouchedPaths(t.Context(), "main", head)
	requireFault(t, err, fault.Invalid, "INVALID_SHA")
}

// The oldest commit of a shallow clone looks like one that added everything, and what it removed
// is not to be seen.
func TestTouchedPathsOfAShallowClone(t *testing.T) {
	t.Parallel()
	origin, work, base := pushed(t)
	work.Remove("a.txt")
	work.Commit("remove", nil)
	head := work.Commit("more", map[string]string{"c.txt": "c\n"})
	work.Push()
	clone := gittest.Clone(t, origin, "--depth=2")
	_, err := open(clone).TouchedPaths(t.Context(), base, head)
	requireFault(t, err, fault.Failed, "SHALLOW_HISTORY")
}

func TestMessage(t *testing.T) {
	t.Parallel()
	work := gittest.New(t)
	message := "subject with \xe9\n\nbody\n\nskip-checks: true\n"
	work.Git("config", "i18n.commitEncoding", "latin1")
	sha := work.Commit(message, map[string]string{"a": "1\n"})
	got, err := open(work).Message(t.Context(), sha)
	requireNoError(t, err)
	if got != message {
		t.Errorf("message %q, want %q", got, message)
	}
	_, err = open(work).Message(t.Context(), absent)
	requireFault(t, err, fault.NotFound, "UNKNOWN_COMMIT")
}

func TestCommitTime(t *testing.T) {
	t.Parallel()
	work := gittest.New(t)
	work.Commit("one", nil)
	head := work.Commit("committer Eve <eve@example.org> 1 +0000\n\nbody", map[string]string{"a": "1\n"})
	got, err := open(work).CommitTime(t.Context(), head)
	requireNoError(t, err)
	if want := time.Date(2026, 1, 1, 12, 2, 0, 0, time.UTC); !got.Equal(want) {
		t.Errorf("got %s, want %s", got, want)
	}
	if _, err := open(work).CommitTime(t.Context(), absent); fault.ReasonOf(err) != "UNKNOWN_COMMIT" {
		t.Errorf("an absent commit: %v", err)
	}
}

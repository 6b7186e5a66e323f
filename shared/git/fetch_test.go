package git_test

import (
	"strings"
	"testing"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/git/gittest"
	"ataraxis.dev/landfall/shared/process"
)

func TestFetchFollowsAForcePush(t *testing.T) {
	t.Parallel()
	origin, work, first := pushed(t)
	clone := gittest.Clone(t, origin)
	repo := open(clone)

	second := work.Commit("two", map[string]string{"a.txt": "two\n"})
	work.Push()
	var lines []string
	got, err := repo.Fetch(t.Context(), "origin", "main", func(l process.Line) { lines = append(lines, l.Text) })
	requireNoError(t, err)
	if got != second || clone.Head() != first {
		t.Errorf("fetched %s, HEAD %s: want %s and an untouched HEAD %s", got, clone.Head(), second, first)
	}
	if !strings.Contains(strings.Join(lines, "\n"), first[:7]+".."+second[:7]) {
		t.Errorf("progress lines %q do not name the update", lines)
	}

	work.Git("reset", "--quiet", "--hard", first)
	other := work.Commit("another two", map[string]string{"a.txt": "other\n"})
	work.Push()
	got, err = repo.Fetch(t.Context(), "origin", "main", nil)
	requireNoError(t, err)
	if got != other {
		t.Errorf("after a force-push: %s, want %s", got, other)
	}
	if ok, err := repo.IsAncestor(t.Context(), second, other); ok || err != nil {
		t.Errorf("the abandoned commit: ancestor %v, %v", ok, err)
	}
}

func TestFetchCommit(t *testing.T) {
	t.Parallel()
	origin, work, first := pushed(t)
	repo := open(gittest.Clone(t, origin))
	second := work.Commit("two", nil)
	work.Push()
	third := work.Commit("three, never pushed", nil)

	requireNoError(t, repo.FetchCommit(t.Context(), "origin", second, nil))
	if got, err := repo.Resolve(t.Context(), second); err != nil || got != second {
		t.Errorf("Resolve = %s, %v", got, err)
	}
	requireFault(t, repo.FetchCommit(t.Context(), "origin", third, nil), fault.NotFound, "UNKNOWN_COMMIT")

	origin.Remove(".") // what is there already needs no remote
	requireNoError(t, repo.FetchCommit(t.Context(), "origin", first, nil))
}

func TestFetchFailures(t *testing.T) {
	t.Parallel()
	origin, _, _ := pushed(t)
	clone := gittest.Clone(t, origin)
	clone.Git("remote", "add", "gone", "file:///nonexistent/origin.git")
	clone.Git("remote", "add", "ext", "ext::sh -c touch% "+clone.Dir+"/pwned")
	clone.Git("remote", "add", "plain", "http://user:s3cret@127.0.0.1:1/r.git")
	clone.Git("remote", "add", "closed", "https://user:s3cret@127.0.0.1:1/r.git")
	repo := open(clone)
	tests := []struct {
		remote, branch string
		kind           fault.Kind
		reason         string
	}{
		{"origin", "none", fault.NotFound, "UNKNOWN_BRANCH"},
		{"origin", "--upload-pack=touch pwned", fault.Invalid, "INVALID_REF"},
		{"--upload-pack=touch pwned", "main", fault.Invalid, "INVALID_REMOTE"},
		{"https://user:s3cret@example.org/r", "main", fault.Invalid, "INVALID_REMOTE"},
		{"nobody", "main", fault.Failed, "REMOTE_NOT_FOUND"},
		{"gone", "main", fault.Failed, "REMOTE_NOT_FOUND"},
		{"ext", "main", fault.Refused, "PROTOCOL_NOT_ALLOWED"},
		{"plain", "main", fault.Refused, "PROTOCOL_NOT_ALLOWED"},
		{"closed", "main", fault.Failed, "REMOTE_UNREACHABLE"},
	}
	for _, tt := range tests {
		t.Run(tt.remote+" "+tt.branch, func(t *testing.T) {
			t.Parallel()
			var lines []string
			_, err := repo.Fetch(t.Context(), tt.remote, tt.branch, func(l process.Line) { lines = append(lines, l.Text) })
			requireFault(t, err, tt.kind, tt.reason)
			if all := err.Error() + strings.Join(lines, "\n"); strings.Contains(all, "s3cret") {
				t.Errorf("the password is told: %s", all)
			}
		})
	}
}

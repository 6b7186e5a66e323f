package git_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/git"
	"ataraxis.dev/landfall/shared/git/gittest"
)

func TestResolve(t *testing.T) {
	t.Parallel()
	work := gittest.New(t)
	repo := open(work)
	_, err := repo.Head(t.Context())
	requireFault(t, err, fault.NotFound, "UNKNOWN_COMMIT") // no commit yet

	first := work.Commit("one", map[string]string{"a": "1"})
	second := work.Commit("two", map[string]string{"a": "2"})
	work.Git("tag", "-a", "-m", "annotated", "v1", first)
	work.Git("branch", "side", first)
	blob := work.Git("rev-parse", "HEAD:a")

	for rev, want := range map[string]string{
		"HEAD": second, "HEAD~1": first, "v1": first, "side": first, second: second, second[:10]: second, "refs/heads/side": first,
	} {
		if got, err := repo.Resolve(t.Context(), rev); err != nil || got != want {
			t.Errorf("Resolve(%q) = %q, %v, want %q", rev, got, err, want)
		}
	}
	for _, rev := range []string{absent, "nowhere", "HEAD~7", blob, "HEAD:a", "-", "HEAD..side"} {
		if got, err := repo.Resolve(t.Context(), rev); fault.KindOf(err) != fault.NotFound && fault.KindOf(err) != fault.Invalid {
			t.Errorf("Resolve(%q) = %q, %v", rev, got, err)
		}
	}
	for _, rev := range []string{"", "--all", "-h", "--git-dir", "a\nb"} {
		_, err := repo.Resolve(t.Context(), rev)
		requireFault(t, err, fault.Invalid, "INVALID_REVISION")
	}
	if got, err := repo.RevParseRef(t.Context(), "refs/heads/side"); err != nil || got != first {
		t.Errorf("RevParseRef = %q, %v", got, err)
	}
	_, err = repo.RevParseRef(t.Context(), "refs/heads/none")
	requireFault(t, err, fault.NotFound, "UNKNOWN_REF")
}

func TestIsAncestor(t *testing.T) {
	t.Parallel()
	work := gittest.New(t)
	repo := open(work)
	first := work.Commit("one", nil)
	second := work.Commit("two", nil)
	for _, tt := range []struct {
		a, b string
		want bool
	}{{first, second, true}, {second, second, true}, {second, first, false}} {
		if got, err := repo.IsAncestor(t.Context(), tt.a, tt.b); err != nil || got != tt.want {
			t.Errorf("IsAncestor(%s, %s) = %v, %v", tt.a, tt.b, got, err)
		}
	}
	_, err := repo.IsAncestor(t.Context(), absent, second)
	requireFault(t, err, fault.NotFound, "UNKNOWN_COMMIT")
	_, err = repo.IsAncestor(t.Context(), "main", second)
	requireFault(t, err, fault.Invalid, "INVALID_SHA")
}

func TestShallowCloneIsNotTrusted(t *testing.T) {
	t.Parallel()
	origin, work, first := pushed(t)
	second := work.Commit("two", map[string]string{"a.txt": "two\n"})
	work.Push()
	repo := open(gittest.Clone(t, origin, "--depth=1"))

	_, err := repo.Diff(t.Context(), first, second)
	requireFault(t, err, fault.NotFound, "UNKNOWN_COMMIT") // the base was never fetched

	requireNoError(t, repo.FetchCommit(t.Context(), "origin", first, nil))
	diff, err := repo.Diff(t.Context(), first, second)
	requireNoError(t, err)
	if diff.Files != 1 || diff.Changes[0].Path != "a.txt" {
		t.Errorf("diff %+v", diff)
	}
	_, err = repo.IsAncestor(t.Context(), first, second)
	requireFault(t, err, fault.Failed, "SHALLOW_HISTORY")
}

func TestNotARepository(t *testing.T) {
	t.Parallel()
	_, err := git.Repo{Dir: t.TempDir()}.Head(t.Context())
	requireFault(t, err, fault.Invalid, "NOT_A_REPOSITORY")
	_, err = git.Repo{Dir: "relative"}.Head(t.Context())
	requireFault(t, err, fault.Invalid, "PATH_NOT_ABSOLUTE")
}

// A checkout that lost its .git must not make a reset of the repository around it.
func TestRepositoryAboveIsNotTaken(t *testing.T) {
	t.Parallel()
	above := gittest.New(t)
	above.Commit("one", map[string]string{"checkout/a": "1"})
	_, err := git.Repo{Dir: filepath.Join(above.Dir, "checkout")}.Head(t.Context())
	requireFault(t, err, fault.Invalid, "NOT_A_REPOSITORY")
}

func TestFind(t *testing.T) {
	t.Parallel()
	work := gittest.New(t)
	work.Commit("one", map[string]string{"deep/er/a": "1"})
	for _, dir := range []string{".", "deep/er"} {
		repo, err := git.Find(t.Context(), filepath.Join(work.Dir, dir), git.Options{NoUserConfig: true})
		requireNoError(t, err)
		if repo.Dir != work.Dir {
			t.Errorf("from %s: %s, want %s", dir, repo.Dir, work.Dir)
		}
	}
	_, err := git.Find(t.Context(), t.TempDir(), git.Options{})
	requireFault(t, err, fault.Invalid, "NOT_A_REPOSITORY")
}

func TestMissingGit(t *testing.T) {
	t.Parallel()
	repo := open(gittest.New(t))
	repo.Env = []string{"PATH=" + t.TempDir()}
	_, err := repo.Head(t.Context())
	requireFault(t, err, fault.Failed, "EXECUTABLE_NOT_FOUND")
}

func TestDubiousOwnership(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("giving files away needs root")
	}
	work := gittest.New(t)
	sha := work.Commit("one", map[string]string{"a": "1"})
	for dir := work.Dir; len(dir) > len(os.TempDir()); dir = filepath.Dir(dir) {
		requireNoError(t, os.Chmod(dir, 0o755)) // the owner must be able to enter
	}
	requireNoError(t, filepath.WalkDir(work.Dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, 54321, 54321)
	}))
	repo := open(work)
	_, err := repo.Head(t.Context())
	requireFault(t, err, fault.Refused, "DUBIOUS_OWNERSHIP")

	options, err := git.AsOwner(work.Dir)
	requireNoError(t, err)
	options.NoUserConfig = true
	if got, err := (git.Repo{Dir: work.Dir, Options: options}).Head(t.Context()); err != nil || got != sha {
		t.Errorf("as the owner: %q, %v", got, err)
	}
}

func TestIndexLock(t *testing.T) {
	t.Parallel()
	work := gittest.New(t)
	sha := work.Commit("one", map[string]string{"a": "1"})
	repo := open(work)
	lock := filepath.Join(work.Dir, ".git", "index.lock")
	requireNoError(t, os.WriteFile(lock, nil, 0o600))

	requireFault(t, repo.ResetHard(t.Context(), sha, nil), fault.Refused, "INDEX_LOCKED")
	if removed, err := repo.RemoveStaleLock(t.Context(), time.Minute); removed || err != nil {
		t.Errorf("a fresh lock: removed %v, %v", removed, err)
	}

	old := time.Now().Add(-time.Hour)
	requireNoError(t, os.Chtimes(lock, old, old))
	requireFault(t, repo.ResetHard(t.Context(), sha, nil), fault.Refused, "INDEX_LOCK_STALE")
	if removed, err := repo.RemoveStaleLock(t.Context(), time.Minute); !removed || err != nil {
		t.Errorf("an old lock: removed %v, %v", removed, err)
	}
	requireNoError(t, repo.ResetHard(t.Context(), sha, nil))
	requireNoError(t, os.WriteFile(lock, nil, 0o600))
	ahead := time.Now().Add(time.Hour)
	requireNoError(t, os.Chtimes(lock, ahead, ahead))
	if removed, err := repo.RemoveStaleLock(t.Context(), time.Minute); !removed || err != nil {
		t.Errorf("a lock from before the clock was set back: removed %v, %v", removed, err)
	}
	if removed, err := repo.RemoveStaleLock(t.Context(), 0); removed || err != nil {
		t.Errorf("no lock: removed %v, %v", removed, err)
	}
}

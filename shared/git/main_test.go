package git_test

import (
	"strings"
	"testing"

	"go.uber.org/goleak"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/git"
	"ataraxis.dev/landfall/shared/git/gittest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	absent = "0123456789abcdef0123456789abcdef01234567" // a SHA that no test repository has
)

// open drives a test repository without the machine's configuration.
func open(r *gittest.Repo) git.Repo {
	return git.Repo{Dir: r.Dir, Options: git.Options{NoUserConfig: true}}
}

// requireFault fails the test unless err has the kind and the reason.
func requireFault(t *testing.T, err error, kind fault.Kind, reason string) {
	t.Helper()
	if err == nil || fault.KindOf(err) != kind || fault.ReasonOf(err) != reason {
		t.Fatalf("got %v %q (%v), want %v %q", fault.KindOf(err), fault.ReasonOf(err), err, kind, reason)
	}
}

func requireNoError(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// pushed makes an origin with one commit, a clone of it and the commit.
func pushed(t *testing.T) (origin, work *gittest.Repo, sha string) {
	t.Helper()
	origin = gittest.NewBare(t)
	work = gittest.New(t)
	work.Git("remote", "add", "origin", origin.URL())
	sha = work.Commit("one", map[string]string{"a.txt": "one\n", "dir/b.txt": "b\n"})
	work.Push()
	return origin, work, sha
}

func TestGittestIsReproducible(t *testing.T) {
	t.Parallel()
	files := map[string]string{"a": "1\n", "b/c": "2\n"}
	one, two := gittest.New(t).Commit("first", files), gittest.New(t).Commit("first", files)
	if one != two {
		t.Errorf("the same commit is %s and %s", one, two)
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	version, err := open(gittest.New(t)).Version(t.Context())
	requireNoError(t, err)
	if !strings.Contains(version, ".") || strings.Trim(version[:1], "0123456789") != "" {
		t.Errorf("version %q", version)
	}
}

func TestMaintain(t *testing.T) {
	t.Parallel()
	_, work, _ := pushed(t)
	requireNoError(t, open(work).Maintain(t.Context()))
}

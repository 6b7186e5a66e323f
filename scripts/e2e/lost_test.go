package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Nothing that lies in the checkout of the host and nowhere else is lost.
func TestNothingOfTheHostIsLost(t *testing.T) {
	t.Parallel()
	y := newYard(t, everyday(sleeper("app")), "compose.yml")
	y.startAgent()
	mine := func(path string) {
		t.Helper()
		y.tree.Write(path, "mine\n")
	}
	still := func(t *testing.T, path string) {
		t.Helper()
		if got := y.tree.Read(path); got != "mine\n" {
			t.Errorf("%s of the host is %q", path, got)
		}
	}
	for _, c := range []struct {
		name, path, brings string
	}{
		{"an untracked file", "notes.txt", "notes.txt"},
		{"an ignored file", "key.secret", "key.secret"},
		{"a folder where the commit has a file", "pgdata/base/1", "pgdata"},
		{"an ignored folder where the commit has a file", "ignored/base/1", "ignored"},
		{"a file where the commit has a folder", "conf", "conf/app.conf"},
		{"the environment of the host", ".env", ".env"},
	} {
		t.Run(c.name, func(t *testing.T) {
			defer y.in(t)()
			mine(c.path)
			y.dev.Write(c.brings, "theirs\n")
			y.dev.Git("add", "--force", c.brings)
			y.refuses(y.commit(c.name, nil), 7, "UNTRACKED_IN_THE_WAY", strings.Split(c.path, "/")[0])
			still(t, c.path)
			y.dev.Git("rm", "-q", "-r", "--force", c.brings)
			if err := os.RemoveAll(filepath.Join(y.tree.Dir, strings.Split(c.path, "/")[0])); err != nil {
				t.Fatal(err)
			}
		})
	}
	t.Run("a commit of the host", func(t *testing.T) {
		defer y.in(t)()
		stamp := y.tree.Head()
		local := y.tree.Commit("local fix", map[string]string{"local.txt": "mine\n"})
		y.refuses(y.commit("next", map[string]string{"readme": "1\n"}), 7, "HOST_COMMITS", local[:12], "local fix")
		still(t, "local.txt")
		y.tree.Git("checkout", "-q", "-b", "hotfix")
		y.tree.Git("branch", "-f", "main", stamp)
		y.refuses(y.commit("next", map[string]string{"readme": "2\n"}), 7, "BRANCH_CHECKED_OUT", "hotfix")
		if got := y.tree.Git("rev-parse", "hotfix"); got != local {
			t.Errorf("the branch of the host is at %s, it was at %s", got, local)
		}
		y.tree.Git("checkout", "-q", "main")
	})
	t.Run("an edit while images are built", func(t *testing.T) {
		defer y.in(t)()
		gate := filepath.Join(y.ids, "gate")
		files := everyday(sleeper("app", `labels: {edition: "2"}`), "  built: {build: {context: built}, init: true, stop_grace_period: 1s}\n")
		files["landfall.yaml"] = strings.Replace(files["landfall.yaml"], "all: [{up", "all: [{script: prepare.sh}, {build: {stack: core, services: [built]}}, {up", 1)
		files["prepare.sh"], files["readme"], files["built/Dockerfile"] = gated(gate), "3\n", "FROM BASE\nCMD [\"sleep\", \"1000000\"]\n"
		before := y.truth()
		wait := y.runs(y.commit("waits", files))
		y.happens("the build waits", prints("build/all/1", "waiting"))
		mine("readme")
		y.coordinate("deployer", "cancel").expect(t, 0, "CANCELLED", "refs/landfall/saved/")
		wait()
		op := y.newest()
		if got := y.tree.Git("show", "refs/landfall/saved/"+op.ID+":readme"); got != "mine" {
			t.Errorf("saved is %q", got)
		}
		y.like(before, op)
	})
	t.Run("an edit while images are built, and the deploy goes through", func(t *testing.T) {
		defer y.in(t)()
		gate := filepath.Join(y.ids, "gate2")
		sha := y.commit("goes through", map[string]string{"prepare.sh": gated(gate), "readme": "4\n"})
		wait := y.runs(sha)
		y.happens("the build waits", prints("build/all/1", "waiting"))
		mine("readme")
		open(t, gate)
		wait()
		if op := y.newest(); op.State != "SUCCEEDED" || y.readStamp() != sha {
			t.Errorf("%s: %s", op.State, op.Failure.Message)
		}
		still(t, "readme")
		y.refuses(y.commit("on top of the edit", map[string]string{"more": "1\n"}), 7, "DIRTY_TREE", "readme")
		y.tree.Git("checkout", "readme")
	})
	pause(time.Second)
}

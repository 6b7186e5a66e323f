package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What the checkout, or .env, was when a container was made may not be there any more when it has to be made again.

// A file of variables that the checkout has only until it moves is no ground to prove a commit on: refused, and it stays.
func TestVariablesThatLeaveWithTheCommit(t *testing.T) {
	t.Parallel()
	files := func(edition string) map[string]string {
		m := everyday(sleeper("app", `labels: {edition: "${ED}", x: "`+edition+`"}`))
		m["compose.yml"] = strings.Replace(m["compose.yml"], "name: PROJECT\n", "name: ${NAME:-PROJECT-other}\n", 1)
		return m
	}
	y := newYard(t, map[string]string{"x": "x"})
	first := files("1")
	first[".env"] = "ED=1\nNAME=PROJECT\n"
	y.commit("first", first)
	y.startAgent()
	y.deploys(y.dev.Head(), 0, "SUCCEEDED")
	y.dev.Remove(".env")
	second := files("2")
	second[".gitignore"] = ".env\n"
	y.refuses(y.commit("untracked", second), 7, "ENV_FILE_LEAVES", "does not track .env any more")
	if _, err := os.Stat(filepath.Join(y.tree.Dir, ".env")); err != nil {
		t.Errorf("the file of variables: %v", err)
	}
}

// A file that a secret is made of, gone with the move, is found before anything is built, and the checkout goes back.
func TestSecretsThatLeaveWithTheCommit(t *testing.T) {
	t.Parallel()
	files := func(edition string) map[string]string {
		return everyday(sleeper("app", `labels: {edition: "`+edition+`"}, secrets: [key]`), "secrets: {key: {file: ./key.txt}}\n")
	}
	first := files("1")
	first["key.txt"] = "value\n"
	y := newYard(t, first, "compose.yml")
	y.startAgent()
	y.dev.Remove("key.txt")
	y.refuses(y.commit("untracked", files("2")), 1, "CHECKOUT_DIFFERS", "needs key.txt")
}

// "What ran before" is not what the checkout of before makes, where somebody has moved the checkout, or edited .env, since the containers were made.
func TestWhatRanBeforeIsNoMoreToBeHad(t *testing.T) {
	t.Parallel()
	fails := strings.Replace(broken("app"), "restart:", `labels: {edition: "3"}, restart:`, 1) + sleeper("other")
	degraded := func(y *yard, sha string) {
		y.t.Helper()
		y.deploys(sha, 5, "ROLLBACK_FAILED", "configured otherwise than it was")
		if op := y.newest(); op.State != "ROLLBACK_FAILED" || strings.Contains(op.Failure.Message, "2 of 2 services run what ran before") {
			y.t.Errorf("%s: %s", op.State, op.Failure.Message)
		}
		if list := y.truth().containers[y.project+"/app"]; len(list) != 1 || list[0].edition == "1" {
			y.t.Errorf("the test proves nothing: app is %v", list)
		}
	}
	t.Run("the checkout was moved", func(t *testing.T) {
		y := newYard(t, everyday(sleeper("app", `labels: {edition: "1"}`)+sleeper("other")), "compose.yml")
		y.startAgent()
		y.commit("two", everyday(sleeper("app", `labels: {edition: "2"}`)+sleeper("other")))
		y.tree.Git("pull", "-q", "--ff-only", "origin", "main")
		degraded(y, y.commit("three", everyday(fails)))
	})
	t.Run(".env was edited", func(t *testing.T) {
		y := newYard(t, map[string]string{".gitignore": ".env\n"})
		y.tree.Write(".env", "ED=1\n")
		y.commit("first", everyday(sleeper("app", `labels: {edition: "${ED}"}`)+sleeper("other")))
		y.startAgent()
		y.deploys(y.dev.Head(), 0, "SUCCEEDED")
		y.tree.Write(".env", "ED=99\n")
		degraded(y, y.commit("bad", everyday(fails)))
	})
	t.Run("a commit that landfall.yaml puts into the environment is none of it", func(t *testing.T) {
		files := func(n int, app string) map[string]string {
			m := everyday(app + sleeper("other", `environment: {SHA: "${GIT_SHA:-none}"}`))
			m["landfall.yaml"] = strings.Replace(m["landfall.yaml"], "stacks:", "environment: {GIT_SHA: \"${target_sha}\"}\nstacks:", 1)
			m["docs.md"] = fmt.Sprint(n)
			return m
		}
		y := newYard(t, map[string]string{"x": "x"})
		y.commit("first", files(1, sleeper("app", `environment: {SHA: "${GIT_SHA:-none}"}`)))
		y.startAgent()
		y.deploys(y.dev.Head(), 0, "SUCCEEDED")
		y.deploys(y.commit("docs", files(2, sleeper("app", `environment: {SHA: "${GIT_SHA:-none}"}`))), 0, "SUCCEEDED")
		before := y.truth()
		y.deploys(y.commit("bad", files(3, broken("app"))), 4, "ROLLED_BACK")
		now := y.truth()
		for _, key := range []string{y.project + "/app", y.project + "/other"} {
			if now.running(key) != 1 || !slices.EqualFunc(now.containers[key], before.containers[key], func(a, b seen) bool { return a.image == b.image }) {
				y.t.Errorf("%s: %v, it was %v", key, now.containers[key], before.containers[key])
			}
		}
	})
}

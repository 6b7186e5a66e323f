package cigate_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ataraxis.dev/landfall/shared/ci"
	"ataraxis.dev/landfall/shared/ci/githubtest"
	"ataraxis.dev/landfall/shared/cigate"
	"ataraxis.dev/landfall/shared/git"
	"ataraxis.dev/landfall/shared/git/gittest"
)

const (
	zeros = "0000000000000000000000000000000000000000"
	ghost = "0123456789abcdef0123456789abcdef01234567" // no repository has it
)

// lintYML is a workflow that pushes to main start when they change Go or Markdown in docs/.
const lintYML = `
on:
  push:
    branches: [main]
    paths: ['**.go', 'docs/**', '!docs/**.png']
  pull_request:
jobs: {lint: {runs-on: ubuntu-latest, steps: [{run: make lint}]}}
`

// history is a repository on which deploys were pushed, and a clone of it.
type history struct {
	origin, work *gittest.Repo
	first        string // the commit with the workflows
}

func newHistory(t *testing.T, workflows map[string]string) *history {
	t.Helper()
	h := &history{origin: gittest.NewBare(t), work: gittest.New(t)}
	h.work.Git("remote", "add", "origin", h.origin.URL())
	files := map[string]string{"main.go": "package main\n", "web/a.js": "1\n"}
	for name, text := range workflows {
		files[".github/workflows/"+name] = text
	}
	h.first = h.work.Commit("first", files)
	h.work.Push()
	return h
}

func (h *history) push(message string, files map[string]string) string {
	sha := h.work.Commit(message, files)
	h.work.Push()
	return sha
}

// expecter asks in the clone that pushed.
func (h *history) expecter(sha string) cigate.Expecter {
	return cigate.Expecter{Repo: open(h.work), Remote: "origin", Branch: "main", SHA: sha}
}

func open(r *gittest.Repo) git.Repo {
	return git.Repo{Dir: r.Dir, Options: git.Options{NoUserConfig: true}}
}

func commits(shas ...string) func(context.Context) ([]string, error) {
	return func(context.Context) ([]string, error) { return shas, nil }
}

// answers compares an expectation: its kind, and a part of its reason.
func answers(t *testing.T, e cigate.Expecter, file string, want ci.Expect, reason string) {
	t.Helper()
	got := e.Expect(t.Context(), file)
	if got.Expect != want || !strings.Contains(got.Reason, reason) {
		t.Errorf("%s: got %d, %q, want %d, %q", file, got.Expect, got.Reason, want, reason)
	}
}

func TestExpectByTriggers(t *testing.T) {
	t.Parallel()
	jobs := "jobs: {a: {runs-on: ubuntu-latest, steps: [{run: x}]}}\n"
	h := newHistory(t, map[string]string{
		"all.yml":      "on: push\n" + jobs,
		"audit.yml":    "on: {schedule: [{cron: '0 9 * * 0'}], workflow_dispatch: }\n" + jobs,
		"release.yml":  "on: {push: {branches: ['release/**']}}\n" + jobs,
		"tags.yml":     "on: {push: {tags: ['v*']}}\n" + jobs,
		"mainonly.yml": "on: {push: {branches: [ma*]}}\n" + jobs,
		"broken.yml":   "on: [push\n",
	})
	e := h.expecter(h.first)
	answers(t, e, "all.yml", ci.Expected, "every push to main starts it")
	answers(t, e, "mainonly.yml", ci.Expected, "every push to main starts it")
	answers(t, e, "audit.yml", ci.NeverOnPush, "on: of .github/workflows/audit.yml does not name push")
	answers(t, e, "release.yml", ci.NeverOnPush, `"release/**"`)
	answers(t, e, "tags.yml", ci.NeverOnPush, "only tags")
	answers(t, e, "gone.yml", ci.NeverOnPush, "the commit has no .github/workflows/gone.yml")
	answers(t, e, "broken.yml", ci.Unknown, "cannot tell")

	skipped := h.expecter(h.push("docs [skip ci]", nil))
	answers(t, skipped, "all.yml", ci.SkippedByMessage, "forbids")
	answers(t, skipped, "audit.yml", ci.NeverOnPush, "does not name push")

	nowhere := h.expecter(ghost)
	answers(t, nowhere, "all.yml", ci.Unknown, ghost)
}

func TestExpectByThePushedPaths(t *testing.T) {
	t.Parallel()
	h := newHistory(t, map[string]string{"lint.yml": lintYML, "ignoring.yml": strings.ReplaceAll(lintYML, "paths: ['**.go', 'docs/**', '!docs/**.png']", "paths-ignore: ['**.md']")})
	for _, c := range []struct {
		name   string
		files  map[string]string
		remove string
		lint   ci.Expect
		ignore ci.Expect
	}{
		{"nothing that counts", map[string]string{"web/a.js": "2\n"}, "", ci.NotExpected, ci.Expected},
		{"a file that counts", map[string]string{"web/a.js": "3\n", "b.go": "package main\n"}, "", ci.Expected, ci.Expected},
		{"taken out again by !", map[string]string{"docs/a.png": "png\n"}, "", ci.NotExpected, ci.Expected},
		{"only what is ignored", map[string]string{"a.md": "1\n", "web/\xff.md": "1\n"}, "", ci.NotExpected, ci.NotExpected},
		{"nothing changed", nil, "", ci.NotExpected, ci.NotExpected},
		{"a name with a line break", map[string]string{"docs/a\nb.md": "1\n"}, "", ci.Expected, ci.NotExpected},
		{"a file is gone", nil, "b.go", ci.Expected, ci.Expected},
		{"a file is renamed out of what counts", map[string]string{"c.txt": "package main\n"}, "main.go", ci.Expected, ci.Expected},
	} {
		before := h.work.Head()
		if c.remove != "" {
			h.work.Remove(c.remove)
		}
		e := h.expecter(h.push(c.name, c.files))
		e.Push = &cigate.Push{Before: before, Commits: 1}
		if got := e.Expect(t.Context(), "lint.yml"); got.Expect != c.lint {
			t.Errorf("%s: paths: got %d (%s), want %d", c.name, got.Expect, got.Reason, c.lint)
		}
		if got := e.Expect(t.Context(), "ignoring.yml"); got.Expect != c.ignore {
			t.Errorf("%s: paths-ignore: got %d (%s), want %d", c.name, got.Expect, got.Reason, c.ignore)
		}
	}
}

// A push is judged by its two ends: what was changed and changed back inside does not count.
func TestExpectByTheTwoEnds(t *testing.T) {
	t.Parallel()
	h := newHistory(t, map[string]string{"lint.yml": lintYML})
	h.push("there", map[string]string{"main.go": "package other\n"})
	back := h.push("and back", map[string]string{"main.go": "package main\n"})
	e := h.expecter(back)
	e.Push = &cigate.Push{Before: h.first, Commits: 2}
	answers(t, e, "lint.yml", ci.NotExpected, "none of")

	// Without the event nobody knows whether both were pushed together.
	e.Push, e.Previous = nil, commits(back, h.first)
	answers(t, e, "lint.yml", ci.Unknown, "may have been started")

	// A clone of one commit fetches the other end.
	shallow := gittest.Clone(t, h.origin, "--depth=1")
	e = cigate.Expecter{Repo: open(shallow), Remote: "origin", Branch: "main", SHA: back, Push: &cigate.Push{Before: h.first}}
	answers(t, e, "lint.yml", ci.NotExpected, "none of")

	e.Push = &cigate.Push{Before: ghost}
	answers(t, e, "lint.yml", ci.Unknown, ghost)
}

func TestExpectLargePushes(t *testing.T) {
	t.Parallel()
	h := newHistory(t, map[string]string{"lint.yml": lintYML})
	many := map[string]string{}
	for i := range 301 {
		many[fmt.Sprintf("web/%03d.js", i)] = "1\n"
	}
	e := h.expecter(h.push("301 files that do not count", many))
	e.Push = &cigate.Push{Before: h.first, Commits: 1}
	answers(t, e, "lint.yml", ci.NotExpected, "none of 301")

	e = h.expecter(h.push("one that counts, beyond those GitHub looks at", map[string]string{"zz.go": "package main\n"}))
	e.Push = &cigate.Push{Before: h.first, Commits: 2}
	answers(t, e, "lint.yml", ci.Unknown, "first 300 of 302 paths only")

	e = h.expecter(h.push("nothing that counts, in very many commits", map[string]string{"web/more.js": "1\n"}))
	e.Push = &cigate.Push{Before: e.SHA, Commits: 1001}
	answers(t, e, "lint.yml", ci.Expected, "more than 1000 commits")
}

func TestExpectOfANewBranch(t *testing.T) {
	t.Parallel()
	h := newHistory(t, map[string]string{"lint.yml": lintYML})
	oldest := h.push("web", map[string]string{"web/a.js": "2\n"})
	e := h.expecter(h.push("web again", map[string]string{"web/a.js": "3\n"}))
	e.Push = &cigate.Push{Before: zeros, Oldest: oldest, Commits: 2}
	answers(t, e, "lint.yml", ci.NotExpected, "none of")

	e.Push.Oldest = h.first // which has no parent
	answers(t, e, "lint.yml", ci.Unknown, "cannot tell")
	e.Push.Oldest = ""
	answers(t, e, "lint.yml", ci.Unknown, "does not tell its oldest commit")

	oldest = h.push("go", map[string]string{"b.go": "package main\n"})
	e = h.expecter(oldest)
	e.Push = &cigate.Push{Before: zeros, Oldest: oldest, Commits: 1}
	answers(t, e, "lint.yml", ci.Unknown, "may have been started")
}

// A dispatch does not tell what the push was. What no commit since an earlier push touched
// cannot have started anything; what one touched may have.
func TestExpectOfADispatch(t *testing.T) {
	t.Parallel()
	h := newHistory(t, map[string]string{"lint.yml": lintYML})
	goes := h.push("go", map[string]string{"main.go": "package main // 2\n"})
	web := h.push("web", map[string]string{"web/a.js": "2\n"})
	later := h.push("later", map[string]string{"main.go": "package main // 3\n"})

	e := h.expecter(web)
	e.Previous = commits(later, web, "", goes, h.first)
	answers(t, e, "lint.yml", ci.NotExpected, "none of 1 changed path")
	e.Previous = commits(ghost, h.first)
	answers(t, e, "lint.yml", ci.Unknown, "matches main.go")
	e.Previous = commits(later, web)
	answers(t, e, "lint.yml", ci.Unknown, "no earlier one")
	e.Previous = nil
	answers(t, e, "lint.yml", ci.Unknown, "no earlier one")
	e.Previous = func(context.Context) ([]string, error) { return nil, errors.New("unavailable") }
	answers(t, e, "lint.yml", ci.Unknown, "unavailable")

	shallow := gittest.Clone(t, h.origin, "--depth=2")
	e = cigate.Expecter{Repo: open(shallow), Remote: "origin", Branch: "main", SHA: later, Previous: commits(web)}
	answers(t, e, "lint.yml", ci.Unknown, "shallow")
}

func TestPushed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.clock.Advance(time.Second)
	w.deploy.Start(githubtest.NewRun{SHA: ghost, Event: "workflow_dispatch"})
	w.deploy.Start(githubtest.NewRun{SHA: ghost, Branch: "other"})
	w.deploy.Start(githubtest.NewRun{SHA: ghost, HeadRepository: "stranger/name"})
	got, err := cigate.Pushed(w.gate.Source, repository, "main", "deploy.yml")(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{head, elsewhere}, got); diff != "" {
		t.Errorf("pushed commits (-want +got):\n%s", diff)
	}
	if _, err := cigate.Pushed(w.gate.Source, repository, "main", "gone.yml")(t.Context()); err == nil {
		t.Error("a workflow that does not exist has no runs, and that is no answer")
	}
}

// The gate and the clone together: a push whose paths start only one of two workflows.
func TestGateWithAClone(t *testing.T) {
	t.Parallel()
	h := newHistory(t, map[string]string{"lint.yml": lintYML, "test.yml": strings.ReplaceAll(lintYML, "**.go", "web/**")})
	sha := h.push("web", map[string]string{"web/a.js": "2\n"})
	w := newWorld(t)
	w.question.SHA = sha
	w.question.OwnRun = w.deploy.Start(githubtest.NewRun{SHA: sha}).ID()
	test := w.test.Start(githubtest.NewRun{SHA: sha})
	w.after(3*time.Minute, func() { test.Complete("success") })
	e := h.expecter(sha)
	e.Push = &cigate.Push{Before: h.first, Commits: 1}
	w.gate.Expect = e.Expect
	result := w.must(ended{cigate.Pass, 3 * time.Minute, 3*time.Minute + 15*time.Second, "lint.yml (not triggered), test.yml (success)"})
	if i := slices.IndexFunc(result.Lines, func(l ci.Line) bool { return l.File == "lint.yml" }); !strings.Contains(result.Lines[i].Reason, "paths: none of 1 changed path matches") {
		t.Errorf("the reason is %q", result.Lines[i].Reason)
	}
}

package cistatus_test

import (
	"strings"
	"testing"

	"ataraxis.dev/landfall/agent/internal/cistatus"
	"ataraxis.dev/landfall/agent/internal/converge"
	"ataraxis.dev/landfall/shared/ci/githubtest"
	"ataraxis.dev/landfall/shared/git"
	"ataraxis.dev/landfall/shared/git/gittest"
)

// bench is a clone whose branch has commits, and a GitHub that knows the repository.
type bench struct {
	t      *testing.T
	server *githubtest.Server
	repo   *githubtest.Repository
	test   *githubtest.Workflow
	clone  *gittest.Repo
	token  string
	status *cistatus.Status
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, server: githubtest.New(t), token: githubtest.Token}
	b.repo = b.server.AddRepository("owner/name")
	b.test = b.repo.AddWorkflow("test.yml")
	origin := gittest.NewBare(t)
	b.clone = gittest.Clone(t, origin)
	b.clone.Git("checkout", "-q", "-B", "main")
	b.push("on: {push: {branches: [main]}}", "one")
	b.status = cistatus.New(cistatus.Settings{
		Repository: "owner/name", BaseURL: b.server.URL(), Branch: "main", Remote: "origin", Repo: git.Repo{Dir: b.clone.Dir},
		Token: func() (string, error) { return b.token, nil },
	})
	return b
}

// push commits with a workflow, and pushes.
func (b *bench) push(on, text string) string {
	sha := b.clone.Commit(text, map[string]string{".github/workflows/test.yml": on + "\njobs: {a: {runs-on: x, steps: []}}\n", "app/main.go": text, "docs/a.md": text})
	b.clone.Push()
	return sha
}

func (b *bench) must(sha string, want converge.CIVerdict, says string) {
	b.t.Helper()
	got := b.status.Of(b.t.Context(), sha, []string{"test.yml"})
	if got.Verdict != want || !strings.Contains(got.Reason, says) {
		b.t.Errorf("%q: %s, want %q: %s", got.Verdict, got.Reason, want, says)
	}
}

func TestVerdictsOfRuns(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	head := b.clone.Head()
	b.must(head, converge.CIPending, "no run")
	run := b.test.Start(githubtest.NewRun{SHA: head, Status: "in_progress"})
	b.must(head, converge.CIPending, "test.yml")
	run.Complete("failure")
	b.must(head, converge.CIRed, "failed")
	run.Rerun()
	b.must(head, converge.CIPending, "")
	run.Complete("success")
	b.must(head, converge.CIGreen, "")
	asked := len(b.server.Requests())
	b.must(head, converge.CIGreen, "")
	if now := len(b.server.Requests()); now != asked {
		t.Errorf("a commit that passed was asked for again: %d requests", now-asked)
	}
}

func TestAForkOrAPullRequestIsNoPass(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	head := b.clone.Head()
	b.test.Start(githubtest.NewRun{SHA: head, Conclusion: "success", HeadRepository: "stranger/name"})
	b.test.Start(githubtest.NewRun{SHA: head, Conclusion: "success", Event: "pull_request"})
	b.must(head, converge.CIPending, "no run")
}

func TestWhatCannotBeToldIsUnknown(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	head := b.clone.Head()
	b.token = "no-token-of-anybody"
	b.must(head, converge.CIUnknown, "token")
	if got := b.status.Of(t.Context(), head, []string{"test.yml"}); strings.Contains(got.Reason, b.token) {
		t.Errorf("the token is told: %s", got.Reason)
	}
	b.token = githubtest.Token // it was renewed meanwhile
	b.test.Start(githubtest.NewRun{SHA: head, Conclusion: "success"})
	b.must(head, converge.CIGreen, "")
	if got := b.status.Of(t.Context(), head, nil); got.Verdict != converge.CIUnknown || !strings.Contains(got.Reason, "ci.required") {
		t.Errorf("%+v", got)
	}
	dead := cistatus.New(cistatus.Settings{
		Repository: "owner/name", BaseURL: "http://127.0.0.1:1", Branch: "main", Remote: "origin", Repo: git.Repo{Dir: b.clone.Dir},
		Token: func() (string, error) { return githubtest.Token, nil },
	})
	if got := dead.Of(t.Context(), head, []string{"test.yml"}); got.Verdict != converge.CIUnknown || got.Reason == "" {
		t.Errorf("a GitHub that is dead: %+v", got)
	}
}

func TestSkippedByMessageIsRed(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	sha := b.push("on: {push: {branches: [main]}}", "[skip ci] two")
	b.must(sha, converge.CIRed, "untested")
}

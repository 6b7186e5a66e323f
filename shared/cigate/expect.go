package cigate

import (
	"context"
	"fmt"
	"strings"

	"ataraxis.dev/landfall/shared/ci"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/git"
	"ataraxis.dev/landfall/shared/workflow"
)

// What GitHub documents about path filters
// (https://docs.github.com/actions/reference/workflows-and-actions/workflow-syntax).
const (
	mostFiles   = 300  // only so many changed files are looked at
	mostCommits = 1000 // a push of more starts every workflow
)

// Expecter says by the files of a clone whether the push of a commit starts a workflow. It
// answers NotExpected only when it is certain.
type Expecter struct {
	Repo   git.Repo
	Remote string // where missing commits are fetched from: origin
	Branch string
	SHA    string
	// Push is the event that pushed SHA; nil when we were started otherwise, or for another commit.
	Push *Push
	// Previous lists commits that were pushed to the branch before SHA, the latest first:
	// those of earlier push runs, see [Pushed]. Needed without Push; may be nil.
	Previous func(ctx context.Context) ([]string, error)
}

// Push is what a push event's payload says.
type Push struct {
	Before  string // 40 zeros when the push made the branch
	Oldest  string // the id of the first of `commits`, the oldest that was pushed; "" when there is none
	Commits int    // the length of `commits`
}

// Expect answers for the workflow file of a base name.
func (e Expecter) Expect(ctx context.Context, file string) ci.Expectation {
	expect, reason, err := e.expect(ctx, file)
	if err != nil {
		return ci.Expectation{Expect: ci.Unknown, Reason: "cannot tell whether it should run: " + err.Error()}
	}
	return ci.Expectation{Expect: expect, Reason: reason}
}

func (e Expecter) expect(ctx context.Context, file string) (ci.Expect, string, error) {
	if err := e.Repo.FetchCommit(ctx, e.Remote, e.SHA, nil); err != nil {
		return 0, "", err
	}
	path := ".github/workflows/" + file
	raw, err := e.Repo.ReadFile(ctx, e.SHA, path)
	if fault.ReasonOf(err) == "NO_SUCH_FILE" {
		return ci.NeverOnPush, "the commit has no " + path, nil
	}
	if err != nil {
		return 0, "", err
	}
	message, err := e.Repo.Message(ctx, e.SHA)
	if err != nil {
		return 0, "", err
	}
	parsed, err := workflow.Parse(path, raw)
	if err != nil {
		return 0, "", err
	}
	if expect, reason := triggers(parsed, e.Branch); expect != ci.Unknown {
		return expect, reason, nil
	}
	if workflow.SkipsCI(message) {
		return ci.SkippedByMessage, "the commit's message forbids workflows, [skip ci] say", nil
	}
	if push := parsed.Event("push"); !push.Paths.Written && !push.PathsIgnore.Written {
		return ci.Expected, "every push to " + e.Branch + " starts it", nil
	}
	return e.byPaths(ctx, parsed)
}

// triggers answers what holds for every push to the branch, Unknown when it depends on
// the paths.
func triggers(file *workflow.File, branch string) (ci.Expect, string) {
	push := file.Event("push")
	if push == nil {
		return ci.NeverOnPush, "on: of " + file.Path + " does not name push"
	}
	anyPath := *push
	anyPath.Paths, anyPath.PathsIgnore = workflow.Filter{}, workflow.Filter{}
	answer := (&workflow.File{Path: file.Path, On: []workflow.Event{anyPath}}).StartsOnPush(branch, nil)
	if answer.Outcome == workflow.DoesNot {
		return ci.NeverOnPush, answer.Reason
	}
	return ci.Unknown, ""
}

// byPaths evaluates the path filter over what the push changed.
func (e Expecter) byPaths(ctx context.Context, file *workflow.File) (ci.Expect, string, error) {
	changed, err := e.changed(ctx)
	if err != nil {
		return 0, "", err
	}
	if changed.commits > mostCommits {
		return ci.Expected, fmt.Sprintf("a push of more than %d commits starts every workflow", mostCommits), nil
	}
	answer := file.StartsOnPush(e.Branch, changed.paths)
	switch {
	case answer.Outcome != workflow.Starts:
		return ci.NotExpected, answer.Reason, nil
	case !changed.exact:
		return ci.Unknown, "it may have been started: " + answer.Reason, nil
	case len(changed.paths) > mostFiles:
		return ci.Unknown, fmt.Sprintf("it may have been started: %s, but GitHub looks at the first %d of %d paths only", answer.Reason, mostFiles, len(changed.paths)), nil
	}
	return ci.Expected, answer.Reason, nil
}

// changed are the paths that a push changed, or more than those when it is not exact.
type changed struct {
	paths   []string
	commits int
	exact   bool
}

func (e Expecter) changed(ctx context.Context) (changed, error) {
	switch {
	case e.Push == nil:
		return e.sincePrevious(ctx)
	case strings.Trim(e.Push.Before, "0") == "":
		return e.sinceParent(ctx)
	}
	c, err := e.diff(ctx, e.Push.Before)
	c.exact = true
	return c, err
}

// diff is the two-dot diff, by which GitHub judges a push to a branch that existed.
func (e Expecter) diff(ctx context.Context, before string) (changed, error) {
	if err := e.Repo.FetchCommit(ctx, e.Remote, before, nil); err != nil {
		return changed{}, err
	}
	diff, err := e.Repo.Diff(ctx, before, e.SHA)
	if err != nil {
		return changed{}, err
	}
	c := changed{commits: diff.Commits} // too few in a shallow clone; the payload knows better
	if e.Push != nil {
		c.commits = max(c.commits, e.Push.Commits)
	}
	for _, change := range diff.Changes {
		c.paths = append(c.paths, change.Path)
	}
	return c, nil
}

// sinceParent is for a push that made the branch: GitHub compares with the parent of the
// oldest commit that was pushed. Which that is the payload says when it is not too long.
func (e Expecter) sinceParent(ctx context.Context) (changed, error) {
	if e.Push.Oldest == "" || e.Push.Commits >= mostCommits {
		return changed{}, fault.New(fault.Failed, "NO_BASE", "the push made the branch %s, and the event does not tell its oldest commit", e.Branch)
	}
	if err := e.Repo.FetchCommit(ctx, e.Remote, e.Push.Oldest, nil); err != nil {
		return changed{}, err
	}
	parent, err := e.Repo.Resolve(ctx, e.Push.Oldest+"^1")
	if err != nil {
		return changed{}, err
	}
	c, err := e.union(ctx, parent)
	if err != nil {
		return changed{}, err
	}
	direct, err := e.diff(ctx, parent)
	c.paths = append(c.paths, direct.paths...)
	c.commits = max(c.commits, direct.commits)
	return c, err
}

// sincePrevious is for a push that we do not know: all that was touched since one before it. Its
// own diff is a part of that, so what matches nothing here matched nothing there.
func (e Expecter) sincePrevious(ctx context.Context) (changed, error) {
	if e.Previous == nil {
		return changed{}, noBase(e.SHA)
	}
	earlier, err := e.Previous(ctx)
	if err != nil {
		return changed{}, err
	}
	for _, sha := range earlier {
		if sha == e.SHA || !git.IsSHA(sha) {
			continue
		}
		// The whole history is here, else union refuses: what is not here was pushed away.
		ancestor, err := e.Repo.IsAncestor(ctx, sha, e.SHA)
		if fault.ReasonOf(err) == "UNKNOWN_COMMIT" {
			continue
		}
		if err != nil {
			return changed{}, err
		}
		if ancestor {
			return e.union(ctx, sha)
		}
	}
	return changed{}, noBase(e.SHA)
}

func noBase(sha string) error {
	return fault.New(fault.Failed, "NO_BASE", "the push of %s is not known, and no earlier one either", sha)
}

func (e Expecter) union(ctx context.Context, base string) (changed, error) {
	commits, err := e.Repo.CountCommits(ctx, base, e.SHA)
	if err != nil {
		return changed{}, err
	}
	if commits > mostCommits {
		return changed{}, fault.New(fault.Failed, "NO_BASE", "%d commits lie between %s and %s: too many to tell what one push changed", commits, base, e.SHA)
	}
	paths, err := e.Repo.TouchedPaths(ctx, base, e.SHA)
	return changed{paths: paths, commits: commits}, err
}

// Pushed is an [Expecter.Previous] by the newest push runs of a workflow, given by the base
// name of its file.
func Pushed(source ci.Source, repository, branch, file string) func(ctx context.Context) ([]string, error) {
	return func(ctx context.Context) ([]string, error) {
		w, err := source.Workflow(ctx, file)
		if err != nil {
			return nil, err
		}
		runs, err := source.RunsOfWorkflow(ctx, w.ID, listed)
		if err != nil {
			return nil, err
		}
		var commits []string
		for _, r := range runs {
			if r.Event == "push" && r.Branch == branch && strings.EqualFold(r.HeadRepository, repository) {
				commits = append(commits, r.SHA)
			}
		}
		return commits, nil
	}
}

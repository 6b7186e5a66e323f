package ci

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"

	"github.com/google/go-github/v60/github"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/git"
)

const (
	perPage   = 100 // GitHub's most
	mostPages = 10  // GitHub shows 1,000 results of a search
)

// Repository is what the client knows of its repository.
type Repository struct {
	ID            int64
	Name          string // owner/name as GitHub has it now: another one when it was renamed
	Private       bool
	DefaultBranch string
}

// Repository looks whether the repository exists and the token may see it: if not, the fault is
// Invalid NO_SUCH_REPOSITORY, since GitHub does not tell which.
func (c *Client) Repository(ctx context.Context) (Repository, error) {
	var found *github.Repository
	err := c.ask(ctx, "look up "+c.Name(), func(ctx context.Context, gh *github.Client) (resp *github.Response, err error) {
		found, resp, err = gh.Repositories.Get(ctx, c.owner, c.name)
		return resp, err
	})
	var a *absent
	if errors.As(err, &a) {
		hint := "check the name; for a private repository the job needs `permissions: contents: read, actions: read`"
		if c.token == "" {
			hint = "set GITHUB_TOKEN if it is private, and check the name"
		}
		return Repository{}, fault.New(fault.Invalid, reasonNoRepository, "there is no repository %s, or the token may not see it%s", c.Name(), requestID(a.header)).
			WithHint("%s", hint)
	}
	if err != nil {
		return Repository{}, err
	}
	if found.GetID() <= 0 || found.GetFullName() == "" {
		return Repository{}, nonsense("look up "+c.Name(), "a repository without id or name")
	}
	return Repository{
		ID: found.GetID(), Name: clean(found.GetFullName()), Private: found.GetPrivate(), DefaultBranch: clean(found.GetDefaultBranch()),
	}, nil
}

// Workflow implements [Source].
func (c *Client) Workflow(ctx context.Context, file string) (Workflow, error) {
	if err := checkFile(file); err != nil {
		return Workflow{}, err
	}
	what := "look up the workflow " + file
	var found *github.Workflow
	err := c.ask(ctx, what, func(ctx context.Context, gh *github.Client) (resp *github.Response, err error) {
		found, resp, err = gh.Actions.GetWorkflowByFileName(ctx, c.owner, c.name, url.PathEscape(file))
		return resp, err
	})
	if err != nil {
		return Workflow{}, c.missing(ctx, err, reasonNoWorkflow, "%s has no workflow %s", c.Name(), file)
	}
	return workflowOf(what, file, found)
}

// RunsOfCommit implements [Source]. Of more than 1,000 runs it lists the newest.
func (c *Client) RunsOfCommit(ctx context.Context, sha string) ([]Run, error) {
	if !git.IsSHA(sha) {
		return nil, fault.New(fault.Invalid, "INVALID_SHA", "%q is not a full commit SHA", sha).
			WithHint("give all 40 lower-case hexadecimal digits")
	}
	what := "list the runs of commit " + sha
	runs, err := pages(ctx, c, what, c.runOf, func(ctx context.Context, gh *github.Client, page int) ([]*github.WorkflowRun, *github.Response, error) {
		list, resp, err := gh.Actions.ListRepositoryWorkflowRuns(ctx, c.owner, c.name, &github.ListWorkflowRunsOptions{
			HeadSHA: sha, ExcludePullRequests: true, ListOptions: github.ListOptions{Page: page, PerPage: perPage},
		})
		if list == nil {
			return nil, resp, err
		}
		return list.WorkflowRuns, resp, err
	})
	if err != nil {
		return nil, c.missing(ctx, err, "", "")
	}
	runs = slices.DeleteFunc(runs, func(r Run) bool { return r.SHA != sha })
	slices.SortFunc(runs, func(a, b Run) int {
		return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(b.Number, a.Number), cmp.Compare(b.ID, a.ID))
	})
	return runs, nil
}

// RunsOfWorkflow implements [Source].
func (c *Client) RunsOfWorkflow(ctx context.Context, workflowID int64, most int) ([]Run, error) {
	what := fmt.Sprintf("list the runs of workflow %d", workflowID)
	var found *github.WorkflowRuns
	err := c.ask(ctx, what, func(ctx context.Context, gh *github.Client) (resp *github.Response, err error) {
		found, resp, err = gh.Actions.ListWorkflowRunsByID(ctx, c.owner, c.name, workflowID, &github.ListWorkflowRunsOptions{
			ExcludePullRequests: true, ListOptions: github.ListOptions{PerPage: min(max(most, 1), perPage)},
		})
		return resp, err
	})
	if err != nil {
		return nil, c.missing(ctx, err, reasonNoWorkflow, "%s has no workflow %d", c.Name(), workflowID)
	}
	if found == nil || found.WorkflowRuns == nil {
		return nil, nonsense(what, "no list")
	}
	runs, err := convert(what, found.WorkflowRuns, c.runOf)
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(runs, func(r Run) bool { return r.WorkflowID != workflowID }) {
		return nil, nonsense(what, "a run of another workflow")
	}
	// Runs that began in the same second come in no order: their numbers tell.
	slices.SortFunc(runs, func(a, b Run) int { return cmp.Or(cmp.Compare(b.Number, a.Number), cmp.Compare(b.ID, a.ID)) })
	return runs, nil
}

// Run implements [Source].
func (c *Client) Run(ctx context.Context, id int64) (Run, error) {
	what := fmt.Sprintf("look up run %d", id)
	var found *github.WorkflowRun
	err := c.ask(ctx, what, func(ctx context.Context, gh *github.Client) (resp *github.Response, err error) {
		found, resp, err = gh.Actions.GetWorkflowRunByID(ctx, c.owner, c.name, id)
		return resp, err
	})
	if err != nil {
		return Run{}, c.missing(ctx, err, reasonNoRun, "%s has no run %d", c.Name(), id)
	}
	run, err := c.runOf(what, found)
	if err == nil && run.ID != id {
		err = nonsense(what, "another run")
	}
	return run, err
}

// Jobs implements [Source].
func (c *Client) Jobs(ctx context.Context, runID int64) ([]Job, error) {
	what := fmt.Sprintf("list the jobs of run %d", runID)
	jobs, err := pages(ctx, c, what, jobOf, func(ctx context.Context, gh *github.Client, page int) ([]*github.WorkflowJob, *github.Response, error) {
		list, resp, err := gh.Actions.ListWorkflowJobs(ctx, c.owner, c.name, runID, &github.ListWorkflowJobsOptions{
			Filter: "latest", ListOptions: github.ListOptions{Page: page, PerPage: perPage},
		})
		if list == nil {
			return nil, resp, err
		}
		return list.Jobs, resp, err
	})
	if err != nil {
		return nil, c.missing(ctx, err, reasonNoRun, "%s has no run %d", c.Name(), runID)
	}
	return jobs, nil
}

// identified is a thing that a list must hold once.
type identified interface{ identity() int64 }

// pages asks for a list page by page. A list can grow while it is read, which shifts its
// pages: what comes twice is taken once, as it came last.
func pages[F any, T identified](ctx context.Context, c *Client, what string, of func(string, *F) (T, error),
	page func(context.Context, *github.Client, int) ([]*F, *github.Response, error),
) ([]T, error) {
	var all []T
	at := map[int64]int{}
	for n, asked := 1, 0; n > 0 && asked < mostPages; asked++ {
		var found []*F
		next := 0
		err := c.ask(ctx, what, func(ctx context.Context, gh *github.Client) (*github.Response, error) {
			list, resp, err := page(ctx, gh, n)
			if err == nil {
				found, next = list, resp.NextPage
			}
			return resp, err
		})
		if err != nil {
			return nil, err
		}
		if found == nil {
			return nil, nonsense(what, "no list")
		}
		things, err := convert(what, found, of)
		if err != nil {
			return nil, err
		}
		for _, t := range things {
			if i, ok := at[t.identity()]; ok {
				all[i] = t
				continue
			}
			at[t.identity()] = len(all)
			all = append(all, t)
		}
		if next <= n { // a link that does not lead on would be followed for ever
			break
		}
		n = next
	}
	return all, nil
}

package cli

import (
	"context"
	"os"
	"strings"

	"ataraxis.dev/landfall/coordinator/internal/supersede"
	"ataraxis.dev/landfall/shared/ci"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/git"
	"ataraxis.dev/landfall/shared/version"
)

// github connects to GitHub's API; nothing is sent yet.
func (g *globals) github() (*ci.Client, error) {
	if g.repository == "" {
		return nil, fault.New(fault.Invalid, "NO_REPOSITORY", "which repository on GitHub?").
			WithHint("name it with --repository OWNER/NAME or GITHUB_REPOSITORY")
	}
	return ci.NewClient(ci.Options{
		Repository: g.repository, Token: os.Getenv("GITHUB_TOKEN"), BaseURL: os.Getenv("GITHUB_API_URL"), UserAgent: "landfall/" + version.Get().Version,
	})
}

// supersession looks for newer deploys on behalf of one run of a workflow.
type supersession struct {
	source   ci.Source
	question supersede.Question
	warn     func(string)
	by       ci.Run // the newer deploy that was found; zero: none
}

// newSupersession is nil where there is nothing to look from: outside of Actions, where a person
// deploys what a person wants.
func (g *globals) newSupersession(s source, branch, sha, job string, warn func(string)) (*supersession, error) {
	if !g.job.InActions || g.job.RunID == 0 {
		return nil, nil
	}
	client, err := g.github()
	if err != nil {
		return nil, err
	}
	return &supersession{source: client, warn: warn, question: supersede.Question{
		Repository: g.repository, Branch: branch, SHA: sha, Run: g.job.RunID, Job: job, Older: s.older(sha),
	}}, nil
}

// older tells whether a commit comes before sha.
func (s source) older(sha string) func(context.Context, string) (bool, error) {
	return func(ctx context.Context, other string) (bool, error) {
		if !git.IsSHA(other) {
			return false, fault.New(fault.Invalid, "NOT_A_SHA", "%q is no commit", other)
		}
		if err := s.repo.FetchCommit(ctx, remote, other, nil); err != nil {
			return false, err
		}
		return s.repo.IsAncestor(ctx, other, sha)
	}
}

// look checks once. What GitHub does not answer stops nothing: the agent itself refuses a commit older
// than what runs. What is wrong with the token or its permissions is an error.
func (n *supersession) look(ctx context.Context) (supersede.Result, error) {
	result, err := supersede.Check(ctx, n.source, n.question)
	if err != nil {
		if fault.KindOf(err) == fault.Invalid || ctx.Err() != nil {
			return supersede.Result{}, err
		}
		n.warn("nobody could look for a newer deploy: " + err.Error())
		return supersede.Result{}, nil
	}
	n.question.Own = result.Own
	for _, warning := range result.Warnings {
		n.warn(warning)
	}
	return result, nil
}

// yield is look for the gate, which goes on when GitHub does not answer.
func (n *supersession) yield(ctx context.Context) (string, error) {
	result, err := supersede.Check(ctx, n.source, n.question)
	if err != nil {
		return "", err
	}
	n.question.Own = result.Own
	if !result.Superseded {
		return "", nil
	}
	n.by = result.By
	return result.Reason, nil
}

// branchOf is the branch that a deploy is for: landfall.yaml's, which has a default.
func branchOf(configured, ref string) string {
	if configured != "" {
		return configured
	}
	if branch, ok := strings.CutPrefix(ref, "refs/heads/"); ok {
		return branch
	}
	return "main"
}

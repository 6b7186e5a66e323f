// Package cistatus tells a tick of convergence whether a commit passed CI, by the verdict of the gate.
//
// It promises that only what GitHub shows to have passed is green, that path filters are evaluated in the checkout, and that what cannot be told
// is unknown. The token is read anew for each look, and is in no error. Start reading at [Status.Of].
package cistatus

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"ataraxis.dev/landfall/agent/internal/converge"
	"ataraxis.dev/landfall/shared/ci"
	"ataraxis.dev/landfall/shared/cigate"
	"ataraxis.dev/landfall/shared/git"
)

// Settings say whom to ask, and about which clone.
type Settings struct {
	Repository string                 // owner/name
	BaseURL    string                 // of the API; "" is GitHub's
	Token      func() (string, error) // reads it
	Branch     string
	Repo       git.Repo
	Remote     string
	Timeout    time.Duration // of one look; 0 is a minute
}

// Status looks. Safe for concurrent use.
type Status struct {
	Settings

	mu     sync.Mutex
	client *ci.Client // with what it remembers of answers, for as long as the token is the same
	token  string
	seen   map[string]time.Time // when commits were first asked about
	green  string               // the commit that passed last: what has passed is not asked for again
}

// New makes one; it asks nothing yet.
func New(s Settings) *Status {
	if s.Timeout <= 0 {
		s.Timeout = time.Minute
	}
	return &Status{Settings: s, seen: map[string]time.Time{}}
}

// Of looks once at a commit.
func (s *Status) Of(ctx context.Context, sha string, required []string) converge.CI {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(required) == 0 {
		return converge.CI{Reason: "landfall.yaml requires no workflow (ci.required), so nothing can show that it passed"}
	}
	if s.green == sha+" "+strings.Join(required, " ") {
		return converge.CI{Verdict: converge.CIGreen}
	}
	client, err := s.ask()
	if err != nil {
		return converge.CI{Reason: err.Error()}
	}
	since, known := s.seen[sha]
	if !known {
		since = time.Now()
		clear(s.seen) // only the head of the branch matters
		s.seen[sha] = since
	}
	return s.look(ctx, client, sha, required, since)
}

func (s *Status) look(ctx context.Context, client *ci.Client, sha string, required []string, since time.Time) converge.CI {
	pushed, err := s.Repo.CommitTime(ctx, sha)
	if err != nil {
		return converge.CI{Reason: err.Error()}
	}
	trouble := ""
	gate := cigate.Gate{
		Source: client, Clock: once{}, Timeout: s.Timeout, Since: since, Progress: func(r cigate.Report) { trouble = r.Trouble },
		Expect: cigate.Expecter{Repo: s.Repo, Remote: s.Remote, Branch: s.Branch, SHA: sha, Previous: s.previous(client, required)}.Expect,
	}
	result, err := gate.Wait(ctx, cigate.Question{Repository: s.Repository, Branch: s.Branch, SHA: sha, Workflows: required, NotBefore: pushed})
	switch {
	case err != nil:
		return converge.CI{Reason: err.Error()}
	case result.Outcome == cigate.Pass:
		s.green = sha + " " + strings.Join(required, " ")
		return converge.CI{Verdict: converge.CIGreen, Reason: result.Reason}
	case result.Outcome == cigate.Blocked:
		return converge.CI{Verdict: converge.CIRed, Reason: result.Reason}
	case trouble != "":
		return converge.CI{Reason: trouble}
	}
	return converge.CI{Verdict: converge.CIPending, Reason: waited(result.Lines)}
}

// waited says what is still waited for.
func waited(lines []ci.Line) string {
	var open []string
	for _, l := range lines {
		if l.Decision == ci.Wait {
			open = append(open, l.Reason)
		}
	}
	if len(open) == 0 {
		return "not confirmed yet"
	}
	return strings.Join(open, "; ")
}

// previous lists commits that were pushed before, by the push runs of the required workflows: those of one with path filters lack some,
// which only makes more of a push than it was.
func (s *Status) previous(client *ci.Client, required []string) func(context.Context) ([]string, error) {
	return func(ctx context.Context) ([]string, error) {
		var errs []error
		for _, file := range required {
			commits, err := cigate.Pushed(client, s.Repository, s.Branch, file)(ctx)
			if len(commits) > 0 {
				return commits, nil
			}
			errs = append(errs, err)
		}
		return nil, errors.Join(errs...)
	}
}

// ask is the client for the token as it is now.
func (s *Status) ask() (*ci.Client, error) {
	token, err := s.Token()
	if err != nil {
		return nil, err
	}
	if s.client != nil && token == s.token {
		return s.client, nil
	}
	client, err := ci.NewClient(ci.Options{Repository: s.Repository, BaseURL: s.BaseURL, Token: token, UserAgent: "landfall-agent"})
	if err != nil {
		return nil, err
	}
	if s.client != nil {
		s.client.Close()
	}
	s.client, s.token = client, token
	return client, nil
}

// errOnce ends a wait after one look: the next tick looks again.
var errOnce = errors.New("one look")

// once is the machine's clock, without patience.
type once struct{}

func (once) Now() time.Time                             { return time.Now() }
func (once) Sleep(context.Context, time.Duration) error { return errOnce }

package actions

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ataraxis.dev/landfall/shared/fault"
)

func TestRefuseFork(t *testing.T) {
	t.Parallel()
	const home, fork = "baxterthehacker/public-repo", "skalnik/public-repo"
	for _, c := range []struct {
		name, event, payload, repository, runner string
		refused                                  string // part of the message; "" when it may act
	}{
		{"push", "push", "push_branch.json", home, "self-hosted", ""},
		{"dispatch", "workflow_dispatch", "workflow_dispatch.json", home, "self-hosted", ""},
		{"schedule has no payload", "schedule", "", home, "self-hosted", ""},
		{"pull request of the repository itself", "pull_request", "pull_request_opened_same_repo.json", "Codertocat/Hello-World", "self-hosted", ""},
		{"pull request of a fork", "pull_request", "pull_request_opened_from_fork.derived.json", home, "self-hosted", "its code comes from " + fork},
		{"the same, in the repository's own context", "pull_request_target", "pull_request_opened_from_fork.derived.json", home, "self-hosted", "its code comes from"},
		{"a review of a fork's pull request", "pull_request_review", "pull_request_opened_from_fork.derived.json", home, "self-hosted", "its code comes from"},
		{"deleted fork", "pull_request", "pull_request_deleted_fork.derived.json", home, "self-hosted", "was deleted"},
		{"fork on a hosted runner", "pull_request", "pull_request_opened_from_fork.derived.json", home, "github-hosted", ""},
		{"fork on a runner that does not say", "pull_request", "pull_request_opened_from_fork.derived.json", home, "", "its code comes from"},
		{"run of the repository itself", "workflow_run", "workflow_run_completed.json", "gsmet/quarkus-bot-java-playground", "self-hosted", ""},
		{"comment", "issue_comment", "workflow_dispatch.json", home, "self-hosted", "it may come from anybody"},
		{"unknown event", "tomorrows_event", "workflow_dispatch.json", home, "self-hosted", "it may come from anybody"},
		{"no event", "", "", home, "self-hosted", "it may come from anybody"},
		{"merge queue", "merge_group", "push_branch.json", home, "self-hosted", "it may come from anybody"},
		{"payload of another repository", "pull_request", "pull_request_opened_same_repo.json", home, "self-hosted", "its code comes from"},
		{"missing payload", "pull_request", "there-is-none.json", home, "self-hosted", "read the event's payload"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := Environment{InActions: true, EventName: c.event, Repository: c.repository, Runner: c.runner}
			if c.payload != "" {
				e.EventPath = filepath.Join("testdata", c.payload)
			}
			err := e.RefuseFork()
			switch {
			case c.refused == "" && err != nil:
				t.Errorf("refused: %v", err)
			case c.refused != "" && err == nil:
				t.Error("it may act")
			case c.refused != "" && (fault.ExitCode(err) != 7 || fault.ReasonOf(err) != "FORK_EVENT" || !strings.Contains(err.Error(), c.refused)):
				t.Errorf("got %v, want FORK_EVENT with %q", err, c.refused)
			}
		})
	}
	if err := (Environment{EventName: "pull_request"}).RefuseFork(); err != nil {
		t.Errorf("a person at a prompt is refused: %v", err)
	}
}

// Whatever lies where the payload should be, a proposed change is never let through.
func FuzzRefuseFork(f *testing.F) {
	for _, name := range []string{"pull_request_opened_from_fork.derived.json", "pull_request_deleted_fork.derived.json"} {
		raw, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(raw))
	}
	f.Add(`{"pull_request":{"head":{"repo":{"full_name":"O/R"}}},"repository":{"full_name":"o/r"}}`)
	f.Add(`{"pull_request":null}`)
	f.Fuzz(func(t *testing.T, raw string) {
		file := filepath.Join(t.TempDir(), "event.json")
		if err := os.WriteFile(file, []byte(raw), 0o600); err != nil {
			t.Fatal(err)
		}
		e := Environment{InActions: true, EventName: "pull_request", EventPath: file, Repository: "o/r"}
		if e.RefuseFork() != nil {
			return
		}
		if event, err := e.Event(); err != nil || !strings.EqualFold(event.Head, "o/r") || !event.Proposed {
			t.Errorf("%s was let through as %+v, %v", raw, event, err)
		}
	})
}

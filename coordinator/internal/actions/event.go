package actions

import (
	"encoding/json"
	"strings"

	"ataraxis.dev/landfall/shared/boundedfile"
	"ataraxis.dev/landfall/shared/fault"
)

// payloadLimit bounds the payload, in bytes. GitHub caps payloads at 25 MB
// (https://docs.github.com/en/webhooks/webhook-events-and-payloads).
const payloadLimit = 32 << 20

// Event is what this program asks of an event's payload.
type Event struct {
	Name   string
	Before string // push: commit before it; "" when a branch was created
	After  string // push: commit after it
	// Oldest is the first of the pushed commits that the payload lists, Commits how many it lists.
	Oldest  string
	Commits int
	// Repository the event happened in, owner/name.
	Repository string
	// Head is the repository that proposed code comes from, owner/name: of a pull request, or of
	// the run that a workflow_run event tells of. Proposed says whether there is such code; with an
	// empty Head its repository was deleted.
	Head     string
	Proposed bool
}

// payload has the fields of Event in the shapes of GitHub's webhooks
// (https://docs.github.com/en/webhooks/webhook-events-and-payloads).
type payload struct {
	Before  string `json:"before"`
	After   string `json:"after"`
	Commits []struct {
		ID string `json:"id"`
	} `json:"commits"`
	Repository  *repository `json:"repository"`
	PullRequest *struct {
		Head struct {
			Repo *repository `json:"repo"` // null when the fork was deleted
		} `json:"head"`
	} `json:"pull_request"`
	WorkflowRun *struct {
		HeadRepository *repository `json:"head_repository"`
	} `json:"workflow_run"`
}

type repository struct {
	FullName string `json:"full_name"`
}

func (r *repository) name() string {
	if r == nil {
		return ""
	}
	return r.FullName
}

// Event reads the payload of the event that started this run. Without one the Event has
// a name only, or nothing at all.
func (e Environment) Event() (Event, error) {
	event := Event{Name: e.EventName}
	if e.EventPath == "" {
		return event, nil
	}
	raw, err := boundedfile.Read(e.EventPath, payloadLimit)
	var p payload
	if err == nil {
		err = json.Unmarshal(raw, &p)
	}
	if err != nil {
		return event, fault.Wrap(err, fault.Invalid, "EVENT_PAYLOAD", "read the event's payload in %s", e.EventPath)
	}
	if strings.Trim(p.Before, "0") != "" {
		event.Before = p.Before
	}
	if strings.Trim(p.After, "0") != "" {
		event.After = p.After
	}
	if event.Commits = len(p.Commits); event.Commits > 0 {
		event.Oldest = p.Commits[0].ID
	}
	event.Repository = p.Repository.name()
	switch {
	case p.PullRequest != nil:
		event.Proposed, event.Head = true, p.PullRequest.Head.Repo.name()
	case p.WorkflowRun != nil:
		event.Proposed, event.Head = true, p.WorkflowRun.HeadRepository.name()
	}
	return event, nil
}

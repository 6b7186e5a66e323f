package actions

import (
	"slices"
	"strings"

	"ataraxis.dev/landfall/shared/fault"
)

// ownEvents happen only by those who may write to the repository, on code that is in it
// (https://docs.github.com/en/actions/reference/workflows-and-actions/events-that-trigger-workflows).
// A comment, an issue or a star may come from anybody, and a merge queue runs what forks proposed.
var ownEvents = []string{"push", "workflow_dispatch", "repository_dispatch", "schedule", "release"}

// RefuseFork is an error of kind Refused when this is a self-hosted runner and the event may
// come from a fork: the machine and its keys are not for code that anybody can propose. An
// event about proposed code passes when its payload shows that the code is in this very
// repository; one that is unknown, or cannot be read, does not.
//
// It is a seat belt: whoever can change the workflow can also not call this program. The
// guard of the job and the repository's settings are the boundary (SECURITY.md).
func (e Environment) RefuseFork() error {
	if !e.SelfHosted() || slices.Contains(ownEvents, e.EventName) {
		return nil
	}
	refuse := func(why string) error {
		return fault.New(fault.Refused, "FORK_EVENT", "this self-hosted runner does nothing for event %q: %s", e.EventName, why).
			WithHint("run it by push or workflow_dispatch, and guard the job: landfall-coordinator workflows check")
	}
	event, err := e.Event()
	switch {
	case err != nil:
		return refuse(err.Error())
	case !event.Proposed:
		return refuse("it may come from anybody")
	case event.Head == "":
		return refuse("the repository its code comes from was deleted")
	case event.Repository == "" || !strings.EqualFold(event.Head, event.Repository) || !strings.EqualFold(event.Repository, e.Repository):
		return refuse("its code comes from " + event.Head + ", not from " + e.Repository)
	}
	return nil
}

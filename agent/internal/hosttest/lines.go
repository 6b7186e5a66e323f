package hosttest

import (
	"fmt"
	"regexp"

	"ataraxis.dev/landfall/agent/internal/operation"
)

// Lines tells events as a person would read them, one line each, without times and
// with commits cut short: what a test compares with what it expects.
func Lines(events []operation.Event) []string {
	var lines []string
	for _, e := range events {
		lines = append(lines, commitPattern.ReplaceAllString(line(e), "$1"))
	}
	return lines
}

var commitPattern = regexp.MustCompile(`\b([0-9a-f]{7})[0-9a-f]{5}([0-9a-f]{28})?\b`)

func line(e operation.Event) string {
	switch {
	case e.Accepted != nil:
		return fmt.Sprintf("accepted %s by %s", e.Accepted.Kind, e.Accepted.Requester)
	case e.State != nil && e.State.Failure != nil:
		f := e.State.Failure
		return fmt.Sprintf("state %s: %s %s: %s", e.State.State, f.StepID, f.Reason, f.Message)
	case e.State != nil:
		return "state " + string(e.State.State)
	case e.Plan != nil:
		return fmt.Sprintf("plan of %d steps", len(e.Plan.Steps))
	case e.PreDeploy != nil:
		return "was at " + e.PreDeploy.SHA
	case e.StepStarted != nil:
		return fmt.Sprintf("step %s: %s", e.StepStarted.ID, e.StepStarted.Title)
	case e.StepFinished != nil && e.StepFinished.Failure != nil:
		return fmt.Sprintf("%s %s: %s", e.StepFinished.Outcome, e.StepFinished.ID, e.StepFinished.Failure.Message)
	case e.StepFinished != nil:
		return fmt.Sprintf("%s %s", e.StepFinished.Outcome, e.StepFinished.ID)
	case e.Output != nil:
		return fmt.Sprintf("out %s: %s", e.Output.StepID, e.Output.Text)
	case e.Probe != nil:
		return fmt.Sprintf("probe %s %s: %s", e.Probe.Name, e.Probe.Outcome, e.Probe.Message)
	case e.Warning != nil:
		return fmt.Sprintf("warning %s: %s", e.Warning.Reason, e.Warning.Message)
	case e.Migration != nil:
		return "migration " + e.Migration.Name
	}
	return "nothing"
}

package console

import (
	"strings"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
)

// stateWord is a state as outputs and scripts know it: "ROLLED_BACK".
func stateWord(s landfallv1.OperationState) string {
	return strings.TrimPrefix(s.String(), "OPERATION_STATE_")
}

// KindWord is what an operation sets out to do: "deploy".
func KindWord(k landfallv1.OperationKind) string {
	return strings.ToLower(strings.TrimPrefix(k.String(), "OPERATION_KIND_"))
}

// Clean is a text that others made, safe to print on a terminal.
func Clean(text string) string { return clean(text) }

// outcomeWord is how a step ended: "done", "running".
func outcomeWord(o landfallv1.StepOutcome) string {
	if o == landfallv1.StepOutcome_STEP_OUTCOME_UNSPECIFIED {
		return "running"
	}
	return strings.ToLower(strings.TrimPrefix(o.String(), "STEP_OUTCOME_"))
}

// finishedWord is how a step ended. One that found something newer to run did not fail.
func finishedWord(f *landfallv1.StepFinished) string {
	if isSuperseded(f.GetFailure()) {
		return "ended"
	}
	return outcomeWord(f.GetOutcome())
}

// probeWord is what a probe found: "passed".
func probeWord(o landfallv1.ProbeOutcome) string {
	return strings.ToLower(strings.TrimPrefix(o.String(), "PROBE_OUTCOME_"))
}

// faultWord is what a failure means, in the words of package fault: "rolled back".
func faultWord(k landfallv1.FaultKind) string {
	return strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(k.String(), "FAULT_KIND_")), "_", " ")
}

// terminal reports whether an operation ends in s.
func terminal(s landfallv1.OperationState) bool {
	_, ok := terminalColours[s]
	return ok
}

// failed reports whether s is a terminal state in which the work was not done.
func failed(s landfallv1.OperationState) bool {
	switch s {
	case landfallv1.OperationState_OPERATION_STATE_FAILED_UNTOUCHED, landfallv1.OperationState_OPERATION_STATE_FAILED,
		landfallv1.OperationState_OPERATION_STATE_ROLLED_BACK, landfallv1.OperationState_OPERATION_STATE_ROLLBACK_FAILED:
		return true
	default:
		return false
	}
}

// meanings say what a terminal state means for the host, where nobody counted what runs.
var meanings = map[landfallv1.OperationState]string{
	landfallv1.OperationState_OPERATION_STATE_SUCCEEDED:        "the target runs and is verified",
	landfallv1.OperationState_OPERATION_STATE_FAILED_UNTOUCHED: "nothing that runs was touched",
	landfallv1.OperationState_OPERATION_STATE_ROLLED_BACK:      "the earlier version runs",
	landfallv1.OperationState_OPERATION_STATE_ROLLBACK_FAILED:  "the host needs a person",
	landfallv1.OperationState_OPERATION_STATE_SUPERSEDED:       "a newer target took its place; nothing was touched",
	landfallv1.OperationState_OPERATION_STATE_CANCELLED:        "cancelled before anything that runs was touched",
	landfallv1.OperationState_OPERATION_STATE_FAILED:           "the host was changed and needs a person",
}

// deeds say what was done, of the states whose meaning claims what runs: where that was counted, the count is told instead.
var deeds = map[landfallv1.OperationState]string{
	landfallv1.OperationState_OPERATION_STATE_SUCCEEDED:   "verified",
	landfallv1.OperationState_OPERATION_STATE_ROLLED_BACK: "undone",
}

// headline says what a terminal state means for the host: what was done, and what runs now as far as it was counted.
// It is "" for other states.
func headline(s landfallv1.OperationState, summary string) string {
	meaning, deed := meanings[s], deeds[s]
	summary = clean(summary)
	switch {
	case summary == "" || meaning == "":
		return meaning
	case deed == "":
		deed = meaning
	}
	return deed + "; " + summary
}

// Summary is what runs at the end of an operation, counted, for people; "" where nothing was found out.
func Summary(op *landfallv1.Operation) string { return clean(op.GetSummary()) }

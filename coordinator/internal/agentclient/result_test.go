package agentclient

import (
	"strings"
	"testing"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/fault"
)

// exitCodes is the contract's meaning of every state; -1 is a state in which nothing has ended.
var exitCodes = map[landfallv1.OperationState]int{
	landfallv1.OperationState_OPERATION_STATE_UNSPECIFIED:     -1,
	landfallv1.OperationState_OPERATION_STATE_PENDING:         -1,
	landfallv1.OperationState_OPERATION_STATE_PROVING:         -1,
	landfallv1.OperationState_OPERATION_STATE_PAUSING:         -1,
	landfallv1.OperationState_OPERATION_STATE_CLEANING:        -1,
	landfallv1.OperationState_OPERATION_STATE_RESETTING:       -1,
	landfallv1.OperationState_OPERATION_STATE_BUILDING:        -1,
	landfallv1.OperationState_OPERATION_STATE_MIGRATING:       -1,
	landfallv1.OperationState_OPERATION_STATE_APPLYING:        -1,
	landfallv1.OperationState_OPERATION_STATE_AWAITING_VERIFY: -1,
	landfallv1.OperationState_OPERATION_STATE_VERIFYING:       -1,
	landfallv1.OperationState_OPERATION_STATE_ROLLING_BACK:    -1,

	landfallv1.OperationState_OPERATION_STATE_SUCCEEDED:        0,
	landfallv1.OperationState_OPERATION_STATE_SUPERSEDED:       0,
	landfallv1.OperationState_OPERATION_STATE_FAILED_UNTOUCHED: 1,
	landfallv1.OperationState_OPERATION_STATE_CANCELLED:        1,
	landfallv1.OperationState_OPERATION_STATE_ROLLED_BACK:      4,
	landfallv1.OperationState_OPERATION_STATE_ROLLBACK_FAILED:  5,
	landfallv1.OperationState_OPERATION_STATE_FAILED:           5,
}

func TestResultOfEveryState(t *testing.T) {
	t.Parallel()
	for number, name := range landfallv1.OperationState_name {
		state := landfallv1.OperationState(number)
		want, known := exitCodes[state]
		if !known {
			t.Errorf("%s has no exit code", name)
			continue
		}
		if Terminal(state) != (want >= 0) {
			t.Errorf("Terminal(%s) is %v", name, Terminal(state))
		}
		err := Result(&landfallv1.Operation{Id: theOperation, State: state, Failure: &landfallv1.Failure{
			Kind: landfallv1.FaultKind_FAULT_KIND_FAILED, Reason: "BUILD_FAILED", Message: "the build failed", Hint: "look at it",
		}})
		if got := fault.ExitCode(err); got != max(want, 0) {
			t.Errorf("%s ends with exit code %d, want %d", name, got, want)
		}
		if want <= 0 {
			continue
		}
		if fault.ReasonOf(err) != "BUILD_FAILED" {
			t.Errorf("%s has reason %s", name, fault.ReasonOf(err))
		}
		for _, part := range []string{theOperation, StateName(state), "the build failed", "(look at it)"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %q does not say %q", name, err, part)
			}
		}
	}
}

// A host that is untouched leaves the exit code to the failure: what was wrong with the
// request or refused by the host is told apart from work that failed.
func TestResultOfAnUntouchedHost(t *testing.T) {
	t.Parallel()
	own := map[landfallv1.FaultKind]int{
		landfallv1.FaultKind_FAULT_KIND_INVALID: 2, landfallv1.FaultKind_FAULT_KIND_NOT_FOUND: 2, landfallv1.FaultKind_FAULT_KIND_REFUSED: 7,
	}
	for number, name := range landfallv1.FaultKind_name {
		kind := landfallv1.FaultKind(number)
		want := 1
		if code, ok := own[kind]; ok {
			want = code
		}
		err := Result(&landfallv1.Operation{
			State:   landfallv1.OperationState_OPERATION_STATE_FAILED_UNTOUCHED,
			Failure: &landfallv1.Failure{Kind: kind, Reason: "R", Message: "m"},
		})
		if got := fault.ExitCode(err); got != want {
			t.Errorf("untouched, %s: exit code %d, want %d", name, got, want)
		}
		if got := fault.ExitCode(Result(&landfallv1.Operation{
			State: landfallv1.OperationState_OPERATION_STATE_FAILED, Failure: &landfallv1.Failure{Kind: kind},
		})); got != 5 {
			t.Errorf("touched, %s: exit code %d, want 5", name, got)
		}
	}
}

func TestResultWithoutFailure(t *testing.T) {
	t.Parallel()
	err := Result(&landfallv1.Operation{Id: theOperation, State: landfallv1.OperationState_OPERATION_STATE_CANCELLED})
	if fault.ExitCode(err) != 1 || !strings.Contains(err.Error(), theOperation+" ended in CANCELLED") || strings.HasSuffix(err.Error(), ": ") || strings.HasSuffix(err.Error(), "()") {
		t.Errorf("cancelled without a reason: %q", err)
	}
}

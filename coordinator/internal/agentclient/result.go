package agentclient

import (
	"strings"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/fault"
)

// Terminal reports whether nothing follows a state.
func Terminal(s landfallv1.OperationState) bool {
	switch s {
	case landfallv1.OperationState_OPERATION_STATE_SUCCEEDED,
		landfallv1.OperationState_OPERATION_STATE_FAILED_UNTOUCHED,
		landfallv1.OperationState_OPERATION_STATE_ROLLED_BACK,
		landfallv1.OperationState_OPERATION_STATE_ROLLBACK_FAILED,
		landfallv1.OperationState_OPERATION_STATE_SUPERSEDED,
		landfallv1.OperationState_OPERATION_STATE_CANCELLED,
		landfallv1.OperationState_OPERATION_STATE_FAILED:
		return true
	}
	return false
}

// StateName is a state as people read it: "SUCCEEDED".
func StateName(s landfallv1.OperationState) string {
	return strings.TrimPrefix(s.String(), "OPERATION_STATE_")
}

// untouchedKinds are the kinds of failure that keep their own exit code when the host is untouched.
var untouchedKinds = map[landfallv1.FaultKind]fault.Kind{
	landfallv1.FaultKind_FAULT_KIND_INVALID:   fault.Invalid,
	landfallv1.FaultKind_FAULT_KIND_NOT_FOUND: fault.NotFound,
	landfallv1.FaultKind_FAULT_KIND_REFUSED:   fault.Refused,
}

// Result is what an operation's end means for the caller: nil when what was asked for is
// done, not needed or still going on, else a fault whose kind decides the exit code.
func Result(op *landfallv1.Operation) error {
	if !Terminal(op.GetState()) {
		return nil
	}
	kind := fault.Internal
	switch op.GetState() {
	case landfallv1.OperationState_OPERATION_STATE_SUCCEEDED, landfallv1.OperationState_OPERATION_STATE_SUPERSEDED:
		return nil
	case landfallv1.OperationState_OPERATION_STATE_FAILED_UNTOUCHED:
		kind = fault.Failed
		if own, ok := untouchedKinds[op.GetFailure().GetKind()]; ok {
			kind = own
		}
	case landfallv1.OperationState_OPERATION_STATE_CANCELLED:
		kind = fault.Failed
	case landfallv1.OperationState_OPERATION_STATE_ROLLED_BACK:
		kind = fault.RolledBack
	case landfallv1.OperationState_OPERATION_STATE_ROLLBACK_FAILED, landfallv1.OperationState_OPERATION_STATE_FAILED:
		kind = fault.Degraded
	}
	failure := op.GetFailure()
	err := fault.New(kind, failure.GetReason(), "%s ended in %s", op.GetId(), StateName(op.GetState()))
	if failure != nil {
		err.Message += ": " + failure.GetMessage()
	}
	return err.WithHint("%s", failure.GetHint())
}

package server

import (
	"fmt"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/fault/rpcerr"
)

// reasonBusy is the ErrorInfo reason of every answer about a limit.
const reasonBusy = "AGENT_BUSY"

// busy is RESOURCE_EXHAUSTED with a reason and a hint. Its kind is Unreachable: as with an
// agent that does not answer, nothing was done and asking again later is safe.
func busy(hint, format string, args ...any) error {
	message := fmt.Sprintf(format, args...)
	st, err := status.New(codes.ResourceExhausted, message+" ("+hint+")").WithDetails(&errdetails.ErrorInfo{
		Reason: reasonBusy, Domain: rpcerr.Domain, Metadata: map[string]string{"kind": fault.Unreachable.String(), "hint": hint},
	})
	if err != nil {
		return status.Error(codes.ResourceExhausted, message)
	}
	return st.Err()
}

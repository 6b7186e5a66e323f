// Package rpcerr carries fault errors across gRPC without losing kind, reason or hint.
//
// Start reading at [ToStatus], which the server's interceptors call, and [FromError], which
// clients call. Domain code never sees a gRPC status.
package rpcerr

import (
	"context"
	"errors"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"ataraxis.dev/landfall/shared/fault"
)

// Domain is the ErrorInfo domain of every error Landfall sends.
const Domain = "landfall"

// The keys of ErrorInfo.metadata.
const (
	metaKind = "kind"
	metaHint = "hint"
)

// codeOf is the one table from kinds to gRPC codes. Only Unreachable becomes
// UNAVAILABLE: it is the one code that clients retry without thought.
var codeOf = map[fault.Kind]codes.Code{
	fault.Internal:        codes.Internal,
	fault.Invalid:         codes.InvalidArgument,
	fault.NotFound:        codes.NotFound,
	fault.Gate:            codes.FailedPrecondition,
	fault.Failed:          codes.Aborted,
	fault.RolledBack:      codes.Aborted,
	fault.Degraded:        codes.DataLoss,
	fault.Unreachable:     codes.Unavailable,
	fault.Unauthenticated: codes.Unauthenticated,
	fault.Denied:          codes.PermissionDenied,
	fault.Refused:         codes.FailedPrecondition,
	fault.Deadline:        codes.DeadlineExceeded,
	fault.Interrupted:     codes.Canceled,
	fault.Unimplemented:   codes.Unimplemented,
}

// kindOf reads a code that came without our ErrorInfo, from a proxy or from grpc itself.
var kindOf = map[codes.Code]fault.Kind{
	codes.InvalidArgument:    fault.Invalid,
	codes.OutOfRange:         fault.Invalid,
	codes.NotFound:           fault.NotFound,
	codes.FailedPrecondition: fault.Refused,
	codes.AlreadyExists:      fault.Refused,
	codes.Aborted:            fault.Failed,
	codes.Unavailable:        fault.Unreachable,
	codes.Unauthenticated:    fault.Unauthenticated,
	codes.PermissionDenied:   fault.Denied,
	codes.DeadlineExceeded:   fault.Deadline,
	codes.Canceled:           fault.Interrupted,
	codes.Unimplemented:      fault.Unimplemented,
}

// ToStatus turns any error into a status error with ErrorInfo. An error that already
// is a status passes through.
func ToStatus(err error) error {
	if err == nil {
		return nil
	}
	var f *fault.Error
	if !errors.As(err, &f) {
		if _, ok := status.FromError(err); ok {
			return err
		}
	}
	kind := fault.KindOf(err)
	info := &errdetails.ErrorInfo{
		Reason:   fault.ReasonOf(err),
		Domain:   Domain,
		Metadata: map[string]string{metaKind: kind.String()},
	}
	message := err.Error()
	if f != nil && f.Hint != "" {
		info.Metadata[metaHint] = f.Hint
	}
	st, detailErr := status.New(codeOf[kind], message).WithDetails(info)
	if detailErr != nil {
		return status.Error(codeOf[kind], message)
	}
	return st.Err()
}

// FromError turns what a gRPC call returned into a fault. The message already
// contains the hint, so the hint is not repeated.
func FromError(err error) error {
	if err == nil {
		return nil
	}
	var f *fault.Error
	if errors.As(err, &f) {
		return err
	}
	st, ok := status.FromError(err)
	if !ok {
		return err
	}
	kind, known := kindOf[st.Code()]
	if !known {
		kind = fault.Internal
	}
	out := &fault.Error{Kind: kind, Reason: st.Code().String(), Message: st.Message()}
	for _, d := range st.Details() {
		info, ok := d.(*errdetails.ErrorInfo)
		if !ok || info.GetDomain() != Domain {
			continue
		}
		out.Reason = info.GetReason()
		for _, k := range fault.Kinds() {
			if k.String() == info.GetMetadata()[metaKind] {
				out.Kind = k
			}
		}
	}
	return out
}

// UnaryServer converts what handlers return.
func UnaryServer(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	resp, err := handler(ctx, req)
	return resp, ToStatus(err)
}

// StreamServer converts what stream handlers return.
func StreamServer(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	return ToStatus(handler(srv, ss))
}

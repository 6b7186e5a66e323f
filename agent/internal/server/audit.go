package server

import (
	"context"
	"net"
	"regexp"

	"google.golang.org/grpc/peer"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/audit"
	"ataraxis.dev/landfall/shared/fault"
)

// Trail keeps who did what; see package audit.
type Trail interface {
	AppendAudit(e audit.Entry, sign func(audit.Checkpoint) (audit.Checkpoint, error)) (audit.Entry, error)
	Audit(after uint64, limit int) (cut *audit.Checkpoint, entries []audit.Entry, last uint64, err error)
}

const (
	// maxAuditPage bounds one answer, in entries.
	maxAuditPage = 1000
)

// maxSubject bounds what a caller may have us keep, in bytes; told is what is kept as another character.
const maxSubject = 128

var told = regexp.MustCompile(`[^A-Za-z0-9._:-]`)

// nobody is a caller without an accepted identity.
const nobody = "nobody"

// renewal is the one method that changes something which everybody with a certificate may call.
const renewal = landfallv1.IdentityService_Renew_FullMethodName

// mutations are the methods that change something, apart from the commands of Execute.
var mutations = []string{
	landfallv1.GitOpsService_Pause_FullMethodName, landfallv1.GitOpsService_Resume_FullMethodName, landfallv1.GitOpsService_Unblock_FullMethodName,
	landfallv1.IdentityService_Revoke_FullMethodName, renewal, landfallv1.DeployService_RecordNotification_FullMethodName,
}

// subjectOf is what a request is about, as far as it says so.
func subjectOf(req any) string {
	switch r := req.(type) {
	case interface{ GetSha() string }:
		return r.GetSha()
	case interface{ GetTargetSha() string }:
		return r.GetTargetSha()
	case interface{ GetOperationId() string }:
		return r.GetOperationId()
	}
	return ""
}

// subjectOfCommand is the operation that a command began or is about, else the commit.
func subjectOfCommand(req *landfallv1.ExecuteRequest, operation string) string {
	subject := operation
	req.ProtoReflect().Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if subject == "" && f.Message() != nil {
			subject = subjectOf(v.Message().Interface())
		}
		return subject == ""
	})
	return subject
}

func hostOf(address string) string {
	if host, _, err := net.SplitHostPort(address); err == nil {
		return host
	}
	return address
}

func address(ctx context.Context) string {
	if p, ok := peer.FromContext(ctx); ok && p.Addr != nil {
		return p.Addr.String()
	}
	return ""
}

// auditService implements AuditService.
type auditService struct {
	landfallv1.UnimplementedAuditServiceServer
	*Server
}

func (a auditService) ListAudit(_ context.Context, req *landfallv1.ListAuditRequest) (*landfallv1.ListAuditResponse, error) {
	if a.audit.trail == nil {
		return nil, fault.New(fault.Unimplemented, "NO_AUDIT", "this agent keeps no audit trail")
	}
	limit := int(req.GetPageSize())
	if limit < 0 || limit > maxAuditPage {
		return nil, fault.New(fault.Invalid, "BAD_PAGE_SIZE", "page_size is 0 to %d, not %d", maxAuditPage, limit)
	}
	if limit == 0 {
		limit = maxAuditPage
	}
	cut, entries, last, err := a.audit.trail.Audit(req.GetAfterSequence(), limit)
	if err != nil {
		return nil, err
	}
	answer := &landfallv1.ListAuditResponse{LastSequence: last}
	if cut != nil {
		answer.Checkpoint = &landfallv1.AuditCheckpoint{
			Sequence: cut.Sequence, Hash: cut.Hash, CutTime: timestamppb.New(cut.Time), Signature: cut.Signature, Certificate: cut.Certificate,
		}
	}
	for _, e := range entries {
		answer.Entries = append(answer.Entries, &landfallv1.AuditEntry{
			Sequence: e.Sequence, EntryTime: timestamppb.New(e.Time), Who: e.Who, From: e.From, Action: e.Action, Subject: e.Subject,
			Result: e.Result, Reason: e.Reason, Count: e.Count, PreviousHash: e.Previous, Hash: e.Hash,
		})
	}
	return answer, nil
}

package server

import (
	"context"
	"net"
	"sync"
	"time"

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
	// refusalWindow is how long the same refusal is counted before it is written again: whoever is refused a thousand times a second
	// must not fill the disk.
	refusalWindow = time.Minute
	// mostRefusals bounds how many different refusals are counted at a time.
	mostRefusals = 256
	// maxAuditPage bounds one answer, in entries.
	maxAuditPage = 1000
)

// nobody is a caller without an accepted identity.
const nobody = "nobody"

// mutations are the methods that change something, apart from the commands of Execute.
var mutations = []string{
	landfallv1.GitOpsService_Pause_FullMethodName, landfallv1.GitOpsService_Resume_FullMethodName, landfallv1.GitOpsService_Unblock_FullMethodName,
	landfallv1.IdentityService_Revoke_FullMethodName, landfallv1.IdentityService_Renew_FullMethodName,
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

// recorder writes the trail: what changed something, and what was refused.
type recorder struct {
	trail Trail // nil keeps nothing
	sign  func(audit.Checkpoint) (audit.Checkpoint, error)
	warn  func(err error)

	mu      sync.Mutex
	refused map[refusal]uint64 // how often within the window, apart from the first
	closed  bool
}

// refusal is what makes two refusals the same one.
type refusal struct{ who, host, action, reason string }

// record writes how a call ended; err is nil where it was done.
func (r *recorder) record(ctx context.Context, who, action, subject string, err error) {
	if r.trail == nil {
		return
	}
	e := audit.Entry{Time: time.Now(), Who: who, From: address(ctx), Action: action, Subject: subject, Result: resultOf(err), Reason: fault.ReasonOf(err), Count: 1}
	if e.Result == audit.Refused && r.counted(refusal{who, hostOf(e.From), action, e.Reason}, e) {
		return
	}
	r.append(e)
}

func resultOf(err error) string {
	switch fault.KindOf(err) {
	case fault.Denied, fault.Unauthenticated, fault.Refused, fault.Invalid, fault.NotFound:
		return audit.Refused
	}
	if err != nil {
		return audit.Failed
	}
	return audit.Done
}

func (r *recorder) append(e audit.Entry) {
	if _, err := r.trail.AppendAudit(e, r.sign); err != nil {
		r.warn(err)
	}
}

// counted reports whether a refusal is one that was written within the window, or one too many to tell apart: it is counted then.
func (r *recorder) counted(key refusal, e audit.Entry) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.refused == nil {
		r.refused = map[refusal]uint64{}
	}
	if _, known := r.refused[key]; !known && len(r.refused) >= mostRefusals {
		key = refusal{who: "others", action: "refused"}
		e.Who, e.From, e.Action, e.Subject, e.Reason = key.who, "", key.action, "", "TOO_MANY"
	}
	if _, known := r.refused[key]; known {
		r.refused[key]++
		return true
	}
	r.refused[key] = 0
	time.AfterFunc(refusalWindow, func() { r.settle(key, e) })
	return false
}

// settle writes what was counted since a refusal was written.
func (r *recorder) settle(key refusal, e audit.Entry) {
	r.mu.Lock()
	count := r.refused[key]
	delete(r.refused, key)
	closed := r.closed
	r.mu.Unlock()
	if count == 0 || closed {
		return
	}
	e.Time, e.Count, e.Subject = time.Now(), count, ""
	r.append(e)
}

// close writes what was counted and not written yet.
func (r *recorder) close() {
	r.mu.Lock()
	left := r.refused
	r.refused, r.closed = nil, true
	r.mu.Unlock()
	for key, count := range left {
		if count > 0 {
			r.append(audit.Entry{Time: time.Now(), Who: key.who, From: key.host, Action: key.action, Result: audit.Refused, Reason: key.reason, Count: count})
		}
	}
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

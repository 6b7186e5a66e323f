package server

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc/codes"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/audit"
	"ataraxis.dev/landfall/shared/identity"
)

// memoryTrail keeps a trail in memory.
type memoryTrail struct {
	mu      sync.Mutex
	entries []audit.Entry
}

func (m *memoryTrail) AppendAudit(e audit.Entry, _ func(audit.Checkpoint) (audit.Checkpoint, error)) (audit.Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var last audit.Entry
	if n := len(m.entries); n > 0 {
		last = m.entries[n-1]
	}
	e = e.Follow(last)
	m.entries = append(m.entries, e)
	return e, nil
}

func (m *memoryTrail) Audit(after uint64, limit int) (*audit.Checkpoint, []audit.Entry, uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := uint64(len(m.entries))
	from := min(after, n)
	return nil, slices.Clone(m.entries[from:min(n, from+uint64(limit))]), n, nil
}

// lines are entries as people read them.
func (m *memoryTrail) lines() []string {
	_, entries, _, _ := m.Audit(0, maxAuditPage)
	var lines []string
	for _, e := range entries {
		lines = append(lines, strings.Join([]string{e.Who, e.Action, e.Subject, e.Result, e.Reason}, " "))
	}
	return lines
}

func TestTheTrailTellsWhoDidWhat(t *testing.T) {
	t.Parallel()
	trail := &memoryTrail{}
	b := newBench(t, func(c *Config) { c.Trail = trail })
	operator, observer := b.dial(identity.RoleOperator), b.dial(identity.RoleObserver)
	if _, err := landfallv1.NewGitOpsServiceClient(operator).Pause(b.context(), &landfallv1.PauseRequest{Reason: "work on the roof"}); err != nil {
		t.Fatal(err)
	}
	for range 20 { // one line, however often it is tried
		_, err := landfallv1.NewGitOpsServiceClient(observer).Resume(b.context(), &landfallv1.ResumeRequest{})
		requireStatus(t, err, codes.PermissionDenied, "ROLE_NOT_ALLOWED")
	}
	if _, err := landfallv1.NewGitOpsServiceClient(operator).Resume(b.context(), &landfallv1.ResumeRequest{}); err != nil {
		t.Fatal(err)
	}
	denied := b.converse(observer)
	refusedTarget := b.Head()
	denied.deploy("c1", b.deploying(refusedTarget))
	requireStatus(t, denied.end(), codes.PermissionDenied, "ROLE_NOT_ALLOWED")
	id := b.verifyingDeploy(operator, b.next(1))

	for _, want := range []string{
		"operator/test /landfall.v1.GitOpsService/Pause  done ",
		"observer/test /landfall.v1.GitOpsService/Resume  refused ROLE_NOT_ALLOWED",
		"operator/test /landfall.v1.GitOpsService/Resume  done ",
		"operator/test deploy " + id + " done ",
	} {
		if n := countOf(trail.lines(), want); n != 1 {
			t.Errorf("%q is there %d times in\n%s", want, n, strings.Join(trail.lines(), "\n"))
		}
	}
	if !slices.ContainsFunc(trail.lines(), func(l string) bool {
		return strings.HasPrefix(l, "observer/test deploy "+refusedTarget) && strings.HasSuffix(l, " refused ROLE_NOT_ALLOWED")
	}) {
		t.Errorf("the refused deploy is missing:\n%s", strings.Join(trail.lines(), "\n"))
	}

	answer, err := landfallv1.NewAuditServiceClient(operator).ListAudit(b.context(), &landfallv1.ListAuditRequest{AfterSequence: 1, PageSize: 2})
	if err != nil || len(answer.GetEntries()) != 2 || answer.GetEntries()[0].GetSequence() != 2 || answer.GetEntries()[0].GetFrom() == "" {
		t.Errorf("a page: %v, %v", answer, err)
	}
	_, err = landfallv1.NewAuditServiceClient(operator).ListAudit(b.context(), &landfallv1.ListAuditRequest{PageSize: maxAuditPage + 1})
	requireStatus(t, err, codes.InvalidArgument, "BAD_PAGE_SIZE")
}

func countOf(lines []string, want string) (n int) {
	for _, l := range lines {
		if l == want {
			n++
		}
	}
	return n
}

// TestTheTrailCountsRefusals: what was counted is written, at the latest when the server ends.
func TestTheTrailCountsRefusals(t *testing.T) {
	t.Parallel()
	trail := &memoryTrail{}
	r := &recorder{trail: trail, warn: func(err error) { t.Error(err) }}
	refused := denied(identity.Principal{Role: identity.RoleObserver, Name: "x"}, "it", nil)
	for range 1000 {
		r.record(t.Context(), "observer/x", "deploy", "", refused)
	}
	for i := range 2 * mostRefusals { // as many different ones
		r.record(t.Context(), "observer/"+strings.Repeat("x", i), "pause", "", refused)
	}
	if n := len(trail.entries); n > mostRefusals+2 {
		t.Errorf("%d entries", n)
	}
	r.close()
	var sum uint64
	for _, e := range trail.entries {
		sum += e.Count
	}
	if sum != 1000+2*mostRefusals {
		t.Errorf("%d refusals in all", sum)
	}
	var chain audit.Chain
	for _, e := range trail.entries {
		if err := chain.Next(e); err != nil {
			t.Error(err)
		}
	}
}

package server

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/audit"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/identity"
)

// memoryTrail keeps a trail in memory.
type memoryTrail struct {
	mu      sync.Mutex
	entries []audit.Entry
	fail    error
}

func (m *memoryTrail) AppendAudit(e audit.Entry, _ func(audit.Checkpoint) (audit.Checkpoint, error)) (audit.Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return e, m.fail
	}
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

func (m *memoryTrail) all() []audit.Entry {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.entries)
}

// spoil has every further entry fail.
func (m *memoryTrail) spoil(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = err
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
		"operator/test /landfall.v1.GitOpsService/Pause  begun ",
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

// record is a recorder of a trail in memory.
func record(t *testing.T) (*recorder, *memoryTrail) {
	t.Helper()
	trail := &memoryTrail{}
	return &recorder{trail: trail, warn: func(err error) { t.Error(err) }}, trail
}

// did records a call that was done.
func did(t *testing.T, r *recorder, who, action, subject string) {
	t.Helper()
	end, err := r.begin(t.Context(), who, action, subject)
	if err != nil {
		t.Fatal(err)
	}
	end(subject, nil)
}

// TestTheTrailCountsRefusals: what was counted is written, at the latest when the server ends.
func TestTheTrailCountsRefusals(t *testing.T) {
	t.Parallel()
	r, trail := record(t)
	refused := denied(identity.Principal{Role: identity.RoleObserver, Name: "x"}, "it", nil)
	for range 1000 {
		r.record(t.Context(), "observer/x", "deploy", "", refused)
	}
	for i := range 2 * mostRepeats { // as many different ones
		r.record(t.Context(), "observer/"+strings.Repeat("x", i), "pause", "", refused)
	}
	if n := len(trail.all()); n > mostRepeats+2 {
		t.Errorf("%d entries", n)
	}
	r.close()
	if sum := trail.sum(audit.Refused); sum != 1000+2*mostRepeats {
		t.Errorf("%d refusals in all", sum)
	}
	trail.verify(t)
}

// sum is how many calls the entries of a result stand for.
func (m *memoryTrail) sum(result string) (sum uint64) {
	for _, e := range m.all() {
		if e.Result == result {
			sum += e.Count
		}
	}
	return sum
}

func (m *memoryTrail) verify(t *testing.T) {
	t.Helper()
	var chain audit.Chain
	for _, e := range m.all() {
		if err := chain.Next(e); err != nil {
			t.Error(err)
		}
	}
}

// TestAChangeIsRecordedBeforeItIsMade: an agent that ends in the middle of a call leaves a trace of it, and a trail that cannot be written
// lets nothing be changed.
func TestAChangeIsRecordedBeforeItIsMade(t *testing.T) {
	t.Parallel()
	trail := &memoryTrail{}
	b := newBench(t, func(c *Config) { c.Trail = trail })
	operator := b.dial(identity.RoleOperator)
	if _, err := landfallv1.NewGitOpsServiceClient(operator).Pause(b.context(), &landfallv1.PauseRequest{Reason: "work on the roof"}); err != nil {
		t.Fatal(err)
	}
	b.verifyingDeploy(operator, b.next(1))
	begun := map[string]bool{}
	for _, e := range trail.all() {
		if e.Result == audit.Done && !begun[e.Action] {
			t.Errorf("%s was done before it was begun:\n%s", e.Action, strings.Join(trail.lines(), "\n"))
		}
		begun[e.Action] = begun[e.Action] || e.Result == audit.Begun
	}
	trail.spoil(errors.New("no space left on device"))
	_, err := landfallv1.NewGitOpsServiceClient(operator).Resume(b.context(), &landfallv1.ResumeRequest{})
	if reasonOf(err) != "AUDIT_FAILED" {
		t.Errorf("resumed without a trace: %v", err)
	}
	if pause, err := b.Ports().Sentinels.Pause(); err != nil || pause == nil {
		t.Errorf("it was resumed: %v, %v", pause, err)
	}
}

// TestRepetitionsAreCounted: neither renewals nor what somebody does again and again push older entries out of a trail that is bounded.
func TestRepetitionsAreCounted(t *testing.T) {
	t.Parallel()
	r, trail := record(t)
	for range 1000 {
		did(t, r, "observer/x", renewal, "")
	}
	if n := len(trail.all()); n != 2 {
		t.Errorf("%d entries for a thousand renewals", n)
	}
	did(t, r, "operator/y", "pause", "")
	did(t, r, "operator/y", "pause", "")
	did(t, r, "operator/y", "resume", "")
	did(t, r, "operator/y", "pause", "")
	want := []string{"pause  begun ", "pause  done ", "resume  begun ", "pause  done ", "resume  done ", "pause  begun ", "pause  done "}
	for i, line := range trail.lines()[2:] {
		if line != "operator/y "+want[i] {
			t.Errorf("entry %d is %q, not %q", i, line, want[i])
		}
	}
	for range 1000 {
		r.record(t.Context(), "deployer/z", "deploy", "op-1", nil) // commands that were carried out before
		r.record(t.Context(), "deployer/z", "deploy", "op-2", nil)
	}
	if n := len(trail.all()); n != 2+len(want)+1 {
		t.Errorf("%d entries:\n%s", n, strings.Join(trail.lines(), "\n"))
	}
	r.close()
	if sum := trail.sum(audit.Done); sum != 1000+4+2000 {
		t.Errorf("%d calls in all", sum)
	}
	trail.verify(t)
}

// TestTheTrailEndsInOrder: who is carrying out a call when the server ends is waited for; who comes later changes nothing.
func TestTheTrailEndsInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, trail := record(t)
		end, err := r.begin(t.Context(), "operator/x", "pause", "")
		if err != nil {
			t.Fatal(err)
		}
		closed := make(chan struct{})
		go func() { r.close(); close(closed) }()
		synctest.Wait()
		if _, err := r.begin(t.Context(), "operator/x", "resume", ""); fault.ReasonOf(err) != "SHUTTING_DOWN" {
			t.Errorf("begun while the server ends: %v", err)
		}
		end("", nil)
		<-closed
		n := len(trail.all())
		time.Sleep(2 * renewalWindow) // what was to be written when a window ends
		if n != 2 || len(trail.all()) != n {
			t.Errorf("%d entries, then %d", n, len(trail.all()))
		}
	})
}

// TestWhatWasCountedIsWrittenWhenTheWindowEnds.
func TestWhatWasCountedIsWrittenWhenTheWindowEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, trail := record(t)
		for range 10 {
			did(t, r, "operator/x", "pause", "")
		}
		time.Sleep(repeatWindow + time.Second)
		if n := len(trail.all()); n != 3 || trail.all()[2].Count != 9 {
			t.Errorf("%d entries: %v", n, trail.all())
		}
		did(t, r, "operator/x", "pause", "")
		if n := len(trail.all()); n != 5 {
			t.Errorf("%d entries: %v", n, trail.lines())
		}
		r.close()
	})
}

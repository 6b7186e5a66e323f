package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"ataraxis.dev/landfall/agent/internal/flow"
	"ataraxis.dev/landfall/agent/internal/picture"

	"google.golang.org/grpc/codes"

	"ataraxis.dev/landfall/agent/internal/hosttest"
	"ataraxis.dev/landfall/agent/internal/operation"
	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/identity"
)

func TestHost(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *Config) {
		c.Tree = &tree{head: strings.Repeat("c", 40), dirty: slices.Repeat([]string{"edited"}, dirtyShown+5)}
	})
	conn := b.dial(identity.RoleDeployer)
	target := b.next(1)
	id := b.verifyingDeploy(conn, target)
	resp, err := b.diagnostics().GetHost(b.context(), &landfallv1.GetHostRequest{})
	if err != nil {
		t.Fatal(err)
	}
	h := resp.GetHost()
	if h.GetProtocolVersion() != ProtocolVersion || h.GetStamp().GetSha() != target || h.GetStamp().GetWriteTime() == nil || h.GetCurrentOperationId() != "" ||
		h.GetGitops().GetPause().GetOperationId() != id || h.GetEngine().GetVersion() != "28.5.2" || h.GetEngine().GetComposeVersion() != "2.40.3" ||
		h.GetDiskFreeBytes() != 5<<30 || h.GetMemoryAvailableBytes() != 1<<30 || h.GetName() == "" || h.GetCertificateExpireTime() == nil {
		t.Errorf("host: %v", h)
	}
	c := h.GetCheckout()
	if c.GetHeadSha() != strings.Repeat("c", 40) || !c.GetDirty() || len(c.GetDirtyPaths()) != dirtyShown || c.GetPath() != "/srv/sample" || c.GetBranch() != "main" {
		t.Errorf("checkout: %v", c)
	}
	if len(h.GetProblems()) != 0 {
		t.Errorf("problems of a healthy host: %q", h.GetProblems())
	}

	s := b.converse(conn)
	s.deploy("running", b.deploying(b.next(2)))
	running := s.accepted("running").GetOperation().GetId()
	s.until(awaiting)
	if resp, err = b.diagnostics().GetHost(b.context(), &landfallv1.GetHostRequest{}); err != nil || resp.GetHost().GetCurrentOperationId() != running {
		t.Errorf("while %s runs: %s, %v", running, resp.GetHost().GetCurrentOperationId(), err)
	}
}

// A host in trouble is when the answer is needed most: whatever cannot be read is named.
func TestHostTellsProblemsInsteadOfFailing(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *Config) {
		c.Tree = &tree{err: errors.New("no git repository")}
		c.Versions = func(context.Context) (string, string, error) { return "", "", errors.New("the engine is down") }
		c.Left = func() (uint64, uint64, error) { return 0, 0, errors.New("no such disk") }
		c.Expires = func() time.Time { return time.Now().Add(24 * time.Hour) }
	})
	b.On("Stamp.Stamp", func(context.Context, hosttest.Call) error { return errors.New("the stamp is no SHA") })
	b.On("Sentinels.Pause", func(context.Context, hosttest.Call) error { return errors.New("the sentinel is no JSON") })
	resp, err := b.diagnostics().GetHost(b.context(), &landfallv1.GetHostRequest{})
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Join(resp.GetHost().GetProblems(), "\n")
	for _, part := range []string{
		"checkout: no git repository", "engine: the engine is down", "disk and memory: no such disk", "certificate: ends in 24h", "identity renew",
		"stamp: the stamp is no SHA", "gitops: the sentinel is no JSON",
	} {
		if !strings.Contains(all, part) {
			t.Errorf("%q is not told:\n%s", part, all)
		}
	}
	if resp.GetHost().GetEngine().GetError() != "the engine is down" || resp.GetHost().GetCheckout().GetPath() == "" {
		t.Errorf("host: %v", resp.GetHost())
	}
}

func TestServices(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.verifyingDeploy(b.dial(identity.RoleDeployer), b.next(1))
	b.ChangeContainer("core", "database", func(c *picture.Container) { c.State, c.ExitCode, c.OOMKilled = "exited", 137, true })
	b.ChangeContainer("extra", "mailer", nil)
	list := func(stacks ...string) []string {
		t.Helper()
		resp, err := b.diagnostics().ListServices(b.context(), &landfallv1.ListServicesRequest{Stacks: stacks})
		if err != nil {
			t.Fatal(err)
		}
		var lines []string
		for _, s := range resp.GetServices() {
			state := "-"
			for _, c := range s.GetContainers() {
				state = fmt.Sprintf("%s/%d/%v", c.GetState(), c.GetExitCode(), c.GetOomKilled())
			}
			lines = append(lines, fmt.Sprint(s.GetStack(), "/", s.GetName(), " ", s.GetReady(), " ", state))
		}
		return lines
	}
	all := []string{"core/app true running/0/false", "core/database false exited/137/true", "extra/mailer false -", "extra/worker true running/0/false"}
	if got := list(); !slices.Equal(got, all) {
		t.Errorf("services: %q", got)
	}
	if got := list("extra"); !slices.Equal(got, all[2:]) {
		t.Errorf("services of extra: %q", got)
	}
	_, err := b.diagnostics().ListServices(b.context(), &landfallv1.ListServicesRequest{Stacks: []string{"core", "nothing"}})
	requireStatus(t, err, codes.InvalidArgument, "UNKNOWN_STACK")
}

func TestProbe(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.verifyingDeploy(b.dial(identity.RoleDeployer), b.next(1))
	b.Answer("web", func(int) operation.ProbeResult {
		return operation.ProbeResult{Outcome: operation.ProbeWaiting, Message: "status 503"}
	})
	probe := func(names ...string) (string, error) {
		resp, err := b.diagnostics().Probe(b.context(), &landfallv1.ProbeRequest{Names: names})
		var lines []string
		for _, r := range resp.GetResults() {
			lines = append(lines, fmt.Sprintf("%s %s %d", r.GetName(), strings.TrimPrefix(r.GetOutcome().String(), "PROBE_OUTCOME_"), r.GetAttempts()))
		}
		return strings.Join(lines, ", "), err
	}
	if got, err := probe(); got != "containers PASSED 1, web WAITING 1" || err != nil {
		t.Errorf("all: %s, %v", got, err)
	}
	if got, err := probe("web"); got != "web WAITING 1" || err != nil {
		t.Errorf("web: %s, %v", got, err)
	}
	_, err := probe("web", "nothing")
	requireStatus(t, err, codes.InvalidArgument, "UNKNOWN_PROBE")
}

func TestDiagnosticsOfABrokenCheckout(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.FailAt("Commits.Head", errors.New("broken"))
	d := b.diagnostics()
	_, servicesErr := d.ListServices(b.context(), &landfallv1.ListServicesRequest{})
	_, probeErr := d.Probe(b.context(), &landfallv1.ProbeRequest{})
	requireStatus(t, servicesErr, codes.Internal, "")
	requireStatus(t, probeErr, codes.Internal, "")
}

func TestOperationsArePaged(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	const total = 45
	journal := b.Ports().Journal
	for n := range total {
		op, _, err := journal.Create(hosttest.Accepted(fmt.Sprint("command-", n)))
		if err != nil {
			t.Fatal(err)
		}
		if err := journal.Append(op.ID, []operation.Event{
			{Sequence: 2, Time: time.Now(), StepStarted: &operation.StepStarted{ID: "a", Title: "a"}},
			{Sequence: 3, Time: time.Now(), State: &operation.StateChange{State: operation.Cancelled}},
		}); err != nil {
			t.Fatal(err)
		}
	}
	d := b.diagnostics()
	for size, pages := range map[int32][]int{0: {20, 20, 5}, 15: {15, 15, 15}, 44: {44, 1}, 1000: {45}} {
		var got []int
		var ids []string
		token := ""
		for {
			resp, err := d.ListOperations(b.context(), &landfallv1.ListOperationsRequest{PageSize: size, PageToken: token})
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, len(resp.GetOperations()))
			for _, op := range resp.GetOperations() {
				ids = append(ids, op.GetCommandId())
				if len(op.GetSteps()) != 0 || len(op.GetStates()) == 0 {
					t.Fatalf("listed with steps or without states: %v", op)
				}
			}
			if token = resp.GetNextPageToken(); token == "" {
				break
			}
		}
		if !slices.Equal(got, pages) {
			t.Errorf("page_size %d: pages of %v, want %v", size, got, pages)
		}
		for i, id := range ids {
			if id != fmt.Sprint("command-", total-1-i) {
				t.Fatalf("page_size %d: number %d is %s", size, i, id)
			}
		}
	}
	for _, bad := range []struct {
		req    *landfallv1.ListOperationsRequest
		reason string
	}{
		{&landfallv1.ListOperationsRequest{PageSize: -1}, "BAD_PAGE_SIZE"},
		{&landfallv1.ListOperationsRequest{PageSize: 1001}, "BAD_PAGE_SIZE"},
		{&landfallv1.ListOperationsRequest{PageToken: "0"}, "BAD_PAGE_TOKEN"},
		{&landfallv1.ListOperationsRequest{PageToken: "-3"}, "BAD_PAGE_TOKEN"},
		{&landfallv1.ListOperationsRequest{PageToken: "next"}, "BAD_PAGE_TOKEN"},
	} {
		_, err := d.ListOperations(b.context(), bad.req)
		requireStatus(t, err, codes.InvalidArgument, bad.reason)
	}
}

func TestOperationWithItsPlan(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	d := b.diagnostics()
	_, err := d.GetOperation(b.context(), &landfallv1.GetOperationRequest{})
	requireStatus(t, err, codes.NotFound, "NO_OPERATION")
	target := b.next(1)
	id := b.verifyingDeploy(b.dial(identity.RoleDeployer), target)
	for _, name := range []string{"", id, "1", id[:5]} {
		resp, err := d.GetOperation(b.context(), &landfallv1.GetOperationRequest{OperationId: name})
		if err != nil {
			t.Errorf("%q: %v", name, err)
			continue
		}
		op := resp.GetOperation()
		if op.GetId() != id || len(op.GetSteps()) == 0 || resp.GetPlan().GetDigest() != op.GetPlanDigest() || resp.GetPlan().GetTargetSha() != target {
			t.Errorf("%q: %v", name, resp)
		}
	}
	_, err = d.GetOperation(b.context(), &landfallv1.GetOperationRequest{OperationId: "op-9"})
	requireStatus(t, err, codes.NotFound, "UNKNOWN_OPERATION")
}

func TestWatchFromAnySequence(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	id := b.verifyingDeploy(b.dial(identity.RoleDeployer), b.next(1))
	op, err := b.engine.Operation(id)
	if err != nil {
		t.Fatal(err)
	}
	d := b.diagnostics()
	for _, after := range []uint64{0, 1, op.LastSequence / 2, op.LastSequence - 1, op.LastSequence, op.LastSequence + 10} {
		stream, err := d.WatchOperation(b.context(), &landfallv1.WatchOperationRequest{OperationId: id, AfterSequence: after})
		if err != nil {
			t.Fatal(err)
		}
		next := after + 1
		for {
			resp, err := stream.Recv()
			if err != nil {
				break
			}
			if resp.GetBatch().GetOperationId() != id {
				t.Errorf("batch of %s", resp.GetBatch().GetOperationId())
			}
			for _, e := range resp.GetBatch().GetEvents() {
				if e.GetSequence() != next {
					t.Fatalf("after %d comes %d, want %d", after, e.GetSequence(), next)
				}
				next++
			}
		}
		if want := max(op.LastSequence, after) + 1; next != want {
			t.Errorf("after %d the stream ends before event %d, want before %d", after, next, want)
		}
	}
	stream, err := d.WatchOperation(b.context(), &landfallv1.WatchOperationRequest{OperationId: "op-9"})
	if err == nil {
		_, err = stream.Recv()
	}
	requireStatus(t, err, codes.NotFound, "UNKNOWN_OPERATION")
}

func TestPlan(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	d := b.diagnostics()
	first := b.Head()
	plan := func(req *landfallv1.GetPlanRequest) (*landfallv1.Plan, error) {
		resp, err := d.GetPlan(b.context(), req)
		return resp.GetPlan(), err
	}
	if p, err := plan(&landfallv1.GetPlanRequest{TargetSha: first}); err != nil || p.GetEverythingReason() != "nothing was deployed here yet" {
		t.Errorf("before the first deploy: %v, %v", p, err)
	}
	target := b.next(1)
	_, err := plan(&landfallv1.GetPlanRequest{TargetSha: target})
	requireStatus(t, err, codes.NotFound, "UNKNOWN_COMMIT")
	if err != nil && !strings.Contains(err.Error(), "landfall-coordinator plan") {
		t.Errorf("%v does not say where a plan can be had", err)
	}
	b.verifyingDeploy(b.dial(identity.RoleDeployer), target)
	if p, err := plan(&landfallv1.GetPlanRequest{TargetSha: target}); err != nil || p.GetBaseSha() != target || p.GetEverythingReason() != "" || p.GetAnyDeploy() {
		t.Errorf("from the stamp: %v, %v", p, err)
	}
	want, err := b.engine.PlanAt(t.Context(), flow.PlanRequest{Base: first, Target: target})
	if err != nil {
		t.Fatal(err)
	}
	if p, err := plan(&landfallv1.GetPlanRequest{TargetSha: target, BaseSha: first}); err != nil || p.GetDigest() != want.Digest() {
		t.Errorf("from a base: %v, %v", p, err)
	}
	_, err = plan(&landfallv1.GetPlanRequest{TargetSha: "main"})
	requireStatus(t, err, codes.InvalidArgument, "BAD_SHA")
	_, err = plan(&landfallv1.GetPlanRequest{TargetSha: target, BaseSha: "main"})
	requireStatus(t, err, codes.InvalidArgument, "BAD_SHA")
}

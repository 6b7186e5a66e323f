package server

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"ataraxis.dev/landfall/agent/internal/flow"
	"ataraxis.dev/landfall/agent/internal/picture"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"ataraxis.dev/landfall/agent/internal/operation"
	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
	"ataraxis.dev/landfall/shared/pipeline/planpb"
)

// diagnosticsService implements DiagnosticsService. It changes nothing.
type diagnosticsService struct {
	landfallv1.UnimplementedDiagnosticsServiceServer
	*Server
}

func (d diagnosticsService) GetHost(ctx context.Context, _ *landfallv1.GetHostRequest) (*landfallv1.GetHostResponse, error) {
	return &landfallv1.GetHostResponse{Host: d.host(ctx)}, nil
}

func (d diagnosticsService) ListServices(ctx context.Context, req *landfallv1.ListServicesRequest) (*landfallv1.ListServicesResponse, error) {
	return ask(ctx, d.desk, named("ListServices", req), func(ctx context.Context) (*landfallv1.ListServicesResponse, error) { return d.listServices(ctx, req) })
}

func (d diagnosticsService) listServices(ctx context.Context, req *landfallv1.ListServicesRequest) (*landfallv1.ListServicesResponse, error) {
	plan, err := d.engine.PlanNow(ctx)
	if err != nil {
		return nil, err
	}
	for _, name := range req.GetStacks() {
		if _, ok := plan.Stack(name); !ok {
			return nil, fault.New(fault.Invalid, "UNKNOWN_STACK", "there is no stack %q", name)
		}
	}
	services, err := d.inspector.Services(ctx, plan, req.GetStacks())
	if err != nil {
		return nil, err
	}
	return &landfallv1.ListServicesResponse{Services: servicesOf(services)}, nil
}

func (d diagnosticsService) Probe(ctx context.Context, req *landfallv1.ProbeRequest) (*landfallv1.ProbeResponse, error) {
	return ask(ctx, d.desk, named("Probe", req), func(ctx context.Context) (*landfallv1.ProbeResponse, error) { return d.probe(ctx, req) })
}

func (d diagnosticsService) probe(ctx context.Context, req *landfallv1.ProbeRequest) (*landfallv1.ProbeResponse, error) {
	plan, err := d.engine.PlanNow(ctx)
	if err != nil {
		return nil, err
	}
	probes := plan.Verify.Probes
	if len(req.GetNames()) > 0 {
		probes = nil
		for _, name := range req.GetNames() {
			p, ok := plan.Probe(name)
			if !ok {
				return nil, fault.New(fault.Invalid, "UNKNOWN_PROBE", "there is no probe %q", name)
			}
			probes = append(probes, p)
		}
	}
	results := make([]*landfallv1.ProbeResult, len(probes))
	var group sync.WaitGroup
	for i, p := range probes {
		group.Go(func() {
			began := time.Now()
			r := d.prober.Probe(ctx, plan, p, nil)
			r.Name, r.Attempts, r.Elapsed = p.Name, 1, time.Since(began)
			results[i] = probeResultOf(r)
		})
	}
	group.Wait()
	slices.SortFunc(results, func(a, b *landfallv1.ProbeResult) int { return strings.Compare(a.GetName(), b.GetName()) })
	return &landfallv1.ProbeResponse{Results: results}, nil
}

const (
	defaultPage = 20
	maxPage     = 1000
)

func (d diagnosticsService) ListOperations(_ context.Context, req *landfallv1.ListOperationsRequest) (*landfallv1.ListOperationsResponse, error) {
	size := int(req.GetPageSize())
	switch {
	case size < 0 || size > maxPage:
		return nil, fault.New(fault.Invalid, "BAD_PAGE_SIZE", "page_size must be 0 to %d", maxPage)
	case size == 0:
		size = defaultPage
	}
	var before uint64
	if token := req.GetPageToken(); token != "" {
		n, err := strconv.ParseUint(token, 10, 64)
		if err != nil || n == 0 {
			return nil, fault.New(fault.Invalid, "BAD_PAGE_TOKEN", "page_token does not come from an answer of ours")
		}
		before = n
	}
	ops, err := d.engine.Operations(before, size)
	if err != nil {
		return nil, err
	}
	resp := &landfallv1.ListOperationsResponse{}
	for _, op := range ops {
		op.Steps = nil
		resp.Operations = append(resp.Operations, d.told(op))
	}
	if len(ops) == size && ops[size-1].Number > 1 {
		resp.NextPageToken = strconv.FormatUint(ops[size-1].Number, 10)
	}
	return resp, nil
}

func (d diagnosticsService) GetOperation(_ context.Context, req *landfallv1.GetOperationRequest) (*landfallv1.GetOperationResponse, error) {
	op, err := d.engine.Operation(req.GetOperationId())
	if err != nil {
		return nil, err
	}
	plan, err := d.engine.Plan(op.ID)
	if err != nil {
		return nil, err
	}
	wire, err := planpb.FromPlan(plan)
	return &landfallv1.GetOperationResponse{Operation: d.told(op), Plan: wire}, err
}

func (d diagnosticsService) WatchOperation(req *landfallv1.WatchOperationRequest, stream grpc.ServerStreamingServer[landfallv1.WatchOperationResponse]) error {
	op, err := deployService{Server: d.Server}.attach(req.GetOperationId())
	if err != nil {
		return err
	}
	return d.engine.Watch(stream.Context(), op.ID, req.GetAfterSequence(), func(events []operation.Event) error {
		batch, err := batchOf(op.ID, events)
		if err != nil {
			return err
		}
		return stream.Send(&landfallv1.WatchOperationResponse{Batch: batch})
	}, nil)
}

func (d diagnosticsService) GetPlan(ctx context.Context, req *landfallv1.GetPlanRequest) (*landfallv1.GetPlanResponse, error) {
	if !commit.MatchString(req.GetTargetSha()) {
		return nil, fault.New(fault.Invalid, "BAD_SHA", "target_sha must be a full commit SHA in lower case")
	}
	base := req.GetBaseSha()
	if base != "" && !commit.MatchString(base) {
		return nil, fault.New(fault.Invalid, "BAD_SHA", "base_sha must be a full commit SHA in lower case, or empty")
	}
	if base == "" {
		stamp, _, err := d.stamp.Stamp()
		if err != nil {
			return nil, err
		}
		base = stamp
	}
	everything := req.GetEverythingReason()
	if base == "" && everything == "" {
		everything = "nothing was deployed here yet"
	}
	wanted := flow.PlanRequest{Base: base, Target: req.GetTargetSha(), Everything: everything}
	return ask(ctx, d.desk, fmt.Sprintf("GetPlan %q %v", []string{base, wanted.Target, everything}, req.GetPolicy()), func(ctx context.Context) (*landfallv1.GetPlanResponse, error) {
		plan, err := d.planFor(ctx, wanted)
		if err != nil {
			return nil, err
		}
		wire, err := planpb.FromPlan(plan)
		if err != nil || !req.GetPolicy() {
			return &landfallv1.GetPlanResponse{Plan: wire}, err
		}
		wire.Notes, err = d.engine.PolicyAt(ctx, plan)
		return &landfallv1.GetPlanResponse{Plan: wire}, err
	})
}

// named names a question by its method and all that it says.
func named(method string, req proto.Message) string {
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(req)
	if err != nil {
		return method + rand.Text() // like no other
	}
	return method + string(raw)
}

func (d diagnosticsService) planFor(ctx context.Context, req flow.PlanRequest) (*pipeline.Plan, error) {
	plan, err := d.engine.PlanAt(ctx, req)
	if fault.KindOf(err) == fault.NotFound {
		return nil, fault.Wrap(err, fault.NotFound, fault.ReasonOf(err), "the agent plans without fetching").
			WithHint("the commit comes with the next deploy; plan in a clone with: landfall-coordinator plan")
	}
	return plan, err
}

func (d diagnosticsService) GetRollbackPlan(ctx context.Context, req *landfallv1.GetRollbackPlanRequest) (*landfallv1.GetRollbackPlanResponse, error) {
	wanted := flow.RollbackRequest{Operation: req.GetOperationId(), Target: req.GetTargetSha()}
	switch {
	case (wanted.Operation == "") == (wanted.Target == ""):
		return nil, fault.New(fault.Invalid, "NO_TARGET", "a rollback needs operation_id or target_sha")
	case wanted.Target != "" && !commit.MatchString(wanted.Target):
		return nil, fault.New(fault.Invalid, "BAD_SHA", "target_sha must be a full commit SHA in lower case")
	}
	return ask(ctx, d.desk, named("GetRollbackPlan", req), func(ctx context.Context) (*landfallv1.GetRollbackPlanResponse, error) {
		return d.rollbackPlan(ctx, wanted)
	})
}

func (d diagnosticsService) rollbackPlan(ctx context.Context, wanted flow.RollbackRequest) (*landfallv1.GetRollbackPlanResponse, error) {
	plan, err := d.engine.PlanRollback(ctx, wanted)
	if err != nil {
		return nil, err
	}
	resp := &landfallv1.GetRollbackPlanResponse{
		From: d.commit(ctx, plan.From), Target: d.commit(ctx, plan.Target), KeptServices: uint32(plan.Kept), Migrations: plan.Migrations, Warnings: plan.Warnings,
	}
	for _, deed := range plan.Deeds {
		resp.Services = append(resp.Services, &landfallv1.ServiceRestore{
			Project: deed.Project, Service: deed.Service, Action: restoreActions[deed.Verb], Reason: deed.Why, ImageMissing: slices.Contains(plan.Gone, deed.Key),
		})
	}
	slices.SortStableFunc(resp.Services, func(a, b *landfallv1.ServiceRestore) int {
		return picture.CompareKeys(picture.Key{Project: a.GetProject(), Service: a.GetService()}, picture.Key{Project: b.GetProject(), Service: b.GetService()})
	})
	return resp, nil
}

// commit is what people know a commit by; one that cannot be read is told by its SHA alone.
func (s *Server) commit(ctx context.Context, sha string) *landfallv1.CommitInfo {
	info, err := s.tree.Commit(ctx, sha)
	if err != nil {
		return &landfallv1.CommitInfo{Sha: sha}
	}
	return commitOf(info)
}

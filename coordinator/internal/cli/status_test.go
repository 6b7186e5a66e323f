package cli

import (
	"errors"
	"strings"
	"testing"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
)

func TestStatusCheck(t *testing.T) {
	good := &landfallv1.Service{Stack: "core", Name: "app", Ready: true}
	bad := &landfallv1.Service{Stack: "core", Name: "edge", Problem: "exited (137)"}
	stray := &landfallv1.Service{Project: "old", Name: "grafana", Unnamed: true}
	for name, tt := range map[string]struct {
		services []*landfallv1.Service
		problems []string
		trouble  error
		code     int
		says     string // on stdout
	}{
		"all is well":          {[]*landfallv1.Service{good}, nil, nil, 0, "1 of 1 service ready"},
		"a service is down":    {[]*landfallv1.Service{good, bad}, nil, nil, 5, "  - core/edge is not ready: exited (137)\n"},
		"the host has one":     {[]*landfallv1.Service{good}, []string{"disk is full"}, nil, 5, "  - disk is full\n"},
		"services are unknown": {nil, nil, errors.New("the engine is down"), 5, "the engine is down"},
		"one is left over":     {[]*landfallv1.Service{good, stray}, nil, nil, 0, "left over or started by hand (no compose file names them)\n"},
	} {
		t.Run(name, func(t *testing.T) {
			a := &agent{services: tt.services, trouble: tt.trouble, host: func(h *landfallv1.Host) { h.Problems = tt.problems }}
			a.serve(t)
			plain := landfall(t, "status")
			plain.expect(t, 0)
			checked := landfall(t, "status", "--check")
			checked.expect(t, tt.code)
			if checked.out != plain.out || !strings.Contains(plain.out, tt.says) || (tt.code == 5) != strings.Contains(checked.err, "caroline has 1 problem") {
				t.Errorf("stdout %s\nstderr %s", checked.out, checked.err)
			}
			if object := landfall(t, "status", "--check", "--format", "json"); object.code != tt.code || len(decode(t, object.out)) != 2 {
				t.Errorf("%+v", object)
			}
		})
	}
}

// A deploy that nobody has judged does not run.
func TestStatusOfADeployThatAwaitsItsVerdict(t *testing.T) {
	repo, base, _ := clone(t)
	a := &agent{holds: true, stamp: base}
	a.serve(t)
	t.Chdir(repo.Dir)
	landfall(t, "run", "--no-gate", "--detach").expect(t, 0)
	if o := landfall(t, "status"); !strings.Contains(o.out, theOperation+" awaits its verdict") || strings.Contains(o.out, theOperation+" runs") {
		t.Errorf("%s", o.out)
	}
	a.set(func() { a.op.State = landfallv1.OperationState_OPERATION_STATE_BUILDING })
	if o := landfall(t, "status"); !strings.Contains(o.out, theOperation+" runs, BUILDING") {
		t.Errorf("%s", o.out)
	}
}

func TestStatusClaimsNoConvergence(t *testing.T) {
	a := &agent{}
	a.serve(t)
	if o := landfall(t, "status"); strings.Contains(o.out, "converging") || !strings.Contains(o.out, "convergence  not paused\n") {
		t.Errorf("%s", o.out)
	}
	a.pause = &landfallv1.GitOpsPause{Owner: "operator/chris", Reason: "disk"}
	if o := landfall(t, "status"); !strings.Contains(o.out, "convergence  paused by operator/chris: disk\n") {
		t.Errorf("%s", o.out)
	}
}

// Every blocked commit is told by status and history, and by show of the operation that it belongs to.
func TestAllBlocksAreTold(t *testing.T) {
	one, two := strings.Repeat("d1", 20), strings.Repeat("d2", 20)
	a := &agent{
		op:     &landfallv1.Operation{Id: theOperation, State: rolledBack, TargetSha: one},
		blocks: []*landfallv1.BlockedCommit{{Sha: one, OperationId: theOperation, Reason: "worker died"}, {Sha: two, OperationId: "op-9"}},
	}
	a.serve(t)
	for command, want := range map[string]int{"status": 2, "history": 2, "show": 1} {
		o := landfall(t, command)
		o.expect(t, 0)
		if n := strings.Count(o.out, "blocked      "); n != want || !strings.Contains(o.out, one[:12]+" by "+theOperation+": worker died") {
			t.Errorf("%s tells %d blocks, want %d:\n%s", command, n, want, o.out)
		}
	}
	a.older = true
	if o := landfall(t, "status"); strings.Count(o.out, "blocked      ") != 1 || !strings.Contains(o.out, two[:12]) {
		t.Errorf("of an older agent: %s", o.out)
	}
}

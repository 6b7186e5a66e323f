package cli

import (
	"slices"
	"strings"
	"testing"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
)

// A cancellation that did what was asked is done, whatever the end means for whoever asked for the operation.
func TestCancel(t *testing.T) {
	repo, base, _ := clone(t)
	const counted = "30 of 30 services run what ran before"
	for name, tt := range map[string]struct {
		ends   landfallv1.OperationState
		by     string // who ended it, by the agent's word
		reason string // of its failure; "" is PROBE_FAILED
		code   int
		says   string
	}{
		"rolled back":                    {rolledBack, "operator/test", "", 0, ""},
		"before anything was touched":    {landfallv1.OperationState_OPERATION_STATE_CANCELLED, "operator/test", "", 0, ""},
		"it failed untouched meanwhile":  {landfallv1.OperationState_OPERATION_STATE_FAILED_UNTOUCHED, "operator/test", "", 0, ""},
		"by an older agent":              {rolledBack, "", "CANCELLED", 0, ""},
		"it could not be undone":         {landfallv1.OperationState_OPERATION_STATE_ROLLBACK_FAILED, "operator/test", "", 5, "ended in ROLLBACK_FAILED"},
		"it had succeeded":               {succeeded, "", "", 7, "it had succeeded already"},
		"the verdict stood before":       {succeeded, "operator/test", "", 7, "it had succeeded already"},
		"it failed by itself":            {rolledBack, "", "", 4, "app is down"},
		"it was superseded":              {supersededState, "", "", 7, "has ended already (SUPERSEDED)"},
		"it failed and nobody undid it ": {failed, "operator/test", "", 5, "ended in FAILED"},
	} {
		t.Run(name, func(t *testing.T) {
			a := &agent{holds: true, stamp: base}
			a.serve(t)
			t.Chdir(repo.Dir)
			landfall(t, "run", "--no-gate", "--detach").expect(t, 0)
			a.set(func() {
				a.ends, a.endsBy = tt.ends, func(op *landfallv1.Operation) {
					op.CancelledBy, op.Summary = tt.by, counted
					if tt.reason != "" {
						op.Failure.Reason = tt.reason
					}
				}
			})
			o := landfall(t, "cancel")
			o.expect(t, tt.code, tt.says)
			if !slices.Contains(a.commands, "cancel "+theOperation) || !strings.HasSuffix(o.out, "\n"+counted+"\n") {
				t.Errorf("commands %q, stdout %q", a.commands, o.out)
			}
			landfall(t, "cancel", theOperation).expect(t, 7, theOperation+" has ended already (")
			landfall(t, "cancel").expect(t, 7, "no operation runs on caroline")
		})
	}
}

func TestCancelByName(t *testing.T) {
	repo, base, _ := clone(t)
	a := &agent{holds: true, stamp: base}
	a.serve(t)
	t.Chdir(repo.Dir)
	landfall(t, "run", "--no-gate", "--detach").expect(t, 0)
	landfall(t, "cancel", "op-9").expect(t, 2, "op-9")
	a.set(func() {
		a.ends, a.endsBy = rolledBack, func(op *landfallv1.Operation) { op.CancelledBy = "operator/test" }
	})
	if o := landfall(t, "cancel", theOperation, "--detach"); o.code != 0 || o.out != "" {
		t.Errorf("%+v", o)
	}
	a.set(func() { a.op = &landfallv1.Operation{Id: theOperation, State: rolledBack, LastSequence: 3} })
	landfall(t, "cancel", theOperation, "--format", "json").expect(t, 7, "ENDED", "has ended already (ROLLED_BACK)")
}

package console

import (
	"bytes"
	"strings"
	"testing"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
)

func TestWhatIsCheckedOut(t *testing.T) {
	head := &landfallv1.CommitInfo{Sha: targetSHA, Subject: "web v5"}
	for name, tt := range map[string]struct {
		checkout *landfallv1.Checkout
		moved    string
		says     string
		not      string
	}{
		"as configured": {&landfallv1.Checkout{HeadSha: targetSHA, Branch: "main", HeadBranch: "main", Head: head}, "", `c0dec0dec0de "web v5" of main`, "but"},
		"another one":   {&landfallv1.Checkout{HeadSha: targetSHA, Branch: "main", HeadBranch: "other", Head: head}, "", "but branch other is checked out", "no branch"},
		"none":          {&landfallv1.Checkout{HeadSha: targetSHA, Branch: "main", Head: head}, "", "but no branch is checked out", "branch other"},
		"older agent":   {&landfallv1.Checkout{HeadSha: targetSHA, Branch: "main"}, "", "c0dec0dec0de of main", "but"},
		"not the stamp": {&landfallv1.Checkout{HeadSha: newerSHA, Branch: "main"}, "", "feedfeedfeed of main in , not the stamp", "moved"},
		"moved":         {&landfallv1.Checkout{HeadSha: newerSHA, Branch: "main"}, newerSHA, "moved away from the stamp", "not the stamp"},
	} {
		var b bytes.Buffer
		host := &landfallv1.Host{Name: "caroline", Checkout: tt.checkout, MovedSha: tt.moved, Stamp: &landfallv1.Stamp{Sha: targetSHA}}
		if err := WriteStatus(&b, host, nil, nil, exampleStyle); err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(b.String(), "checkout ")
		line, _, _ := strings.Cut(rest, "\n")
		if !strings.Contains(line, tt.says) || strings.Contains(line, tt.not) {
			t.Errorf("%s: %q, want %q and not %q", name, line, tt.says, tt.not)
		}
	}
}

// The count of the agent is told instead of a claim, in every terminal state.
func TestHeadlinesClaimNothingThatWasCounted(t *testing.T) {
	const counted = "nothing ran before, nothing runs now"
	for state := range meanings {
		text := headline(state, counted)
		if !strings.HasSuffix(text, "; "+counted) || strings.Contains(text, "earlier version runs") || strings.Contains(text, "target runs") {
			t.Errorf("%s: %q", stateWord(state), text)
		}
		if headline(state, "") != meanings[state] {
			t.Errorf("%s without a count: %q", stateWord(state), headline(state, ""))
		}
	}
	if got := headline(landfallv1.OperationState_OPERATION_STATE_APPLYING, counted); got != "" {
		t.Errorf("a state that is not terminal: %q", got)
	}
}

// The probes of a rollback are not shown as if they had judged the deploy.
func TestProbesOfARollback(t *testing.T) {
	op := countedOperation()
	titles := func(groups []probeGroup) (all []string) {
		for _, g := range groups {
			all = append(all, g.title)
		}
		return all
	}
	if got := titles(probeGroups(op, examplePlan())); len(got) != 2 || got[0] != "probes of the deploy" || !strings.HasPrefix(got[1], "probes of the rollback") {
		t.Errorf("with a plan: %q", got)
	}
	if got := titles(probeGroups(op, nil)); len(got) != 1 || !strings.Contains(got[0], "those that the rollback ran speak of what ran before") {
		t.Errorf("without: %q", got)
	}
	if got := titles(probeGroups(exampleOperation(), examplePlan())); len(got) != 1 || got[0] != "probes" {
		t.Errorf("a rollback that did not probe: %q", got)
	}
	op.Kind = landfallv1.OperationKind_OPERATION_KIND_ROLLBACK
	if got := titles(probeGroups(op, examplePlan())); len(got) != 1 || got[0] != "probes" {
		t.Errorf("a rollback by hand: %q", got)
	}
	if got := probeGroups(&landfallv1.Operation{}, nil); got != nil {
		t.Errorf("no probes: %v", got)
	}
}

package console

import (
	"fmt"
	"io"
	"strings"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
)

// WriteRollbackPlan writes what a rollback would do: each service and why, what is left alone, what is gone, what stays. nothing
// says that the host is already as it would be afterwards.
func WriteRollbackPlan(w io.Writer, plan *landfallv1.GetRollbackPlanResponse, nothing bool, o Style) error {
	p := newPage(o)
	p.rollbackPlan(plan, nothing)
	return p.writeTo(w)
}

// RollbackPlanText is [WriteRollbackPlan] as text without an end of line.
func RollbackPlanText(plan *landfallv1.GetRollbackPlanResponse, nothing bool, o Style) (string, error) {
	var b strings.Builder
	err := WriteRollbackPlan(&b, plan, nothing, o)
	return strings.TrimSuffix(b.String(), "\n"), err
}

func (p *page) rollbackPlan(plan *landfallv1.GetRollbackPlanResponse, nothing bool) {
	p.field("from", commitLine(plan.GetFrom()))
	p.field("back to", commitLine(plan.GetTarget()))
	services := plan.GetServices()
	if len(services) > 0 {
		p.printf("\n")
		t := table{header: []string{"SERVICE", "IS", "WHY", "IMAGE"}, elastic: 2}
		for _, s := range services {
			image := cell{}
			if s.GetImageMissing() {
				image = cell{"gone: built or pulled again", yellow}
			}
			t.rows = append(t.rows, []cell{
				{text: clean(s.GetProject()) + "/" + clean(s.GetService())}, {text: restoreWord(s.GetAction()), colour: bold}, {text: clean(s.GetReason())}, image,
			})
		}
		p.table(t, 2)
	}
	p.printf("\n%s\n", p.rollbackCount(plan, nothing))
	if len(plan.GetMigrations()) > 0 {
		p.printf("%s\n", p.paint(yellow, fmt.Sprintf("the database keeps %s: %s", count(len(plan.GetMigrations()), "migration"), strings.Join(cleanAll(plan.GetMigrations()), ", "))))
	}
	for _, warning := range plan.GetWarnings() {
		p.printf("%s\n", p.paint(yellow, "warning: "+clean(warning)))
	}
}

// rollbackCount sums a plan up.
func (p *page) rollbackCount(plan *landfallv1.GetRollbackPlanResponse, nothing bool) string {
	kept := stays(int(plan.GetKeptServices()))
	switch {
	case nothing:
		return p.paint(green, NothingToRollBack(plan))
	case len(plan.GetServices()) == 0 && plan.GetFrom().GetSha() == plan.GetTarget().GetSha():
		return "no service is touched; " + kept
	case len(plan.GetServices()) == 0:
		return "no service is touched, the checkout moves; " + kept
	}
	return RollbackMeans(plan) + "; " + kept
}

// stays says how many services are left alone.
func stays(n int) string {
	if n == 1 {
		return "1 service stays as it is"
	}
	return fmt.Sprintf("%d services stay as they are", n)
}

// RollbackMeans is what a rollback would do in a few words: "2 services change, 1 image is gone".
func RollbackMeans(plan *landfallv1.GetRollbackPlanResponse) string {
	gone := 0
	for _, s := range plan.GetServices() {
		if s.GetImageMissing() {
			gone++
		}
	}
	text := "no service changes"
	switch n := len(plan.GetServices()); {
	case n == 1:
		text = "1 service changes"
	case n > 1:
		text = fmt.Sprintf("%d services change", n)
	}
	switch {
	case gone == 1:
		text += ", 1 image is gone and is made again"
	case gone > 1:
		text += fmt.Sprintf(", %d images are gone and are made again", gone)
	}
	return text
}

// commitLine is a commit as people know it.
func commitLine(c *landfallv1.CommitInfo) string {
	if c.GetSha() == "" {
		return "an unknown commit"
	}
	return short(c.GetSha()) + commitText(c)
}

// restoreWord is what is done to a service, for people.
func restoreWord(a landfallv1.RestoreAction) string {
	switch a {
	case landfallv1.RestoreAction_RESTORE_ACTION_START:
		return "started"
	case landfallv1.RestoreAction_RESTORE_ACTION_STOP:
		return "stopped"
	case landfallv1.RestoreAction_RESTORE_ACTION_RESTART:
		return "restarted"
	case landfallv1.RestoreAction_RESTORE_ACTION_RECREATE:
		return "recreated"
	case landfallv1.RestoreAction_RESTORE_ACTION_REMOVE:
		return "removed"
	case landfallv1.RestoreAction_RESTORE_ACTION_PAUSE:
		return "paused"
	case landfallv1.RestoreAction_RESTORE_ACTION_RECONNECT:
		return "reconnected"
	case landfallv1.RestoreAction_RESTORE_ACTION_UNSPECIFIED:
	}
	return "changed"
}

// NothingToRollBack says that the host is as a rollback would make it.
func NothingToRollBack(plan *landfallv1.GetRollbackPlanResponse) string {
	return "nothing to do: " + short(plan.GetTarget().GetSha()) + " runs, " + stays(int(plan.GetKeptServices()))
}

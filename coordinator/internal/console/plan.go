package console

import (
	"fmt"
	"io"
	"slices"
	"strings"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/fault"
)

// PlanFormat is a way to write a plan.
type PlanFormat string

// The formats of [WritePlan]. JSON is [WriteJSON].
const (
	Text     PlanFormat = "text"
	Markdown PlanFormat = "markdown"
)

// WritePlan writes what a deploy would do and why. Notes say what the plan itself does not tell: why it deploys though no
// path asks for it. An unknown format is a fault of kind Invalid.
func WritePlan(w io.Writer, plan *landfallv1.Plan, format PlanFormat, o Style, notes ...string) error {
	p := newPage(o)
	switch format {
	case Text:
		p.plan(plan, notes)
	case Markdown:
		p.planMarkdown(plan, notes)
	default:
		return fault.New(fault.Invalid, "USAGE", "unknown format %q of a plan", format).WithHint("use %s or %s", Text, Markdown)
	}
	return p.writeTo(w)
}

func (p *page) plan(plan *landfallv1.Plan, notes []string) {
	p.printf("%s  %s\n", p.paint(bold, clean(plan.GetProject())), fromTo(plan))
	p.field("branch", clean(plan.GetBranch()))
	p.field("plan", clean(plan.GetDigest()))
	if !plan.GetAnyDeploy() {
		p.printf("\n%s\n", p.paint(green, nothingToDeploy(plan)))
	}
	if why := clean(plan.GetEverythingReason()); why != "" {
		p.printf("\n%s\n", p.paint(yellow, "every flag is set: "+why))
	}
	for _, note := range notes {
		p.printf("\n%s\n", p.paint(yellow, clean(note)))
	}
	p.why(plan)
	p.unclaimed(plan)
	if !plan.GetAnyDeploy() {
		return
	}
	p.beforeSteps(plan)
	p.steps(plan)
	p.verification(plan)
}

// fromTo is the way a plan goes.
func fromTo(plan *landfallv1.Plan) string {
	base := short(plan.GetBaseSha())
	if base == "" {
		base = "nothing"
	}
	return base + " → " + short(plan.GetTargetSha())
}

func nothingToDeploy(plan *landfallv1.Plan) string {
	if plan.GetBaseSha() != "" && plan.GetBaseSha() == plan.GetTargetSha() {
		return "nothing to deploy: the target is what was deployed last"
	}
	return "nothing to deploy: no path changed that `skip` does not cover"
}

// why goes the way of a decision: path, flag, action, steps.
func (p *page) why(plan *landfallv1.Plan) {
	set := setFlags(plan)
	if len(set) == 0 {
		return
	}
	p.heading("why")
	for _, f := range set {
		p.printf("  %s", p.paint(cyan, clean(f.GetName())))
		if n := f.GetPathCount(); n > 0 {
			p.printf("  %s", p.paint(dim, count(n, "path")))
		}
		p.printf("\n")
		for _, path := range f.GetPaths() {
			p.printf("    %s\n", clean(path))
		}
		if more := int(f.GetPathCount()) - len(f.GetPaths()); more > 0 && len(f.GetPaths()) > 0 {
			p.printf("    and %d more\n", more)
		}
		for _, c := range causedBy(plan, f.GetName()) {
			p.printf("    → %s → %s\n", c.action, strings.Join(c.steps, ", "))
		}
		if len(causedBy(plan, f.GetName())) == 0 {
			p.printf("    → no action; the checkout advances\n")
		}
	}
}

func setFlags(plan *landfallv1.Plan) []*landfallv1.Flag {
	var set []*landfallv1.Flag
	for _, f := range plan.GetFlags() {
		if f.GetSet() {
			set = append(set, f)
		}
	}
	return set
}

// cause is an action that a flag asked for, with the steps it became.
type cause struct {
	action string
	steps  []string
}

// causedBy lists the actions of a flag in order of their first step.
func causedBy(plan *landfallv1.Plan, flag string) []cause {
	var out []cause
	for _, s := range plan.GetSteps() {
		if !slices.Contains(s.GetFlags(), flag) {
			continue
		}
		action := clean(s.GetAction())
		i := slices.IndexFunc(out, func(c cause) bool { return c.action == action })
		if i < 0 {
			out = append(out, cause{action: action})
			i = len(out) - 1
		}
		out[i].steps = append(out[i].steps, clean(s.GetId()))
	}
	return out
}

func (p *page) unclaimed(plan *landfallv1.Plan) {
	if plan.GetUnclaimedCount() == 0 {
		return
	}
	p.printf("\n%s\n", p.paint(yellow, "warning: "+unclaimedText(plan)))
	for _, path := range plan.GetUnclaimedPaths() {
		p.printf("  %s\n", clean(path))
	}
	if more := int(plan.GetUnclaimedCount()) - len(plan.GetUnclaimedPaths()); more > 0 {
		p.printf("  and %d more\n", more)
	}
}

func unclaimedText(plan *landfallv1.Plan) string {
	return "no flag claims " + count(plan.GetUnclaimedCount(), "changed path") + "; the checkout advances, nothing else follows"
}

func (p *page) beforeSteps(plan *landfallv1.Plan) {
	p.heading("before the steps")
	p.printf("  fetch and prove %s, pause convergence\n", short(plan.GetTargetSha()))
	if patterns := plan.GetResetPatterns(); len(patterns) > 0 {
		p.printf("  restore %s\n", strings.Join(cleanAll(patterns), ", "))
	}
	if plan.GetRestoreOwnership() {
		p.printf("  give files back to the owner of the checkout\n")
	}
	p.printf("  git reset --hard %s\n", short(plan.GetTargetSha()))
}

// steps writes the phases in order, each as a table whose waves may run side by side.
func (p *page) steps(plan *landfallv1.Plan) {
	p.heading("steps " + p.paint(dim, "(those of one wave may run side by side)"))
	for _, phase := range phasesOf(plan) {
		p.printf("  %s\n", p.paint(bold, phase.name))
		t := table{header: []string{"WAVE", "STEP", "DOES", "AFTER"}, right: []int{0}, elastic: 2}
		for _, s := range phase.steps {
			t.rows = append(t.rows, []cell{
				{text: fmt.Sprint(s.wave), colour: bold},
				{text: clean(s.GetId())},
				{text: clean(s.GetTitle())},
				{text: strings.Join(cleanAll(s.GetAfter()), ", "), colour: dim},
			})
		}
		p.table(t, 4)
	}
	if len(plan.GetSteps()) == 0 {
		p.printf("  none\n")
	}
}

func (p *page) verification(plan *landfallv1.Plan) {
	v := plan.GetVerification()
	if v == nil {
		return
	}
	p.heading("then")
	p.printf("  verify %s\n", verifyText(v))
	if names := plan.GetRollbackProbes(); len(names) > 0 {
		p.printf("  on failure roll back, then probe %s\n", strings.Join(cleanAll(names), ", "))
	}
}

// verifyText is how the result is judged.
func verifyText(v *landfallv1.Verification) string {
	var names []string
	for _, probe := range v.GetProbes() {
		names = append(names, clean(probe.GetName()))
	}
	text := count(len(names), "probe")
	if len(names) > 0 {
		text += " (" + strings.Join(names, ", ") + ")"
	}
	if d := durationOf(v.GetDeadline()); d != "" {
		text += " within " + d
	}
	if d := v.GetSoak(); d.AsDuration() > 0 {
		text += ", then watch for " + durationOf(d)
	}
	return text
}

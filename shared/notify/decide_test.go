package notify

import "testing"

// reference is section notify of the reference fleet.
var reference = Policy{
	FullWhen:         []string{"migrations", "compose"},
	SuppressWhenOnly: []string{"n8n_workflows", "docs", "tests"},
}

func went(flags ...string) Input {
	return Input{Operation: Operation{State: Succeeded}, Change: Change{Flags: flags}}
}

func with(in Input, change func(*Input)) Input {
	change(&in)
	return in
}

func ended(s OperationState) Input { return Input{Operation: Operation{State: s}} }

func TestDecide(t *testing.T) {
	t.Parallel()
	failedBefore := func(in *Input) { in.Past = []Past{{"deploy", RolledBack}} }
	for name, c := range map[string]struct {
		in     Input
		state  State
		reason string
	}{
		"rolled back":      {ended(RolledBack), Failure, "the deploy ended ROLLED_BACK"},
		"rollback failed":  {ended(RollbackFailed), Failure, "the deploy ended ROLLBACK_FAILED"},
		"failed":           {ended(Failed), Failure, "the deploy ended FAILED"},
		"failed untouched": {ended(FailedUntouched), Failure, "the deploy ended FAILED_UNTOUCHED"},
		"failed rollback by hand": {
			Input{Operation: Operation{Kind: "rollback", State: RollbackFailed}}, Failure, "the rollback ended ROLLBACK_FAILED",
		},
		"docs only, failed":         {with(went("docs"), func(in *Input) { in.Operation.State = RolledBack }), Failure, "the deploy ended ROLLED_BACK"},
		"job failed, no operation":  {Input{FailedJob: "ci-gate"}, Failure, "job ci-gate failed"},
		"job failed, green":         {with(went("docs"), func(in *Input) { in.FailedJob = "verify" }), Failure, "job verify failed"},
		"job failed, superseded":    {with(ended(Superseded), func(in *Input) { in.FailedJob = "deploy" }), Failure, "job deploy failed"},
		"problem without operation": {Input{Problem: &Problem{}}, Failure, "the deploy failed before an operation began"},
		"nothing known":             {Input{}, Failure, "nothing is known of the deploy"},
		"still runs":                {ended("APPLYING"), Failure, "the deploy has not ended, it is APPLYING"},
		"awaits verify":             {ended("AWAITING_VERIFY"), Failure, "the deploy has not ended, it is AWAITING_VERIFY"},
		"a state of the future":     {ended("ASCENDED"), Failure, "the deploy has not ended, it is ASCENDED"},

		"recovery":                    {with(went("caddy"), failedBefore), Full, "recovery: the deploy before had ended ROLLED_BACK"},
		"recovery by docs only":       {with(went("docs"), failedBefore), Full, "recovery: the deploy before had ended ROLLED_BACK"},
		"one migration":               {with(went("caddy"), func(in *Input) { in.Operation.Migrations = []string{"1"} }), Full, "1 migration applied"},
		"docs only, with migrations":  {with(went("docs"), func(in *Input) { in.Operation.Migrations = []string{"1", "2"} }), Full, "2 migrations applied"},
		"compose":                     {went("caddy", "compose"), Full, "compose changed"},
		"compose, migrations by flag": {went("compose", "migrations"), Full, "compose, migrations changed"},
		"rollback by hand":            {with(went(), func(in *Input) { in.Operation.Kind = "rollback" }), Full, "a rollback was asked for"},
		"flag in both lists": {
			Input{Operation: Operation{State: Succeeded}, Change: Change{Flags: []string{"docs"}}, Policy: Policy{[]string{"docs"}, []string{"docs"}}},
			Full, "docs changed",
		},

		"routine":            {went("caddy", "docs"), Condensed, "a routine deploy"},
		"no flag":            {went(), Condensed, "a routine deploy"},
		"docs and unclaimed": {with(went("docs"), func(in *Input) { in.Change.Unclaimed = []string{"x"} }), Condensed, "1 changed path claimed by no flag"},
		"unclaimed only":     {with(went(), func(in *Input) { in.Change.Unclaimed = []string{"x", "y"} }), Condensed, "2 changed paths claimed by no flag"},
		"restart":            {with(went(), func(in *Input) { in.Operation.Kind = "restart" }), Condensed, "a restart went well"},
		"restart after failure": {
			with(with(went(), failedBefore), func(in *Input) { in.Operation.Kind = "restart" }), Condensed, "a restart went well",
		},

		"docs only":             {went("docs"), Suppress, "only docs changed"},
		"all that is quiet":     {went("docs", "n8n_workflows", "tests"), Suppress, "only docs, n8n_workflows, tests changed"},
		"superseded":            {ended(Superseded), Suppress, "a newer deploy took its place"},
		"nothing to deploy":     {ended(NothingToDeploy), Suppress, "there was nothing to deploy"},
		"cancelled":             {ended(Cancelled), Suppress, "a person cancelled it before anything was touched"},
		"superseded, recovery?": {with(ended(Superseded), failedBefore), Suppress, "a newer deploy took its place"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.in.Policy.FullWhen == nil {
				c.in.Policy = reference
			}
			if state, reason := Decide(c.in); state != c.state || reason != c.reason {
				t.Errorf("%s (%s), want %s (%s)", state, reason, c.state, c.reason)
			}
		})
	}
}

func TestRecovers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		past []Past
		want OperationState
	}{
		"first deploy":                  {nil, ""},
		"green":                         {[]Past{{"deploy", Succeeded}, {"deploy", RolledBack}}, ""},
		"failed":                        {[]Past{{"deploy", FailedUntouched}}, FailedUntouched},
		"kind left out":                 {[]Past{{"", Failed}}, Failed},
		"failed, then superseded":       {[]Past{{"deploy", Superseded}, {"deploy", RolledBack}}, RolledBack},
		"failed, then cancelled":        {[]Past{{"deploy", Cancelled}, {"deploy", RolledBack}}, RolledBack},
		"failed, then rolled back":      {[]Past{{"rollback", Succeeded}, {"deploy", RollbackFailed}}, RollbackFailed},
		"failed, then restarted":        {[]Past{{"restart", Succeeded}, {"migrate", Succeeded}, {"deploy", RolledBack}}, RolledBack},
		"green, then a failed restart":  {[]Past{{"restart", Failed}, {"deploy", Succeeded}}, ""},
		"green, then a failed rollback": {[]Past{{"rollback", RollbackFailed}, {"deploy", Succeeded}}, RollbackFailed},
		"failed, then converged":        {[]Past{{"converge", Succeeded}, {"deploy", RolledBack}}, ""},
		"failed to converge":            {[]Past{{"converge", RolledBack}, {"deploy", Succeeded}}, RolledBack},
		"one that runs":                 {[]Past{{"deploy", "APPLYING"}, {"deploy", Succeeded}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, recovered := Recovers(c.past); got != c.want || recovered != (c.want != "") {
				t.Errorf("%q, %v, want %q", got, recovered, c.want)
			}
		})
	}
}

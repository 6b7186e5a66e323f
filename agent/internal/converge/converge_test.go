package converge

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
)

const (
	runs  = "1111111111111111111111111111111111111111"
	newer = "2222222222222222222222222222222222222222"
	older = "0000000000000000000000000000000000000000"
	image = "sha256:feedfeedfeedfeedfeedfeedfeedfeedfeedfeedfeedfeedfeedfeedfeedfeed"
)

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

func web(kind picture.DriftKind) picture.Drift {
	verb := picture.Recreate
	if kind == picture.DriftMissing || kind == picture.DriftExited {
		verb = picture.Start
	}
	return picture.Drift{Key: picture.Key{Project: "shop", Service: "web"}, Stack: "core", Kind: kind, Why: "web: it is so", Verb: verb}
}

// inStep is a host where everything is as it should be.
func inStep() Observation {
	all := pipeline.DriftRepair
	return Observation{
		At:     noon,
		Branch: Branch{Name: "main", Head: runs, Forward: true},
		Host: Host{Stamp: runs, Checkout: runs, Config: pipeline.GitOpsConfig{
			Drift: pipeline.DriftConfig{Missing: all, Exited: all, Unhealthy: all, Config: all, Files: all, PulledImages: all},
		}},
	}
}

// pushed is one to which a commit was pushed that passed CI.
func pushed() Observation {
	o := inStep()
	o.Branch = Branch{Name: "main", Head: newer, Forward: true, Deploys: true, CI: CI{Verdict: CIGreen}}
	return o
}

func drifted(kinds ...picture.DriftKind) Observation {
	o := inStep()
	for _, k := range kinds {
		o.Host.Drift = append(o.Host.Drift, web(k))
	}
	o.Host.Before = o.Host.Drift
	return o
}

func db() picture.Drift {
	return picture.Drift{Key: picture.Key{Project: "shop", Service: "db"}, Stack: "core", Kind: picture.DriftExited, Why: "it is so", Verb: picture.Start}
}

// two is a host of which two services do not run.
func two() Observation {
	o := drifted(picture.DriftExited)
	o.Host.Drift = append(o.Host.Drift, db())
	o.Host.Before = o.Host.Drift
	return o
}

func tried(signature string, state operation.State, ago ...time.Duration) []Attempt {
	var past []Attempt
	for _, d := range ago {
		past = append(past, Attempt{Operation: "op-7", Signature: signature, State: state, Ended: noon.Add(-d)})
	}
	return past
}

// Every row of the decision, with what makes it and what does not.
func TestEveryRow(t *testing.T) {
	t.Parallel()
	deploys := "deploy:" + newer
	repairs := repairSignature(runs, []picture.Drift{web(picture.DriftExited)})
	configs := repairSignature(runs, []picture.Drift{web(picture.DriftConfig)})
	update := func(o *Observation) {
		o.Host.Updates = []Newer{{operation.Image{Ref: "postgres:16", Digest: image}, []picture.Key{{Project: "shop", Service: "db"}}}}
	}
	for name, c := range map[string]struct {
		from    Observation
		change  func(o *Observation)
		outcome Outcome
		reason  string
		says    string
	}{
		"nothing to do":                 {inStep(), nil, Nothing, "IN_STEP", "111111111111, the head of main, runs here"},
		"sentinels unreadable":          {pushed(), func(o *Observation) { o.Trouble = errors.New("gitops-paused: no JSON") }, Skipped, "SENTINELS", "gitops-paused: no JSON"},
		"busy":                          {pushed(), func(o *Observation) { o.Busy = "op-9 is under way" }, Skipped, "BUSY", "op-9"},
		"paused":                        {pushed(), func(o *Observation) { o.Pause = &Pause{"disk", "operator/chris", noon.Add(time.Hour)} }, Skipped, "PAUSED", "paused until 2026-11-25T13:00:00Z by operator/chris: disk"},
		"paused beats drift":            {drifted(picture.DriftExited), func(o *Observation) { o.Pause = &Pause{Until: noon.Add(1)} }, Skipped, "PAUSED", ""},
		"nothing deployed yet":          {pushed(), func(o *Observation) { o.Host.Stamp = "" }, Skipped, "NOTHING_DEPLOYED", "first deploy"},
		"a new commit":                  {pushed(), nil, Deploy, "NEW_COMMIT", "222222222222"},
		"not followed":                  {pushed(), func(o *Observation) { o.Branch.NotFollowed = "no github" }, Nothing, "IN_STEP", "not followed: no github"},
		"not followed, but drift":       {drifted(picture.DriftExited), func(o *Observation) { o.Branch = Branch{NotFollowed: "no github"} }, Repair, "DRIFT", "core/web (exited): it is so"},
		"the remote is dead":            {inStep(), func(o *Observation) { o.Branch = Branch{Name: "main", Error: errors.New("no route")} }, Skipped, "BRANCH_UNKNOWN", "no route"},
		"the remote is dead, but drift": {drifted(picture.DriftExited), func(o *Observation) { o.Branch = Branch{Name: "main", Error: errors.New("no route")} }, Repair, "DRIFT", ""},
		"diverged":                      {pushed(), func(o *Observation) { o.Branch.Forward = false }, Skipped, "DIVERGED", "nothing is forced"},
		"the checkout moved ahead":      {inStep(), func(o *Observation) { o.Host.Checkout = newer; o.Branch.Forward = false }, Skipped, "DIVERGED", "checked out: 222222222222"},
		"the checkout moved back":       {inStep(), func(o *Observation) { o.Host.Checkout = older }, Skipped, "CHECKOUT_MOVED", "000000000000"},
		"blocked":                       {pushed(), func(o *Observation) { o.Branch.Blocked = "rolled back" }, Skipped, "BLOCKED", "rolled back"},
		"blocked, but drift":            {drifted(picture.DriftMissing), func(o *Observation) { o.Branch = pushed().Branch; o.Branch.Blocked = "bad" }, Repair, "DRIFT", ""},
		"only what is skipped":          {pushed(), func(o *Observation) { o.Branch.Deploys = false }, Nothing, "IN_STEP", "changes nothing that deploys"},
		"edits in the checkout":         {pushed(), func(o *Observation) { o.Branch.Obstacle = fault.New(fault.Refused, "EDITED", "compose.yml is edited") }, Skipped, "EDITED", "compose.yml is edited"},
		"CI pending":                    {pushed(), func(o *Observation) { o.Branch.CI = CI{CIPending, "test.yml is queued"} }, Skipped, "CI_PENDING", "test.yml is queued"},
		"CI red":                        {pushed(), func(o *Observation) { o.Branch.CI = CI{CIRed, "lint.yml failed"} }, Skipped, "CI_RED", "lint.yml failed"},
		"CI unknown":                    {pushed(), func(o *Observation) { o.Branch.CI = CI{CIUnknown, "GitHub is down"} }, Skipped, "CI_UNKNOWN", "GitHub is down"},
		"CI red, but drift":             {drifted(picture.DriftConfig), func(o *Observation) { o.Branch = pushed().Branch; o.Branch.CI = CI{CIRed, "no"} }, Repair, "DRIFT", ""},
		"a new commit beats drift":      {drifted(picture.DriftConfig), func(o *Observation) { o.Branch = pushed().Branch }, Deploy, "NEW_COMMIT", ""},

		"failed a moment ago": {pushed(), func(o *Observation) { o.Past = tried(deploys, operation.FailedUntouched, 14*time.Minute) }, Skipped, "BACKING_OFF", "tried again at 2026-11-25T12:01:00Z"},
		"failed a while ago":  {pushed(), func(o *Observation) { o.Past = tried(deploys, operation.FailedUntouched, 15*time.Minute) }, Deploy, "", ""},
		"failed twice":        {pushed(), func(o *Observation) { o.Past = tried(deploys, operation.RolledBack, 29*time.Minute, time.Hour) }, Skipped, "BACKING_OFF", "12:01:00Z"},
		"failed three times": {pushed(), func(o *Observation) {
			o.Past = tried(deploys, operation.RolledBack, 59*time.Minute, 2*time.Hour, 3*time.Hour)
		}, Skipped, "BACKING_OFF", ""},
		"failed three times, an hour": {pushed(), func(o *Observation) {
			o.Past = tried(deploys, operation.RolledBack, time.Hour, 2*time.Hour, 3*time.Hour)
		}, Deploy, "", ""},
		"ended half done":               {pushed(), func(o *Observation) { o.Past = tried(deploys, operation.RollbackFailed, 100*time.Hour) }, Skipped, "DEGRADED", "op-7 ended in ROLLBACK_FAILED"},
		"another ended half done":       {pushed(), func(o *Observation) { o.Host.Degraded = "op-7 ended in FAILED" }, Deploy, "NEW_COMMIT", ""},
		"drift of what is half done":    {drifted(picture.DriftExited), func(o *Observation) { o.Host.Degraded = "op-7 ended in FAILED" }, Skipped, "DEGRADED", "op-7 ended in FAILED"},
		"an image of what is half done": {inStep(), func(o *Observation) { update(o); o.Host.Degraded = "op-7 ended in FAILED" }, Nothing, "IN_STEP", ""},
		"failed five times": {pushed(), func(o *Observation) {
			o.Past = tried(deploys, operation.RolledBack, 239*time.Minute, 5*time.Hour, 6*time.Hour, 7*time.Hour, 8*time.Hour)
		}, Skipped, "BACKING_OFF", ""},
		"another head failed": {pushed(), func(o *Observation) { o.Past = tried("deploy:"+older, operation.RolledBack, time.Minute) }, Deploy, "", ""},

		"drift seen once":               {drifted(picture.DriftExited), func(o *Observation) { o.Host.Before = nil }, Skipped, "DRIFT_SEEN", "looked at again before anything is touched"},
		"drift of another kind before":  {drifted(picture.DriftExited), func(o *Observation) { o.Host.Before = []picture.Drift{web(picture.DriftConfig)} }, Skipped, "DRIFT_SEEN", ""},
		"drift seen twice":              {drifted(picture.DriftExited), nil, Repair, "DRIFT", "core/web (exited): it is so"},
		"drift that is told":            {drifted(picture.DriftImage), func(o *Observation) { o.Host.Config.Drift.PulledImages = pipeline.DriftReport }, Skipped, "DRIFT_REPORTED", "core/web (image)"},
		"drift that is ignored":         {drifted(picture.DriftImage), func(o *Observation) { o.Host.Config.Drift.PulledImages = pipeline.DriftIgnore }, Nothing, "IN_STEP", ""},
		"drift of what is left out":     {drifted(picture.DriftExited), func(o *Observation) { o.Host.Config.LeaveOut = []string{"core/w*"} }, Nothing, "IN_STEP", ""},
		"an orphan":                     {drifted(picture.DriftOrphan), nil, Skipped, "DRIFT_REPORTED", "orphan"},
		"drift, and the checkout moved": {drifted(picture.DriftExited), func(o *Observation) { o.Host.Checkout = newer; o.Branch.NotFollowed = "x" }, Skipped, "CHECKOUT_MOVED", ""},
		"drift, and edits":              {drifted(picture.DriftExited), func(o *Observation) { o.Host.Obstacle = errors.New("compose.yml is edited") }, Skipped, "CHECKOUT", "compose.yml is edited"},
		"what runs is unknown":          {inStep(), func(o *Observation) { o.Host.Error = errors.New("the engine is down") }, Skipped, "HOST_UNKNOWN", "the engine is down"},
		"repaired a moment ago":         {drifted(picture.DriftExited), func(o *Observation) { o.Past = tried(repairs, operation.Succeeded, 10*time.Minute) }, Skipped, "BACKING_OFF", "12:05:00Z"},
		"repaired again and again": {drifted(picture.DriftExited), func(o *Observation) {
			o.Past = tried(repairs, operation.Succeeded, time.Hour, 2*time.Hour, 3*time.Hour, 4*time.Hour)
		}, Skipped, "BACKING_OFF", "15:00:00Z"},
		"repaired yesterday":   {drifted(picture.DriftExited), func(o *Observation) { o.Past = tried(repairs, operation.Succeeded, 25*time.Hour) }, Repair, "DRIFT", ""},
		"a repair that failed": {drifted(picture.DriftExited), func(o *Observation) { o.Past = tried(repairs, operation.RolledBack, 10*time.Minute) }, Skipped, "BACKING_OFF", ""},
		"repaired in vain":     {drifted(picture.DriftConfig), func(o *Observation) { o.Past = tried(configs, operation.Succeeded, 25*time.Hour) }, Skipped, "REPAIRED_IN_VAIN", "a person is needed"},

		"in vain, and another that is not": {drifted(picture.DriftConfig), func(o *Observation) {
			o.Past = tried(configs, operation.Succeeded, 25*time.Hour)
			o.Host.Drift = append(o.Host.Drift, db())
			o.Host.Before = o.Host.Drift
		}, Repair, "DRIFT", "core/db (exited)"},
		"in vain together with another": {drifted(picture.DriftConfig), func(o *Observation) {
			o.Past = tried(repairSignature(runs, []picture.Drift{web(picture.DriftConfig), db()}), operation.Succeeded, 25*time.Hour)
		}, Skipped, "REPAIRED_IN_VAIN", ""},
		"in vain, and a new commit since": {drifted(picture.DriftConfig), func(o *Observation) {
			o.Past = tried(repairSignature(older, o.Host.Drift), operation.Succeeded, 25*time.Hour)
		}, Skipped, "REPAIRED_IN_VAIN", ""},
		"repaired, and made otherwise since": {drifted(picture.DriftConfig), func(o *Observation) {
			o.Past = tried(configs, operation.Succeeded, 25*time.Hour)
			o.Host.Drift[0].Since = noon.Add(-time.Hour)
		}, Repair, "DRIFT", ""},
		"files that changed again, with a new commit": {drifted(picture.DriftFiles), func(o *Observation) {
			o.Past = tried(repairSignature(older, o.Host.Drift), operation.Succeeded, 25*time.Hour)
		}, Repair, "DRIFT", ""},
		"two that failed together": {two(), func(o *Observation) {
			o.Past = tried(repairSignature(runs, two().Host.Drift), operation.RolledBack, time.Minute)
		}, Repair, "DRIFT", "core/web (exited): it is so"},
		"two that failed together, one alone, too": {two(), func(o *Observation) {
			o.Past = append(tried(repairs, operation.RolledBack, time.Minute), tried(repairSignature(runs, two().Host.Drift), operation.RolledBack, 20*time.Minute)...)
		}, Repair, "DRIFT", "core/db (exited)"},
		"two that failed together, and alone": {two(), func(o *Observation) {
			o.Past = slices.Concat(tried(repairSignature(runs, []picture.Drift{db()}), operation.RolledBack, 3*time.Minute), tried(repairs, operation.RolledBack, 5*time.Minute),
				tried(repairSignature(runs, two().Host.Drift), operation.RolledBack, 20*time.Minute))
		}, Skipped, "BACKING_OFF", "12:10:00Z"},
		"failed by a clock that was set back since": {pushed(), func(o *Observation) { o.Past = tried(deploys, operation.FailedUntouched, -240*time.Hour) }, Deploy, "", ""},
		"CI pending, and what runs is unknown": {inStep(), func(o *Observation) {
			o.Branch = pushed().Branch
			o.Branch.CI = CI{CIPending, "test.yml is queued"}
			o.Host.Error = errors.New("the engine is down")
		}, Skipped, "HOST_UNKNOWN", "the engine is down; CI of 222222222222 has no verdict yet"},
		"CI red, and what runs is unknown": {inStep(), func(o *Observation) {
			o.Branch = pushed().Branch
			o.Branch.CI = CI{CIRed, "no"}
			o.Host.Error = errors.New("the engine is down")
		}, Skipped, "CI_RED", ""},

		"a newer image":          {inStep(), update, Update, "NEWER_IMAGE", "postgres:16 is feedfeedfeed"},
		"a newer image, blocked": {inStep(), func(o *Observation) { update(o); o.Host.BlockedImages = []string{image} }, Nothing, "IN_STEP", ""},
		"a newer image that was taken, and is newer still": {inStep(), func(o *Observation) {
			update(o)
			o.Past = []Attempt{{"op-2", "image:redis:7@sha256:1", operation.Succeeded, noon}, {"op-1", "image:postgres:16@" + image, operation.Succeeded, noon.Add(-time.Hour)}}
		}, Nothing, "IN_STEP", ""},
		"a newer image that was taken before another": {inStep(), func(o *Observation) {
			update(o)
			o.Past = []Attempt{{"op-2", "image:postgres:16@sha256:1", operation.Succeeded, noon}, {"op-1", "image:postgres:16@" + image, operation.Succeeded, noon.Add(-time.Hour)}}
		}, Update, "NEWER_IMAGE", ""},
		"a newer image that failed": {inStep(), func(o *Observation) {
			update(o)
			o.Past = tried("image:postgres:16@"+image, operation.FailedUntouched, time.Minute)
		}, Nothing, "IN_STEP", ""},
		"drift before a newer image": {drifted(picture.DriftExited), update, Repair, "DRIFT", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := c.from
			if c.change != nil {
				c.change(&o)
			}
			d := Decide(o)
			if d.Outcome != c.outcome || (c.reason != "" && d.Reason != c.reason) || !strings.Contains(d.Message, c.says) {
				t.Fatalf("%s %s: %s", d.Outcome, d.Reason, d.Message)
			}
			if (d.Outcome == Deploy) != (d.Target != "") || (d.Outcome == Repair || d.Outcome == Update) != (len(d.Deeds) > 0) ||
				(d.Outcome == Update) != (d.Image != nil) || (d.Signature != "") != (d.Outcome != Skipped && d.Outcome != Nothing) {
				t.Errorf("what is to be done does not fit %s: %+v", d.Outcome, d)
			}
			if (d.Reason == "BACKING_OFF") == d.Retry.IsZero() {
				t.Errorf("%s, tried again at %v", d.Reason, d.Retry)
			}
			if d.Message == "" || strings.HasSuffix(d.Message, ".") {
				t.Errorf("%q is no sentence for people", d.Message)
			}
		})
	}
}

// The same repair of another commit, or of what was found as something else, is another.
func TestSignaturesOfRepairs(t *testing.T) {
	t.Parallel()
	of := func(stamp string, d ...picture.Drift) string { return repairSignature(stamp, d) }
	other := web(picture.DriftConfig)
	other.Print = "another hash"
	base := of(runs, web(picture.DriftConfig), web(picture.DriftExited))
	if base != of(runs, web(picture.DriftExited), web(picture.DriftConfig)) {
		t.Error("the order matters")
	}
	for _, s := range []string{of(newer, web(picture.DriftConfig), web(picture.DriftExited)), of(runs, web(picture.DriftConfig)), of(runs, other, web(picture.DriftExited))} {
		if s == base {
			t.Error("two different repairs have one signature")
		}
	}
}

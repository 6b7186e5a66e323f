package telling

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/shared/notify"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const (
	shaA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	shaB = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

// op is an ended operation of the agent's own.
func op(id string, kind operation.Kind, state operation.State, change ...func(*operation.Operation)) operation.Operation {
	o := operation.Operation{ID: id, Kind: kind, State: state, Requester: "agent/converge", Created: noon.Add(-time.Minute), Ended: noon}
	if kind.Moves() {
		o.Target = shaA
	} else {
		o.Subject, o.Signature = "core/web", "core/web exited"
	}
	for _, c := range change {
		c(&o)
	}
	return o
}

func by(who string) func(*operation.Operation) {
	return func(o *operation.Operation) { o.Requester = who }
}

func to(sha string) func(*operation.Operation) {
	return func(o *operation.Operation) { o.Target = sha }
}

// step is one look: an end or facts, and the changes it is worth, as "event phase key [over] [ends n]".
type step struct {
	after time.Duration // since the first step
	op    *operation.Operation
	state notify.State
	facts Facts
	want  []string
}

func end(o operation.Operation, state notify.State, want ...string) step {
	return step{op: &o, state: state, want: want}
}

func seen(after time.Duration, f Facts, want ...string) step {
	return step{after: after, facts: f, want: want}
}

func (s step) at(after time.Duration) step {
	s.after = after
	return s
}

func words(changes []Change) (out []string) {
	for _, c := range changes {
		w := fmt.Sprint(c.Event, " ", c.Phase, " ", c.State)
		if c.Recovery {
			w += " recovery"
		}
		if len(c.Ends) > 0 {
			w += fmt.Sprint(" ends ", len(c.Ends))
		}
		out = append(out, w)
	}
	return out
}

func held(p *ports.Pause, running string, blocked ...ports.Blocked) Facts {
	return Facts{Held: &Held{Pause: p, Running: running, Blocked: blocked}}
}

func verdict(v Verdict, since time.Time) Facts {
	return Facts{CI: &CI{Head: shaA, Verdict: v, Since: since}}
}

// TestWhatIsWorthTelling has a row for each thing that is told, and for each that is not.
func TestWhatIsWorthTelling(t *testing.T) {
	t.Parallel()
	pause := &ports.Pause{Reason: "x", Owner: "operator/chris", Created: noon, Expires: noon.Add(4 * time.Hour)}
	short := &ports.Pause{Reason: "x", Created: noon, Expires: noon.Add(20 * time.Minute)}
	later := &ports.Pause{Reason: "x", Created: noon.Add(3 * time.Hour), Expires: noon.Add(9 * time.Hour)}
	deploys := &ports.Pause{Reason: "x", Operation: "op-1", Created: noon, Expires: noon.Add(4 * time.Hour)}
	block := ports.Blocked{SHA: shaA, Operation: "op-1", Created: noon}
	other := ports.Blocked{SHA: shaB, Operation: "op-2", Created: noon.Add(time.Hour)}
	deploy, repair := operation.KindDeploy, operation.KindRepair
	ok, back, untouched := operation.Succeeded, operation.RolledBack, operation.FailedUntouched
	full, condensed, failure, suppress := notify.Full, notify.Condensed, notify.Failure, notify.Suppress
	for name, steps := range map[string][]step{
		"deployed":   {end(op("op-1", deploy, ok), condensed, "operation.ended SUCCEEDED CONDENSED")},
		"repaired":   {end(op("op-1", repair, ok), condensed, "operation.ended SUCCEEDED CONDENSED")},
		"updated":    {end(op("op-1", operation.KindUpdate, ok), condensed, "operation.ended SUCCEEDED CONDENSED")},
		"suppressed": {end(op("op-1", deploy, ok), suppress)},
		"by the agent's socket": {
			end(op("op-1", operation.KindRestart, ok, by("local/root")), condensed, "operation.ended SUCCEEDED CONDENSED"),
			end(op("op-2", operation.KindRestart, ok, by("local/root")), condensed, "operation.ended SUCCEEDED CONDENSED"),
		},
		"by Actions":         {end(op("op-1", deploy, back, by("deployer/atlas")), failure)},
		"by a person":        {end(op("op-1", deploy, ok, by("operator/chris")), full)},
		"a name like ours":   {end(op("op-1", deploy, ok, by("deployer/agent/x")), full), end(op("op-2", deploy, ok, by("agents/x")), full)},
		"superseded":         {end(op("op-1", deploy, operation.Superseded), suppress)},
		"cancelled":          {end(op("op-1", deploy, operation.Cancelled), suppress)},
		"rolled back":        {end(op("op-1", deploy, back), failure, "operation.ended ROLLED_BACK FAILURE")},
		"needs a person":     {end(op("op-1", deploy, operation.RollbackFailed), failure, "operation.ended ROLLBACK_FAILED FAILURE")},
		"left half done":     {end(op("op-1", deploy, operation.Failed), failure, "operation.ended FAILED FAILURE")},
		"the same ten times": {end(op("op-1", deploy, untouched), failure, "operation.ended FAILED_UNTOUCHED FAILURE"), end(op("op-2", deploy, untouched), failure), end(op("op-3", deploy, untouched), failure).at(72 * time.Hour)},
		"the same gets worse": {
			end(op("op-1", deploy, untouched), failure, "operation.ended FAILED_UNTOUCHED FAILURE"),
			end(op("op-2", deploy, back), failure, "operation.ended ROLLED_BACK FAILURE"),
		},
		"another commit fails as well": {
			end(op("op-1", deploy, back), failure, "operation.ended ROLLED_BACK FAILURE"),
			end(op("op-2", deploy, back, to(shaB)), failure, "operation.ended ROLLED_BACK FAILURE"),
			end(op("op-3", deploy, ok, to(shaB)), full, "operation.ended SUCCEEDED FULL recovery ends 2"),
			end(op("op-4", deploy, ok, to(shaB)), condensed, "operation.ended SUCCEEDED CONDENSED"),
		},
		"a failure that Actions mends": {
			end(op("op-1", deploy, back), failure, "operation.ended ROLLED_BACK FAILURE"),
			end(op("op-2", deploy, back, by("deployer/atlas")), failure),
			end(op("op-3", operation.KindRestart, ok, by("operator/chris")), condensed),
			end(op("op-4", deploy, ok, by("deployer/atlas")), full, "operation.over OVER FULL ends 1"),
			end(op("op-5", deploy, ok, by("deployer/atlas")), full),
		},
		"a failure that a suppressed deploy mends": {
			end(op("op-1", deploy, back), failure, "operation.ended ROLLED_BACK FAILURE"),
			end(op("op-2", deploy, ok), suppress, "operation.over OVER FULL ends 1"),
		},
		"a repair that fails, then works, then comes back": {
			end(op("op-1", repair, back), failure, "operation.ended ROLLED_BACK FAILURE"),
			end(op("op-2", repair, ok), condensed, "operation.ended SUCCEEDED FULL recovery ends 1"),
			end(op("op-3", repair, ok), condensed).at(time.Hour),
			end(op("op-4", repair, ok), condensed).at(23 * time.Hour),
			end(op("op-5", repair, back), failure, "operation.ended ROLLED_BACK FAILURE").at(23 * time.Hour),
		},
		"a repair that is due each hour is told once a day": {
			end(op("op-1", repair, ok), condensed, "operation.ended SUCCEEDED CONDENSED"),
			end(op("op-2", repair, ok), condensed).at(time.Hour),
			end(op("op-3", repair, ok, func(o *operation.Operation) { o.Signature = "core/db exited" }), condensed, "operation.ended SUCCEEDED CONDENSED").at(time.Hour),
			end(op("op-4", repair, ok), condensed, "operation.ended SUCCEEDED CONDENSED").at(25 * time.Hour),
		},
		"a repair mends no deploy": {
			end(op("op-1", deploy, back), failure, "operation.ended ROLLED_BACK FAILURE"),
			end(op("op-2", repair, ok), condensed, "operation.ended SUCCEEDED CONDENSED"),
		},
		"a pause runs out": {
			seen(0, held(pause, "")), seen(2*time.Hour+59*time.Minute, held(pause, "")),
			seen(3*time.Hour, held(pause, ""), "pause.expiring DUE CONDENSED"), seen(4*time.Hour-1, held(pause, "")),
			seen(4*time.Hour, held(pause, ""), "pause.over OVER FULL ends 1"), seen(5*time.Hour, held(pause, "")), seen(6*time.Hour, held(nil, "")),
		},
		"a short pause": {seen(14*time.Minute, held(short, "")), seen(15*time.Minute, held(short, ""), "pause.expiring DUE CONDENSED")},
		"a pause that is resumed": {
			seen(3*time.Hour, held(pause, ""), "pause.expiring DUE CONDENSED"), seen(3*time.Hour+1, held(nil, ""), "pause.over OVER FULL ends 1"),
		},
		"a pause that nobody waits for": {seen(0, held(pause, "")), seen(time.Hour, held(nil, ""))},
		"a pause that is prolonged": {
			seen(3*time.Hour, held(pause, ""), "pause.expiring DUE CONDENSED"), seen(3*time.Hour+1, held(later, ""), "pause.over OVER FULL ends 1"),
			seen(8*time.Hour, held(later, ""), "pause.expiring DUE CONDENSED"),
		},
		"the pause of a deploy that runs": {seen(3*time.Hour+30*time.Minute, held(deploys, "op-1")), seen(3*time.Hour+31*time.Minute, held(deploys, "op-2"), "pause.expiring DUE CONDENSED")},
		"unread says nothing": {
			seen(3*time.Hour, held(pause, "", block), "pause.expiring DUE CONDENSED"), seen(3*time.Hour+1, Facts{}), seen(3*time.Hour+2, held(pause, "", block)),
		},
		"blocked for a day": {
			seen(23*time.Hour, held(nil, "", block)), seen(24*time.Hour, held(nil, "", block, other), "commit.blocked DUE FAILURE"), seen(24*time.Hour+1, held(nil, "", block, other)),
			seen(25*time.Hour, held(nil, "", block, other), "commit.blocked DUE FAILURE"), seen(26*time.Hour, held(nil, "", other), "commit.unblocked OVER FULL ends 1"),
			seen(90*time.Hour, held(nil, "", other)),
		},
		"unblocked within a day": {seen(0, held(nil, "", block)), seen(time.Hour, held(nil, ""))},
		"red for a day": {
			seen(0, verdict(Red, time.Time{})), seen(23*time.Hour, verdict(Red, time.Time{})), seen(24*time.Hour, verdict(Red, time.Time{}), "ci.red DUE FAILURE"),
			seen(25*time.Hour, verdict(Red, time.Time{})), seen(26*time.Hour, verdict("", time.Time{})), seen(27*time.Hour, verdict(Green, time.Time{}), "ci.green OVER FULL recovery ends 1"),
			seen(28*time.Hour, verdict(Green, time.Time{})), seen(29*time.Hour, verdict(Red, time.Time{})), seen(53*time.Hour, verdict(Red, time.Time{}), "ci.red DUE FAILURE"),
		},
		"red before anybody looked": {seen(0, verdict(Red, noon.Add(-25*time.Hour)), "ci.red DUE FAILURE"), seen(time.Hour, verdict(Red, noon.Add(-30*time.Hour)))},
		"green in between":          {seen(0, verdict(Red, time.Time{})), seen(23*time.Hour, verdict(Green, time.Time{})), seen(24*time.Hour, verdict(Red, time.Time{}))},
		"pending is no verdict":     {seen(0, verdict(Red, time.Time{})), seen(12*time.Hour, verdict("pending", time.Time{})), seen(24*time.Hour, verdict(Red, time.Time{}), "ci.red DUE FAILURE")},
		"red on the agent's first day, clock set back": {
			seen(48*time.Hour, verdict(Red, time.Time{})), seen(0, verdict(Red, time.Time{})), seen(24*time.Hour, verdict(Red, time.Time{}), "ci.red DUE FAILURE"),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var m Memory
			for i, s := range steps {
				var changes []Change
				if s.op != nil {
					m, changes = JudgeEnd(m, *s.op, s.state, noon.Add(s.after))
				} else {
					m, changes = JudgeFacts(m, s.facts, noon.Add(s.after))
				}
				if got := words(changes); strings.Join(got, "; ") != strings.Join(s.want, "; ") {
					t.Errorf("step %d: %q, want %q", i, got, s.want)
				}
			}
		})
	}
}

// What judges changes nothing of what it is given.
func TestJudgingIsPure(t *testing.T) {
	t.Parallel()
	m, _ := JudgeEnd(Memory{}, op("op-1", operation.KindDeploy, operation.RolledBack), notify.Failure, noon)
	before := fmt.Sprintf("%+v", m)
	_, _ = JudgeEnd(m, op("op-2", operation.KindDeploy, operation.Succeeded), notify.Full, noon)
	_, _ = JudgeEnd(m, op("op-3", operation.KindDeploy, operation.RolledBack), notify.Failure, noon)
	_, _ = JudgeFacts(m, verdict(Red, time.Time{}), noon)
	if after := fmt.Sprintf("%+v", m); after != before {
		t.Errorf("%s became %s", before, after)
	}
}

// However many things go wrong, memory is bounded, and no fact that holds is told twice.
func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	var m Memory
	var blocks []ports.Blocked
	for i := range 500 {
		m, _ = JudgeEnd(m, op(fmt.Sprint("op-", i), operation.KindDeploy, operation.RolledBack, to(fmt.Sprintf("%040x", i))), notify.Failure, noon)
		m, _ = JudgeEnd(m, op(fmt.Sprint("ok-", i), operation.KindUpdate, operation.Succeeded, func(o *operation.Operation) { o.Signature = fmt.Sprint(i) }), notify.Condensed, noon)
		blocks = append(blocks, ports.Blocked{SHA: fmt.Sprintf("%040x", i), Created: noon.Add(-aDay)})
	}
	told := map[string]int{}
	for range 3 {
		var changes []Change
		m, changes = JudgeFacts(m, held(nil, "", blocks...), noon)
		for _, c := range changes {
			told[c.Key]++
		}
	}
	for key, n := range told {
		if n > 1 {
			t.Errorf("%s is told %d times", key, n)
		}
	}
	if len(told) != mostOpen {
		t.Errorf("%d blocks are told, want %d", len(told), mostOpen)
	}
	if open, closed := m.count(func(i Incident) bool { return i.Open }), m.count(func(i Incident) bool { return !i.Open }); open > 2*mostOpen || closed > mostClosed {
		t.Errorf("%d open, %d closed", open, closed)
	}
}

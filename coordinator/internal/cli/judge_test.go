package cli

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
)

// The verdict of run does not need its client, that of deploy waits for one.
func TestRunLetsTheAgentJudge(t *testing.T) {
	repo, base, _ := clone(t)
	for command, judge := range map[string]bool{"run --no-gate": true, "deploy": false} {
		a := &agent{stamp: base, ends: succeeded}
		a.serve(t)
		t.Chdir(repo.Dir)
		landfall(t, strings.Fields(command)...).expect(t, 0)
		if len(a.deploys) != 1 || a.deploys[0].GetJudge() != judge || len(a.commands) != 1 {
			t.Errorf("%s: %v, commands %q", command, a.deploys, a.commands)
		}
	}
}

// An older agent awaits Verify, and holds its pause until it is told to end it.
func TestRunWithAnOlderAgent(t *testing.T) {
	repo, base, head := clone(t)
	a := &agent{older: true, stamp: base, ends: succeeded}
	a.serve(t)
	t.Chdir(repo.Dir)
	landfall(t, "run", "--no-gate").expect(t, 0)
	if want := []string{"deploy " + head, "verify " + theOperation, "finish " + theOperation}; !slices.Equal(a.commands, want) {
		t.Errorf("commands %q, want %q", a.commands, want)
	}
	if a.pause != nil {
		t.Errorf("the deploy's pause stays: %v", a.pause)
	}
}

// interrupter is a terminal whose person presses Ctrl-C once it shows a text.
type interrupter struct {
	bytes.Buffer
	at   string
	done bool
}

func (i *interrupter) Write(p []byte) (int, error) {
	n, err := i.Buffer.Write(p)
	if !i.done && strings.Contains(i.String(), i.at) {
		i.done = true
		err = errors.Join(err, syscall.Kill(os.Getpid(), syscall.SIGINT))
	}
	return n, err
}

// ctrlC runs the program, which takes signals while it runs, until it shows a text. It must not end by itself after that.
func ctrlC(t *testing.T, at string, args ...string) outcome {
	t.Helper()
	var out bytes.Buffer
	errs := &interrupter{at: at}
	code := Run(args, Streams{In: strings.NewReader(""), Out: &out, Err: errs})
	return outcome{code: code, out: out.String(), err: errs.String()}
}

func TestPartingWords(t *testing.T) {
	repo, base, _ := clone(t)
	for name, tt := range map[string]struct {
		older   bool
		command string
		says    []string
		not     string
	}{
		"run":                    {false, "run --no-gate", []string{theOperation + " goes on", "the agent judges it by itself", "attach " + theOperation}, "verify --operation"},
		"run with an older one":  {true, "run --no-gate --detach", []string{"verify --operation " + theOperation}, "as soon as"},
		"run, detached":          {false, "run --no-gate --detach", []string{"detached", "the agent judges it by itself", "attach " + theOperation}, "verify --operation"},
		"deploy, detached":       {false, "deploy --detach", []string{"verify --operation " + theOperation, "attach " + theOperation}, "as soon as"},
		"attach to a judged one": {false, "attach", []string{"the agent judges it by itself"}, "verify --operation"},
	} {
		t.Run(name, func(t *testing.T) {
			a := &agent{older: tt.older, holds: true, stamp: base}
			a.serve(t)
			t.Chdir(repo.Dir)
			code := 130
			if strings.Contains(tt.command, "detach") {
				code = 0
			}
			if strings.HasPrefix(tt.command, "attach") {
				landfall(t, "run", "--no-gate", "--detach").expect(t, 0)
			}
			var o outcome
			if code == 0 {
				o = landfall(t, strings.Fields(tt.command)...)
			} else {
				o = ctrlC(t, "AWAITING_VERIFY", strings.Fields(tt.command)...)
			}
			o.expect(t, code, tt.says...)
			if strings.Contains(o.err, tt.not) {
				t.Errorf("it says %q:\n%s", tt.not, o.err)
			}
			if code == 0 && strings.Count(o.out, "\n") != 1 {
				t.Errorf("stdout: %q", o.out)
			}
		})
	}
}

// A detached run has no end to tell of.
func TestADetachedRunTellsNobody(t *testing.T) {
	bare(t)
	repo, base, _ := clone(t)
	(&agent{holds: true, stamp: base}).serve(t)
	channel := discord(t)
	t.Chdir(repo.Dir)
	landfall(t, "run", "--no-gate", "--detach").expect(t, 0)
	if m := channel.Messages(); len(m) != 0 {
		t.Errorf("%d messages", len(m))
	}
}

// That convergence resumed is said where something kept it from running before.
func TestConvergenceIsToldAsItIs(t *testing.T) {
	repo, base, _ := clone(t)
	for name, tt := range map[string]struct {
		pause *landfallv1.GitOpsPause
		says  string
	}{
		"nothing was paused":       {nil, ""},
		"a failed operation's":     {&landfallv1.GitOpsPause{OperationId: "op-5-b", Owner: "deployer/atlas", Reason: "rolling back"}, "convergence resumed: the pause of op-5-b is lifted"},
		"a person's, which stays":  {&landfallv1.GitOpsPause{Owner: "operator/test", Reason: "disk"}, "convergence stays paused by operator/test: disk"},
		"its own, found in verify": {&landfallv1.GitOpsPause{OperationId: theOperation, Owner: "deployer/atlas"}, ""},
	} {
		for _, older := range []bool{false, true} {
			a := &agent{older: older, stamp: base, ends: succeeded, pause: tt.pause}
			a.serve(t)
			t.Chdir(repo.Dir)
			o := landfall(t, "run", "--no-gate")
			o.expect(t, 0)
			if said := strings.Contains(o.out, "convergence"); said != (tt.says != "") || !strings.Contains(o.out, tt.says) {
				t.Errorf("%s, older %v: %q, want %q", name, older, o.out, tt.says)
			}
		}
	}
}

// What was counted is the last line of the answer, an output of the job, and the headline of its summary.
func TestTheCountIsTheLastWord(t *testing.T) {
	const counted = "30 of 30 services run what ran before; the database is newer: 004_drop_x"
	repo, base, _ := clone(t)
	a := &agent{stamp: base, ends: rolledBack, endsBy: func(op *landfallv1.Operation) { op.Summary = counted }}
	a.serve(t)
	t.Chdir(repo.Dir)
	for _, command := range []string{"run --no-gate", "attach " + theOperation, "show"} {
		o := landfall(t, strings.Fields(command)...)
		if !strings.HasSuffix(o.out, "\n"+counted+"\n") || strings.Contains(o.out+o.err, "the earlier version runs") {
			t.Errorf("%s: exit code %d, stdout %q, stderr %q", command, o.code, o.out, o.err)
		}
	}
	output, summary := runnerFiles(t)
	landfall(t, "run", "--no-gate").expect(t, 4, "ROLLED_BACK: undone; "+counted)
	if got := outputs(t, output); got["summary"] != counted || got["state"] != "ROLLED_BACK" {
		t.Errorf("outputs %q", got)
	}
	if page := read(t, summary); !strings.Contains(page, "Undone; 30 of 30 services run what ran before") || strings.Contains(page, "earlier version runs") {
		t.Errorf("summary: %s", page)
	}
}

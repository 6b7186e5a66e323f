package console

import (
	"bufio"
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/workflowcommand"
)

func TestClean(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"plain", "a\tb c", "a\tb c"},
		{"line end", "text\r\n", "text"},
		{"colour", "\x1b[31mred\x1b[0m", "red"},
		{"cursor", "\x1b[2J\x1b[1;1Hgone", "gone"},
		{"clipboard by BEL", "a\x1b]52;c;ZXZpbA==\ab", "ab"},
		{"clipboard by ST", "a\x1b]52;c;ZXZpbA==\x1b\\b", "ab"},
		{"hyperlink", "\x1b]8;;http://x\x1b\\text\x1b]8;;\x1b\\", "text"},
		{"device control", "\x1bPq#0\x1b\\x", "x"},
		{"C1", "\u009b31mred \u009d52;c;x\u009cend", "red end"},
		{"lone C1", "a\u0085b", "a\ufffdb"},
		{"charset", "\x1b(0lq", "lq"},
		{"reset", "\x1bcx", "x"},
		{"open string hides nothing", "a\x1b]0;title", "a0;title"},
		{"open sequence hides nothing", "a\x1b[12", "a12"},
		{"broken sequence", "\x1b[1\x01m", "1␁m"},
		{"escape at the end", "a\x1b", "a"},
		{"escape before a control", "a\x1b\ab", "a␇b"},
		{"carriage return", "10%\r20%", "10%␍20%"},
		{"line feed", "one\n::error::two", "one␊::error::two"},
		{"line separator", "a\u2028b", "a␤b"},
		{"null, bell, delete", "\x00\a\x7f", "␀␇␡"},
		{"trojan source", "a\u202eb\u2066c", "a<U+202E>b<U+2066>c"},
		{"invisible", "a\u200bb\ufeffc\u2060d\ufe0f\U000e0041", "abcd"},
		{"not UTF-8", "a\xff\xc2", "a\ufffd\ufffd"},
		{"wide", "日本 é e\u0301", "日本 é e\u0301"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := clean(tt.in); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func FuzzClean(f *testing.F) {
	for _, seed := range []string{"a", "\x1b[31m", "\x1b]52;c;x\a", "\u009b", "\u202e", "\xff\x1b", "\r\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := clean(s)
		for _, r := range got {
			if r != '\t' && unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) {
				t.Fatalf("%q in %q", r, got)
			}
		}
		if again := clean(got); again != got {
			t.Fatalf("%q is not stable: %q", got, again)
		}
		if n := cellsOf(fit(got, 10)); n > 10 && !strings.Contains(got, "\t") {
			t.Fatalf("%q takes %d cells", fit(got, 10), n)
		}
	})
}

// attacks are texts that must have no effect wherever they come from.
var attacks = []string{
	"\x1b[2J\x1b[31mz", "\x1b]52;c;ZXZpbA==\az", "a\nb", "a\r\nb", "\u202egnp.exe", "\u009b2Jz",
	"::set-output name=x::y", "  ::error::forged", "::stop-commands::mine", "::mine::", "##[group]x", "##[endgroup]", "##[error]x",
	"x\n::add-mask::y", "\u200b::error::zero width", "%0A::error::x", "title,x:y",
}

// hostile puts an attack into every text field of the stream.
func hostile(attack string) *recording {
	failure := &landfallv1.Failure{Reason: attack, Message: attack, Hint: attack, StepId: attack, OutputTail: []string{attack}}
	return record(attack).
		add(&landfallv1.Event{Fact: &landfallv1.Event_Accepted{Accepted: &landfallv1.Accepted{Requester: attack, TargetSha: attack}}}).
		add(&landfallv1.Event{Fact: &landfallv1.Event_PlanCompiled{PlanCompiled: &landfallv1.PlanCompiled{Plan: &landfallv1.Plan{
			AnyDeploy: true, Digest: attack, Flags: []*landfallv1.Flag{{Name: attack, Set: true}},
		}}}}).
		add(&landfallv1.Event{Fact: &landfallv1.Event_PreDeploy{PreDeploy: &landfallv1.PreDeployRecorded{Sha: attack}}}).
		start(attack, attack).output(attack, attack).output("unknown", attack).
		start("beside", attack).output("beside", attack).output(attack, attack).
		add(&landfallv1.Event{Fact: &landfallv1.Event_Migration{Migration: &landfallv1.MigrationApplied{Name: attack}}}).
		warning(attack, attack).
		probe(attack, landfallv1.ProbeOutcome_PROBE_OUTCOME_WAITING, 1, attack).
		probe(attack, landfallv1.ProbeOutcome_PROBE_OUTCOME_PASSED, 2, attack).
		probe(attack, landfallv1.ProbeOutcome_PROBE_OUTCOME_FAILED, 3, attack, attack).
		done("beside", time.Second, attack).
		finish(&landfallv1.StepFinished{StepId: attack, Outcome: landfallv1.StepOutcome_STEP_OUTCOME_FAILED, Failure: failure, Summary: attack}).
		add(&landfallv1.Event{Fact: &landfallv1.Event_CancelRequested{CancelRequested: &landfallv1.CancelRequested{Requester: attack}}}).
		change(&landfallv1.StateChanged{State: landfallv1.OperationState_OPERATION_STATE_SUPERSEDED, SupersededBy: attack, Failure: failure, Summary: attack})
}

func TestHostileTextIsInertInLines(t *testing.T) {
	for _, attack := range attacks {
		for _, mode := range []Mode{Plain, Quiet, Actions, JSON} {
			out := show(t, mode, false, hostile(attack))
			for _, r := range out {
				if r != '\n' && r != '\t' && unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) {
					t.Errorf("%s: %q lets %q through", mode, attack, r)
				}
			}
		}
		// The same events without an attack make as many lines: one line stays one line.
		want := strings.Count(show(t, Plain, false, hostile("harmless")), "\n")
		if got := strings.Count(show(t, Plain, false, hostile(attack)), "\n"); got != want {
			t.Errorf("%q makes %d lines of %d", attack, got, want)
		}
	}
}

// runner is the part of the GitHub runner that reads commands: it trims a line, takes it for a
// command when it begins with ::, and while stopped obeys the token only. It follows ActionCommandManager.cs of actions/runner.
type runner struct {
	token    string
	commands []string
	marks    int // ##[ that the viewer would act on
	depth    int
}

func (r *runner) read(t *testing.T, log string) {
	t.Helper()
	for lines := bufio.NewScanner(strings.NewReader(log)); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		r.marks += strings.Count(line, "##[")
		if !strings.HasPrefix(line, "::") {
			continue
		}
		name, value, ok := strings.Cut(line[2:], "::")
		if !ok {
			continue
		}
		name, _, _ = strings.Cut(name, " ")
		switch {
		case r.token != "":
			if strings.EqualFold(name, r.token) {
				r.token = ""
			}
			continue
		case name == "stop-commands":
			r.token = value
			continue
		case name == "group":
			r.depth++
		case name == "endgroup":
			r.depth--
		}
		if r.depth < 0 || r.depth > 1 {
			t.Errorf("groups do not nest at %q", line)
		}
		r.commands = append(r.commands, name)
	}
}

func TestHostileTextGivesTheRunnerNoCommand(t *testing.T) {
	var want runner
	want.read(t, show(t, Actions, false, hostile("harmless")))
	for _, attack := range attacks {
		out := show(t, Actions, false, hostile(attack))
		var got runner
		got.read(t, out)
		if fmt.Sprint(got.commands) != fmt.Sprint(want.commands) || got.token != "" || got.depth != 0 || got.marks != 0 {
			t.Errorf("%q: the runner obeyed %v (want %v), token %q, depth %d, marks %d in\n%s",
				attack, got.commands, want.commands, got.token, got.depth, got.marks, out)
		}
	}
}

// Notes are ours, but may quote what others named.
func TestHostileNotes(t *testing.T) {
	for _, attack := range attacks {
		var b bytes.Buffer
		r := New(Actions, &b, Options{GetEnv: noEnv})
		r.Note(attack)
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		var got runner
		got.read(t, b.String())
		if len(got.commands) != 0 || got.token != "" || got.marks != 0 {
			t.Errorf("%q: the runner obeyed %v in %q", attack, got.commands, b.String())
		}
	}
}

func TestTokensAreNeverUsedTwice(t *testing.T) {
	out := show(t, Actions, false, buildFailed())
	seen := map[string]int{}
	for _, token := range tokenPattern.FindAllString(out, -1) {
		seen[token]++
	}
	if len(seen) < 3 {
		t.Fatalf("want a token a group, got %v", seen)
	}
	for token, n := range seen {
		if n != 2 {
			t.Errorf("token %s is used %d times, want once to stop and once to resume", token, n)
		}
	}
}

func TestAnnotationsAreLimited(t *testing.T) {
	r := record("op-1")
	for i := range 30 {
		r.warning("R", fmt.Sprintf("warning %d", i)).
			probe(fmt.Sprint("p", i), landfallv1.ProbeOutcome_PROBE_OUTCOME_FAILED, 1, "down", "last words")
	}
	out := show(t, Actions, false, r)
	if e, w := strings.Count(out, "\n::error "), strings.Count(out, "\n::warning "); e != workflowcommand.AnnotationLimit || w != workflowcommand.AnnotationLimit {
		t.Errorf("%d errors, %d warnings", e, w)
	}
	for _, text := range []string{"warning: warning 29", "error: probe p29 failed: down", "error: | last words"} {
		if !strings.Contains(out, text) {
			t.Errorf("%q is lost", text)
		}
	}
}

func TestAnnotationsAreEscaped(t *testing.T) {
	out := show(t, Actions, false, record("op-1").warning("A:B,C%", "50% done\tnow"))
	if want := "::warning title=A%3AB%2CC%25::50%25 done\tnow\n"; !strings.Contains(out, want) {
		t.Errorf("no %q in\n%s", want, out)
	}
}

// The runner cuts a long message; what was printed last must not be what is lost.
func TestAnnotationsKeepTheLastWords(t *testing.T) {
	long := strings.Repeat("word ", 2000)
	tail := append(slices.Repeat([]string{long}, 40), "the last word")
	out := show(t, Actions, false, record("op-1").state(landfallv1.OperationState_OPERATION_STATE_FAILED, &landfallv1.Failure{
		Reason: "R", Message: long, Hint: long, OutputTail: tail,
	}))
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "::error") && (len([]rune(line)) > 4096 || !strings.HasSuffix(line, "| the last word\n")) {
			t.Errorf("%d characters, ending in %q", len(line), line[len(line)-20:])
		}
	}
}

// A step beside the open group is held back within bounds.
func TestHeldOutputIsBounded(t *testing.T) {
	r := record("op-1").start("a", "A").start("b", "B")
	for i := range heldLimit + 7 {
		r.output("b", fmt.Sprintf("line %d", i))
	}
	r.done("a", time.Second, "").done("b", time.Second, "")
	out := show(t, Actions, false, r)
	if strings.Contains(out, "line 6\n") || !strings.Contains(out, "(7 earlier lines left out)") {
		t.Errorf("beginning:\n%.600s", out)
	}
	if !strings.Contains(out, fmt.Sprintf("line %d\n", heldLimit+6)) {
		t.Error("the last line is lost")
	}
}

package command

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"ataraxis.dev/landfall/shared/fault"
)

// program is a small tree of commands: work fails with err, format is its flag.
func program(err error) *cobra.Command {
	root := &cobra.Command{Use: "prog", Version: "1"}
	work := &cobra.Command{Use: "work ID", Args: cobra.ExactArgs(1), RunE: func(cmd *cobra.Command, args []string) error {
		_, _ = fmt.Fprintln(cmd.OutOrStdout(), "worked on", args[0])
		return err
	}}
	work.Flags().String("format", "text", "")
	work.Flags().Int("count", 0, "")
	needy := &cobra.Command{Use: "needy", RunE: func(*cobra.Command, []string) error { return err }}
	needy.Flags().String("must", "", "")
	needy.Flags().Bool("a", false, "")
	needy.Flags().Bool("b", false, "")
	needy.MarkFlagsMutuallyExclusive("a", "b")
	if err := needy.MarkFlagRequired("must"); err != nil {
		panic(err)
	}
	group := &cobra.Command{Use: "group", Short: "several commands"}
	group.AddCommand(&cobra.Command{Use: "inner", Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error { return err }})
	root.AddCommand(work, needy, group)
	return root
}

func run(t *testing.T, root *cobra.Command, args ...string) (code int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	code = Run(t.Context(), root, args, Streams{In: strings.NewReader(""), Out: &o, Err: &e})
	return code, o.String(), e.String()
}

func TestUsageErrors(t *testing.T) {
	for _, c := range []struct {
		args []string
		says []string
	}{
		{[]string{"work"}, []string{"accepts 1 arg(s), received 0", "see prog work --help"}},
		{[]string{"work", "a", "b"}, []string{"received 2"}},
		{[]string{"work", "--nonsense", "a"}, []string{"unknown flag: --nonsense", "see prog work --help"}},
		{[]string{"work", "--count", "many", "a"}, []string{"invalid argument", "many"}},
		{[]string{"work", "--count"}, []string{"needs an argument"}},
		{[]string{"wor"}, []string{`unknown command "wor"`, "did you mean work?", "see prog --help"}},
		{[]string{"needy"}, []string{"required flag", "must", "see prog needy --help"}},
		{[]string{"needy", "--must=x", "--a", "--b"}, []string{"[a b]", "see prog needy --help"}},
		{[]string{"group", "innre"}, []string{`unknown command "innre"`, "see prog group --help"}},
		{[]string{"group", "inner", "x"}, []string{"x", "see prog group inner --help"}},
	} {
		code, out, errs := run(t, program(nil), c.args...)
		if code != 2 || out != "" {
			t.Errorf("%q: exit code %d, printed %q, said %q", c.args, code, out, errs)
		}
		for _, part := range c.says {
			if !strings.Contains(errs, part) {
				t.Errorf("%q: said %q, not %q", c.args, errs, part)
			}
		}
		if !strings.HasPrefix(errs, "prog: ") || strings.Count(errs, "\n") != 2 {
			t.Errorf("%q: not one message with one hint: %q", c.args, errs)
		}
	}
}

func TestWhatIsNoError(t *testing.T) {
	for args, part := range map[string]string{
		"work a": "worked on a\n", "--help": "Usage:", "work --help": "--count", "--version": "prog version 1",
		"group": "inner", "group --help": "inner", "": "Available Commands", "needy --must=x --a": "", "help work": "--count",
	} {
		code, out, errs := run(t, program(nil), strings.Fields(args)...)
		if code != 0 || errs != "" || !strings.Contains(out, part) {
			t.Errorf("%q: exit code %d, printed %q, said %q", args, code, out, errs)
		}
	}
}

func TestErrorsOfTheWork(t *testing.T) {
	for _, c := range []struct {
		err  error
		code int
		says string
	}{
		{fault.New(fault.Refused, "HOST_LOCKED", "the host is locked").WithHint("try again"), 7, "prog: the host is locked\n  try again\n"},
		{fault.Wrap(io.ErrUnexpectedEOF, fault.Unreachable, "X", "ask the agent"), 6, "prog: ask the agent: unexpected EOF\n"},
		{fmt.Errorf("outer: %w", fault.New(fault.Degraded, "X", "inner").WithHint("look")), 5, "prog: outer: inner\n  look\n"},
		{errors.New("plain"), 1, "prog: plain\n"}, // not a usage error: the work had begun
		{context.Canceled, 130, "prog: context canceled\n"},
		{fault.New(fault.Invalid, "X", "bad file"), 2, "prog: bad file\n"},
	} {
		code, out, errs := run(t, program(c.err), "work", "a")
		if code != c.code || errs != c.says || out != "worked on a\n" {
			t.Errorf("%v: exit code %d, printed %q, said %q", c.err, code, out, errs)
		}
	}
}

func TestErrorsAsJSON(t *testing.T) {
	err := fault.New(fault.Refused, "HOST_LOCKED", "the host is locked").WithHint("try again")
	for _, c := range []struct {
		args   []string
		code   int
		reason string
	}{
		{[]string{"work", "--format=json", "a"}, 7, "HOST_LOCKED"},
		{[]string{"work", "--format", "json"}, 2, "USAGE"},
	} {
		code, _, errs := run(t, program(err), c.args...)
		var got struct {
			Time  time.Time
			Error struct {
				Kind, Reason, Message string
				ExitCode              int `json:"exit_code"`
			}
		}
		if err := json.Unmarshal([]byte(errs), &got); err != nil || strings.Count(errs, "\n") != 1 {
			t.Fatalf("%q: %q is not one object a line: %v", c.args, errs, err)
		}
		if code != c.code || got.Error.ExitCode != c.code || got.Error.Reason != c.reason || got.Error.Message == "" || got.Error.Kind == "" {
			t.Errorf("%q: exit code %d, %+v", c.args, code, got)
		}
		if got.Time.Location() != time.UTC || time.Since(got.Time).Abs() > time.Minute {
			t.Errorf("%q: time %v", c.args, got.Time)
		}
	}
}

func TestThePersistentHookOfTheProgramStillRuns(t *testing.T) {
	for _, hookErr := range []error{nil, fault.New(fault.Unreachable, "X", "no agent")} {
		ran := false
		root := program(nil)
		root.PersistentPreRunE = func(*cobra.Command, []string) error {
			ran = true
			return hookErr
		}
		if code, _, _ := run(t, root, "work", "a"); !ran || code != fault.ExitCode(hookErr) {
			t.Errorf("ran %v, exit code %d", ran, code)
		}
	}
}

func TestColour(t *testing.T) {
	var b bytes.Buffer
	if IsTerminal(&b) || Colour(&b) {
		t.Error("a buffer is a terminal")
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = null.Close() }()
	if IsTerminal(null) || Colour(null) {
		t.Error("the null device is a terminal")
	}
	if s := System(); s.In != os.Stdin || s.Out != os.Stdout || s.Err != os.Stderr {
		t.Error("the system's streams are others")
	}
}

// TestExitCodesHaveMeanings: every code that an error can end in is explained in the help.
func TestExitCodesHaveMeanings(t *testing.T) {
	for _, k := range fault.Kinds() {
		code := fault.ExitCode(fault.New(k, "X", "x"))
		if meanings[code] == "" {
			t.Errorf("exit code %d of %v has no meaning", code, k)
		}
	}
	if got, want := ExitCodes(0, 130), "\n\nExit codes:\n  0    "+meanings[0]+"\n  130  "+meanings[130]; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Package command runs a tree of cobra commands as a program: streams in, exit code out.
//
// It promises that every error ends in exactly one message on stderr with what to do,
// that the exit code is the contract's, that a wrong flag or argument is a usage error
// (exit 2). Start reading at [Run].
package command

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"ataraxis.dev/landfall/shared/fault"
)

// Streams are the program's three streams.
type Streams struct {
	In  io.Reader
	Out io.Writer // the answer
	Err io.Writer // progress and errors
	// Tell, if not nil, may write the message of an error in a form of its own, and says whether it
	// did. Errors as objects never come here.
	Tell func(w io.Writer, err error) bool
}

// System are the streams of the process.
func System() Streams { return Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr} }

// IsTerminal reports whether w is a terminal.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Colour reports whether w takes colours: a terminal, unless NO_COLOR is set
// (https://no-color.org) or the terminal is dumb.
func Colour(w io.Writer) bool {
	return IsTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

// errorsAsJSON names the flags that, set to json, make errors objects too.
var errorsAsJSON = []string{"format", "progress"}

// Run runs the command that args name and returns the exit code. ctx ends when the
// person or the system asks the program to stop.
func Run(ctx context.Context, root *cobra.Command, args []string, streams Streams) int {
	root.SetArgs(args)
	root.SetIn(streams.In)
	root.SetOut(streams.Out)
	root.SetErr(streams.Err)
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return err })

	refuseStrays(root)

	started := false
	inner := root.PersistentPreRunE
	root.PersistentPreRunE = func(cmd *cobra.Command, args []string) error {
		// Cobra asks for these after this hook, when their errors look like those of the work.
		if err := cmp.Or(cmd.ValidateRequiredFlags(), cmd.ValidateFlagGroups()); err != nil {
			return err
		}
		started = true
		if inner != nil {
			return inner(cmd, args)
		}
		return nil
	}
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return 0
	}
	if !started && fault.KindOf(err) == fault.Internal {
		// Cobra found the fault before anything of ours ran: a flag, an argument, a command.
		err = fault.New(fault.Invalid, "USAGE", "%s", firstLine(err.Error())).WithHint("see %s --help", cmd.CommandPath())
	}
	var silent *quiet
	if !errors.As(err, &silent) {
		report(cmd, err, streams)
	}
	return fault.ExitCode(err)
}

// quiet is an error whose exit code says it all.
type quiet struct{ error }

func (q *quiet) Unwrap() error { return q.error }

// Quiet makes an error one of which no message is written: whoever caused it knows.
func Quiet(err error) error { return &quiet{err} }

// refuseStrays makes a word that is none of a group's commands an error, at every level:
// cobra does so for the program itself and shows the help of any other group.
func refuseStrays(cmd *cobra.Command) {
	for _, c := range cmd.Commands() {
		refuseStrays(c)
		if c.Runnable() || !c.HasSubCommands() {
			continue
		}
		c.DisableFlagsInUseLine = true
		c.RunE = func(*cobra.Command, []string) error { return pflag.ErrHelp } // cobra shows the help
		c.Args = func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			text := fmt.Sprintf("unknown command %q for %q", args[0], c.CommandPath())
			if near := c.SuggestionsFor(args[0]); len(near) > 0 {
				text += ", did you mean " + strings.Join(near, " or ") + "?"
			}
			return errors.New(text)
		}
	}
}

// firstLine drops the suggestions that cobra appends on lines of their own.
func firstLine(s string) string {
	s, rest, _ := strings.Cut(s, "\n")
	if _, suggestion, ok := strings.Cut(rest, "Did you mean this?\n"); ok {
		s += ", did you mean " + strings.Join(strings.Fields(suggestion), " or ") + "?"
	}
	return s
}

// errorObject is an error in JSON.
type errorObject struct {
	Time  time.Time `json:"time"`
	Error struct {
		Kind     string `json:"kind"`
		Reason   string `json:"reason,omitempty"`
		Message  string `json:"message"`
		ExitCode int    `json:"exit_code"`
	} `json:"error"`
}

// report writes the one message of an error.
func report(cmd *cobra.Command, err error, streams Streams) {
	w := streams.Err
	for _, name := range errorsAsJSON {
		if f := cmd.Flags().Lookup(name); f != nil && f.Value.String() == "json" {
			o := errorObject{Time: time.Now().UTC()}
			o.Error.Kind, o.Error.Reason = fault.KindOf(err).String(), fault.ReasonOf(err)
			o.Error.Message, o.Error.ExitCode = err.Error(), fault.ExitCode(err)
			_ = json.NewEncoder(w).Encode(o) // stderr is all there is to report to
			return
		}
	}
	if streams.Tell != nil && streams.Tell(w, err) {
		return
	}
	name := cmd.Root().Name()
	var f *fault.Error
	if errors.As(err, &f) && f.Hint != "" && strings.HasSuffix(err.Error(), " ("+f.Hint+")") {
		_, _ = fmt.Fprintf(w, "%s: %s\n  %s\n", name, strings.TrimSuffix(err.Error(), " ("+f.Hint+")"), f.Hint)
		return
	}
	_, _ = fmt.Fprintf(w, "%s: %s\n", name, err)
}

// ExitCodes is the part of a command's help that lists its exit codes. The meanings are
// the contract's; a command names those it can end with.
func ExitCodes(codes ...int) string {
	var b strings.Builder
	b.WriteString("\n\nExit codes:\n")
	for _, code := range codes {
		fmt.Fprintf(&b, "  %-3d  %s\n", code, meanings[code])
	}
	return strings.TrimSuffix(b.String(), "\n")
}

var meanings = map[int]string{
	0:   "done; also: nothing to deploy, superseded (the output says which)",
	1:   "failed, and the host is as it was before",
	2:   "usage or configuration error; nothing was tried",
	3:   "CI gate: blocked, or no verdict in time",
	4:   "deployment failed and was rolled back; the last line counts what runs",
	5:   "rollback failed or the state is degraded: a person is needed; status --check: there is a problem",
	6:   "the agent is unreachable, or refused who we are",
	7:   "refused: host locked, edited checkout, SHA blocked, not on the branch, older than what runs, plan digest differs",
	130: "interrupted; the operation goes on (its id is printed with the attach command)",
}

package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"ataraxis.dev/landfall/agent/internal/hostconfig"
	"ataraxis.dev/landfall/agent/internal/journal"
	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/shared/command"
	"ataraxis.dev/landfall/shared/fault"
)

// sentinelsOptions are the flags of sentinels.
type sentinelsOptions struct {
	config string
	format string
	check  bool
}

// AddFlags declares the flags.
func (o *sentinelsOptions) AddFlags(f *pflag.FlagSet) {
	f.StringVar(&o.config, "config", hostconfig.DefaultPath, "agent.yaml")
	f.StringVar(&o.format, "format", "text", "text or json")
	f.BoolVar(&o.check, "check", false, "exit code 7 when something is held back")
}

func newSentinelsCommand(streams command.Streams) *cobra.Command {
	o := &sentinelsOptions{}
	cmd := &cobra.Command{
		Use:   "sentinels",
		Short: "Print what holds convergence back: the pause and the blocked commits",
		Long: "Print the sentinels of state_dir, one a line: what holds now. Nothing is printed where nothing does. It asks no\n" +
			"agent and changes nothing, so that scripts can use it:\n\n" +
			"  paused until TIME by WHO: REASON\n" +
			"  blocked SHA since TIME by WHAT: REASON\n\n" +
			"Times are RFC 3339 in UTC; WHAT is the operation that failed, \"-\" for a block made by hand. --format json prints one\n" +
			"object a line. A file that is no sentinel holds back as well: it is exit code 5, with what is wrong and what is wanted.\n" +
			"With --check exit code 7 says that something holds." + command.ExitCodes(0, 1, 2, 5, 7),
		Example: "  landfall-agent sentinels --check || exit 0             # in a timer's script\n" +
			"  landfall-agent sentinels | awk '$1 == \"blocked\" {print $2}'",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return runSentinels(*o, streams.Out) },
	}
	o.AddFlags(cmd.Flags())
	return cmd
}

// sentinel is one line of the answer.
type sentinel struct {
	Sentinel  string     `json:"sentinel"` // "paused" or "blocked"
	SHA       string     `json:"sha,omitempty"`
	Owner     string     `json:"owner,omitempty"`
	Operation string     `json:"operation,omitempty"`
	Reason    string     `json:"reason"`
	Created   time.Time  `json:"created_at"`
	Expires   *time.Time `json:"expires_at,omitempty"`
}

func runSentinels(o sentinelsOptions, out io.Writer) error {
	if o.format != "text" && o.format != "json" {
		return fault.New(fault.Invalid, "USAGE", "unknown format %q", o.format).WithHint("use text or json")
	}
	c, err := hostconfig.LoadPublic(o.config)
	if err != nil {
		return err
	}
	pause, blocks, broken := journal.Sentinels(c.StateDir, c.PauseTTL)
	all := sentinelsOf(pause, blocks)
	for _, s := range all {
		if err := s.print(o.format, out); err != nil {
			return errors.Join(broken, err)
		}
	}
	images := 0
	for _, b := range blocks {
		if b.IsImage() {
			images++
		}
	}
	switch {
	case broken != nil:
		return broken
	case o.check && pause != nil:
		return fault.New(fault.Refused, "PAUSED", "convergence is paused until %s", stampOf(pause.Expires))
	case o.check && len(blocks) > images: // an image's block keeps no commit away
		return fault.New(fault.Refused, "SHA_BLOCKED", "%d commits are blocked", len(blocks)-images)
	}
	return nil
}

func sentinelsOf(pause *ports.Pause, blocks []ports.Blocked) []sentinel {
	var all []sentinel
	if p := pause; p != nil {
		until := p.Expires.UTC()
		all = append(all, sentinel{Sentinel: "paused", Owner: p.Owner, Operation: p.Operation, Reason: p.Reason, Created: p.Created.UTC(), Expires: &until})
	}
	for _, b := range blocks {
		all = append(all, sentinel{Sentinel: "blocked", SHA: b.SHA, Operation: b.Operation, Reason: b.Reason, Created: b.Created.UTC()})
	}
	return all
}

func (s sentinel) print(format string, out io.Writer) (err error) {
	switch {
	case format == "json":
		err = json.NewEncoder(out).Encode(s)
	case s.Expires != nil:
		_, err = fmt.Fprintf(out, "paused until %s by %s: %s\n", stampOf(*s.Expires), oneLine(s.Owner), oneLine(s.Reason))
	default:
		_, err = fmt.Fprintf(out, "blocked %s since %s by %s: %s\n", s.SHA, stampOf(s.Created), oneLine(s.Operation), oneLine(s.Reason))
	}
	return err
}

func stampOf(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// oneLine keeps what others wrote on its line; "-" is nothing.
func oneLine(text string) string {
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
	if text = strings.TrimSpace(text); text == "" {
		return "-"
	}
	return text
}

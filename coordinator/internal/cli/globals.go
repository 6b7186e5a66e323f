package cli

import (
	"context"
	"os"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"ataraxis.dev/landfall/coordinator/internal/actions"
	"ataraxis.dev/landfall/coordinator/internal/agentclient"
	"ataraxis.dev/landfall/coordinator/internal/console"
	"ataraxis.dev/landfall/shared/command"
	"ataraxis.dev/landfall/shared/fault"
)

// globals are the flags that every command has, and what is made of them.
type globals struct {
	streams  Streams
	agent    string
	identity string
	config   string
	progress string
	logLevel string
	timeout  time.Duration

	repository string              // on GitHub, owner/name
	job        actions.Environment // of the GitHub Actions job we are in
}

// AddFlags declares the flags; the environment gives their defaults.
func (g *globals) AddFlags(f *pflag.FlagSet) {
	f.StringVar(&g.agent, "agent", os.Getenv("LANDFALL_AGENT"), "agent as HOST:PORT, on its own host also "+agentclient.DefaultSocket+" [LANDFALL_AGENT]")
	f.StringVar(&g.identity, "identity", os.Getenv("LANDFALL_IDENTITY"), "folder with ca.pem, cert.pem, key.pem; not needed for a socket [LANDFALL_IDENTITY]")
	f.StringVar(&g.config, "config", os.Getenv("LANDFALL_CONFIG"), "landfall.yaml; found upwards from the working directory when not given [LANDFALL_CONFIG]")
	f.StringVar(&g.progress, "progress", orElse(os.Getenv("LANDFALL_PROGRESS"), "auto"), "auto, tty, plain, actions, json or quiet [LANDFALL_PROGRESS]")
	f.StringVar(&g.logLevel, "log-level", orElse(os.Getenv("LANDFALL_LOG_LEVEL"), "warn"), "log to stderr: trace, debug, info, warn or error [LANDFALL_LOG_LEVEL]")
	f.StringVar(&g.repository, "repository", os.Getenv("GITHUB_REPOSITORY"), "repository on GitHub as OWNER/NAME [GITHUB_REPOSITORY]")
	f.DurationVar(&g.timeout, "timeout", 0, "stop waiting after this time; an operation that was started goes on (0: never)")
}

func orElse(value, fallback string) string {
	if value == "" {
		return fallback
	}
	return value
}

// errTimeout is the cause of a context that --timeout ended.
var errTimeout = fault.New(fault.Interrupted, "TIMEOUT", "stopped waiting after --timeout")

// limit bounds ctx by --timeout.
func (g *globals) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	if g.timeout <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, g.timeout, errTimeout)
}

// check refuses values that flags cannot have, before anything is tried.
func (g *globals) check() error {
	if hclog.LevelFromString(g.logLevel) == hclog.NoLevel {
		return fault.New(fault.Invalid, "USAGE", "%q is no log level", g.logLevel).WithHint("use trace, debug, info, warn or error")
	}
	if _, err := console.ParseMode(g.progress, os.Getenv, false); err != nil {
		return err
	}
	return g.enterJob()
}

// log is for those who look for a mistake of ours; what people want to know is progress.
func (g *globals) log() hclog.Logger {
	return hclog.New(&hclog.LoggerOptions{Name: "landfall-coordinator", Level: hclog.LevelFromString(g.logLevel), Output: g.streams.Err})
}

// dial connects to the agent.
func (g *globals) dial() (*agentclient.Client, error) {
	g.log().Debug("agent", "address", g.agent, "identity", g.identity)
	client, err := agentclient.Dial(g.agent, g.identity)
	if err == nil {
		client.WarnOfEndings(g.warn)
	}
	return client, err
}

// renderer shows progress on stderr. The caller closes it.
func (g *globals) renderer() (console.Renderer, error) {
	mode, err := console.ParseMode(g.progress, os.Getenv, command.IsTerminal(g.streams.Err))
	if err != nil {
		return nil, err
	}
	return console.New(mode, g.streams.Err, console.Options{Colour: command.Colour(g.streams.Err), Width: g.width, Now: time.Now}), nil
}

// style is how answers look on stdout.
func (g *globals) style() console.Style {
	width := 0 // no limit: what is read by a program must not be cut
	if command.IsTerminal(g.streams.Out) {
		width = g.width()
	}
	return console.Style{Colour: command.Colour(g.streams.Out), Width: width, Now: time.Now()}
}

// defaultWidth is the width of a terminal that does not tell.
const defaultWidth = 100

// width is the width of the terminal behind stderr or stdout, in cells.
func (g *globals) width() int {
	for _, w := range []any{g.streams.Err, g.streams.Out} {
		if f, ok := w.(*os.File); ok {
			if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
				return width
			}
		}
	}
	return defaultWidth
}

// formatFlag declares --format and returns where it lands.
func formatFlag(f *pflag.FlagSet, formats string) *string {
	return f.String("format", "text", formats)
}

// checkFormat refuses a format that a command does not have.
func checkFormat(format string, known ...string) error {
	for _, k := range known {
		if format == k {
			return nil
		}
	}
	return fault.New(fault.Invalid, "USAGE", "unknown format %q", format).WithHint("use one of: %s", joined(known))
}

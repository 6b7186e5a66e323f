package cli

import (
	"context"
	"errors"
	"math"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"google.golang.org/protobuf/types/known/durationpb"

	"ataraxis.dev/landfall/coordinator/internal/agentclient"
	"ataraxis.dev/landfall/coordinator/internal/console"
	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/command"
	"ataraxis.dev/landfall/shared/fault"
)

// logsOptions are the flags of logs.
type logsOptions struct {
	follow     bool
	tail       string
	since      length
	timestamps bool
	noPrefix   bool
	format     *string
}

// AddFlags declares the flags.
func (o *logsOptions) AddFlags(f *pflag.FlagSet) {
	f.BoolVarP(&o.follow, "follow", "f", false, "go on with new lines, also of containers that come later")
	f.StringVarP(&o.tail, "tail", "n", "100", "old lines a container at most, or all")
	f.Var(&o.since, "since", "only lines of the last so long: 90m, 2h, 2d")
	f.BoolVarP(&o.timestamps, "timestamps", "t", false, "the time of each line, UTC")
	f.BoolVar(&o.noPrefix, "no-prefix", false, "lines alone, without the service before them")
	o.format = formatFlag(f, "text or json")
}

func newLogsCommand(g *globals) *cobra.Command {
	o := &logsOptions{}
	cmd := &cobra.Command{
		Use:   "logs [SERVICE...]",
		Short: "Show what the services print, and follow it",
		Long: "Show the lines that the containers of services have printed, in the order of their time, and with --follow those to come:\n" +
			"also of containers that are restarted, replaced or added meanwhile. All services when none is named; SERVICE, STACK/SERVICE\n" +
			"and patterns (mcp-*, in quotes) name some. Secrets of the host are taken out.\n\n" +
			"A connection that breaks is made again, and no line is lost or repeated. A log that cannot be read is told, and the\n" +
			"others go on. Where the reader is closed (logs | head) it ends with exit code 0; Ctrl-C ends it with 130, as it does\n" +
			"docker compose logs, and nothing on the host depends on it." +
			command.ExitCodes(0, 1, 2, 6, 7, 130),
		Example: "  landfall-coordinator logs --follow --since 10m dashboard-api 'mcp-*'\n" +
			"  landfall-coordinator logs core/caddy --tail all --format json",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkFormat(*o.format, "text", "json"); err != nil {
				return err
			}
			req, err := o.request(args)
			if err != nil {
				return err
			}
			return g.logs(cmd.Context(), o, req)
		},
	}
	o.AddFlags(cmd.Flags())
	return cmd
}

// request is what the flags ask the agent for.
func (o *logsOptions) request(services []string) (*landfallv1.TailLogsRequest, error) {
	req := &landfallv1.TailLogsRequest{Services: services, Follow: o.follow}
	if o.since.set {
		req.Since = durationpb.New(o.since.Duration)
	}
	if o.tail == "all" {
		req.Tail = math.MaxUint32
		return req, nil
	}
	n, err := strconv.ParseUint(o.tail, 10, 31)
	if err != nil {
		return nil, fault.New(fault.Invalid, "USAGE", "--tail %q is no number of lines", o.tail).WithHint("use a number, or all")
	}
	req.Tail, req.OnlyNew = uint32(n), n == 0
	return req, nil
}

// errReaderGone ends a tail that nobody reads any more.
var errReaderGone = errors.New("the reader is gone")

// grace is how long a line that nobody takes may keep us after we were told to end.
const grace = time.Second

// logs shows lines until there are no more, nobody reads them, or somebody ends it.
func (g *globals) logs(ctx context.Context, o *logsOptions, req *landfallv1.TailLogsRequest) error {
	ctx, cancel := g.limit(ctx)
	defer cancel()
	client, err := g.dial()
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }() // the lines are shown or not
	signal.Ignore(syscall.SIGPIPE)        // or the first line that nobody reads ends us by a signal
	defer signal.Reset(syscall.SIGPIPE)
	ctx, gone := context.WithCancelCause(ctx)
	defer gone(nil)
	if out, ok := g.streams.Out.(*os.File); ok {
		go watchReader(ctx, out, func() { gone(errReaderGone) })
	}
	show := logScreen{g: g, logs: console.NewLogs(g.streams.Out, console.LogStyle{
		JSON: *o.format == "json", Colour: command.Colour(g.streams.Out), Timestamps: o.timestamps, NoPrefix: o.noPrefix,
	})}
	var result error
	done := make(chan struct{})
	go func() {
		defer close(done)
		result = client.Logs(ctx, req, show)
	}()
	select {
	case <-done:
		err = result
	case <-ctx.Done():
		err = context.Cause(ctx)
		select {
		case <-done:
		case <-time.After(grace): // it writes a line that nobody takes
		}
	}
	switch {
	case errors.Is(err, errReaderGone), errors.Is(err, syscall.EPIPE):
		return nil
	case errors.Is(err, context.Canceled):
		return command.Quiet(fault.Wrap(err, fault.Interrupted, "INTERRUPTED", "interrupted"))
	}
	return err
}

// logScreen shows lines on stdout, and what is to be known about them on stderr.
type logScreen struct {
	g    *globals
	logs *console.Logs
}

// Take implements agentclient.LogReader.
func (s logScreen) Take(r *landfallv1.TailLogsResponse) error {
	if r.GetNotice() != nil {
		s.Warn(console.LogNotice(r))
		return nil
	}
	return s.logs.Line(r)
}

// Warn implements agentclient.LogReader.
func (s logScreen) Warn(text string) { s.g.warn(text) }

var _ agentclient.LogReader = logScreen{}

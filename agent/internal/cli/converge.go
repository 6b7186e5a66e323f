package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"

	"ataraxis.dev/landfall/agent/internal/hostconfig"
	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/command"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/fault/rpcerr"
	"ataraxis.dev/landfall/shared/socketdial"
)

// convergeOptions are the flags of converge.
type convergeOptions struct {
	config string
	dryRun bool
	jitter time.Duration
	within time.Duration
	format string
}

// AddFlags declares the flags.
func (o *convergeOptions) AddFlags(f *pflag.FlagSet) {
	f.StringVar(&o.config, "config", hostconfig.DefaultPath, "agent.yaml, which names the socket")
	f.BoolVar(&o.dryRun, "dry-run", false, "decide and tell, begin nothing")
	f.DurationVar(&o.jitter, "jitter", 0, "wait at random up to this long first, so that hosts do not ask all at once")
	f.DurationVar(&o.within, "timeout", 5*time.Minute, "give up after this")
	f.StringVar(&o.format, "format", "text", "text or json")
}

func newConvergeCommand(streams command.Streams) *cobra.Command {
	o := &convergeOptions{}
	cmd := &cobra.Command{
		Use:   "converge",
		Short: "Ask the running agent for a tick of convergence",
		Long: "Ask the agent on this host, over its local socket, to make a tick of convergence: look at the branch, its CI and what\n" +
			"runs, and deploy or repair where that is due. It is what the timer calls. It returns when the agent has decided, and has begun\n" +
			"what it decided; the operation goes on in the agent. A tick that is skipped says why and is exit code 0." + command.ExitCodes(0, 1, 2, 6, 7),
		Example: "  landfall-agent converge --jitter 30s      # in a timer's script\n  landfall-agent converge --dry-run",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runConverge(cmd.Context(), *o, streams.Out) },
	}
	o.AddFlags(cmd.Flags())
	return cmd
}

func runConverge(ctx context.Context, o convergeOptions, out io.Writer) error {
	if o.format != "text" && o.format != "json" {
		return fault.New(fault.Invalid, "USAGE", "unknown format %q", o.format).WithHint("use text or json")
	}
	if o.jitter < 0 || o.within <= 0 {
		return fault.New(fault.Invalid, "USAGE", "--jitter is not less than nothing, --timeout more than that")
	}
	c, err := hostconfig.LoadPublic(o.config)
	if err != nil {
		return err
	}
	if c.Socket == "" {
		return fault.New(fault.Invalid, "NO_SOCKET", "agent.yaml serves no socket").WithHint("give it one, or ask from elsewhere: landfall-coordinator converge --agent HOST:PORT")
	}
	if o.jitter > 0 {
		select {
		case <-time.After(rand.N(o.jitter)): //nolint:gosec // no secret: it keeps hosts from asking all at once
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, o.within)
	defer cancel()
	resp, err := askForTick(ctx, c.Socket, &landfallv1.ConvergeRequest{DryRun: o.dryRun})
	if err != nil {
		return err
	}
	return printTick(resp, o.format, out)
}

// askForTick asks the agent that serves a socket.
func askForTick(ctx context.Context, socket string, req *landfallv1.ConvergeRequest) (*landfallv1.ConvergeResponse, error) {
	end := &socketdial.End{Path: socket}
	conn, err := grpc.NewClient("passthrough:///localhost", end.Options()...)
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "DIAL", "connect to the agent")
	}
	defer func() { _ = conn.Close() }() // the answer is there or not
	resp, err := landfallv1.NewGitOpsServiceClient(conn).Converge(ctx, req)
	if err == nil {
		return resp, nil
	}
	if why := end.Explain(); why != nil {
		return nil, why
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) { // which end of the connection ended the call first is chance
		return nil, fault.New(fault.Deadline, "NO_ANSWER", "the agent has not decided in time; nothing was begun, or what was begun goes on").
			WithHint("landfall-coordinator status tells the last tick; --timeout is how long it may take")
	}
	return nil, rpcerr.FromError(err)
}

func printTick(resp *landfallv1.ConvergeResponse, format string, out io.Writer) error {
	if format == "json" {
		raw, err := protojson.Marshal(resp)
		if err == nil {
			_, err = fmt.Fprintf(out, "%s\n", raw)
		}
		return err
	}
	t := resp.GetTick()
	line := fmt.Sprintf("%s %s: %s", strings.TrimPrefix(t.GetOutcome().String(), "TICK_OUTCOME_"), t.GetReason(), oneLine(t.GetMessage()))
	if op := resp.GetOperation(); op != nil {
		line += " (" + op.GetId() + "; watch it with: landfall-coordinator attach " + op.GetId() + ")"
	}
	for _, step := range t.GetPlan().GetSteps() {
		line += "\n  " + oneLine(step.GetTitle())
	}
	_, err := fmt.Fprintln(out, line)
	return err
}

package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"ataraxis.dev/landfall/agent/internal/checkout"
	"ataraxis.dev/landfall/agent/internal/compose"
	"ataraxis.dev/landfall/agent/internal/host"
	"ataraxis.dev/landfall/agent/internal/hostconfig"
	"ataraxis.dev/landfall/agent/internal/journal"
	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/agent/internal/redact"
	"ataraxis.dev/landfall/shared/command"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/git"
	"ataraxis.dev/landfall/shared/identity"
	"ataraxis.dev/landfall/shared/pipeline"
	"ataraxis.dev/landfall/shared/process"
)

// checkOptions are the flags of check.
type checkOptions struct {
	config string
	format string
}

// AddFlags declares the flags.
func (o *checkOptions) AddFlags(f *pflag.FlagSet) {
	f.StringVar(&o.config, "config", hostconfig.DefaultPath, "agent.yaml")
	f.StringVar(&o.format, "format", "text", "text or json")
}

func newCheckCommand(streams command.Streams, secrets *redact.Redactor) *cobra.Command {
	o := &checkOptions{}
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check agent.yaml and the host, change nothing",
		Long: "Check agent.yaml and what it names: identity, socket, state_dir, git, checkout, landfall.yaml, Docker Engine,\n" +
			"Compose, disk and memory. Every finding comes with what to do. Nothing is changed." + command.ExitCodes(0, 1, 2),
		Example: "  landfall-agent check --config /etc/landfall/agent.yaml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runCheck(cmd.Context(), *o, streams, secrets)
		},
	}
	o.AddFlags(cmd.Flags())
	return cmd
}

// finding is the result of one check.
type finding struct {
	Check  string `json:"check"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
}

// checkTimeout bounds each check that asks somebody else.
const checkTimeout = 15 * time.Second

func runCheck(ctx context.Context, o checkOptions, streams command.Streams, secrets *redact.Redactor) error {
	if o.format != "text" && o.format != "json" {
		return fault.New(fault.Invalid, "USAGE", "unknown format %q", o.format).WithHint("use text or json")
	}
	c, err := hostconfig.Load(o.config)
	if err != nil {
		return err
	}
	var findings []finding
	add := func(name, detail string, err error) {
		f := finding{Check: name, OK: err == nil, Detail: detail}
		if err != nil {
			f.Detail = err.Error()
		}
		findings = append(findings, f)
	}
	add("agent.yaml", o.config, nil)
	if told := tells(c.Notify); told != "" {
		add("notify", told, nil) // its files were read with agent.yaml
	}
	checkIdentity(c, add)
	checkSocket(c, add)
	add("state_dir", c.StateDir+" is ours alone to write", journal.Check(c.StateDir))
	checkHost(ctx, c, secrets, add)
	return printFindings(findings, o.format, streams.Out)
}

func checkIdentity(c hostconfig.Config, add func(string, string, error)) {
	source, err := identity.OpenRole(c.Identity, identity.Options{}, identity.RoleAgent)
	if err != nil {
		add("identity", "", err)
		return
	}
	who := source.Identity().Principal
	detail := fmt.Sprintf("%s, valid until %s", who, who.NotAfter.UTC().Format(time.DateOnly))
	if who.ExpiresWithin(identity.EndingSoon, time.Now()) {
		detail += ", which is soon: renew it with landfall-coordinator identity renew NAME, then copy it here"
	}
	if revoked, err := source.Revoked(); err == nil && revoked > 0 {
		detail += fmt.Sprintf("; %d certificates are revoked", revoked)
	}
	add("identity", detail, nil)
}

func checkHost(ctx context.Context, c hostconfig.Config, secrets *redact.Redactor, add func(string, string, error)) {
	log := hclog.NewNullLogger()
	limited := func() (context.Context, context.CancelFunc) { return context.WithTimeout(ctx, checkTimeout) }

	look, done := limited()
	version, err := git.Repo{Dir: "/"}.Version(look)
	done()
	add("git", version, err)

	look, done = limited()
	tree, err := tree(look, c, secrets.Learn, log)
	if err != nil {
		add("checkout", "", err)
	} else {
		checkTree(look, tree, add)
	}
	done()

	look, done = limited()
	checkEngine(look, c, tree, secrets, log, add)
	done()
	gauge := host.Gauge{Dirs: []string{c.Checkout}, MinFree: int64(c.Limits.MinFreeDisk), MinMemory: int64(c.Limits.MinAvailableMemory)}
	add("disk and memory", "above the limits", gauge.Check(ctx))
}

// checkEngine asks Docker and Compose as the checkout's owner, as ourselves where there is no checkout.
func checkEngine(ctx context.Context, c hostconfig.Config, tree *checkout.Checkout, secrets *redact.Redactor, log hclog.Logger, add func(string, string, error)) {
	owner := &process.Owner{UID: uint32(os.Geteuid()), GID: uint32(os.Getegid()), Home: os.Getenv("HOME")}
	if tree != nil {
		owner = tree.Owner()
	}
	runtime, err := runtime(c, owner, log)
	if err != nil {
		add("engine", "", err)
		return
	}
	var known func(context.Context, []string) []string
	if tree != nil {
		known = tree.Known
	}
	runtime.Teach(secrets, known)
	engine, compose, err := runtime.Version(ctx)
	add("engine", fmt.Sprintf("Docker Engine %s, Compose %s", engine, compose), err)
	if err == nil && tree != nil {
		checkPolicy(ctx, c, tree, runtime, add)
	}
	_ = runtime.Close() // it only looked
}

// checkPolicy holds the compose files that are checked out against the policy of agent.yaml, as the proof of a deploy does.
func checkPolicy(ctx context.Context, c hostconfig.Config, tree *checkout.Checkout, runtime *compose.Compose, add func(string, string, error)) {
	head, err := tree.Head(ctx)
	if err != nil {
		return // told already
	}
	config, err := tree.Pipeline(ctx, head)
	if err != nil {
		return // told already
	}
	plan, err := pipeline.Compile(config, pipeline.Input{Target: head, Everything: "a check"})
	if err != nil {
		add("compose files", "", err)
		return
	}
	models, err := runtime.Models(ctx, plan)
	if err != nil {
		add("compose files", "", err)
		return
	}
	now, err := runtime.Look(ctx, nil, nil, true)
	if err != nil {
		add("compose files", "", err)
		return
	}
	refusals, warnings := policy(c).Check(models, tree.Dirs(), now)
	var told []string
	for _, w := range warnings {
		told = append(told, w.Message+" ("+w.Hint+")")
	}
	detail := fmt.Sprintf("%d services", len(picture.Keys(models)))
	if len(told) > 0 {
		detail += "; policy warns: " + strings.Join(told, "; ")
	}
	add("compose files", detail, (picture.Findings{Refusals: refusals}).Err())
}

func checkTree(ctx context.Context, tree *checkout.Checkout, add func(string, string, error)) {
	head, err := tree.Head(ctx)
	add("checkout", fmt.Sprintf("%s at %.12s", tree.Dir, head), err)
	if err != nil {
		return
	}
	config, err := tree.Pipeline(ctx, head)
	if err != nil {
		add(tree.Config, "", err)
		return
	}
	add(tree.Config, fmt.Sprintf("%d stacks, %d flags", len(config.Stacks), len(config.Flags)), nil)
}

// printFindings prints the findings; one that is not good is the command's error.
func printFindings(findings []finding, format string, out io.Writer) error {
	var bad []string
	for _, f := range findings {
		if !f.OK {
			bad = append(bad, f.Check)
		}
		switch {
		case format == "json":
			if err := json.NewEncoder(out).Encode(f); err != nil {
				return err
			}
		case f.OK:
			_, _ = fmt.Fprintf(out, "ok    %s: %s\n", f.Check, f.Detail)
		default:
			_, _ = fmt.Fprintf(out, "FAIL  %s: %s\n", f.Check, f.Detail)
		}
	}
	if len(bad) > 0 {
		return fault.New(fault.Failed, "CHECK_FAILED", "not good: %s", strings.Join(bad, ", "))
	}
	return nil
}

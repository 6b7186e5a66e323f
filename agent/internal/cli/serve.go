package cli

import (
	"cmp"
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"ataraxis.dev/landfall/agent/internal/hostconfig"
	"ataraxis.dev/landfall/agent/internal/redact"
	"ataraxis.dev/landfall/shared/command"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/identity"
	"ataraxis.dev/landfall/shared/version"
)

// serveOptions are the flags of serve.
type serveOptions struct {
	config   string
	logLevel string
}

// AddFlags declares the flags.
func (o *serveOptions) AddFlags(f *pflag.FlagSet) {
	f.StringVar(&o.config, "config", hostconfig.DefaultPath, "agent.yaml")
	f.StringVar(&o.logLevel, "log-level", cmp.Or(os.Getenv("LANDFALL_LOG_LEVEL"), "info"), "trace, debug, info, warn or error [LANDFALL_LOG_LEVEL]")
}

func newServeCommand(streams command.Streams, secrets *redact.Redactor) *cobra.Command {
	o := &serveOptions{}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve the coordinator until stopped",
		Long: "Serve the coordinator over mutually authenticated gRPC, and who is on this host over a socket that asks\n" +
			"the kernel who calls (`socket:` of agent.yaml), until SIGTERM or SIGINT. An operation\n" +
			"that runs then is left in the journal, and the next start takes it up." + command.ExitCodes(0, 1, 2, 5, 6, 7),
		Example: "  landfall-agent serve --config /etc/landfall/agent.yaml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runServe(cmd.Context(), *o, streams, secrets)
		},
	}
	o.AddFlags(cmd.Flags())
	return cmd
}

func runServe(ctx context.Context, o serveOptions, streams command.Streams, secrets *redact.Redactor) error {
	log, err := newLogger(o.logLevel, streams)
	if err != nil {
		return err
	}
	c, err := hostconfig.Load(o.config)
	if err != nil {
		return err
	}
	renewal, err := openRenewal(c)
	if err != nil {
		return err
	}
	var a *agent
	source, err := identity.OpenRole(c.Identity, identity.Options{
		Report:  func(err error) { log.Warn("identity", "error", err) },
		Refused: func(err error) { a.server.Refused(err) }, // nobody is refused before the server serves
		Renewal: renewal,
	}, identity.RoleAgent)
	if err != nil {
		return err
	}
	if a, err = assemble(ctx, c, source, secrets, log); err != nil {
		return err
	}
	warnEnding(source, log)
	if err := teach(ctx, a.tree, a.compose); err != nil {
		log.Warn("secrets of the checkout", "error", err)
	}
	err = serve(ctx, a, c, log)
	return errors.Join(err, a.close())
}

// serve listens, recovers, tells systemd, and serves until ctx ends.
func serve(ctx context.Context, a *agent, c hostconfig.Config, log hclog.Logger) error {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", c.Listen)
	if err != nil {
		if errors.Is(err, syscall.EADDRINUSE) {
			return fault.Wrap(err, fault.Invalid, "PORT_IN_USE", "listen").WithHint("another agent may be running; find it with: ss -ltnp")
		}
		return fault.Wrap(err, fault.Invalid, "LISTEN", "listen")
	}
	local, err := listenLocal(c, a.tree.Owner(), log)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	defer local.close()
	if err := a.engine.Start(); err != nil {
		return errors.Join(err, listener.Close())
	}
	a.teller.Start()
	log.Info("serving", "address", listener.Addr().String(), "version", version.Get().Version, "checkout", c.Checkout, "state_dir", c.StateDir)
	if c.Metrics != "" {
		log.Warn("metrics are configured, but this version serves none", "address", c.Metrics)
	}
	done := make(chan error, 2)
	go func() { done <- a.server.Serve(listener) }()
	go func() { done <- local.serve(ctx, a.server) }()
	tell(log, daemon.SdNotifyReady+"\nSTATUS=serving on "+listener.Addr().String())

	alive, stop := watchdog(log)
	defer stop()
	for {
		select {
		case err := <-done:
			return fault.Wrap(err, fault.Internal, "SERVE", "the server ended")
		case <-alive:
			tell(log, daemon.SdNotifyWatchdog)
		case <-ctx.Done():
			log.Info("stopping")
			tell(log, daemon.SdNotifyStopping)
			a.engine.Close()
			a.server.Stop()
			return errors.Join(<-done, <-done)
		}
	}
}

// openRenewal opens the authority that renews callers' certificates; nil when agent.yaml wants none.
func openRenewal(c hostconfig.Config) (*identity.Renewal, error) {
	if c.Renewal == nil {
		return nil, nil
	}
	// As the journal makes it, which opens later: the checkout's owner passes through it.
	if err := os.MkdirAll(c.StateDir, 0o711); err != nil { //nolint:gosec // see above
		return nil, fault.Wrap(err, fault.Invalid, "STATE_DIR", "make state_dir")
	}
	return identity.OpenRenewal(filepath.Join(c.StateDir, "renewal"), c.Renewal.ValidFor, time.Now())
}

// warnEnding logs that our own certificate ends soon.
func warnEnding(source *identity.Source, log hclog.Logger) {
	if who := source.Identity().Principal; who.ExpiresWithin(identity.EndingSoon, time.Now()) {
		log.Warn("the certificate ends soon", "who", who.String(), "at", who.NotAfter, "renew", "landfall-coordinator identity renew NAME, then copy it here")
	}
}

// tell notifies systemd; without systemd it does nothing (sd_notify(3)).
func tell(log hclog.Logger, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		log.Warn("systemd cannot be told", "error", err)
	}
}

// watchdog ticks twice as often as systemd wants to hear from us (sd_watchdog_enabled(3));
// without a watchdog it never ticks.
func watchdog(log hclog.Logger) (<-chan time.Time, func()) {
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		log.Warn("the watchdog's interval cannot be read", "error", err)
	}
	if interval <= 0 {
		return nil, func() {}
	}
	t := time.NewTicker(interval / 2)
	return t.C, t.Stop
}

// newLogger logs to stderr: JSON when journald listens there (JOURNAL_STREAM, systemd.exec(5)), text else.
func newLogger(level string, streams command.Streams) (hclog.Logger, error) {
	l := hclog.LevelFromString(level)
	if l == hclog.NoLevel {
		return nil, fault.New(fault.Invalid, "USAGE", "%q is no log level", level).WithHint("use trace, debug, info, warn or error")
	}
	return hclog.New(&hclog.LoggerOptions{
		Name: "landfall-agent", Level: l, Output: streams.Err, JSONFormat: os.Getenv("JOURNAL_STREAM") != "",
	}), nil
}

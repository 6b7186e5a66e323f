package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/identity"
)

// identityExitCodes is the part of every identity command's help about exit codes.
const identityExitCodes = `
Exit codes:
  0  done
  1  a file could not be written
  2  wrong usage; something exists already or does not exist; a key that others can read,
     a file that others can write
  6  the CA or the certificate is incomplete or expired; the agent cannot be reached or refused`

// newIdentityCommand makes the commands that keep the private CA and its leaves. They talk
// to an agent only when they are told to: revoke --push, renew --by-agent.
func newIdentityCommand(streams Streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "identity",
		Short: "Keep the private CA and the certificates of agent and clients",
		Long: `Keep the private CA and the certificates by which agent and clients prove who they are.

An identity is a folder with ca.pem, cert.pem and key.pem. The CA's folder holds
ca-key.pem besides; whoever has that file can be anybody, so keep it off the agent.
` + identityExitCodes,
		Example: `  landfall-coordinator identity init --host caroline.local --host 192.168.1.20
  landfall-coordinator identity issue atlas --role deployer`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fault.New(fault.Invalid, "USAGE", "there is no command identity %s", args[0]).
					WithHint("the commands are init, issue, show, renew and revoke")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newIdentityInit(streams), newIdentityIssue(streams), newIdentityShow(streams), newIdentityRenew(streams), newIdentityRevoke(streams))
	return cmd
}

// identityFolder is the --dir flag.
type identityFolder struct{ dir string }

func (f *identityFolder) AddFlags(flags *pflag.FlagSet) {
	flags.StringVar(&f.dir, "dir", "", "folder of the CA and what it issues (default ~/.config/landfall)")
}

// root is the folder; XDG_CONFIG_HOME replaces ~/.config as usual.
func (f *identityFolder) root() (string, error) {
	if f.dir != "" {
		return f.dir, nil
	}
	if config := os.Getenv("XDG_CONFIG_HOME"); filepath.IsAbs(config) {
		return filepath.Join(config, "landfall"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fault.Wrap(err, fault.Invalid, "NO_HOME", "the default folder is unknown").WithHint("name one by --dir")
	}
	return filepath.Join(home, ".config", "landfall"), nil
}

// ca opens the CA below the folder.
func (f *identityFolder) ca() (root string, ca *identity.CA, err error) {
	if root, err = f.root(); err != nil {
		return "", nil, err
	}
	dir := filepath.Join(root, "ca")
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		return "", nil, fault.New(fault.NotFound, identity.ReasonMissing, "there is no CA in %s", dir).
			WithHint("make one: landfall-coordinator identity init")
	}
	ca, err = identity.OpenCA(dir)
	return root, ca, err
}

type identityInit struct {
	identityFolder
	hosts []string
}

func (o *identityInit) AddFlags(flags *pflag.FlagSet) {
	o.identityFolder.AddFlags(flags)
	flags.StringArrayVar(&o.hosts, "host", nil, "host name or address at which the agent is reached; may be repeated")
}

func newIdentityInit(streams Streams) *cobra.Command {
	o := &identityInit{}
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Make the CA and, with --host, the agent's identity",
		Long: `Make the private CA in DIR/ca, valid for ten years, and with --host the identity of
the agent in DIR/agent. Nothing is ever overwritten. The folders made are printed.
` + identityExitCodes,
		Example: `  landfall-coordinator identity init --host caroline.local --host 192.168.1.20`,
		Args:    identityArgs(0, 0, ""),
		RunE:    func(*cobra.Command, []string) error { return o.run(streams, time.Now()) },
	}
	o.AddFlags(cmd.Flags())
	return cmd
}

func (o *identityInit) run(streams Streams, now time.Time) error {
	root, err := o.root()
	if err != nil {
		return err
	}
	ca, err := identity.NewCA(now)
	if err != nil {
		return err
	}
	caDir, agentDir := filepath.Join(root, "ca"), filepath.Join(root, "agent")
	if len(o.hosts) == 0 {
		if err := ca.WriteNew(caDir); err != nil {
			return err
		}
		return printLines(streams, caDir)
	}
	// Everything that can be wrong is found before the first file is written.
	agent, err := ca.Issue(identity.Request{Role: identity.RoleAgent, Name: "agent", Hosts: o.hosts}, now)
	if err != nil {
		return err
	}
	if _, err := os.Lstat(filepath.Join(agentDir, "cert.pem")); err == nil {
		return fault.New(fault.Invalid, identity.ReasonExists, "%s exists and is not overwritten", agentDir).
			WithHint("choose another --dir")
	}
	if err := ca.WriteNew(caDir); err != nil {
		return err
	}
	if err := agent.WriteNew(agentDir); err != nil {
		return err
	}
	if err := identity.Record(caDir, agent); err != nil {
		return err
	}
	fmt.Fprintf(streams.Err, "copy %s to /etc/landfall/identity on the agent's host, then issue a client: landfall-coordinator identity issue NAME --role deployer\n", agentDir)
	return printLines(streams, caDir, agentDir)
}

type identityIssue struct {
	identityFolder
	role     string
	hosts    []string
	validFor time.Duration
	out      string
}

func (o *identityIssue) AddFlags(flags *pflag.FlagSet) {
	o.identityFolder.AddFlags(flags)
	flags.StringVar(&o.role, "role", "", "agent, observer, deployer or operator (required)")
	flags.StringArrayVar(&o.hosts, "host", nil, "host name or address of an agent; may be repeated")
	flags.DurationVar(&o.validFor, "valid-for", identity.DefaultValidity, "how long the certificate is valid")
	flags.StringVar(&o.out, "out", "", "folder of the new identity (default DIR/NAME)")
}

func newIdentityIssue(streams Streams) *cobra.Command {
	o := &identityIssue{}
	cmd := &cobra.Command{
		Use:   "issue NAME --role ROLE",
		Short: "Issue a new identity",
		Long: `Issue a new identity of the CA in DIR/ca and print its folder.

Roles: an observer looks; a deployer also deploys, verifies and rolls back; an operator
also restarts, migrates, pauses and resumes; an agent serves at its --host names.
` + identityExitCodes,
		Example: `  landfall-coordinator identity issue atlas --role deployer
  landfall-coordinator identity issue caroline --role agent --host caroline.local --valid-for 2160h`,
		Args: identityArgs(1, 1, "NAME, the name of the new identity"),
		RunE: func(_ *cobra.Command, args []string) error { return o.run(streams, args[0], time.Now()) },
	}
	o.AddFlags(cmd.Flags())
	return cmd
}

func (o *identityIssue) run(streams Streams, name string, now time.Time) error {
	if o.role == "" {
		return fault.New(fault.Invalid, "USAGE", "the role of %s is missing", name).
			WithHint("add --role agent, observer, deployer or operator")
	}
	if o.validFor <= 0 {
		return fault.New(fault.Invalid, "USAGE", "--valid-for %s is not in the future", o.validFor)
	}
	if name == "ca" {
		return fault.New(fault.Invalid, "USAGE", "the name ca is taken by the CA's own folder")
	}
	root, ca, err := o.ca()
	if err != nil {
		return err
	}
	bundle, err := ca.Issue(identity.Request{
		Role: identity.Role(o.role), Name: name, Hosts: o.hosts, ValidFor: o.validFor,
	}, now)
	if err != nil {
		return err
	}
	out := o.out
	if out == "" {
		out = filepath.Join(root, name)
	}
	if err := bundle.WriteNew(out); err != nil {
		return err
	}
	if err := noteIssued(root, out, ca, bundle); err != nil {
		return err
	}
	return printLines(streams, out)
}

type identityRenew struct {
	identityFolder
	validFor time.Duration
	byAgent  bool
}

func (o *identityRenew) AddFlags(flags *pflag.FlagSet) {
	o.identityFolder.AddFlags(flags)
	flags.DurationVar(&o.validFor, "valid-for", identity.DefaultValidity, "how long the new certificate is valid")
	flags.BoolVar(&o.byAgent, "by-agent", false, "have the agent of --agent renew the identity of --identity over the wire; no CA is needed")
}

func newIdentityRenew(streams Streams) *cobra.Command {
	o := &identityRenew{}
	cmd := &cobra.Command{
		Use:   "renew NAME|DIR",
		Short: "Replace an identity by one with the same role, name and hosts",
		Long: `Replace the certificate and the key of an identity in place; role, name and hosts stay.
NAME is looked for below DIR of --dir. A running agent or coordinator that uses the folder
takes the new files up at its next connection.

With --by-agent the identity of --identity is renewed over the wire by the agent of
--agent, where agent.yaml has renewal: a new key, the same role and name, and a
certificate that this agent alone accepts. The certificate must not have ended yet.
` + identityExitCodes,
		Example: `  landfall-coordinator identity renew agent
  landfall-coordinator identity renew /etc/landfall/identity --valid-for 2160h
  landfall-coordinator identity renew --by-agent --agent caroline:7443 --identity ~/.config/landfall/atlas`,
		Args: func(cmd *cobra.Command, args []string) error {
			if o.byAgent {
				return identityArgs(0, 0, "")(cmd, args)
			}
			return identityArgs(1, 1, "NAME or DIR, the identity to renew")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.byAgent {
				return endOf(cmd).renew(cmd.Context(), streams)
			}
			return o.run(streams, args[0], time.Now())
		},
	}
	o.AddFlags(cmd.Flags())
	return cmd
}

func (o *identityRenew) run(streams Streams, target string, now time.Time) error {
	if o.validFor <= 0 {
		return fault.New(fault.Invalid, "USAGE", "--valid-for %s is not in the future", o.validFor)
	}
	root, ca, err := o.ca()
	if err != nil {
		return err
	}
	dir := target
	if !strings.ContainsRune(target, filepath.Separator) {
		dir = filepath.Join(root, target)
	}
	if _, err := os.Stat(filepath.Join(dir, "cert.pem")); errors.Is(err, os.ErrNotExist) {
		return fault.New(fault.NotFound, identity.ReasonMissing, "there is no identity in %s", dir).
			WithHint("landfall-coordinator identity show lists those below %s", root)
	}
	req, err := identity.Reissue(dir, o.validFor)
	if err != nil {
		return err
	}
	bundle, err := ca.Issue(req, now)
	if err != nil {
		return err
	}
	if err := bundle.Replace(dir); err != nil {
		return err
	}
	if err := noteIssued(root, dir, ca, bundle); err != nil {
		return err
	}
	return printLines(streams, dir)
}

// noteIssued records what was issued and gives its folder the revocation list that there is.
func noteIssued(root, dir string, ca *identity.CA, b identity.Bundle) error {
	caDir := filepath.Join(root, "ca")
	if err := identity.Record(caDir, b); err != nil {
		return err
	}
	list, err := ca.ListOf(caDir)
	if err != nil || list == nil {
		return err
	}
	_, _, err = identity.InstallList(dir, list)
	return err
}

// identityArgs checks the number of arguments; what names the missing one.
func identityArgs(least, most int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return fault.New(fault.Invalid, "USAGE", "%s wants %s", cmd.CommandPath(), what)
		case len(args) > most:
			return fault.New(fault.Invalid, "USAGE", "%s does not know what %q is for", cmd.CommandPath(), args[most])
		}
		return nil
	}
}

func printLines(streams Streams, lines ...string) error {
	if _, err := fmt.Fprintln(streams.Out, strings.Join(lines, "\n")); err != nil {
		return fault.Wrap(err, fault.Failed, "OUTPUT_CLOSED", "print the answer")
	}
	return nil
}

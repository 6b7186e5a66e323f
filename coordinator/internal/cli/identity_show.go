package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"ataraxis.dev/landfall/coordinator/internal/agentclient"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/identity"
)

type identityShow struct {
	identityFolder
	format string
}

func (o *identityShow) AddFlags(flags *pflag.FlagSet) {
	o.identityFolder.AddFlags(flags)
	flags.StringVar(&o.format, "format", "text", "text, or json: one object a line")
}

func newIdentityShow(streams Streams) *cobra.Command {
	o := &identityShow{}
	cmd := &cobra.Command{
		Use:   "show [DIR|CERT.PEM]",
		Short: "Say what an identity is and whether it can be used",
		Long: `Say whose a certificate is, where it may be used, until when, and whether chain and key
are in order. Without an argument everything below DIR of --dir is shown.
` + identityExitCodes,
		Example: `  landfall-coordinator identity show
  landfall-coordinator identity show /etc/landfall/identity --format json`,
		Args: identityArgs(0, 1, ""),
		RunE: func(_ *cobra.Command, args []string) error { return o.run(streams, args, time.Now()) },
	}
	o.AddFlags(cmd.Flags())
	return cmd
}

func (o *identityShow) run(streams Streams, targets []string, now time.Time) error {
	if o.format != "text" && o.format != "json" {
		return fault.New(fault.Invalid, "USAGE", "there is no format %q", o.format).WithHint("the formats are text and json")
	}
	if len(targets) == 0 {
		found, err := o.find()
		if err != nil {
			return err
		}
		targets = found
	}
	var blocks []string
	for _, target := range targets {
		if _, err := os.Stat(target); errors.Is(err, os.ErrNotExist) {
			return fault.Wrap(err, fault.NotFound, identity.ReasonMissing, "there is no identity %s", target).
				WithHint("landfall-coordinator identity show without an argument lists what there is")
		}
		d, err := identity.Describe(target, now)
		if err != nil {
			return err
		}
		block, err := o.render(d)
		if err != nil {
			return err
		}
		blocks = append(blocks, block)
		if left := d.NotAfter.Sub(now); left > 0 && left < identity.EndingSoon {
			fmt.Fprintf(streams.Err, "warning: the certificate of %s/%s ends in %s; renew it with: landfall-coordinator identity renew %s\n", d.Role, d.Name, agentclient.Left(left), d.Name)
		}
	}
	between := "\n\n"
	if o.format == "json" {
		between = "\n"
	}
	return printLines(streams, strings.Join(blocks, between))
}

// find lists the folders below the root that hold a certificate, the CA's first.
func (o *identityShow) find() ([]string, error) {
	root, err := o.root()
	if err != nil {
		return nil, err
	}
	var found []string
	for _, pattern := range []string{"ca/ca-key.pem", "*/cert.pem"} {
		matches, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			return nil, fault.Wrap(err, fault.Invalid, "USAGE", "look for identities in %s", root)
		}
		for _, match := range matches {
			found = append(found, filepath.Dir(match))
		}
	}
	if len(found) == 0 {
		return nil, fault.New(fault.NotFound, identity.ReasonMissing, "there is no identity below %s", root).
			WithHint("make the CA and the agent's: landfall-coordinator identity init --host HOST")
	}
	return found, nil
}

func (o *identityShow) render(d identity.Description) (string, error) {
	if o.format == "json" {
		line, err := json.Marshal(d)
		if err != nil {
			return "", fault.Wrap(err, fault.Internal, "OUTPUT_NOT_ENCODED", "encode the answer")
		}
		return string(line), nil
	}
	return describeText(d), nil
}

func describeText(d identity.Description) string {
	var b strings.Builder
	row := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "\n  %-12s %s", name+":", fmt.Sprintf(format, args...))
	}
	fmt.Fprintf(&b, "%s/%s", d.Role, d.Name)
	row("certificate", "%s", d.Path)
	if len(d.Hosts) > 0 {
		row("hosts", "%s", strings.Join(d.Hosts, ", "))
	}
	row("valid", "from %s to %s, %s", d.NotBefore.Format(time.RFC3339), d.NotAfter.Format(time.RFC3339), daysText(d.DaysLeft))
	row("serial", "%s", d.Serial)
	row("issuer", "%s", d.Issuer)
	row("fingerprint", "sha256 %s", d.Fingerprint)
	row("chain", "%s", okOr(d.ChainOK, d.ChainError))
	row("key", "%s", okOr(d.KeyOK, d.KeyError))
	return b.String()
}

func daysText(days int) string {
	switch {
	case days < 0:
		return fmt.Sprintf("expired %d days ago", -days)
	case days == 1:
		return "1 day left"
	default:
		return fmt.Sprintf("%d days left", days)
	}
}

func okOr(ok bool, why string) string {
	if ok {
		return "ok"
	}
	return why
}

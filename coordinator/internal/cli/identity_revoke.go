package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"ataraxis.dev/landfall/coordinator/internal/agentclient"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/identity"
	"ataraxis.dev/landfall/shared/trust"
)

// deployedAt is where an agent's identity lies on its host unless agent.yaml says otherwise.
const deployedAt = "/etc/landfall/identity"

type identityRevoke struct {
	identityFolder
	serials []string
	push    bool
}

func (o *identityRevoke) AddFlags(flags *pflag.FlagSet) {
	o.identityFolder.AddFlags(flags)
	flags.StringArrayVar(&o.serials, "serial", nil, "serial number in hexadecimal, as identity show prints it; may be repeated")
	flags.BoolVar(&o.push, "push", false, "bring the list to the agent of --agent, as the operator of --identity")
}

func newIdentityRevoke(streams Streams) *cobra.Command {
	o := &identityRevoke{}
	cmd := &cobra.Command{
		Use:   "revoke [NAME|DIR...]",
		Short: "Keep certificates out before they end",
		Long: `Put certificates on the CA's revocation list and print the list's path, DIR/ca/revoked.crl.
NAME means every certificate of that name that the CA has issued and that has not ended,
and whatever its holder has renewed over the wire since. The list is signed by the CA.

It holds on a host as soon as it lies beside the agent's ca.pem: by --push, which an
operator may do over the wire (from the answer on connections and streams end), or by the
command that is printed. Neither needs a restart. Without a name, --push brings the list
that there is. Revoking cannot be undone; issue another certificate.
` + identityExitCodes,
		Example: `  landfall-coordinator identity revoke atlas --push --agent caroline:7443 --identity ~/.config/landfall/ada
  landfall-coordinator identity revoke --serial 3f9a0c`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.run(cmd.Context(), streams, args, endOf(cmd), time.Now())
		},
	}
	o.AddFlags(cmd.Flags())
	return cmd
}

func (o *identityRevoke) run(ctx context.Context, streams Streams, targets []string, end agentEnd, now time.Time) error {
	if len(targets)+len(o.serials) == 0 && !o.push {
		return fault.New(fault.Invalid, "USAGE", "which certificate is revoked?").WithHint("give a NAME, a DIR, or --serial")
	}
	root, ca, err := o.ca()
	if err != nil {
		return err
	}
	caDir := filepath.Join(root, "ca")
	serials := slices.Clone(o.serials)
	for _, target := range targets {
		found, err := serialsOf(root, target, now)
		if err != nil {
			return err
		}
		serials = append(serials, found...)
	}
	list, err := ca.ListOf(caDir)
	if err != nil {
		return err
	}
	if len(serials) > 0 {
		r, err := ca.Revoke(caDir, serials, now)
		if err != nil {
			return err
		}
		list = r.List
		fmt.Fprintf(streams.Err, "revoked %d, which makes %d in list number %s\n", r.Added, r.Revoked, r.Number)
	}
	if list == nil {
		return fault.New(fault.NotFound, identity.ReasonMissing, "nothing was revoked yet, so there is no list to push").WithHint("give a NAME, a DIR, or --serial")
	}
	hosts := spread(streams, root, list)
	path := filepath.Join(caDir, identity.FileRevoked)
	if o.push {
		if err := end.push(ctx, streams, list); err != nil {
			return err
		}
		return printLines(streams, path)
	}
	for _, host := range hosts {
		fmt.Fprintf(streams.Err, "bring it to the agent: landfall-coordinator identity revoke --push --agent %s:7443 --identity OPERATOR\n", host)
		fmt.Fprintf(streams.Err, "or copy it: scp %[1]s root@%[2]s:%[3]s.new && ssh root@%[2]s mv %[3]s.new %[3]s\n", trust.Quote(path), host, deployedAt+"/"+identity.FileRevoked)
	}
	return printLines(streams, path)
}

// serialsOf are the serial numbers that a name or a folder stands for.
func serialsOf(root, target string, now time.Time) ([]string, error) {
	var serials []string
	name, dir := target, filepath.Join(root, target)
	if strings.ContainsRune(target, filepath.Separator) {
		name, dir = "", target
	}
	if _, err := os.Stat(filepath.Join(dir, "cert.pem")); err == nil {
		serial, who, err := identity.Origin(dir)
		if err != nil {
			return nil, err
		}
		serials = append(serials, serial)
		if name == "" {
			name = who.Name
		}
	}
	issued, err := identity.ReadIssued(filepath.Join(root, "ca"))
	if err != nil {
		return nil, err
	}
	for _, i := range issued {
		if _, of, _ := strings.Cut(i.Who, "/"); of == name && name != "" && i.NotAfter.After(now) {
			serials = append(serials, i.Serial)
		}
	}
	if len(serials) == 0 {
		return nil, fault.New(fault.NotFound, identity.ReasonMissing, "no certificate of %s is known here", target).
			WithHint("name its folder, or give --serial: landfall-coordinator identity show CERT.PEM, or the agent's log")
	}
	slices.Sort(serials)
	return slices.Compact(serials), nil
}

// spread puts the list into every identity below root, so that a folder that is copied to
// its host brings it along, and returns a host of each agent.
func spread(streams Streams, root string, list []byte) (hosts []string) {
	certs, _ := filepath.Glob(filepath.Join(root, "*", "cert.pem")) // the pattern is a good one
	for _, cert := range certs {
		dir := filepath.Dir(cert)
		if _, _, err := identity.InstallList(dir, list); err != nil {
			fmt.Fprintf(streams.Err, "warning: the list is not in %s: %v\n", dir, err)
		}
		if d, err := identity.Describe(dir, time.Now()); err == nil && d.Role == string(identity.RoleAgent) && len(d.Hosts) > 0 {
			hosts = append(hosts, d.Hosts[0])
		}
	}
	if len(hosts) == 0 {
		hosts = []string{"HOST"}
	}
	return hosts
}

// agentEnd is the agent, and who we are to it, of the program's own flags.
type agentEnd struct{ agent, identity string }

// endOf reads the flags that every command has.
func endOf(cmd *cobra.Command) agentEnd {
	value := func(flag, variable string) string {
		if f := cmd.Flags().Lookup(flag); f != nil {
			return f.Value.String()
		}
		return os.Getenv(variable)
	}
	return agentEnd{value("agent", "LANDFALL_AGENT"), value("identity", "LANDFALL_IDENTITY")}
}

func (e agentEnd) push(ctx context.Context, streams Streams, list []byte) error {
	client, err := agentclient.Dial(e.agent, e.identity)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }() // the answer is there, or the error is told
	resp, err := client.Revoke(ctx, list)
	if err != nil {
		return err
	}
	verb := "has taken up"
	if !resp.GetChanged() {
		verb = "had"
	}
	fmt.Fprintf(streams.Err, "the agent at %s %s the list: %d certificates are revoked there\n", e.agent, verb, resp.GetRevokedCount())
	return nil
}

// renew renews our own identity over the wire.
func (e agentEnd) renew(ctx context.Context, streams Streams) error {
	client, err := agentclient.Dial(e.agent, e.identity)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }() // as above
	until, err := client.Renew(ctx, e.identity)
	if err != nil {
		return err
	}
	fmt.Fprintf(streams.Err, "renewed until %s; only the agent at %s accepts it\n", until.UTC().Format(time.RFC3339), e.agent)
	return printLines(streams, e.identity)
}

package cli

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/encoding/protojson"

	"ataraxis.dev/landfall/coordinator/internal/agentclient"
	"ataraxis.dev/landfall/coordinator/internal/console"
	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/audit"
	"ataraxis.dev/landfall/shared/boundedfile"
	"ataraxis.dev/landfall/shared/command"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/identity"
)

// maxExport bounds an exported trail, in bytes.
const maxExport = 64 << 20

func newAuditCommand(g *globals) *cobra.Command {
	limit := 50
	cmd := g.look(&cobra.Command{
		Use:   "audit",
		Short: "Show who did what on the host, and who was refused",
		Long: "Show who changed something on the host, or was refused: certificate, address, command, result. The same refusal within a\n" +
			"minute is one entry with a number. The agent keeps the newest 10,000 entries; each carries the hash of the one before.\n\n" +
			"With --format json every entry is one line of JSON: keep them elsewhere, and audit verify --against FILE tells whether\n" +
			"the host still says the same." + command.ExitCodes(0, 2, 6),
		Example: "  landfall-coordinator audit\n  landfall-coordinator audit --format json > trail.jsonl\n  landfall-coordinator audit verify --against trail.jsonl",
		Args:    cobra.NoArgs,
	}, func(ctx context.Context, c *agentclient.Client, _ []string, json bool) error {
		if limit < 0 {
			return fault.New(fault.Invalid, "USAGE", "--limit must not be negative")
		}
		_, entries, err := c.Audit(ctx, 0)
		if err != nil {
			return err
		}
		if json {
			for _, e := range entries {
				if err := console.WriteJSON(g.streams.Out, e); err != nil {
					return err
				}
			}
			return nil
		}
		more := 0
		if limit > 0 {
			more = max(0, len(entries)-limit)
		}
		return console.WriteAudit(g.streams.Out, entries[more:], more, g.style())
	})
	cmd.Flags().IntVar(&limit, "limit", limit, "entries to show as text, the newest ones (0: all)")
	cmd.AddCommand(newAuditVerifyCommand(g))
	return cmd
}

func newAuditVerifyCommand(g *globals) *cobra.Command {
	against := ""
	cmd := g.look(&cobra.Command{
		Use:   "verify",
		Short: "Verify that nobody changed the audit trail",
		Long: "Verify the chain of the audit trail: that every entry follows the one before, and that what was cut off is signed by an agent\n" +
			"of this CA. The first broken link is named, and the exit code is 5. A chain cannot tell that its end was cut off, or that all\n" +
			"of it was written anew by somebody who has the host: for that, compare it with an export that you keep elsewhere (--against).\n" +
			"When the trail was cut after all that the export has, nothing can be compared, and the exit code is 1." + command.ExitCodes(0, 1, 2, 5, 6),
		Example: "  landfall-coordinator audit verify --against trail.jsonl",
		Args:    cobra.NoArgs,
	}, func(ctx context.Context, c *agentclient.Client, _ []string, json bool) error {
		var export []*landfallv1.AuditEntry
		if against != "" {
			var err error
			if export, err = readExport(against); err != nil {
				return err
			}
		}
		checkpoint, entries, err := c.Audit(ctx, 0)
		if err != nil {
			return err
		}
		authorities, err := g.authorities(checkpoint != nil)
		if err != nil {
			return err
		}
		compared, err := verifyTrail(trail{checkpoint, entries, audit.Kept}, export, authorities)
		switch {
		case err != nil:
			return fault.Wrap(err, fault.Degraded, "AUDIT_BROKEN", "the audit trail was tampered with").
				WithHint("do not trust the host before you know how; an export that you kept tells what it said before")
		case against != "" && compared == 0:
			return fault.New(fault.Failed, "AUDIT_NOT_COMPARED", "no entry of %s is left on the host: the chain holds, and nothing tells whether it is the one that was exported", against).
				WithHint("compare with a newer export; export at least every %d entries: landfall-coordinator audit --format json", audit.Kept)
		}
		return tellVerified(g, entries, compared, json)
	})
	cmd.Flags().StringVar(&against, "against", "", "export of the trail (audit --format json) that must still be part of it")
	return cmd
}

// authorities are the CAs of our identity, by which a checkpoint is judged. Without a checkpoint, who came by the local socket
// needs none.
func (g *globals) authorities(needed bool) ([]*x509.Certificate, error) {
	if g.identity == "" && agentclient.IsLocal(g.agent) {
		if needed {
			return nil, fault.New(fault.Invalid, "NO_IDENTITY", "older entries were cut off, and only the CA can tell whether the agent signed for them").
				WithHint("name a folder with its ca.pem, cert.pem and key.pem: --identity DIR")
		}
		return nil, nil
	}
	id, err := identity.LoadFiles(g.identity)
	if err != nil {
		return nil, err
	}
	return id.CAs, nil
}

func tellVerified(g *globals, entries []*landfallv1.AuditEntry, compared int, json bool) error {
	if json {
		var last *landfallv1.AuditEntry
		if n := len(entries); n > 0 {
			last = entries[n-1]
		}
		return console.WriteJSON(g.streams.Out, last)
	}
	sentence := console.Count(len(entries), "record") + ", every one follows the one before"
	if compared > 0 {
		sentence += fmt.Sprintf("; %d of them as they were exported", compared)
	}
	_, err := fmt.Fprintln(g.streams.Out, sentence)
	return err
}

// trail is an audit trail as the agent sent it.
type trail struct {
	checkpoint *landfallv1.AuditCheckpoint // nil when nothing was ever cut off
	entries    []*landfallv1.AuditEntry
	least      int // how many entries an agent leaves behind a checkpoint
}

// verifyTrail verifies a trail: what was cut off by its signature, entries by their chain, that what was exported before is in it, and that no
// more was cut off than an agent cuts off. compared is how many entries of the export were found.
func verifyTrail(t trail, export []*landfallv1.AuditEntry, cas []*x509.Certificate) (compared int, err error) {
	chain := &audit.Chain{}
	if t.checkpoint != nil {
		c := agentclient.AuditCheckpoint(t.checkpoint)
		if err := verifyCheckpoint(c, cas); err != nil {
			return 0, err
		}
		chain = audit.After(c)
	}
	for _, e := range t.entries {
		if err := chain.Next(agentclient.AuditEntry(e)); err != nil {
			return 0, err
		}
	}
	if compared, err = t.compare(export); err != nil {
		return 0, err
	}
	if t.checkpoint != nil && len(t.entries) < t.least {
		return 0, &audit.Broken{Sequence: t.checkpoint.GetSequence(), Why: fmt.Sprintf(
			"all up to it was cut off with %d entries behind it; an agent cuts off what %d entries came after", len(t.entries), t.least)}
	}
	return compared, nil
}

// compare makes sure that what was exported before is still what the trail says, and counts what there was to compare.
func (t trail) compare(export []*landfallv1.AuditEntry) (compared int, err error) {
	hashes := map[uint64]string{}
	if t.checkpoint != nil {
		hashes[t.checkpoint.GetSequence()] = t.checkpoint.GetHash()
	}
	for _, e := range t.entries {
		hashes[e.GetSequence()] = e.GetHash()
	}
	for _, e := range export {
		now, there := hashes[e.GetSequence()]
		switch {
		case !there && e.GetSequence() < t.checkpoint.GetSequence():
			continue // cut off since
		case !there:
			return 0, &audit.Broken{Sequence: e.GetSequence(), Why: "it was exported before, and is not there any more"}
		case now != e.GetHash():
			return 0, &audit.Broken{Sequence: e.GetSequence(), Why: "it is not what was exported before"}
		}
		compared++
	}
	return compared, nil
}

// verifyCheckpoint makes sure that an agent of one of the CAs signed what stands for entries that are gone.
func verifyCheckpoint(c audit.Checkpoint, cas []*x509.Certificate) error {
	broken := func(why string, args ...any) error {
		return &audit.Broken{Sequence: c.Sequence, Why: "what was cut off before it " + fmt.Sprintf(why, args...)}
	}
	leaf, err := x509.ParseCertificate(c.Certificate)
	if err != nil {
		return broken("is signed by no certificate: %v", err)
	}
	roots := x509.NewCertPool()
	for _, ca := range cas {
		roots.AddCert(ca)
	}
	chains, err := leaf.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: c.Time, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	if err != nil {
		return broken("is signed by a stranger: %v", err)
	}
	who, err := identity.PrincipalFromState(tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}, VerifiedChains: chains})
	if err != nil || who.Role != identity.RoleAgent {
		return broken("is not signed by an agent")
	}
	if !c.Signed(leaf.PublicKey) {
		return broken("has a signature that does not fit")
	}
	return nil
}

// readExport reads what audit --format json wrote.
func readExport(file string) ([]*landfallv1.AuditEntry, error) {
	raw, err := boundedfile.Read(file, maxExport)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "EXPORT_UNREADABLE", "read the export")
	}
	var entries []*landfallv1.AuditEntry
	n := 0
	for line := range bytes.Lines(raw) {
		n++
		e := &landfallv1.AuditEntry{}
		if err := protojson.Unmarshal(line, e); err != nil {
			return nil, fault.New(fault.Invalid, "EXPORT_UNREADABLE", "%s:%d is no entry of an audit trail", file, n).
				WithHint("write one with: landfall-coordinator audit --format json")
		}
		entries = append(entries, e)
	}
	return entries, nil
}

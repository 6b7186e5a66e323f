package cli

import (
	"bufio"
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
			"of it was written anew by somebody who has the host: for that, compare it with an export that you keep elsewhere (--against)." +
			command.ExitCodes(0, 2, 5, 6),
		Example: "  landfall-coordinator audit verify --against trail.jsonl",
		Args:    cobra.NoArgs,
	}, func(ctx context.Context, c *agentclient.Client, _ []string, json bool) error {
		var kept []*landfallv1.AuditEntry
		if against != "" {
			var err error
			if kept, err = readExport(against); err != nil {
				return err
			}
		}
		checkpoint, entries, err := c.Audit(ctx, 0)
		if err != nil {
			return err
		}
		id, err := identity.LoadFiles(g.identity)
		if err != nil {
			return err
		}
		if err := verifyTrail(checkpoint, entries, kept, id.CAs); err != nil {
			return fault.Wrap(err, fault.Degraded, "AUDIT_BROKEN", "the audit trail was tampered with").
				WithHint("do not trust the host before you know how; an export that you kept tells what it said before")
		}
		return tellVerified(g, entries, kept, json)
	})
	cmd.Flags().StringVar(&against, "against", "", "export of the trail (audit --format json) that must still be part of it")
	return cmd
}

func tellVerified(g *globals, entries, kept []*landfallv1.AuditEntry, json bool) error {
	if json {
		var last *landfallv1.AuditEntry
		if n := len(entries); n > 0 {
			last = entries[n-1]
		}
		return console.WriteJSON(g.streams.Out, last)
	}
	sentence := console.Count(len(entries), "record") + ", every one follows the one before"
	if len(kept) > 0 {
		sentence += ", and what was exported is among them"
	}
	_, err := fmt.Fprintln(g.streams.Out, sentence)
	return err
}

// verifyTrail verifies a trail: what was cut off by its signature, entries by their chain, and that what was exported before is in it.
func verifyTrail(checkpoint *landfallv1.AuditCheckpoint, entries, kept []*landfallv1.AuditEntry, cas []*x509.Certificate) error {
	chain := &audit.Chain{}
	if checkpoint != nil {
		c := agentclient.AuditCheckpoint(checkpoint)
		if err := verifyCheckpoint(c, cas); err != nil {
			return err
		}
		chain = audit.After(c)
	}
	hashes := map[uint64]string{}
	for _, e := range entries {
		if err := chain.Next(agentclient.AuditEntry(e)); err != nil {
			return err
		}
		hashes[e.GetSequence()] = e.GetHash()
	}
	for _, e := range kept {
		now, there := hashes[e.GetSequence()]
		switch {
		case e.GetSequence() == checkpoint.GetSequence() && e.GetHash() != checkpoint.GetHash():
			return &audit.Broken{Sequence: e.GetSequence(), Why: "it is not what was exported before it was cut off"}
		case e.GetSequence() <= checkpoint.GetSequence():
			continue // cut off since
		case !there:
			return &audit.Broken{Sequence: e.GetSequence(), Why: "it was exported before, and is not there any more"}
		case now != e.GetHash():
			return &audit.Broken{Sequence: e.GetSequence(), Why: "it is not what was exported before"}
		}
	}
	return nil
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
	lines := bufio.NewScanner(bytes.NewReader(raw))
	for n := 1; lines.Scan(); n++ {
		e := &landfallv1.AuditEntry{}
		if err := protojson.Unmarshal(lines.Bytes(), e); err != nil {
			return nil, fault.New(fault.Invalid, "EXPORT_UNREADABLE", "%s:%d is no entry of an audit trail", file, n).
				WithHint("write one with: landfall-coordinator audit --format json")
		}
		entries = append(entries, e)
	}
	if err := lines.Err(); err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "EXPORT_UNREADABLE", "read the export")
	}
	return entries, nil
}

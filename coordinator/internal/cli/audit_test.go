package cli

import (
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/audit"
	"ataraxis.dev/landfall/shared/identity"
)

// issued is an identity of a new CA.
func issued(t *testing.T, ca *identity.CA, role identity.Role) *identity.Identity {
	t.Helper()
	req := identity.Request{Role: role, Name: "test"}
	if role == identity.RoleAgent {
		req.Hosts = []string{"localhost"}
	}
	bundle, err := ca.Issue(req, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "identity")
	if err := bundle.Replace(dir); err != nil {
		t.Fatal(err)
	}
	id, err := identity.LoadFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func newCA(t *testing.T) *identity.CA {
	t.Helper()
	ca, err := identity.NewCA(time.Now().Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

// trailOf is a chain of n entries from behind a checkpoint, as the agent sends it.
func trailOf(after audit.Checkpoint, n int) []*landfallv1.AuditEntry {
	last := audit.Entry{Sequence: after.Sequence, Hash: after.Hash}
	var entries []*landfallv1.AuditEntry
	for i := range n {
		e := audit.Entry{Time: time.Now().Add(time.Duration(i) * time.Second), Who: "operator/test", From: "127.0.0.1:1", Action: "deploy", Subject: fmt.Sprint("op-", i), Result: audit.Done}.Follow(last)
		last = e
		entries = append(entries, &landfallv1.AuditEntry{
			Sequence: e.Sequence, EntryTime: timestamppb.New(e.Time), Who: e.Who, From: e.From, Action: e.Action, Subject: e.Subject,
			Result: e.Result, Reason: e.Reason, Count: e.Count, PreviousHash: e.Previous, Hash: e.Hash,
		})
	}
	return entries
}

func signedCheckpoint(t *testing.T, id *identity.Identity) *landfallv1.AuditCheckpoint {
	t.Helper()
	return signedCheckpointAt(t, id, 40)
}

func signedCheckpointAt(t *testing.T, id *identity.Identity, at uint64) *landfallv1.AuditCheckpoint {
	t.Helper()
	c := audit.Checkpoint{Sequence: at, Hash: audit.Entry{}.Sum(audit.Origin), Time: time.Now().UTC().Truncate(time.Microsecond), Certificate: id.Leaf.Raw}
	c, err := c.Sign(id.Certificate.PrivateKey.(crypto.Signer))
	if err != nil {
		t.Fatal(err)
	}
	return &landfallv1.AuditCheckpoint{Sequence: c.Sequence, Hash: c.Hash, CutTime: timestamppb.New(c.Time), Signature: c.Signature, Certificate: c.Certificate}
}

// TestVerifyNamesTheFirstBrokenLink: whatever is done to a trail of ten entries behind a checkpoint is found, and where.
func TestVerifyNamesTheFirstBrokenLink(t *testing.T) {
	t.Parallel()
	ca := newCA(t)
	agent := issued(t, ca, identity.RoleAgent)
	cut := signedCheckpoint(t, agent)
	whole := trailOf(audit.Checkpoint{Sequence: cut.GetSequence(), Hash: cut.GetHash()}, 10)
	for name, c := range map[string]struct {
		tamper func(c *landfallv1.AuditCheckpoint, e []*landfallv1.AuditEntry) []*landfallv1.AuditEntry
		broken uint64 // 0 when all holds
	}{
		"whole": {func(_ *landfallv1.AuditCheckpoint, e []*landfallv1.AuditEntry) []*landfallv1.AuditEntry { return e }, 0},
		"who": {func(_ *landfallv1.AuditCheckpoint, e []*landfallv1.AuditEntry) []*landfallv1.AuditEntry {
			e[3].Who = "operator/other"
			return e
		}, 44},
		"where from": {func(_ *landfallv1.AuditCheckpoint, e []*landfallv1.AuditEntry) []*landfallv1.AuditEntry {
			e[3].From = "x"
			return e
		}, 44},
		"when": {func(_ *landfallv1.AuditCheckpoint, e []*landfallv1.AuditEntry) []*landfallv1.AuditEntry {
			e[3].EntryTime = timestamppb.Now()
			return e
		}, 44},
		"result": {func(_ *landfallv1.AuditCheckpoint, e []*landfallv1.AuditEntry) []*landfallv1.AuditEntry {
			e[9].Result = "refused"
			return e
		}, 50},
		"count": {func(_ *landfallv1.AuditCheckpoint, e []*landfallv1.AuditEntry) []*landfallv1.AuditEntry {
			e[0].Count = 7
			return e
		}, 41},
		"one removed": {func(_ *landfallv1.AuditCheckpoint, e []*landfallv1.AuditEntry) []*landfallv1.AuditEntry {
			return slices.Delete(e, 4, 5)
		}, 46},
		"first removed": {func(_ *landfallv1.AuditCheckpoint, e []*landfallv1.AuditEntry) []*landfallv1.AuditEntry { return e[1:] }, 42},
		"last removed":  {func(_ *landfallv1.AuditCheckpoint, e []*landfallv1.AuditEntry) []*landfallv1.AuditEntry { return e[:9] }, 50},
		"two swapped": {func(_ *landfallv1.AuditCheckpoint, e []*landfallv1.AuditEntry) []*landfallv1.AuditEntry {
			e[5], e[6] = e[6], e[5]
			return e
		}, 47},
		"written anew": {func(c *landfallv1.AuditCheckpoint, _ []*landfallv1.AuditEntry) []*landfallv1.AuditEntry {
			return trailOf(audit.Checkpoint{Sequence: c.GetSequence(), Hash: c.GetHash()}, 10)
		}, 41},
		"more cut off": {func(c *landfallv1.AuditCheckpoint, e []*landfallv1.AuditEntry) []*landfallv1.AuditEntry {
			c.Sequence, c.Hash = e[4].GetSequence(), e[4].GetHash()
			return e[5:]
		}, 45},
		"written anew, and cut off behind what was exported": {func(c *landfallv1.AuditCheckpoint, _ []*landfallv1.AuditEntry) []*landfallv1.AuditEntry {
			proto.Reset(c)
			proto.Merge(c, signedCheckpointAt(t, agent, 60))
			return trailOf(audit.Checkpoint{Sequence: 60, Hash: c.GetHash()}, 3)
		}, 60},
		"signed by a stranger": {func(c *landfallv1.AuditCheckpoint, e []*landfallv1.AuditEntry) []*landfallv1.AuditEntry {
			proto.Reset(c)
			proto.Merge(c, signedCheckpoint(t, issued(t, newCA(t), identity.RoleAgent)))
			return e
		}, 40},
		"signed by an operator": {func(c *landfallv1.AuditCheckpoint, e []*landfallv1.AuditEntry) []*landfallv1.AuditEntry {
			proto.Reset(c)
			proto.Merge(c, signedCheckpoint(t, issued(t, ca, identity.RoleOperator)))
			return e
		}, 40},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checkpoint := proto.Clone(cut).(*landfallv1.AuditCheckpoint)
			var entries []*landfallv1.AuditEntry
			for _, e := range whole {
				entries = append(entries, proto.Clone(e).(*landfallv1.AuditEntry))
			}
			_, err := verifyTrail(trail{checkpoint, c.tamper(checkpoint, entries), len(whole)}, whole, []*x509.Certificate{agent.CAs[0]})
			var broken *audit.Broken
			switch {
			case c.broken == 0 && err != nil:
				t.Error(err)
			case c.broken != 0 && (!errors.As(err, &broken) || broken.Sequence != c.broken):
				t.Errorf("%v, want entry %d", err, c.broken)
			}
		})
	}
}

// TestNothingToCompareIsNotVerified: whoever has the agent's key can write as many entries as an agent keeps behind a checkpoint of his own; the
// export has no word in it then, and that is told.
func TestNothingToCompareIsNotVerified(t *testing.T) {
	t.Parallel()
	agent := issued(t, newCA(t), identity.RoleAgent)
	exported := trailOf(audit.Checkpoint{}, 10)
	for name, c := range map[string]struct {
		cut  uint64
		want int
	}{"cut after all of it": {60, 0}, "cut at its end": {10, -1}} {
		checkpoint := signedCheckpointAt(t, agent, c.cut)
		anew := trailOf(audit.Checkpoint{Sequence: c.cut, Hash: checkpoint.GetHash()}, 10)
		compared, err := verifyTrail(trail{checkpoint, anew, 10}, exported, agent.CAs)
		if c.want < 0 && err == nil || c.want >= 0 && (err != nil || compared != c.want) {
			t.Errorf("%s: %d compared, %v", name, compared, err)
		}
	}
	compared, err := verifyTrail(trail{nil, exported, 10}, exported[:4], agent.CAs)
	if err != nil || compared != 4 {
		t.Errorf("an honest trail: %d compared, %v", compared, err)
	}
}

// TestExportsOfLongLines: an entry may be as long as it likes.
func TestExportsOfLongLines(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "trail.jsonl")
	entry := trailOf(audit.Checkpoint{}, 1)[0]
	entry.Subject = strings.Repeat("x", 200<<10)
	raw, err := protojson.Marshal(entry)
	if err == nil {
		err = os.WriteFile(file, append(append(raw, '\n'), raw...), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if entries, err := readExport(file); err != nil || len(entries) != 2 {
		t.Errorf("%d entries, %v", len(entries), err)
	}
}

package journal

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"testing"
	"time"

	"ataraxis.dev/landfall/shared/audit"
)

func TestAuditIsAChainThatSurvivesItsCuts(t *testing.T) {
	j := open(t, t.TempDir(), 200)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signed := 0
	sign := func(c audit.Checkpoint) (audit.Checkpoint, error) {
		signed++
		return c.Sign(key)
	}
	cut, entries, last, err := j.Audit(0, 10)
	if cut != nil || len(entries) != 0 || last != 0 || err != nil {
		t.Fatalf("at first: %v, %v, %d, %v", cut, entries, last, err)
	}
	appendAudit := func(n int, sign func(audit.Checkpoint) (audit.Checkpoint, error)) {
		t.Helper()
		for i := range n {
			e := audit.Entry{Time: time.Now(), Who: "operator/ada", Action: "pause", Subject: fmt.Sprint(i), Result: audit.Done}
			if _, err := j.AppendAudit(e, sign); err != nil {
				t.Fatal(err)
			}
		}
	}
	j.db.NoSync = true // thousands of commits; durability is another test's
	appendAudit(keepAudit+slackAudit, sign)
	if signed != 0 {
		t.Error("it was cut before it was too long")
	}
	appendAudit(1, func(c audit.Checkpoint) (audit.Checkpoint, error) { return c, errors.New("no key") })
	if _, entries, _, _ = j.Audit(0, 1); entries[0].Sequence != 1 {
		t.Error("it was cut without a signature")
	}
	appendAudit(1, sign)
	cut, entries, last, err = j.Audit(0, keepAudit+slackAudit)
	if err != nil || cut == nil || signed != 1 || last != keepAudit+slackAudit+2 || len(entries) != keepAudit {
		t.Fatalf("after the cut: %v, %d entries, the last is %d, signed %d times, %v", cut, len(entries), last, signed, err)
	}
	if !cut.Signed(key.Public()) {
		t.Error("the checkpoint's signature does not hold")
	}
	chain := audit.After(*cut)
	for _, e := range entries {
		if err := chain.Next(e); err != nil {
			t.Fatal(err)
		}
	}
	if _, entries, _, _ = j.Audit(last-3, 2); len(entries) != 2 || entries[0].Sequence != last-2 {
		t.Errorf("a page: %v", entries)
	}
}

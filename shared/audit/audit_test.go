package audit_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"ataraxis.dev/landfall/shared/audit"
)

// chain makes entries that follow one another.
func chain(n int) []audit.Entry {
	var entries []audit.Entry
	var last audit.Entry
	for i := range n {
		last = audit.Entry{
			Time: time.Date(2026, 1, 1, 12, 0, i, 123456789, time.FixedZone("x", 3600)), Who: "operator/ada", From: "10.0.0.1:1", Action: "pause", Subject: "op-1",
			Result: audit.Done, Reason: "R",
		}.Follow(last)
		entries = append(entries, last)
	}
	return entries
}

// verify returns the number of the first entry that does not hold, 0 when all do.
func verify(c *audit.Chain, entries []audit.Entry) uint64 {
	for _, e := range entries {
		var broken *audit.Broken
		if err := c.Next(e); errors.As(err, &broken) {
			return broken.Sequence
		}
	}
	return 0
}

func TestChain(t *testing.T) {
	t.Parallel()
	good := chain(10)
	if at := verify(&audit.Chain{}, good); at != 0 {
		t.Fatalf("a good chain breaks at %d", at)
	}
	for name, c := range map[string]struct {
		change func([]audit.Entry) []audit.Entry
		at     uint64
	}{
		"removed":     {func(e []audit.Entry) []audit.Entry { return slices.Delete(e, 4, 5) }, 6},
		"swapped":     {func(e []audit.Entry) []audit.Entry { e[4], e[5] = e[5], e[4]; return e }, 6},
		"doubled":     {func(e []audit.Entry) []audit.Entry { return slices.Insert(e, 4, e[4]) }, 5},
		"first gone":  {func(e []audit.Entry) []audit.Entry { return e[1:] }, 2},
		"made afresh": {func(e []audit.Entry) []audit.Entry { e[3].Who = "x"; e[3].Hash = e[3].Sum(e[3].Previous); return e }, 5},
	} {
		if at := verify(&audit.Chain{}, c.change(slices.Clone(good))); at != c.at {
			t.Errorf("%s: breaks at %d, want %d", name, at, c.at)
		}
	}
}

// TestEveryFieldCounts: none can be changed without notice, also one that is added one day.
func TestEveryFieldCounts(t *testing.T) {
	t.Parallel()
	fields := reflect.TypeFor[audit.Entry]()
	for i := range fields.NumField() {
		entries := chain(3)
		v := reflect.ValueOf(&entries[1]).Elem().Field(i)
		switch v.Kind() {
		case reflect.String:
			v.SetString(v.String() + "x")
		case reflect.Uint64:
			v.SetUint(v.Uint() + 1)
		default:
			v.Set(reflect.ValueOf(entries[1].Time.Add(time.Microsecond)))
		}
		if at := verify(&audit.Chain{}, entries); at == 0 {
			t.Errorf("%s may be changed", fields.Field(i).Name)
		}
	}
}

func TestCheckpoint(t *testing.T) {
	t.Parallel()
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, plain, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	entries := chain(10)
	for _, key := range []crypto.Signer{p256, plain} {
		c, err := audit.Checkpoint{Sequence: 4, Hash: entries[3].Hash, Time: time.Now()}.Sign(key)
		if err != nil || !c.Signed(key.Public()) {
			t.Fatalf("%T: %v", key, err)
		}
		if at := verify(audit.After(c), entries[4:]); at != 0 {
			t.Errorf("behind a checkpoint it breaks at %d", at)
		}
		if at := verify(audit.After(c), entries[5:]); at != 6 {
			t.Errorf("with a gap behind the checkpoint it breaks at %d", at)
		}
		for name, change := range map[string]func(*audit.Checkpoint){
			"sequence": func(c *audit.Checkpoint) { c.Sequence++ }, "hash": func(c *audit.Checkpoint) { c.Hash = audit.Origin },
			"time": func(c *audit.Checkpoint) { c.Time = c.Time.Add(time.Second) }, "signature": func(c *audit.Checkpoint) { c.Signature = slices.Clone(c.Signature); c.Signature[9]++ },
		} {
			other := c
			if change(&other); other.Signed(key.Public()) {
				t.Errorf("%T: the %s may be changed", key, name)
			}
		}
	}
}

// Package audit is a chain of entries of who did what: each carries the hash of the one before it, so that one that was changed, removed or put
// in shows.
//
// It promises that the hash of an entry covers every field of it and everything before it, and that [Verify] names the first entry that does
// not follow. It is pure: the agent's journal keeps the chain, the coordinator verifies it without believing the agent. Start reading at [Entry].
package audit

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"time"
)

// Kept is how many of the newest entries are there however often a trail was cut: fewer behind a checkpoint were never cut by an agent.
const Kept = 10_000

// Entry is one thing that somebody did, or was refused.
type Entry struct {
	Sequence uint64    `json:"sequence"`          // from 1, without gaps
	Time     time.Time `json:"time"`              // the agent's clock
	Who      string    `json:"who"`               // "operator/chris"; "nobody" for a caller without an accepted identity
	From     string    `json:"from"`              // address of the caller: "192.168.1.7:51044"
	Action   string    `json:"action"`            // "deploy", "pause", "/landfall.v1.GitOpsService/Pause"
	Subject  string    `json:"subject,omitempty"` // what it was done to: an operation, a commit
	Result   string    `json:"result"`            // "begun", "done", "refused", "failed"
	Reason   string    `json:"reason,omitempty"`  // of what was refused or failed: "DENIED"
	Count    uint64    `json:"count"`             // how often, of what was refused again and again; else 1
	Previous string    `json:"previous"`          // hash of the entry before, 64 hex digits; of the first 64 zeros
	Hash     string    `json:"hash"`              // of this one, 64 hex digits
}

// The results.
const (
	Begun   = "begun" // it is about to be done; an entry with how it ended follows, unless the agent ended between
	Done    = "done"
	Refused = "refused"
	Failed  = "failed"
)

// Origin is what the first entry of a chain follows.
const Origin = "0000000000000000000000000000000000000000000000000000000000000000"

// Sum is the hash of an entry after the one whose hash is previous.
func (e Entry) Sum(previous string) string {
	h := sha256.New()
	field := func(s string) {
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(s)))
		_, _ = h.Write(length[:]) // a hash takes everything
		_, _ = h.Write([]byte(s)) // likewise
	}
	field("landfall audit 1")
	field(previous)
	field(fmt.Sprint(e.Sequence))
	field(e.Time.UTC().Format(time.RFC3339Nano))
	for _, s := range []string{e.Who, e.From, e.Action, e.Subject, e.Result, e.Reason} {
		field(s)
	}
	field(fmt.Sprint(e.Count))
	return hex.EncodeToString(h.Sum(nil))
}

// Follow makes an entry the next after another; the zero entry stands for none.
func (e Entry) Follow(last Entry) Entry {
	e.Sequence, e.Previous = last.Sequence+1, last.Hash
	if e.Previous == "" {
		e.Previous = Origin
	}
	if e.Count == 0 {
		e.Count = 1
	}
	e.Time = e.Time.UTC().Truncate(time.Microsecond) // what JSON and protobuf both keep
	e.Hash = e.Sum(e.Previous)
	return e
}

// Checkpoint stands for entries that were cut off: the hash of the last of them, signed by the agent.
type Checkpoint struct {
	Sequence  uint64    `json:"sequence"` // of the last entry that was cut off
	Hash      string    `json:"hash"`     // of it
	Time      time.Time `json:"time"`     // when it was cut off
	Signature []byte    `json:"signature"`
	// Certificate is that of the key which signed, in DER.
	Certificate []byte `json:"certificate"`
}

// Message is what the signature of a checkpoint is of.
func (c Checkpoint) Message() []byte {
	return fmt.Appendf(nil, "landfall audit checkpoint 1\n%d\n%s\n%s\n", c.Sequence, c.Hash, c.Time.UTC().Format(time.RFC3339Nano))
}

// Signed checks the signature of a checkpoint by the key of its certificate; whose certificate that is, is for the caller to judge.
func (c Checkpoint) Signed(key crypto.PublicKey) bool {
	digest := sha256.Sum256(c.Message())
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(k, digest[:], c.Signature)
	case ed25519.PublicKey:
		return ed25519.Verify(k, c.Message(), c.Signature)
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(k, crypto.SHA256, digest[:], c.Signature) == nil
	}
	return false
}

// Sign signs a checkpoint by the agent's key.
func (c Checkpoint) Sign(key crypto.Signer) (Checkpoint, error) {
	var err error
	if _, plain := key.Public().(ed25519.PublicKey); plain {
		c.Signature, err = key.Sign(nil, c.Message(), crypto.Hash(0))
		return c, err
	}
	digest := sha256.Sum256(c.Message())
	c.Signature, err = key.Sign(rand.Reader, digest[:], crypto.SHA256)
	return c, err
}

// Broken is the first place where a chain does not hold.
type Broken struct {
	Sequence uint64
	Why      string
}

func (b *Broken) Error() string { return fmt.Sprintf("entry %d: %s", b.Sequence, b.Why) }

// Chain verifies entries as they come, in order. The zero value begins at the origin.
type Chain struct {
	last Entry
}

// After begins behind a checkpoint, whose signature was verified.
func After(c Checkpoint) *Chain { return &Chain{last: Entry{Sequence: c.Sequence, Hash: c.Hash}} }

// Next verifies one entry; the error is a [*Broken].
func (c *Chain) Next(e Entry) error {
	previous := c.last.Hash
	if previous == "" {
		previous = Origin
	}
	switch {
	case e.Sequence != c.last.Sequence+1:
		return &Broken{e.Sequence, fmt.Sprintf("it follows entry %d: one between was removed, or put in", c.last.Sequence)}
	case e.Previous != previous:
		return &Broken{e.Sequence, "it does not follow the entry before it: one of them was changed"}
	case e.Sum(previous) != e.Hash:
		return &Broken{e.Sequence, "it was changed: its hash is another"}
	}
	c.last = e
	return nil
}

// Last is the last entry that held.
func (c *Chain) Last() Entry { return c.last }

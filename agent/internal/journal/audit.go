package journal

import (
	"encoding/json"

	"go.etcd.io/bbolt"

	"ataraxis.dev/landfall/shared/audit"
)

var (
	bucketAudit   = []byte("audit")      // sequence -> audit.Entry as JSON
	keyCheckpoint = []byte("checkpoint") // in bucketMeta: audit.Checkpoint as JSON
)

const (
	// keepAudit is how many entries of the audit trail are kept; slackAudit is how many more there may be before it is cut.
	keepAudit  = audit.Kept
	slackAudit = 500
)

// AppendAudit adds an entry to the audit trail and returns it as it was kept. When the trail is cut, sign signs what stands for the
// entries that go; where it cannot, nothing is cut.
func (j *Journal) AppendAudit(e audit.Entry, sign func(audit.Checkpoint) (audit.Checkpoint, error)) (kept audit.Entry, err error) {
	err = j.update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists(bucketAudit)
		if err != nil {
			return err
		}
		last, err := lastAudit(tx, b)
		if err != nil {
			return err
		}
		kept = e.Follow(last)
		raw, err := json.Marshal(kept)
		if err != nil {
			return err
		}
		if err := b.Put(number(kept.Sequence), raw); err != nil {
			return err
		}
		return cutAudit(tx, b, sign)
	})
	return kept, failed(err)
}

// lastAudit is the newest entry, or what stands for those that were cut; the zero entry when there was never one.
func lastAudit(tx *bbolt.Tx, b *bbolt.Bucket) (last audit.Entry, err error) {
	if _, raw := b.Cursor().Last(); raw != nil {
		return last, json.Unmarshal(raw, &last)
	}
	cut, err := checkpoint(tx)
	if cut != nil {
		last.Sequence, last.Hash = cut.Sequence, cut.Hash
	}
	return last, err
}

func checkpoint(tx *bbolt.Tx) (*audit.Checkpoint, error) {
	raw := tx.Bucket(bucketMeta).Get(keyCheckpoint)
	if raw == nil {
		return nil, nil
	}
	c := &audit.Checkpoint{}
	return c, json.Unmarshal(raw, c)
}

// cutAudit drops the oldest entries of a trail that is too long.
func cutAudit(tx *bbolt.Tx, b *bbolt.Bucket, sign func(audit.Checkpoint) (audit.Checkpoint, error)) error {
	c := b.Cursor()
	_, newest := c.Last()
	_, oldest := c.First()
	var from, to audit.Entry
	if err := json.Unmarshal(newest, &to); err != nil {
		return err
	}
	if err := json.Unmarshal(oldest, &from); err != nil {
		return err
	}
	if to.Sequence-from.Sequence+1 <= keepAudit+slackAudit {
		return nil
	}
	at := to.Sequence - keepAudit
	raw := b.Get(number(at))
	var end audit.Entry
	if err := json.Unmarshal(raw, &end); err != nil {
		return err
	}
	signed, err := sign(audit.Checkpoint{Sequence: at, Hash: end.Hash, Time: to.Time})
	if err != nil {
		return nil //nolint:nilerr // a trail that is too long is better than one that cannot be verified
	}
	for n := from.Sequence; n <= at; n++ {
		if err := b.Delete(number(n)); err != nil {
			return err
		}
	}
	if raw, err = json.Marshal(signed); err != nil {
		return err
	}
	return tx.Bucket(bucketMeta).Put(keyCheckpoint, raw)
}

// Audit lists at most limit entries after a number, in order, with what stands for those that were cut, and the number of the newest.
func (j *Journal) Audit(after uint64, limit int) (cut *audit.Checkpoint, entries []audit.Entry, last uint64, err error) {
	err = j.view(func(tx *bbolt.Tx) error {
		entries, last = nil, 0
		if cut, err = checkpoint(tx); err != nil {
			return err
		}
		if cut != nil {
			last = cut.Sequence
		}
		b := tx.Bucket(bucketAudit)
		if b == nil {
			return nil
		}
		c := b.Cursor()
		for k, raw := c.Seek(number(after + 1)); k != nil && len(entries) < limit; k, raw = c.Next() {
			var e audit.Entry
			if err := json.Unmarshal(raw, &e); err != nil {
				return err
			}
			entries = append(entries, e)
		}
		if _, raw := c.Last(); raw != nil {
			var newest audit.Entry
			if err := json.Unmarshal(raw, &newest); err != nil {
				return err
			}
			last = newest.Sequence
		}
		return nil
	})
	return cut, entries, last, failed(err)
}

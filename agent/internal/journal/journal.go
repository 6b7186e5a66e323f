// Package journal keeps the agent's durable record on the host's disk.
//
// It promises that what a method has returned survives a power cut, that a record is never
// silently empty (a file that cannot be read is an error, never a fresh start), that
// only one agent at a time holds a state directory. The operations live in journal.db
// (bbolt); the stamp and the two sentinels are plain files that operators can read.
// Start reading at [Open].
package journal

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"sync"
	"time"

	"ataraxis.dev/landfall/agent/internal/ports"

	"github.com/hashicorp/go-hclog"
	"go.etcd.io/bbolt"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/shared/fault"
)

// schemaVersion is the version of what journal.db holds. An agent refuses a newer one.
const schemaVersion = 1

// The buckets. Keys of records and events are big-endian numbers, so that their order is the order of time.
var (
	bucketMeta     = []byte("meta")
	bucketRecords  = []byte("records")  // number -> operation.Operation as JSON
	bucketIDs      = []byte("ids")      // operation ID -> number
	bucketCommands = []byte("commands") // command ID -> number
	bucketEvents   = []byte("events")   // number -> bucket of sequence -> operation.Event as JSON

	keyVersion = []byte("version")
)

// Journal is the record of one state directory. Safe for concurrent use.
type Journal struct {
	db   *bbolt.DB
	lock *lock
	dir  string
	keep int
	log  hclog.Logger
	disk disk

	handTTL time.Duration // how long a pause lasts that somebody made by hand

	sentinels sync.Mutex // held from the look at a sentinel to its replacement
}

var (
	_ ports.Journal   = (*Journal)(nil)
	_ ports.Records   = (*Journal)(nil)
	_ ports.Stamp     = (*Journal)(nil)
	_ ports.Sentinels = (*Journal)(nil)
)

// Open takes the state directory's lock and opens its journal, making both when they do
// not exist. keep is how many ended operations are kept. The caller closes it.
func Open(dir string, keep int, log hclog.Logger) (*Journal, error) {
	return openOn(realDisk(), dir, keep, log)
}

func openOn(d disk, dir string, keep int, log hclog.Logger) (*Journal, error) {
	if err := d.makeDir(dir); err != nil {
		return nil, fault.Wrap(err, fault.Invalid, reasonStateDir, "make state_dir")
	}
	tightened, err := guard(dir, true)
	if err != nil {
		return nil, err
	}
	if len(tightened) > 0 {
		log.Named("journal").Warn("files in state_dir could be read by others, and cannot any more", "files", tightened)
	}
	lock, err := takeLock(filepath.Join(dir, "lock"))
	if err != nil {
		return nil, err
	}
	j := &Journal{lock: lock, dir: dir, keep: keep, log: log.Named("journal"), disk: d, handTTL: defaultPauseTTL}
	if err := j.guarded(j.open); err != nil {
		_ = lock.release() // the reason it is given up is err
		return nil, err
	}
	return j, nil
}

// Close closes the file and gives up the lock.
func (j *Journal) Close() error { return errors.Join(j.db.Close(), j.lock.release()) }

// Dir is the state directory.
func (j *Journal) Dir() string { return j.dir }

// Create implements ports.Journal.
func (j *Journal) Create(first operation.Event) (op operation.Operation, created bool, err error) {
	err = j.update(func(tx *bbolt.Tx) error {
		created = false
		if known := tx.Bucket(bucketCommands).Get([]byte(first.Accepted.CommandID)); known != nil {
			return load(tx, known, &op)
		}
		n, err := tx.Bucket(bucketRecords).NextSequence()
		if err != nil {
			return err
		}
		op = operation.Fold(newID(n), n, []operation.Event{first})
		if err := j.index(tx, op); err != nil {
			return err
		}
		if err := put(tx, op, []operation.Event{first}); err != nil {
			return err
		}
		created = true
		return j.prune(tx)
	})
	return op, created, failed(err)
}

// Known implements ports.Journal.
func (j *Journal) Known(commandID string) (op operation.Operation, known bool, err error) {
	err = j.view(func(tx *bbolt.Tx) error {
		key := tx.Bucket(bucketCommands).Get([]byte(commandID))
		if key == nil {
			return nil
		}
		known = true
		return load(tx, key, &op)
	})
	return op, known, failed(err)
}

func (j *Journal) index(tx *bbolt.Tx, op operation.Operation) error {
	if err := tx.Bucket(bucketIDs).Put([]byte(op.ID), number(op.Number)); err != nil {
		return err
	}
	if err := tx.Bucket(bucketCommands).Put([]byte(op.CommandID), number(op.Number)); err != nil {
		return err
	}
	_, err := tx.Bucket(bucketEvents).CreateBucket(number(op.Number))
	return err
}

// Append implements ports.Journal.
func (j *Journal) Append(id string, events []operation.Event) error {
	return failed(j.update(func(tx *bbolt.Tx) error {
		var op operation.Operation
		if err := load(tx, tx.Bucket(bucketIDs).Get([]byte(id)), &op); err != nil {
			return err
		}
		for _, e := range events {
			if e.Sequence != op.LastSequence+1 {
				return fmt.Errorf("event %d of %s does not follow event %d", e.Sequence, id, op.LastSequence)
			}
			op.Apply(e)
		}
		return put(tx, op, events)
	}))
}

// put writes a record and its new events.
func put(tx *bbolt.Tx, op operation.Operation, events []operation.Event) error {
	bucket := tx.Bucket(bucketEvents).Bucket(number(op.Number))
	bucket.FillPercent = 0.9 // sequences only grow: nothing is inserted in between
	for _, e := range events {
		raw, err := json.Marshal(e)
		if err != nil {
			return err
		}
		if err := bucket.Put(number(e.Sequence), raw); err != nil {
			return err
		}
	}
	raw, err := json.Marshal(op)
	if err != nil {
		return err
	}
	return tx.Bucket(bucketRecords).Put(number(op.Number), raw)
}

// maxPage is how many bytes of events one look takes, and one event more: what a watcher who does not read makes us hold.
const maxPage = 256 << 10

// Events implements ports.Journal. It may return less than limit before the end; nothing at all only there.
func (j *Journal) Events(id string, after uint64, limit int) ([]operation.Event, error) {
	var events []operation.Event
	if after == math.MaxUint64 {
		return nil, nil // nothing follows the last number there is
	}
	err := j.view(func(tx *bbolt.Tx) error {
		n := tx.Bucket(bucketIDs).Get([]byte(id))
		if n == nil {
			return unknown(id)
		}
		c, size := tx.Bucket(bucketEvents).Bucket(n).Cursor(), 0
		for k, v := c.Seek(number(after + 1)); k != nil && len(events) < limit && size < maxPage; k, v = c.Next() {
			size += len(v)
			var e operation.Event
			if err := json.Unmarshal(v, &e); err != nil {
				return fmt.Errorf("event %d of %s: %w", binary.BigEndian.Uint64(k), id, err)
			}
			events = append(events, e)
		}
		return nil
	})
	return events, failed(err)
}

// failed classifies an error of the database; a fault passes through.
func failed(err error) error {
	var f *fault.Error
	if err == nil || errors.As(err, &f) {
		return err
	}
	return fault.Wrap(err, fault.Degraded, "JOURNAL_FAILED", "use the journal").WithHint("check the disk that holds state_dir")
}

func unknown(id string) error {
	return fault.New(fault.NotFound, "UNKNOWN_OPERATION", "there is no operation %q", id).WithHint("list them with: landfall-coordinator history")
}

func number(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

package journal

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"ataraxis.dev/landfall/agent/internal/ports"

	"go.etcd.io/bbolt"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/shared/fault"
)

// newID names an operation: its number, and a suffix that keeps it apart from an
// operation of the same number in a journal that was moved aside.
func newID(n uint64) string {
	return fmt.Sprintf("op-%d-%s", n, strings.ToLower(rand.Text()[:6]))
}

// load reads the record with a key; a nil key is an operation nobody knows.
func load(tx *bbolt.Tx, key []byte, op *operation.Operation) error {
	raw := tx.Bucket(bucketRecords).Get(key)
	if key == nil || raw == nil {
		return unknown("")
	}
	return json.Unmarshal(raw, op)
}

// Operation implements ports.Records.
func (j *Journal) Operation(id string) (operation.Operation, error) {
	var op operation.Operation
	err := j.view(func(tx *bbolt.Tx) error {
		key, err := find(tx, id)
		if err != nil {
			return err
		}
		return load(tx, key, &op)
	})
	return op, failed(err)
}

// find resolves an identifier, a number or a unique beginning; "" is the newest.
func find(tx *bbolt.Tx, id string) ([]byte, error) {
	if id == "" {
		if key, _ := tx.Bucket(bucketRecords).Cursor().Last(); key != nil {
			return key, nil
		}
		return nil, fault.New(fault.NotFound, "NO_OPERATION", "there is no operation yet")
	}
	if key := tx.Bucket(bucketIDs).Get([]byte(id)); key != nil {
		return key, nil
	}
	// "42" and "op-42" name one operation, whatever others begin with the same letters.
	if n, err := strconv.ParseUint(strings.TrimPrefix(id, "op-"), 10, 64); err == nil && tx.Bucket(bucketRecords).Get(number(n)) != nil {
		return number(n), nil
	}
	var found []byte
	c := tx.Bucket(bucketIDs).Cursor()
	for k, v := c.Seek([]byte(id)); k != nil && bytes.HasPrefix(k, []byte(id)); k, v = c.Next() {
		if found != nil {
			return nil, fault.New(fault.Invalid, "AMBIGUOUS_OPERATION", "more than one operation begins with %q", id)
		}
		found = v
	}
	if found == nil {
		return nil, unknown(id)
	}
	return found, nil
}

// Operations implements ports.Records.
func (j *Journal) Operations(before uint64, limit int) ([]operation.Operation, error) {
	var ops []operation.Operation
	err := j.view(func(tx *bbolt.Tx) error {
		c := tx.Bucket(bucketRecords).Cursor()
		k, v := c.Last()
		if before > 0 {
			if at, _ := c.Seek(number(before)); at != nil {
				k, v = c.Prev()
			} else {
				k, v = c.Last()
			}
		}
		for ; k != nil && len(ops) < limit; k, v = c.Prev() {
			var op operation.Operation
			if err := json.Unmarshal(v, &op); err != nil {
				return fmt.Errorf("operation %d: %w", binary.BigEndian.Uint64(k), err)
			}
			ops = append(ops, op)
		}
		return nil
	})
	return ops, failed(err)
}

// Unfinished implements ports.Records.
func (j *Journal) Unfinished() ([]operation.Operation, error) {
	var ops []operation.Operation
	err := j.view(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketRecords).ForEach(func(k, v []byte) error {
			var op operation.Operation
			if err := json.Unmarshal(v, &op); err != nil {
				return fmt.Errorf("operation %d: %w", binary.BigEndian.Uint64(k), err)
			}
			if !op.State.Terminal() {
				ops = append(ops, op)
			}
			return nil
		})
	})
	return ops, failed(err)
}

// prune drops the oldest ended operations beyond the number to keep. What is still
// needed stays whatever its age: one that runs, the last successful one, the one whose commit is blocked.
func (j *Journal) prune(tx *bbolt.Tx) error {
	blocked, err := j.Blocked()
	if err != nil {
		return err
	}
	ended, successful := 0, false
	c := tx.Bucket(bucketRecords).Cursor()
	var drop []operation.Operation
	for k, v := c.Last(); k != nil; k, v = c.Prev() {
		var op operation.Operation
		if err := json.Unmarshal(v, &op); err != nil {
			return fmt.Errorf("operation %d: %w", binary.BigEndian.Uint64(k), err)
		}
		if !op.State.Terminal() {
			continue
		}
		needed := slices.ContainsFunc(blocked, func(b ports.Blocked) bool { return b.Operation == op.ID }) || (deployed(op) && !successful)
		successful = successful || deployed(op)
		if ended++; ended > j.keep && !needed {
			drop = append(drop, op)
		}
	}
	for _, op := range drop {
		if err := remove(tx, op); err != nil {
			return err
		}
	}
	return nil
}

// deployed reports whether an operation brought the host to the commit that it wanted: what runs is known by the last of these.
func deployed(op operation.Operation) bool { return op.State == operation.Succeeded && op.Kind.Moves() }

func remove(tx *bbolt.Tx, op operation.Operation) error {
	if err := tx.Bucket(bucketEvents).DeleteBucket(number(op.Number)); err != nil {
		return err
	}
	if err := tx.Bucket(bucketIDs).Delete([]byte(op.ID)); err != nil {
		return err
	}
	if err := tx.Bucket(bucketCommands).Delete([]byte(op.CommandID)); err != nil {
		return err
	}
	return tx.Bucket(bucketRecords).Delete(number(op.Number))
}

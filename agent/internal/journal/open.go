package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
	"golang.org/x/sys/unix"

	"ataraxis.dev/landfall/shared/fault"
)

const (
	fileJournal = "journal.db"
	fileFresh   = "journal.db.new" // a journal that is being made
)

// open opens the file, making it when there is none.
func (j *Journal) open() error {
	path := filepath.Join(j.dir, fileJournal)
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		err = j.make(path)
	case err == nil:
		err = whole(path, info.Size())
	}
	if err != nil {
		return unreadable(path, err)
	}
	db, err := bbolt.Open(path, 0o600, options())
	if err != nil {
		return unreadable(path, err)
	}
	if err := db.View(checkVersion); err != nil {
		_ = db.Close() // the reason it is given up is err
		var f *fault.Error
		if errors.As(err, &f) {
			return err
		}
		return unreadable(path, err)
	}
	j.db = db
	return nil
}

func options() *bbolt.Options {
	return &bbolt.Options{Timeout: time.Second, FreelistType: bbolt.FreelistMapType, OpenFile: openPlain}
}

// openPlain opens no link.
func openPlain(name string, flag int, perm os.FileMode) (*os.File, error) {
	return os.OpenFile(name, flag|unix.O_NOFOLLOW, perm)
}

// make makes an empty journal under another name and renames it, so that a file of the
// right name is never one that an interrupted start left half made.
func (j *Journal) make(path string) error {
	fresh := filepath.Join(j.dir, fileFresh)
	if err := j.disk.removeFile(fresh); err != nil {
		return err
	}
	db, err := bbolt.Open(fresh, 0o600, options())
	if err != nil {
		return err
	}
	if err := errors.Join(db.Update(prepare), db.Close()); err != nil {
		return err
	}
	if err := os.Rename(fresh, path); err != nil {
		return err
	}
	return j.disk.syncDir(j.dir)
}

// whole checks that the file is as long as it says itself. bbolt maps the file into
// memory and would take an empty one for a new one, a shortened one for the kernel's
// bus error. Reading only the two meta pages is safe: bbolt checks that they are there.
func whole(path string, size int64) error {
	if size == 0 {
		return errors.New("it is empty")
	}
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: time.Second, ReadOnly: true, OpenFile: openPlain})
	if err != nil {
		return err
	}
	err = db.View(func(tx *bbolt.Tx) error {
		if size < tx.Size() {
			return fmt.Errorf("it has %d bytes, of %d it needs at least", size, tx.Size())
		}
		return nil
	})
	return errors.Join(err, db.Close())
}

func unreadable(path string, err error) error {
	switch {
	case errors.Is(err, os.ErrPermission):
		return fault.Wrap(err, fault.Invalid, reasonStateDir, "open the journal").WithHint("state_dir must belong to the user the agent runs as")
	case errors.Is(err, berrors.ErrTimeout):
		return fault.New(fault.Refused, "HOST_LOCKED", "%s is held by another process", path)
	}
	return fault.Wrap(err, fault.Degraded, "JOURNAL_BROKEN", "%s cannot be read", path).
		WithHint("move it aside and start again; the history is lost, the stamp and the sentinels are not")
}

// prepare makes the buckets of a new file.
func prepare(tx *bbolt.Tx) error {
	for _, name := range [][]byte{bucketMeta, bucketRecords, bucketIDs, bucketCommands, bucketEvents} {
		if _, err := tx.CreateBucket(name); err != nil {
			return err
		}
	}
	return tx.Bucket(bucketMeta).Put(keyVersion, number(schemaVersion))
}

// checkVersion refuses a file that a newer agent wrote, or none of ours.
func checkVersion(tx *bbolt.Tx) error {
	meta := tx.Bucket(bucketMeta)
	if meta == nil {
		return errors.New("it is no journal of an agent")
	}
	raw := meta.Get(keyVersion)
	if len(raw) != 8 {
		return errors.New("it has no version")
	}
	if v := binary.BigEndian.Uint64(raw); v > schemaVersion {
		return fault.New(fault.Invalid, "JOURNAL_NEWER", "the journal has version %d, this agent knows %d", v, schemaVersion).
			WithHint("a newer agent wrote it; install that version again")
	}
	return nil
}

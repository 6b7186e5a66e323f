package journal

import (
	"fmt"
	"path/filepath"
	"runtime/debug"

	"go.etcd.io/bbolt"

	"ataraxis.dev/landfall/shared/fault"
)

// view and update run a transaction on pages that a failing disk may have damaged. bbolt
// panics on a page that is not what it should be, and reading behind the end of a shortened
// file is a memory fault; both become an error that says what to do.

func (j *Journal) view(do func(*bbolt.Tx) error) error {
	return j.guarded(func() error { return j.db.View(do) })
}

func (j *Journal) update(do func(*bbolt.Tx) error) error {
	return j.guarded(func() error { return j.db.Update(do) })
}

func (j *Journal) guarded(transaction func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true)) // of this goroutine only
	defer func() {
		if damage := recover(); damage != nil {
			path := filepath.Join(j.dir, "journal.db")
			j.log.Error("journal is damaged", "file", path, "panic", fmt.Sprint(damage), "stack", string(debug.Stack()))
			err = fault.New(fault.Degraded, "JOURNAL_BROKEN", "%s is damaged: %v", path, damage).
				WithHint("move it aside and start again; the history is lost, the stamp and the sentinels are not")
		}
	}()
	return transaction()
}

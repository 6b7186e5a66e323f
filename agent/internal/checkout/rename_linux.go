package checkout

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// renameNew renames a file inside a folder and never replaces one (renameat2(2)). File systems that
// cannot promise that are asked first; nobody but the checkout's users makes files there.
func renameNew(parent *os.File, from, to string) error {
	fd := int(parent.Fd())
	err := unix.Renameat2(fd, from, fd, to, unix.RENAME_NOREPLACE)
	if !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOSYS) {
		return err
	}
	return renameAsked(fd, from, to)
}

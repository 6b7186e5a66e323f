package checkout

import (
	"errors"
	"io/fs"

	"golang.org/x/sys/unix"
)

// renameAsked renames after it looked whether the new name is free.
func renameAsked(folder int, from, to string) error {
	var stat unix.Stat_t
	err := unix.Fstatat(folder, to, &stat, unix.AT_SYMLINK_NOFOLLOW)
	if err == nil {
		return fs.ErrExist
	}
	if !errors.Is(err, unix.ENOENT) {
		return err
	}
	return unix.Renameat(folder, from, folder, to)
}

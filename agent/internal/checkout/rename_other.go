//go:build !linux

package checkout

import "os"

// renameNew renames a file inside a folder and does not replace one that is there.
func renameNew(parent *os.File, from, to string) error {
	return renameAsked(int(parent.Fd()), from, to)
}

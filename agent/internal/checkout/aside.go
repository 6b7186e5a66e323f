package checkout

import (
	"errors"
	"io/fs"
	"path"
	"strconv"

	"ataraxis.dev/landfall/shared/fault"
)

// longestName is the longest name of a file on the file systems of Linux, in bytes (NAME_MAX).
const longestName = 255

// maxAside is how many names are tried.
const maxAside = 1000

// aside gives what lies at a path another name in the same folder and returns that. It copies
// nothing, so a folder of any size costs nothing and programs that have files of it open
// keep them; and it never takes the place of anything that is there.
func (d *disk) aside(from, operation string) (string, error) {
	folder, base := path.Dir(from), path.Base(from)
	parent, err := d.root.Open(folder)
	if err != nil {
		return "", asideFault(err, from)
	}
	defer func() { _ = parent.Close() }() // only names in it were changed
	for n := 1; n <= maxAside; n++ {
		suffix := ".landfall-saved-" + operation
		if n > 1 {
			suffix += "-" + strconv.Itoa(n)
		}
		to := base[:min(len(base), longestName-len(suffix))] + suffix
		err := renameNew(parent, base, to)
		if err == nil {
			return path.Join(folder, to), nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return "", asideFault(err, from)
		}
	}
	return "", asideFault(errors.New("every name for it is taken"), from)
}

func asideFault(err error, from string) error {
	return fault.Wrap(err, fault.Failed, "ASIDE_FAILED", "%q is in the way of the commit's own and cannot be renamed", from).
		WithHint("move it away by hand, a mounted file system by unmounting it; then try again")
}

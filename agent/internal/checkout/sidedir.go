package checkout

import (
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/trust"
)

// sideDir makes the folder of the side tree. It belongs to the checkout's owner, who works
// in it, and to nobody else: a checkout that others cannot read is not to be read there.
// What lies there already is judged like it, and never through a link.
func (c *Checkout) sideDir() (err error) {
	defer func() {
		if err != nil {
			err = fault.Wrap(err, fault.Failed, "SIDE_TREE", "make the folder for the side tree")
		}
	}()
	if err := os.MkdirAll(filepath.Dir(c.SideDir), 0o711); err != nil { //nolint:gosec // the checkout's owner, who may be another user, enters it
		return err
	}
	if err := os.Mkdir(c.SideDir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	dir, err := os.OpenFile(c.SideDir, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_DIRECTORY, 0)
	if err != nil {
		return fault.Wrap(err, fault.Failed, "SIDE_TREE", "it is no folder of ours").WithHint("look at it, then move it away: mv %[1]s %[1]s.old", trust.Quote(c.SideDir))
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	info, err := dir.Stat()
	if err != nil {
		return err
	}
	owner, known := trust.Owner(info)
	if known && owner != 0 && owner != os.Geteuid() && owner != int(c.owner.UID) {
		return fault.New(fault.Failed, "SIDE_TREE", "%s belongs to user %d, who is neither the checkout's owner nor us", c.SideDir, owner).
			WithHint("look at what it holds, then move it away: mv %[1]s %[1]s.old", trust.Quote(c.SideDir))
	}
	if known && c.Git.Credential != nil && owner != int(c.owner.UID) {
		if err := dir.Chown(int(c.owner.UID), int(c.owner.GID)); err != nil {
			return err
		}
	}
	return dir.Chmod(0o700)
}

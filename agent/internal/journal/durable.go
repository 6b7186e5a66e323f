package journal

import (
	"errors"
	"os"
	"path/filepath"
)

// disk makes changes of files outlive a power cut. The two calls on which that rests are fields,
// so that a test can count them and make them fail.
type disk struct {
	syncFile func(*os.File) error
	syncDir  func(dir string) error
}

func realDisk() disk { return disk{syncFile: (*os.File).Sync, syncDir: syncDir} }

// replaceFile puts content in place of a file so that after a power cut either the old
// or the new content is there, whole: temporary file beside it, fsync, rename, fsync of the directory.
func (d disk) replaceFile(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	err = d.fill(f, content)
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return d.syncDir(filepath.Dir(path))
}

func (d disk) fill(f *os.File, content []byte) error {
	_, err := f.Write(content)
	if err == nil {
		err = f.Chmod(0o600) // a block's reason quotes what programs said; root's scripts read it all the same
	}
	if err == nil {
		err = d.syncFile(f)
	}
	return errors.Join(err, f.Close())
}

// removeFile removes a file durably; one that is not there is no error.
func (d disk) removeFile(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return d.syncDir(filepath.Dir(path))
}

// makeDir makes a folder and those above it that are missing, durably: each new one is an entry of
// its parent, which is synced. The files inside are worth nothing when their folder is gone.
func (d disk) makeDir(dir string) error {
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		return nil
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := d.makeDir(parent); err != nil {
			return err
		}
	}
	// The checkout's owner enters the side tree by it, and has no business with the rest.
	err := os.Mkdir(dir, 0o711) //nolint:gosec // see above
	if errors.Is(err, os.ErrExist) {
		if info, statErr := os.Stat(dir); statErr == nil && info.IsDir() {
			err = nil // another agent was faster; the lock decides between us
		}
	}
	if err != nil {
		return err
	}
	return d.syncDir(parent)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

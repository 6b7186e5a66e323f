package checkout

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// syncfs writes out the file system that a folder is on (syncfs(2)). Kernels before 5.8 do not
// report errors of the disk here.
func syncfs(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(unix.Syncfs(int(f.Fd())), f.Close())
}

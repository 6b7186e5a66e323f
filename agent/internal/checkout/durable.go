package checkout

import (
	"context"
	"os"
	"syscall"

	"ataraxis.dev/landfall/shared/fault"
)

// settle returns when everything that was written to the checkout is on its disk. Git
// syncs what is its own (core.fsync) and never the files of the working tree; so the
// whole file system is synced, once, and that of git's folders where it is another one.
func (c *Checkout) settle(ctx context.Context) error {
	own, common, err := c.repo.Dirs(ctx)
	if err != nil {
		return err
	}
	done := map[uint64]bool{}
	for _, dir := range []string{c.Dir, own, common} {
		info, err := os.Stat(dir)
		if err != nil {
			return syncFault(err, dir)
		}
		if stat, ok := info.Sys().(*syscall.Stat_t); ok {
			device := uint64(stat.Dev) //nolint:unconvert // another type elsewhere than on linux
			if done[device] {
				continue
			}
			done[device] = true
		}
		if err := c.syncfs(dir); err != nil {
			return syncFault(err, dir)
		}
	}
	return nil
}

func syncFault(err error, dir string) error {
	return fault.Wrap(err, fault.Failed, "SYNC_FAILED", "the disk did not confirm what was written to %s", dir).
		WithHint("look at the disk: dmesg tells of its errors; the step is safe to repeat")
}

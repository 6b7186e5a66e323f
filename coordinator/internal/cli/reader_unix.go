//go:build unix

package cli

import (
	"context"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// readerLook is the pause between two looks whether somebody still reads.
const readerLook = 500 * time.Millisecond

// watchReader calls gone when nobody reads what is written to a pipe any more: without it, who follows a silent service would find out
// with the next line. It ends with ctx.
func watchReader(ctx context.Context, out *os.File, gone func()) {
	info, err := out.Stat()
	if err != nil || info.Mode()&os.ModeNamedPipe == 0 {
		return
	}
	raw, err := out.SyscallConn()
	if err != nil {
		return
	}
	looks := time.NewTicker(readerLook)
	defer looks.Stop()
	for {
		closed := false
		err := raw.Control(func(fd uintptr) {
			fds := []unix.PollFd{{Fd: int32(fd)}} // POLLERR, or POLLHUP on BSD, is told without being asked for (poll(2))
			n, err := unix.Poll(fds, 0)
			closed = err == nil && n > 0 && fds[0].Revents&(unix.POLLERR|unix.POLLHUP) != 0
		})
		if closed {
			gone()
		}
		if closed || err != nil {
			return
		}
		select {
		case <-looks.C:
		case <-ctx.Done():
			return
		}
	}
}

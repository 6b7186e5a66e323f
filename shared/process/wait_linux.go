package process

import (
	"errors"

	"golang.org/x/sys/unix"
)

// waitExit returns when our child pid has exited, and leaves it a zombie.
func waitExit(pid int) {
	for errors.Is(unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil), unix.EINTR) {
	}
}

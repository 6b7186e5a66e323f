package process

import (
	"syscall"
	"unsafe"
)

// Constants of <sys/wait.h> that package syscall does not name on darwin.
const (
	idTypePID = 1 // P_PID
	wExited   = 0x4
	wNoWait   = 0x20
)

// waitExit returns when our child pid has exited, and leaves it a zombie. The system
// call is the one that package os makes for the same purpose.
func waitExit(pid int) {
	var siginfo [16]uint64 // siginfo_t is 104 bytes; its content is not needed
	for {
		_, _, errno := syscall.Syscall6(syscall.SYS_WAITID, idTypePID, uintptr(pid),
			uintptr(unsafe.Pointer(&siginfo)), //nolint:gosec // G103: the kernel fills a buffer that lives on our stack
			wExited|wNoWait, 0, 0)
		if errno != syscall.EINTR {
			return
		}
	}
}

package host

import (
	"bufio"
	"bytes"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"ataraxis.dev/landfall/shared/fault"
)

// DiskFree is the space that unprivileged users can have on the file system of dir, in bytes.
func DiskFree(dir string) (uint64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, fault.Wrap(err, fault.Failed, "DISK_UNKNOWN", "free space of %s", dir)
	}
	return s.Bavail * uint64(s.Bsize), nil
}

// MemoryAvailable is the kernel's estimate of memory that can be had without swapping
// (MemAvailable, proc_meminfo(5)), in bytes; known is false where there is none.
func MemoryAvailable() (available uint64, known bool) {
	raw, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, false
	}
	lines := bufio.NewScanner(bytes.NewReader(raw))
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) >= 2 && fields[0] == "MemAvailable:" {
			kib, err := strconv.ParseUint(fields[1], 10, 64)
			return kib << 10, err == nil
		}
	}
	return 0, false
}

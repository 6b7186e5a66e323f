package compose

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// processes are processes of a command inside a container, each with its start in clock ticks since boot: numbers are used again.
// They are remembered, because who loses its parent is nobody's child any more.
type processes map[int]int64

// add adds a process and what it has started, when it is really one of that container.
func (p *processes) add(pid int, containerID string) {
	groups, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if pid <= 1 || err != nil || !strings.Contains(string(groups), containerID) {
		return
	}
	if *p == nil {
		*p = processes{}
	}
	children := map[int][]int{}
	table := map[int]stat{}
	names, _ := filepath.Glob("/proc/[0-9]*") // no malformed pattern, the only error
	for _, name := range names {
		child, err := strconv.Atoi(filepath.Base(name))
		if err != nil {
			continue
		}
		if s, there := statOf(child); there {
			table[child] = s
			children[s.parent] = append(children[s.parent], child)
		}
	}
	for queue := []int{pid}; len(queue) > 0; queue = queue[1:] {
		if s, there := table[queue[0]]; there {
			(*p)[queue[0]] = s.started
		}
		queue = append(queue, children[queue[0]]...)
	}
}

// alive lists those that have not ended, youngest first.
func (p processes) alive() []int {
	var pids []int
	for pid, started := range p {
		if s, there := statOf(pid); there && s.started == started && !s.ended {
			pids = append(pids, pid)
		}
	}
	slices.SortFunc(pids, func(a, b int) int { return cmp.Compare(p[b], p[a]) })
	return pids
}

// stat is what proc_pid_stat(5) tells of a process.
type stat struct {
	parent  int
	started int64 // clock ticks since boot
	ended   bool  // nobody has asked for its exit code yet
}

func statOf(pid int) (s stat, there bool) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return s, false
	}
	fields := strings.Fields(string(raw[strings.LastIndexByte(string(raw), ')')+1:])) // from the third on: a name may hold anything
	const state, parent, started = 0, 1, 19                                           // fields 3, 4 and 22
	if len(fields) <= started {
		return s, false
	}
	s.ended = fields[state] == "Z" || fields[state] == "X"
	if s.parent, err = strconv.Atoi(fields[parent]); err != nil {
		return s, false
	}
	s.started, err = strconv.ParseInt(fields[started], 10, 64)
	return s, err == nil
}

// tick is the unit of times in /proc: USER_HZ is 100 on every architecture that Go knows (sysconf(3), _SC_CLK_TCK).
const tick = 10 * time.Millisecond

// startOf is when a process started, the zero time where that cannot be told.
func startOf(pid int) time.Time {
	s, there := statOf(pid)
	var boot unix.Timespec
	if !there || unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot) != nil {
		return time.Time{}
	}
	return time.Now().Add(time.Duration(s.started)*tick - time.Duration(boot.Nano()))
}

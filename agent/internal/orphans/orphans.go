// Package orphans finds the children that a dead agent left running.
//
// Every child of an operation carries the operation's ID in its environment, and its own
// children inherit it; so they are found whatever became of their parent. It promises to
// end those of the one operation it is asked about, whole process groups at a time.
// Start reading at [Orphans.End].
package orphans

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"

	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/process"
)

// Variable names the operation in the environment of every child.
const Variable = "LANDFALL_OPERATION"

const (
	// grace is how long orphans have between SIGTERM and SIGKILL.
	grace = 5 * time.Second
	// gone is how long we wait for killed ones to leave the process table.
	gone = 5 * time.Second
	// look is how often we see whether they are gone.
	look = 50 * time.Millisecond
)

// Orphans ends what dead agents left. The zero value is not usable; see [New].
type Orphans struct {
	proc string // /proc
	log  hclog.Logger
}

var _ ports.Orphans = (*Orphans)(nil)

// New finds processes through the kernel's process table in /proc (proc(5)). A system
// without one has no orphans that we could find.
func New(log hclog.Logger) *Orphans { return &Orphans{proc: "/proc", log: log.Named("orphans")} }

// Mark implements ports.Orphans.
func (o *Orphans) Mark(ctx context.Context, id string) context.Context {
	return process.WithEnv(ctx, Variable+"="+id)
}

// End implements ports.Orphans.
func (o *Orphans) End(ctx context.Context, id string) (int, error) {
	found := o.find(id)
	if len(found) == 0 {
		return 0, nil
	}
	o.log.Warn("ending children of a dead agent", "operation", id, "processes", found)
	o.signal(found, syscall.SIGTERM)
	if o.wait(ctx, id, grace) {
		return len(found), nil
	}
	o.signal(o.find(id), syscall.SIGKILL)
	if o.wait(ctx, id, gone) {
		return len(found), nil
	}
	return len(found), fault.New(fault.Degraded, "ORPHANS_LEFT", "children of %s are still running and cannot be ended: processes %v", id, o.find(id)).
		WithHint("end them by hand, then restart the agent")
}

// wait reports whether no process of the operation is left within the time.
func (o *Orphans) wait(ctx context.Context, id string, within time.Duration) bool {
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		if len(o.find(id)) == 0 {
			return true
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			return false
		case <-ctx.Done():
			return false
		}
	}
}

// find lists the processes of an operation, in ascending order, zombies and ourselves excluded.
func (o *Orphans) find(id string) []int {
	wanted := []byte(Variable + "=" + id)
	entries, err := filepath.Glob(filepath.Join(o.proc, "[0-9]*"))
	if err != nil {
		return nil // only of a malformed pattern
	}
	var found []int
	for _, dir := range entries {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil || pid == os.Getpid() {
			continue
		}
		environ, err := os.ReadFile(filepath.Join(dir, "environ")) // empty for a zombie, refused for a stranger's
		if err == nil && slices.ContainsFunc(bytes.Split(environ, []byte{0}), func(v []byte) bool { return bytes.Equal(v, wanted) }) {
			found = append(found, pid)
		}
	}
	slices.Sort(found)
	return found
}

// signal signals each process's group, unless it is our own.
func (o *Orphans) signal(pids []int, sig syscall.Signal) {
	own, err := syscall.Getpgid(os.Getpid())
	if err != nil {
		own = 0
	}
	done := map[int]bool{}
	for _, pid := range pids {
		group, err := syscall.Getpgid(pid)
		switch {
		case err != nil: // gone since
		case group == own || group <= 1:
			o.kill(pid, sig)
		case !done[group]:
			done[group] = true
			o.kill(-group, sig)
		}
	}
}

func (o *Orphans) kill(pid int, sig syscall.Signal) {
	if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		o.log.Warn("cannot signal", "process", pid, "signal", sig.String(), "error", err)
	}
}

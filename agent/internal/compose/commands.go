package compose

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/shared/fault"
)

const (
	// commandGrace is how long a command inside a container has between SIGTERM and SIGKILL.
	commandGrace = 5 * time.Second
	// commandPatience is how long one that we may not end is waited for.
	commandPatience = 10 * time.Minute
	commandLook     = 100 * time.Millisecond
)

// innerCommand is a command that runs inside a container.
type innerCommand struct {
	container string
	service   string
	exec      string // the engine's ID of it
	words     []string
}

func (c innerCommand) String() string {
	return fmt.Sprintf("%s in %s", strings.Join(c.words, " "), c.service)
}

// endCommands ends, or waits for, the commands inside containers of projects that began after a moment: what a script or a step that
// was cut off has left there. Those of health checks are the engine's.
func (c *Compose) endCommands(ctx context.Context, cut ports.Cut, out ports.Output) error {
	var errs []error
	for _, project := range cut.Projects {
		list, err := c.list(ctx, project)
		if err != nil {
			return err
		}
		for _, s := range list {
			left, err := c.commandsIn(ctx, s, cut.Began)
			errs = append(errs, err)
			for _, command := range left {
				errs = append(errs, c.endCommand(ctx, command, out))
			}
		}
	}
	return errors.Join(errs...)
}

// commandsIn lists the commands that run in a container since a moment.
func (c *Compose) commandsIn(ctx context.Context, s container.Summary, since time.Time) ([]innerCommand, error) {
	look, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	answer, err := c.docker.ContainerInspect(look, s.ID)
	if cerrdefs.IsNotFound(err) {
		return nil, nil
	} else if err != nil {
		return nil, engineFault(err)
	}
	var found []innerCommand
	for _, id := range answer.ExecIDs {
		exec, err := c.docker.ContainerExecInspect(look, id)
		if cerrdefs.IsNotFound(err) {
			continue
		} else if err != nil {
			return nil, engineFault(err)
		}
		words := c.words(look, id)
		if !exec.Running || isHealthCheck(answer, words) || startOf(exec.Pid).Before(since.Add(-time.Second)) {
			continue
		}
		found = append(found, innerCommand{s.ID, s.Labels[labelService], id, words})
	}
	return found, nil
}

// words is the command line of an exec, as far as the engine tells it.
func (c *Compose) words(ctx context.Context, exec string) []string {
	answer, err := c.docker.ContainerExecInspect(ctx, exec)
	if err != nil || answer.Pid == 0 {
		return nil
	}
	raw, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(answer.Pid), "cmdline"))
	if err != nil {
		return []string{"a command"}
	}
	return strings.Split(strings.TrimRight(string(raw), "\x00"), "\x00")
}

// isHealthCheck reports whether a command is the container's own health check.
func isHealthCheck(a container.InspectResponse, words []string) bool {
	if a.Config == nil || a.Config.Healthcheck == nil || len(a.Config.Healthcheck.Test) == 0 {
		return false
	}
	test := a.Config.Healthcheck.Test
	if test[0] == "CMD-SHELL" {
		return len(words) > 0 && words[len(words)-1] == test[len(test)-1]
	}
	return slices.Equal(words, test[1:])
}

// endCommand ends a command inside a container, and waits for its end. Where we may not end it, it is waited for.
func (c *Compose) endCommand(ctx context.Context, left innerCommand, out ports.Output) error {
	began, signalled, said := time.Now(), time.Time{}, false
	for {
		exec, err := c.docker.ContainerExecInspect(ctx, left.exec)
		switch {
		case cerrdefs.IsNotFound(err):
			return nil
		case err != nil:
			return engineFault(err)
		case !exec.Running:
			if said {
				out(operation.Stdout, left.String()+" has ended", false)
			}
			return nil
		}
		sig := syscall.SIGTERM
		if !signalled.IsZero() && time.Since(signalled) > commandGrace {
			sig = syscall.SIGKILL
		}
		if signalled.IsZero() || sig == syscall.SIGKILL {
			if may := signalInside(exec.Pid, left.container, sig); may && signalled.IsZero() {
				signalled = time.Now()
			}
		}
		if !said {
			said = true
			out(operation.Stdout, left.String()+" still runs; "+whatNow(signalled), false)
		}
		patience := commandPatience
		if !signalled.IsZero() {
			patience = 3 * commandGrace
		}
		if time.Since(began) > patience {
			return fault.New(fault.Degraded, "LEFT_RUNNING", "%s does not end", left).WithHint("end it by hand: docker restart %.12s", left.container)
		}
		select {
		case <-time.After(commandLook):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func whatNow(signalled time.Time) string {
	if signalled.IsZero() {
		return "it is waited for, because only root may end it"
	}
	return "it is ended"
}

// signalInside signals a process of a container and its children, when it is really one of that container: process numbers are used again.
func signalInside(pid int, containerID string, sig syscall.Signal) bool {
	if pid <= 1 {
		return false
	}
	groups, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cgroup"))
	if err != nil || !strings.Contains(string(groups), containerID) {
		return false
	}
	may := false
	for _, p := range append(descendants(pid), pid) {
		may = syscall.Kill(p, sig) == nil || may
	}
	return may
}

// descendants lists the processes that a process has started, and theirs.
func descendants(pid int) []int {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return nil
	}
	var found []int
	for _, field := range strings.Fields(string(raw)) {
		if child, err := strconv.Atoi(field); err == nil {
			found = append(append(found, descendants(child)...), child)
		}
	}
	return found
}

// startOf is when a process started, the zero time where that cannot be told; proc_pid_stat(5), field 22 in ticks of 1/100 s since boot.
func startOf(pid int) time.Time {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return time.Time{}
	}
	_, after, _ := strings.Cut(string(raw), ") ")
	fields := strings.Fields(after)
	const startField = 22 - 3
	if len(fields) <= startField {
		return time.Time{}
	}
	ticks, err := strconv.ParseInt(fields[startField], 10, 64)
	if err != nil {
		return time.Time{}
	}
	uptime, err := os.ReadFile("/proc/uptime")
	if err != nil {
		return time.Time{}
	}
	seconds, err := strconv.ParseFloat(strings.Fields(string(uptime))[0], 64)
	if err != nil {
		return time.Time{}
	}
	boot := time.Now().Add(-time.Duration(seconds * float64(time.Second)))
	return boot.Add(time.Duration(ticks) * 10 * time.Millisecond)
}

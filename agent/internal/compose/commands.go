package compose

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"

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
// was cut off has left there. Those of health checks are the engine's, and those with a terminal are a person's.
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
	answer, err := c.inspect(ctx, s.ID)
	if cerrdefs.IsNotFound(err) {
		return nil, nil
	} else if err != nil {
		return nil, engineFault(err)
	}
	var found []innerCommand
	for _, id := range answer.ExecIDs {
		exec, err := c.exec(ctx, id)
		if cerrdefs.IsNotFound(err) {
			continue
		} else if err != nil {
			return nil, engineFault(err)
		}
		if !exec.Running || exec.Config.Tty || isHealthCheck(answer, exec.words()) || startOf(exec.Pid).Before(since.Add(-time.Second)) {
			continue
		}
		found = append(found, innerCommand{s.ID, s.Labels[labelService], id, exec.words()})
	}
	return found, nil
}

// execState is what the engine tells of a command (GET /exec/ID/json). The client's own type leaves out what was started.
type execState struct {
	Running  bool
	ExitCode int
	Pid      int // as the engine's host numbers it
	Config   struct {
		Tty        bool     `json:"tty"`
		Entrypoint string   `json:"entrypoint"`
		Arguments  []string `json:"arguments"`
	} `json:"ProcessConfig"`
}

func (e execState) words() []string {
	return append([]string{e.Config.Entrypoint}, e.Config.Arguments...)
}

// exec asks for a command.
func (c *Compose) exec(ctx context.Context, id string) (state execState, err error) {
	look, cancel := context.WithTimeout(ctx, c.lookTimeout)
	defer cancel()
	host, err := client.ParseHostURL(c.docker.DaemonHost())
	if err != nil {
		return state, err
	}
	address := "http://" + client.DummyHost
	if host.Scheme == "tcp" {
		address = "http://" + host.Host + host.Path
		if os.Getenv(client.EnvOverrideCertPath) != "" { // as the client does (client.WithTLSClientConfigFromEnv)
			address = "https://" + host.Host + host.Path
		}
	}
	request, err := http.NewRequestWithContext(look, http.MethodGet, address+"/exec/"+id+"/json", nil)
	if err != nil {
		return state, err
	}
	answer, err := c.docker.HTTPClient().Do(request)
	if err != nil {
		return state, err
	}
	defer func() { _ = answer.Body.Close() }() // only read
	switch {
	case answer.StatusCode == http.StatusNotFound:
		return state, fmt.Errorf("exec %s: %w", id, cerrdefs.ErrNotFound)
	case answer.StatusCode != http.StatusOK:
		return state, fmt.Errorf("exec %s: the engine answers %s", id, answer.Status)
	}
	return state, json.NewDecoder(answer.Body).Decode(&state)
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

// freeze stops processes and finds what they started until then: who is stopped starts nothing more, and can be ended with all of it.
func (c *Compose) freeze(started *processes, containerID string) {
	for known := -1; known != len(*started); {
		known = len(*started)
		alive := started.alive()
		c.signal(alive, syscall.SIGSTOP)
		for _, pid := range alive {
			started.add(pid, containerID)
		}
	}
}

// endCommand ends a command inside a container with all that it has started, and waits for their end. Where we may not end it, it is waited for.
func (c *Compose) endCommand(ctx context.Context, left innerCommand, out ports.Output) error {
	began, said := time.Now(), false
	var signalled time.Time
	var started processes
	for {
		exec, err := c.exec(ctx, left.exec)
		switch {
		case err != nil && !cerrdefs.IsNotFound(err):
			return engineFault(err)
		case exec.Running:
			started.add(exec.Pid, left.container)
		}
		alive := started.alive()
		if !exec.Running && (len(alive) == 0 || signalled.IsZero()) {
			if said {
				out(operation.Stdout, left.String()+" has ended", false)
			}
			return nil
		}
		switch {
		case signalled.IsZero():
			if c.signal(alive, syscall.SIGTERM) {
				signalled = time.Now()
			}
		case time.Since(signalled) > commandGrace:
			c.freeze(&started, left.container)
			c.signal(started.alive(), syscall.SIGKILL)
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

// signal signals processes. It reports whether we may.
func (c *Compose) signal(pids []int, sig syscall.Signal) (may bool) {
	for _, pid := range pids {
		may = c.kill(pid, sig) == nil || may
	}
	return may
}

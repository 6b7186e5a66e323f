package compose

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/pkg/stdcopy"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
)

// The labels that Compose gives its containers.
const (
	labelProject = "com.docker.compose.project"
	labelService = "com.docker.compose.service"
	labelOneOff  = "com.docker.compose.oneoff" // "True" for `docker compose run`
	labelConfig  = "com.docker.compose.config-hash"
)

// inspectors is how many containers are inspected side by side.
const inspectors = 8

// list lists the containers of a compose project, ended ones included.
func (c *Compose) list(ctx context.Context, project string) ([]container.Summary, error) {
	look, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	all, err := c.docker.ContainerList(look, container.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("label", labelProject+"="+project))})
	if err != nil {
		return nil, engineFault(err)
	}
	return slices.DeleteFunc(all, func(s container.Summary) bool { return s.Labels[labelOneOff] == "True" }), nil
}

// Services implements operation.Inspector.
func (c *Compose) Services(ctx context.Context, plan *pipeline.Plan, stacks []string) ([]operation.Service, error) {
	return c.services(ctx, plan, stacks, c.model)
}

// configured is where the configuration of a stack comes from.
type configured func(context.Context, *pipeline.Plan, pipeline.Stack) (model, error)

func (c *Compose) services(ctx context.Context, plan *pipeline.Plan, stacks []string, from configured) ([]operation.Service, error) {
	var services []operation.Service
	for _, stack := range plan.Stacks {
		if len(stacks) > 0 && !slices.Contains(stacks, stack.Name) {
			continue
		}
		m, err := from(ctx, plan, stack)
		if err != nil {
			return nil, err
		}
		of, err := c.servicesOf(ctx, stack, m)
		if err != nil {
			return nil, err
		}
		services = append(services, of...)
	}
	operation.SortServices(services)
	return services, nil
}

func (c *Compose) servicesOf(ctx context.Context, stack pipeline.Stack, m model) ([]operation.Service, error) {
	list, err := c.list(ctx, m.Name)
	if err != nil {
		return nil, err
	}
	details, err := c.inspect(ctx, list)
	if err != nil {
		return nil, err
	}
	var services []operation.Service
	for name, configured := range m.Services {
		s := operation.Service{
			Stack: stack.Name, Project: m.Name, Name: name, Image: configured.Image, Replicas: configured.replicas(),
			OneShot: configured.Restart == "" || configured.Restart == "no" || strings.HasPrefix(configured.Restart, "on-failure"),
		}
		for i, summary := range list {
			if summary.Labels[labelService] == name && details[i] != nil {
				s.Containers = append(s.Containers, details[i].Container)
			}
		}
		slices.SortFunc(s.Containers, func(a, b operation.Container) int { return strings.Compare(a.Name, b.Name) })
		services = append(services, s)
	}
	return services, nil
}

// detail is a container with the name of the image it was created from.
type detail struct {
	operation.Container
	ref string
}

// inspect reads the details of containers; nil stands for one that is gone by now.
func (c *Compose) inspect(ctx context.Context, list []container.Summary) ([]*detail, error) {
	look, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	details, errs := make([]*detail, len(list)), make([]error, len(list))
	places := make(chan struct{}, inspectors)
	var group sync.WaitGroup
	for i, summary := range list {
		group.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			answer, err := c.docker.ContainerInspect(look, summary.ID)
			switch {
			case cerrdefs.IsNotFound(err):
			case err != nil:
				errs[i] = engineFault(err)
			default:
				details[i] = &detail{Container: *containerOf(answer)}
				if answer.Config != nil {
					details[i].ref = answer.Config.Image
				}
			}
		})
	}
	group.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return details, nil
}

// containerOf reads the engine's answer.
func containerOf(a container.InspectResponse) *operation.Container {
	c := &operation.Container{ID: a.ID, Name: strings.TrimPrefix(a.Name, "/"), ImageID: a.Image, Restarts: a.RestartCount}
	if a.State == nil {
		return c
	}
	c.State, c.ExitCode, c.OOMKilled = a.State.Status, a.State.ExitCode, a.State.OOMKilled
	if started, err := time.Parse(time.RFC3339Nano, a.State.StartedAt); err == nil && started.Year() > 1 {
		c.Started = started
		if a.State.Running {
			c.Up = time.Since(started)
		}
	}
	if h := a.State.Health; h != nil {
		c.Health = h.Status
		if len(h.Log) > 0 {
			c.HealthLog = strings.Join(strings.Fields(h.Log[len(h.Log)-1].Output), " ")
		}
	}
	return c
}

// running finds the first running container of a service.
func (c *Compose) running(ctx context.Context, plan *pipeline.Plan, stackName, service string) (string, error) {
	stack, ok := plan.Stack(stackName)
	if !ok {
		return "", fault.New(fault.Invalid, "UNKNOWN_STACK", "there is no stack %q", stackName)
	}
	m, err := c.model(ctx, plan, stack)
	if err != nil {
		return "", err
	}
	list, err := c.list(ctx, m.Name)
	if err != nil {
		return "", err
	}
	for _, s := range list {
		if s.Labels[labelService] == service && s.State == "running" {
			return s.ID, nil
		}
	}
	return "", fault.New(fault.Failed, "NOT_RUNNING", "service %s of stack %s has no running container", service, stackName)
}

// Exec implements operation.Inspector. When ctx ends we stop waiting; the engine has no
// way to end a command that it has started.
func (c *Compose) Exec(ctx context.Context, plan *pipeline.Plan, exec pipeline.Exec, out operation.Output) (int, error) {
	id, err := c.running(ctx, plan, exec.Stack, exec.Service)
	if err != nil {
		return 0, err
	}
	created, err := c.docker.ContainerExecCreate(ctx, id, container.ExecOptions{Cmd: exec.Command, User: exec.User, AttachStdout: true, AttachStderr: true})
	if err != nil {
		return 0, engineFault(err)
	}
	attached, err := c.docker.ContainerExecAttach(ctx, created.ID, container.ExecAttachOptions{})
	if err != nil {
		return 0, engineFault(err)
	}
	defer attached.Close()
	stop := context.AfterFunc(ctx, attached.Close) // a read from the engine knows no context
	defer stop()

	stdout, stderr := &lineWriter{stream: operation.Stdout, out: out}, &lineWriter{stream: operation.Stderr, out: out}
	_, err = stdcopy.StdCopy(stdout, stderr, attached.Reader)
	stdout.flush()
	stderr.flush()
	if ctx.Err() != nil {
		return 0, fault.Wrap(context.Cause(ctx), fault.Deadline, "EXEC_DEADLINE", "%s in %s did not end in time", strings.Join(exec.Command, " "), exec.Service)
	}
	if err != nil {
		return 0, engineFault(err)
	}
	answer, err := c.docker.ContainerExecInspect(ctx, created.ID)
	if err != nil {
		return 0, engineFault(err)
	}
	return answer.ExitCode, nil
}

// LastLines implements operation.Inspector.
func (c *Compose) LastLines(ctx context.Context, id string, lines int) ([]string, error) {
	look, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	logs, err := c.docker.ContainerLogs(look, id, container.LogsOptions{ShowStdout: true, ShowStderr: true, Tail: fmt.Sprint(lines)})
	if err != nil {
		return nil, engineFault(err)
	}
	defer func() { _ = logs.Close() }() // only read
	var got []string
	collect := func(_ operation.Stream, text string, _ bool) { got = append(got, text) }
	stdout, stderr := &lineWriter{out: collect}, &lineWriter{out: collect}
	limited := io.LimitReader(logs, 1<<20)
	if info, inspectErr := c.docker.ContainerInspect(look, id); inspectErr == nil && info.Config != nil && info.Config.Tty {
		_, err = io.Copy(stdout, limited) // a terminal has one stream, and no frames
	} else {
		_, err = stdcopy.StdCopy(stdout, stderr, limited)
	}
	if err != nil && len(got) == 0 {
		return nil, engineFault(err)
	}
	stdout.flush()
	stderr.flush()
	return got, nil
}

// maxLine bounds one line, in bytes, as process.DefaultMaxLine does for children.
const maxLine = 16 << 10

// lineWriter cuts what is written into lines.
type lineWriter struct {
	stream operation.Stream
	out    operation.Output
	buf    []byte
	cut    bool
}

func (w *lineWriter) Write(p []byte) (int, error) {
	n := len(p)
	for {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			w.keep(p)
			return n, nil
		}
		w.keep(p[:i])
		w.emit()
		p = p[i+1:]
	}
}

func (w *lineWriter) keep(p []byte) {
	if room := maxLine - len(w.buf); len(p) > room {
		p, w.cut = p[:room], true
	}
	w.buf = append(w.buf, p...)
}

func (w *lineWriter) emit() {
	w.out(w.stream, strings.ToValidUTF8(strings.TrimSuffix(string(w.buf), "\r"), "\uFFFD"), w.cut)
	w.buf, w.cut = w.buf[:0], false
}

func (w *lineWriter) flush() {
	if len(w.buf) > 0 {
		w.emit()
	}
}

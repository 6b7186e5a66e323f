package process

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"ataraxis.dev/landfall/shared/fault"
)

// start starts the child, its two readers and the goroutine that notices its exit.
func start(cmd Cmd) (*child, error) {
	path, err := lookPath(cmd)
	if err != nil {
		return nil, err
	}
	c := &child{
		cmd: cmd, exited: make(chan struct{}), drained: make(chan struct{}), refused: make(chan error, 1),
	}
	c.exec = &exec.Cmd{
		Path: path, Args: append([]string{cmd.Path}, cmd.Args...), Dir: cmd.Dir, Stdin: cmd.Stdin,
		Env:         append([]string{}, cmd.Env...), // never nil: nil would inherit ours
		SysProcAttr: attributes(cmd.Credential),
		WaitDelay:   stragglerDelay, // bounds the copying of Stdin after the exit
	}
	closeWriters, err := c.openOutputs()
	if err != nil {
		return nil, notStarted(cmd, path, err)
	}
	c.began = time.Now()
	err = c.exec.Start()
	closeWriters()
	if err != nil {
		for _, o := range c.outputs {
			_ = o.pipe.Close()
		}
		return nil, notStarted(cmd, path, err)
	}
	if cmd.OnStart != nil {
		cmd.OnStart(c.exec.Process.Pid)
	}
	c.readOutputs()
	go func() {
		defer close(c.exited)
		waitExit(c.exec.Process.Pid)
	}()
	return c, nil
}

func attributes(who *Credential) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true}
	if who != nil {
		attr.Credential = &syscall.Credential{Uid: who.UID, Gid: who.GID, Groups: who.Groups}
	}
	return attr
}

// openOutputs makes both pipes. The returned function closes our copies of the write
// ends, without which the readers would never see the end.
func (c *child) openOutputs() (closeWriters func(), err error) {
	outR, outW, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make a pipe: %w", err)
	}
	errR, errW, err := os.Pipe()
	if err != nil {
		_ = outR.Close()
		_ = outW.Close()
		return nil, fmt.Errorf("make a pipe: %w", err)
	}
	c.exec.Stdout, c.exec.Stderr = outW, errW
	c.outputs = [2]*output{c.stdoutSink(outR), c.lineSink(errR, Stderr)}
	return func() {
		_ = outW.Close()
		_ = errW.Close()
	}, nil
}

func (c *child) stdoutSink(pipe *os.File) *output {
	switch {
	case c.cmd.Stdout != nil:
		return &output{pipe: pipe, sink: c.cmd.Stdout, end: func() {}}
	case c.cmd.CaptureLimit > 0:
		c.captured = &limitedBuffer{limit: c.cmd.CaptureLimit}
		return &output{pipe: pipe, sink: c.captured, end: func() {}}
	default:
		return c.lineSink(pipe, Stdout)
	}
}

func (c *child) lineSink(pipe *os.File, stream Stream) *output {
	limit := c.cmd.MaxLine
	if limit <= 0 {
		limit = DefaultMaxLine
	}
	lines := &splitter{max: limit, emit: func(text string, truncated bool) { c.line(stream, text, truncated) }}
	return &output{pipe: pipe, sink: lines, end: lines.Close}
}

func (c *child) readOutputs() {
	var readers sync.WaitGroup
	for _, o := range c.outputs {
		readers.Go(func() {
			err := c.copyOutput(o)
			if err != nil {
				select {
				case c.refused <- err:
				default: // the first refusal is reason enough
				}
				// The child must be able to write on until SIGTERM reaches it.
				o.sink = io.Discard
				_ = c.copyOutput(o)
			}
			c.busy.Add(1)
			o.end()
			c.busy.Add(-1)
		})
	}
	go func() {
		readers.Wait()
		close(c.drained)
	}()
}

// lookPath resolves Cmd.Path as execvp in the child's environment would.
func lookPath(cmd Cmd) (string, error) {
	if strings.ContainsRune(cmd.Path, filepath.Separator) {
		return cmd.Path, nil
	}
	search := os.Getenv("PATH")
	for _, entry := range cmd.Env {
		if value, ok := strings.CutPrefix(entry, "PATH="); ok && !cmd.OwnPath {
			search = value
		}
	}
	for _, dir := range filepath.SplitList(search) {
		if !filepath.IsAbs(dir) {
			continue // a program of the working directory is never meant
		}
		path := filepath.Join(dir, cmd.Path)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", notFound(cmd, fmt.Sprintf("%q is in none of the folders of PATH=%s", cmd.Path, search))
}

func notFound(cmd Cmd, why string) error {
	e := &Error{Path: cmd.Path, Cause: CauseStart, ExitCode: -1, Err: errors.New(why)}
	return fault.Wrap(e, fault.Failed, "EXECUTABLE_NOT_FOUND", "%s cannot run", cmd.label()).
		WithHint("%s", howToGet(filepath.Base(cmd.Path)))
}

// howToGet tells a person where a program that Landfall uses comes from.
func howToGet(program string) string {
	switch program {
	case "git":
		return "install git: apt-get install git, or xcode-select --install on a Mac"
	case "docker":
		return "install Docker Engine with the compose plugin: https://docs.docker.com/engine/install/"
	case "psql", "pg_isready":
		return "install the PostgreSQL client: apt-get install postgresql-client"
	case "ssh":
		return "install the OpenSSH client: apt-get install openssh-client"
	default:
		return fmt.Sprintf("install %s, or name the folder it is in by PATH", program)
	}
}

// notStarted explains why the kernel would not run the program.
func notStarted(cmd Cmd, path string, err error) error {
	e := &Error{Path: cmd.Path, Cause: CauseStart, ExitCode: -1, Err: err}
	f := fault.Wrap(e, fault.Failed, "CHILD_NOT_STARTED", "%s did not start", cmd.label())
	if info, statErr := os.Stat(cmd.Dir); cmd.Dir != "" && (statErr != nil || !info.IsDir()) {
		return f.WithHint("check that the folder %s exists and may be entered", cmd.Dir)
	}
	switch {
	case errors.Is(err, syscall.ENOENT):
		at := path
		if cmd.Dir != "" && !filepath.IsAbs(at) {
			at = filepath.Join(cmd.Dir, at)
		}
		if _, statErr := os.Stat(at); statErr != nil {
			return notFound(cmd, fmt.Sprintf("there is no file %s", at))
		}
		return f.WithHint("%s exists, so the interpreter named in its first line is missing", at)
	case errors.Is(err, syscall.EPERM) && cmd.Credential != nil:
		return f.WithHint("only root may run a child as user %d: run this program as root or as that user", cmd.Credential.UID)
	case errors.Is(err, syscall.EACCES):
		return f.WithHint("make it executable: chmod +x %s", path)
	case errors.Is(err, syscall.ENOEXEC):
		return f.WithHint("%s is neither a program of this machine nor a script with a #! line", path)
	default:
		return f
	}
}

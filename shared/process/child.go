package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// stragglerDelay is how long what a child left behind may keep its output open
// after the child itself is gone. Long enough for a pipeline's last stage to flush.
const stragglerDelay = 2 * time.Second

// pipeBytes bounds what is read from an output after its group was killed: the
// largest pipe an unprivileged process can have (Linux, fs.pipe-max-size).
const pipeBytes = 1 << 20

// child is one started process. Its life: start; two readers copy the outputs while
// supervise waits for the exit or a reason to end it; settle empties the pipes and
// kills the group; reap collects the exit status. The child stays a zombie until
// reap, so its process group id cannot be given to anybody else while we signal it.
type child struct {
	cmd     Cmd
	exec    *exec.Cmd
	began   time.Time
	outputs [2]*output
	exited  chan struct{} // closed when the child is a zombie
	drained chan struct{} // closed when both readers are done
	refused chan error    // capacity 1: the first reader error that must end the child

	mu        sync.Mutex // serialises OnLine; guards what follows
	tail      ring
	lastError string
	lines     int64
	captured  *limitedBuffer

	lastByte atomic.Int64 // time of the last output, nanoseconds since began
	busy     atomic.Int32 // readers inside a consumer: not the child's silence
}

// output is the read end of one stream and where its bytes go.
type output struct {
	pipe *os.File
	sink io.Writer
	end  func() // flushes sink after the last byte
}

// run sees a started child to its end.
func (c *child) run(ctx context.Context) (Result, error) {
	end := c.supervise(ctx)
	c.settle(ctx, end)
	c.reap(end)

	c.mu.Lock()
	defer c.mu.Unlock()
	result := Result{
		PID: c.exec.Process.Pid, Tail: c.tail.list(c.cmd.Redact), Lines: c.lines, Duration: time.Since(c.began),
	}
	if c.captured != nil {
		result.Stdout = c.captured.data
	}
	if end.Cause == "" {
		// A consumer may refuse the last bytes after the child has already gone.
		select {
		case err := <-c.refused:
			end.Cause, end.Err = CauseOutput, err
		default:
		}
	}
	if end.Cause == "" && end.ExitCode == 0 {
		return result, nil
	}
	if end.Cause == "" {
		end.Cause = CauseExit
	}
	end.Tail, end.lastError, end.Duration = result.Tail, c.lastError, result.Duration
	return result, failed(ctx, c.cmd, end)
}

// supervise returns when the child has exited. The Cause of the answer is empty
// when it exited by itself, else the reason for which it was ended.
func (c *child) supervise(ctx context.Context) *Error {
	end := &Error{}
	deadline, stopDeadline := timer(c.cmd.Deadline)
	defer stopDeadline()
	silence, stopSilence := timer(c.cmd.NoProgress)
	defer func() { stopSilence() }()
	for end.Cause == "" {
		select {
		case <-c.exited:
			return end
		case <-ctx.Done():
			end.Cause = CauseCancelled
		case <-deadline:
			end.Cause = CauseDeadline
		case end.Err = <-c.refused:
			end.Cause = CauseOutput
		case <-silence:
			if rest := c.cmd.NoProgress - c.silentFor(); rest > 0 {
				silence, stopSilence = timer(rest)
			} else {
				end.Cause = CauseNoProgress
			}
		}
	}
	select {
	case <-c.exited:
		if end.Cause != CauseOutput {
			end.Cause = "" // it was quicker than our reason to end it
		}
		return end
	default:
	}
	c.signalGroup(syscall.SIGTERM)
	grace := time.NewTimer(c.grace())
	defer grace.Stop()
	select {
	case <-c.exited:
	case <-grace.C:
		c.signalGroup(syscall.SIGKILL)
		<-c.exited
	}
	return end
}

// settle waits for the outputs to end and kills the rest of the group. Everything the
// child wrote before it exited is in the pipes by now, so after the kill the readers
// take what is there and wait for nobody.
func (c *child) settle(ctx context.Context, end *Error) {
	wait := stragglerDelay
	if end.Cause != "" {
		wait = min(wait, c.grace())
	}
	delay := time.NewTimer(wait)
	defer delay.Stop()
	done := ctx.Done()
	if end.Cause != "" {
		done = nil // the context has had its effect; let stragglers react to SIGTERM
	}
	select {
	case <-c.drained:
	case <-delay.C:
	case <-done:
	}
	c.signalGroup(syscall.SIGKILL)
	for _, o := range c.outputs {
		// Wakes a blocked Read; copyOutput then empties the pipe without waiting.
		_ = o.pipe.SetReadDeadline(time.Unix(1, 0))
	}
	<-c.drained
}

// reap collects the exit status; the process id is free for others afterwards.
func (c *child) reap(end *Error) {
	// The error repeats the exit status, or tells of a Stdin that nobody read to its end.
	_ = c.exec.Wait()
	for _, o := range c.outputs {
		_ = o.pipe.Close()
	}
	end.ExitCode = -1
	if status, ok := c.exec.ProcessState.Sys().(syscall.WaitStatus); ok {
		if status.Signaled() {
			end.Signal = status.Signal()
		} else {
			end.ExitCode = status.ExitStatus()
		}
	}
}

func (c *child) grace() time.Duration {
	if c.cmd.Grace > 0 {
		return c.cmd.Grace
	}
	return DefaultGrace
}

// silentFor is how long the child has printed nothing; zero while a consumer holds
// up the reading.
func (c *child) silentFor() time.Duration {
	if c.busy.Load() > 0 {
		return 0
	}
	return time.Since(c.began) - time.Duration(c.lastByte.Load())
}

// signalGroup must not be called after reap. A group without living members is no error.
func (c *child) signalGroup(sig syscall.Signal) { _ = syscall.Kill(-c.exec.Process.Pid, sig) }

// copyOutput moves one stream to its sink until its end, until settle's deadline and
// then whatever the pipe still holds, or until the sink refuses.
func (c *child) copyOutput(o *output) error {
	buf := make([]byte, 64<<10)
	for {
		n, err := o.pipe.Read(buf)
		if err := c.deliver(o, buf[:n]); err != nil {
			return err
		}
		switch {
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded):
			return c.empty(o, buf)
		default: // io.EOF: every holder of the write end is gone
			return nil
		}
	}
}

// empty reads what is in the pipe now, without waiting for more.
func (c *child) empty(o *output, buf []byte) error {
	raw, err := o.pipe.SyscallConn()
	if err != nil {
		return fmt.Errorf("read the end of the output: %w", err)
	}
	for left := pipeBytes; left > 0; {
		var n int
		var readErr error
		// The read end is non-blocking, as package os makes every pipe.
		err := raw.Control(func(fd uintptr) { n, readErr = syscall.Read(int(fd), buf) })
		if errors.Is(readErr, syscall.EINTR) {
			continue
		}
		if err != nil || readErr != nil || n <= 0 { // EAGAIN: empty, but somebody outside the group holds it open
			return nil
		}
		if err := c.deliver(o, buf[:n]); err != nil {
			return err
		}
		left -= n
	}
	return nil
}

// deliver hands bytes to the sink.
func (c *child) deliver(o *output, p []byte) error {
	if len(p) == 0 {
		return nil
	}
	c.busy.Add(1)
	_, err := o.sink.Write(p)
	c.lastByte.Store(int64(time.Since(c.began)))
	c.busy.Add(-1)
	return err
}

// line is the sink of both splitters.
func (c *child) line(stream Stream, text string, truncated bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lines++
	c.tail.add(text)
	if stream == Stderr && text != "" {
		c.lastError = text
	}
	if c.cmd.OnLine != nil {
		c.cmd.OnLine(Line{Stream: stream, Text: text, Truncated: truncated})
	}
}

// limitedBuffer refuses to grow beyond its limit.
type limitedBuffer struct {
	limit int
	data  []byte
}

func (b *limitedBuffer) Write(p []byte) (int, error) {
	if len(b.data)+len(p) > b.limit {
		return 0, fmt.Errorf("it printed more than the %d bytes that were allowed", b.limit)
	}
	b.data = append(b.data, p...)
	return len(p), nil
}

// timer is a channel that never fires for d <= 0.
func timer(d time.Duration) (<-chan time.Time, func()) {
	if d <= 0 {
		return nil, func() {}
	}
	t := time.NewTimer(d)
	return t.C, func() { t.Stop() }
}

// Package process runs one child process that can neither hang, flood nor outlive its caller.
//
// It promises: arguments are an argv, never a shell line; the child leads its own
// process group; when [Run] returns, every process left in that group has been sent
// SIGKILL; no byte the child itself wrote is lost; every failure is one typed [*Error]
// inside a fault. Start reading at [Run], then child.go for the life of a child.
package process

import (
	"context"
	"io"
	"time"
)

// Defaults of [Cmd] fields that are left zero.
const (
	DefaultGrace   = 10 * time.Second
	DefaultMaxLine = 16 << 10 // bytes
	// TailLines is how many of the last lines an [Error] and a [Result] keep.
	TailLines = 40
)

// Stream names one of the child's two outputs.
type Stream int

// The streams.
const (
	Stdout Stream = 1
	Stderr Stream = 2
)

func (s Stream) String() string {
	if s == Stderr {
		return "stderr"
	}
	return "stdout"
}

// Line is one line of output without its line end. A carriage return ends a line
// too, so that progress bars arrive as they are drawn. Text is always valid UTF-8
// (bad bytes become U+FFFD) but may hold control characters and escape sequences.
type Line struct {
	Stream    Stream
	Text      string
	Truncated bool // the line was longer than Cmd.MaxLine; the rest of it was dropped
}

// Credential is the user a child runs as. Changing user needs root.
type Credential struct {
	UID, GID uint32
	Groups   []uint32 // supplementary groups
}

// Cmd describes one child. Only Path is required.
type Cmd struct {
	Path string // program: a path, or a name looked up in Env's PATH, else in our own
	// OwnPath finds the program by our own PATH, whatever Env says: what is data of a repository does not choose it.
	OwnPath bool
	Args    []string // arguments after the program's name
	Dir     string   // working directory; "" is ours
	// Env is the complete environment as KEY=VALUE; nothing is inherited.
	Env        []string
	Credential *Credential // nil runs as ourselves
	Stdin      io.Reader   // nil is the null device

	Deadline   time.Duration // longest life of the child; 0 is no limit
	NoProgress time.Duration // longest silence on both streams; 0 is no limit. Time spent inside OnLine or Stdout is not silence.
	Grace      time.Duration // between SIGTERM and SIGKILL; 0 is DefaultGrace

	// OnLine receives every line, in the order of each stream, never two at a time.
	// It may block: the child then waits (back-pressure), and so does Run, even
	// after the child was killed. It may be nil.
	OnLine  func(Line)
	MaxLine int // longest line in bytes; 0 is DefaultMaxLine

	// Stdout, when set, receives the raw standard output instead of OnLine and the
	// tail. An error it returns ends the child with CauseOutput.
	Stdout io.Writer
	// CaptureLimit, when positive, collects the raw standard output in
	// Result.Stdout instead (Stdout must be nil). More than this many bytes end
	// the child with CauseOutput: half an answer is never returned.
	CaptureLimit int

	Label   string              // names the child in errors; "" is the base name of Path
	Redact  func(string) string // applied to arguments and tail lines kept in errors and results; may be nil
	OnStart func(pid int)       // called once the child runs, before any OnLine; its process group id is pid
}

// Result describes a child that ran; it is filled as far as known when Run fails.
type Result struct {
	PID      int           // also the process group id; 0 when the child never started
	Stdout   []byte        // with CaptureLimit
	Tail     []string      // last lines of the streams that went to OnLine, oldest first
	Lines    int64         // lines seen
	Duration time.Duration // from start to the end of its output
}

// Run runs the child to its end. A nil error means exit code 0. Every other end is
// a fault that wraps an [*Error]:
//
//   - Failed, EXECUTABLE_NOT_FOUND: there is no such program
//   - Failed, CHILD_NOT_STARTED: it could not be started (directory, permission, interpreter)
//   - Failed, CHILD_FAILED: non-zero exit code, or a signal that was not ours
//   - Failed, CHILD_OUTPUT: more than CaptureLimit bytes, or Stdout refused them
//   - Deadline, CHILD_DEADLINE or CHILD_NO_PROGRESS: its time ran out
//   - CHILD_CANCELLED when ctx ended first, with the kind of [context.Cause];
//     errors.Is finds the cause
//
// A child that is stuck inside the kernel cannot be killed and holds Run until the
// kernel lets it go.
func Run(ctx context.Context, cmd Cmd) (Result, error) {
	if ctx.Err() != nil {
		return Result{}, failed(ctx, cmd, &Error{Cause: CauseCancelled, ExitCode: -1})
	}
	cmd.Env = append(cmd.Env[:len(cmd.Env):len(cmd.Env)], EnvOf(ctx)...)
	c, err := start(cmd)
	if err != nil {
		return Result{}, err
	}
	return c.run(ctx)
}

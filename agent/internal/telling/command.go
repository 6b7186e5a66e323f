package telling

import (
	"bytes"
	"context"
	"time"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/process"
)

// Command has a program tell: it gets the [Document] on its standard input. Make it with [NewCommand].
//
// A program that fails is started again, later; one that is killed because its time is up is not, because it may have told somebody.
type Command struct {
	argv     []string
	owner    *process.Owner
	redact   func(string) string
	deadline time.Duration
}

// commandDeadline bounds one run.
const commandDeadline = time.Minute

// NewCommand makes a sender that runs argv as owner, with nothing of our environment but the PATH. A deadline of 0 is a minute.
func NewCommand(argv []string, owner *process.Owner, redact func(string) string, deadline time.Duration) *Command {
	if deadline <= 0 {
		deadline = commandDeadline
	}
	return &Command{argv: argv, owner: owner, redact: redact, deadline: deadline}
}

// Name implements Sender.
func (c *Command) Name() string { return "command" }

// Once implements Sender.
func (c *Command) Once() bool { return true }

// Ready implements Sender.
func (c *Command) Ready() error { return nil }

// Send implements Sender.
func (c *Command) Send(ctx context.Context, p Parcel) Outcome {
	_, err := process.Run(ctx, process.Cmd{
		Path: c.argv[0], Args: c.argv[1:], Dir: "/", Env: c.owner.Environ(), Credential: c.owner.Credential(),
		Stdin: bytes.NewReader(append(bytes.Clone(p.Body), '\n')), Deadline: c.deadline, Grace: 2 * time.Second,
		Label: "notify.command", Redact: c.redact,
	})
	switch {
	case err == nil:
		return Outcome{}
	case fault.KindOf(err) == fault.Deadline || ctx.Err() != nil:
		return Outcome{Fate: Unsure, Err: err}
	}
	return Outcome{Fate: Later, Err: err}
}

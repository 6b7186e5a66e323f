// Package console shows the coordinator's work to whoever watches: the event stream of
// an operation while it runs, the answers of the commands that look.
//
// It promises that one sequence of events gives the same story in every [Mode], that text
// made by others (child output, probe findings, names) can neither steer a terminal nor
// give a command to the Actions runner, that a [Renderer] is the only writer of its stream.
// Start reading at [New] for progress and at [Style] for answers.
package console

import (
	"io"
	"os"
	"strings"
	"time"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/strictyaml"
)

// Mode is a way to show progress.
type Mode string

// The modes. Auto is a request, never the mode of a renderer: [ParseMode] resolves it.
const (
	Auto    Mode = "auto"    // actions under GitHub Actions, tty on a terminal, else plain
	TTY     Mode = "tty"     // finished steps above, running steps live at the bottom
	Plain   Mode = "plain"   // one line an event
	Actions Mode = "actions" // workflow commands of GitHub Actions
	JSON    Mode = "json"    // one object a line
	Quiet   Mode = "quiet"   // warnings and failures only
)

// Modes lists every mode, for help texts and completion.
func Modes() []string {
	return []string{string(Auto), string(TTY), string(Plain), string(Actions), string(JSON), string(Quiet)}
}

// ParseMode resolves the value of --progress; an empty one asks LANDFALL_PROGRESS, then
// means auto. It never returns Auto. A name that is no mode is a fault of kind Invalid
// that tells the nearest one.
func ParseMode(flag string, getenv func(string) string, stderrIsTerminal bool) (Mode, error) {
	name, from := flag, "--progress"
	if name == "" {
		name, from = getenv("LANDFALL_PROGRESS"), "LANDFALL_PROGRESS"
	}
	switch mode := Mode(name); mode {
	case TTY, Plain, Actions, JSON, Quiet:
		return mode, nil
	case Auto, "":
		return resolveAuto(getenv, stderrIsTerminal), nil
	}
	err := fault.New(fault.Invalid, "USAGE", "%s: unknown mode %q", from, name)
	if near := strictyaml.Suggest(name, Modes()); near != "" {
		return "", err.WithHint("did you mean %s?", near)
	}
	return "", err.WithHint("use one of %s", strings.Join(Modes(), ", "))
}

// resolveAuto prefers Actions to a terminal: a runner in a container may give its job one.
// GITHUB_ACTIONS is "true" on every runner
// (https://docs.github.com/en/actions/reference/workflows-and-actions/variables).
func resolveAuto(getenv func(string) string, terminal bool) Mode {
	switch {
	case getenv("GITHUB_ACTIONS") == "true":
		return Actions
	case terminal && getenv("TERM") != "dumb": // a dumb terminal cannot move its cursor
		return TTY
	}
	return Plain
}

// Renderer shows the events of operations. All methods may be called from several
// goroutines; after Close they do nothing. A failed write ends the output silently, since
// there is no other place to tell it, and is returned by Close.
type Renderer interface {
	// Event shows a fact. Events of one operation come in order of their sequence.
	Event(operationID string, e *landfallv1.Event)
	// Note tells what the coordinator itself does. Each line of text is one line.
	Note(text string)
	// Warn tells what a person should know that stops nothing.
	Warn(text string)
	// Close shows what is pending and gives the terminal back. Call it before answers are
	// printed, and also when the program is interrupted. It may be called twice.
	Close() error
}

// Options are what renderers know of their surroundings. The zero value works.
type Options struct {
	Colour bool                // escape sequences for colours, [Plain], [Quiet] and [TTY] only
	Width  func() int          // columns of the terminal now; nil or a result below 1 means 80
	Now    func() time.Time    // nil means time.Now
	GetEnv func(string) string // nil means os.Getenv
}

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.GetEnv == nil {
		o.GetEnv = os.Getenv
	}
	ask := o.Width
	o.Width = func() int {
		const unknown = 80
		if ask == nil {
			return unknown
		}
		if columns := ask(); columns > 0 {
			return columns
		}
		return unknown
	}
	return o
}

// New makes the renderer of a mode on w, which nobody else may write to until Close.
// Auto and unknown modes are shown plain. Inside a job of GitHub Actions, which the environment tells, what others named
// gives the runner no command in any mode.
func New(mode Mode, w io.Writer, o Options) Renderer {
	o = o.withDefaults()
	if o.GetEnv("GITHUB_ACTIONS") == "true" {
		return newInJob(mode, w, o)
	}
	return newOn(mode, w, o)
}

func newOn(mode Mode, w io.Writer, o Options) Renderer {
	switch mode {
	case TTY:
		return newTTY(w, o)
	case Actions:
		return newActions(w, o)
	case JSON:
		return newJSONLines(w, o)
	case Quiet:
		return newQuiet(w, o)
	case Auto, Plain:
	}
	return newPlain(w, o)
}

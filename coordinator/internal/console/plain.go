package console

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
)

// sink is the stream of a renderer. It remembers the first failed write and stays silent from then on.
type sink struct {
	w   io.Writer
	err error
}

func (s *sink) flush(b *bytes.Buffer) {
	if s.err == nil && b.Len() > 0 {
		_, s.err = s.w.Write(b.Bytes())
	}
	b.Reset()
}

// lines shows one line an event, or with quiet only those a person must not miss.
type lines struct {
	quiet bool
	palette

	mu      sync.Mutex
	out     sink
	buffer  bytes.Buffer
	elapsed stopwatch
	board   board
	closed  bool
}

func newPlain(w io.Writer, o Options) *lines {
	return &lines{palette: palette(o.Colour), out: sink{w: w}, elapsed: newStopwatch(o.Now)}
}

func newQuiet(w io.Writer, o Options) *lines {
	l := newPlain(w, o)
	l.quiet = true
	return l
}

func (l *lines) Event(operationID string, e *landfallv1.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	at := l.elapsed.at(operationID, timeOf(e.GetEventTime()))
	for _, line := range l.tell(operationID, e) {
		if !l.quiet || line.loud {
			l.write(at, line)
		}
	}
	l.out.flush(&l.buffer)
}

func (l *lines) Note(text string) {
	if l.quiet {
		return
	}
	l.say(text, "", "")
}

func (l *lines) Warn(text string) { l.say(text, "warning: ", yellow) }

func (l *lines) say(text, label string, c colour) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	at := l.elapsed.now()
	for _, text := range cleanLines(text) {
		l.write(at, line{text: label + text, colour: c})
	}
	l.out.flush(&l.buffer)
}

func (l *lines) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	return l.out.err
}

// line is a line to show, at a depth of indentation.
type line struct {
	text   string
	depth  int
	colour colour
	loud   bool // shown even in quiet mode
}

func (l *lines) write(at string, t line) {
	text := strings.Repeat("  ", t.depth) + l.paint(t.colour, t.text)
	if l.quiet {
		fmt.Fprintln(&l.buffer, text)
		return
	}
	fmt.Fprintf(&l.buffer, "%s %s\n", l.paint(dim, "["+at+"]"), text)
}

// tell puts one event into words.
func (l *lines) tell(operationID string, e *landfallv1.Event) []line {
	switch f := e.GetFact().(type) {
	case *landfallv1.Event_Accepted:
		return []line{{text: acceptedLine(operationID, f.Accepted), colour: bold}}
	case *landfallv1.Event_StateChanged:
		return l.tellState(operationID, f.StateChanged, timeOf(e.GetEventTime()))
	case *landfallv1.Event_PlanCompiled:
		return []line{{text: planLine(f.PlanCompiled.GetPlan()), depth: 1}}
	case *landfallv1.Event_PreDeploy:
		return []line{{text: "the checkout is at " + short(f.PreDeploy.GetSha()), depth: 1}}
	case *landfallv1.Event_StepStarted:
		s := l.board.start(operationID, f.StepStarted, timeOf(e.GetEventTime()))
		return []line{{text: "start " + s.label(), depth: 1}}
	case *landfallv1.Event_StepFinished:
		return l.tellFinished(operationID, f.StepFinished)
	case *landfallv1.Event_Output:
		return []line{{text: l.board.prefix(f.Output) + outputText(f.Output), depth: 2}}
	case *landfallv1.Event_Probe:
		return l.tellProbe(operationID, f.Probe)
	case *landfallv1.Event_Warning:
		return []line{{text: "warning: " + warningText(f.Warning), depth: 1, colour: yellow, loud: true}}
	case *landfallv1.Event_Migration:
		return []line{{text: "migrated " + clean(f.Migration.GetName()), depth: 1}}
	default:
		if text := turnOf(e); text != "" {
			return []line{{text: text, depth: 1, colour: yellow, loud: true}}
		}
		return nil // a fact of a newer agent
	}
}

func (l *lines) tellState(operationID string, s *landfallv1.StateChanged, at time.Time) []line {
	if terminal(s.GetState()) {
		l.board.end(operationID)
	}
	why := l.board.why(s)
	out := []line{{text: stateLine(s, at), colour: stateColour(s.GetState()), loud: len(why) > 0 || failed(s.GetState())}}
	return append(out, why...)
}

func (l *lines) tellFinished(operationID string, f *landfallv1.StepFinished) []line {
	s := l.board.finish(operationID, f)
	text := fmt.Sprintf("%-5s %s", finishedWord(f), s.label())
	if d := durationOf(f.GetDuration()); d != "" {
		text += " (" + d + ")"
	}
	if summary := clean(f.GetSummary()); summary != "" {
		text += ": " + summary
	}
	if f.GetOutcome() != landfallv1.StepOutcome_STEP_OUTCOME_FAILED {
		return []line{{text: text, depth: 1}}
	}
	if isSuperseded(f.GetFailure()) {
		l.board.unseen(f.GetFailure()) // the end of the operation tells it
		return []line{{text: text + ": " + failureText(f.GetFailure()), depth: 1}}
	}
	out := []line{{text: text, depth: 1, colour: red, loud: true}}
	return append(out, failureLines(f.GetFailure(), 2, l.board.unseen(f.GetFailure()))...)
}

// tellProbe leaves out a probe that waits for the same reason as before.
func (l *lines) tellProbe(operationID string, p *landfallv1.ProbeResult) []line {
	if !l.board.news(operationID, p) {
		return nil
	}
	bad := p.GetOutcome() == landfallv1.ProbeOutcome_PROBE_OUTCOME_FAILED
	out := []line{{text: probeLine(p), depth: 1, loud: bad}}
	if bad {
		out[0].colour = red
		out = append(out, tailLines(p.GetOutputTail(), 2)...)
	}
	return out
}

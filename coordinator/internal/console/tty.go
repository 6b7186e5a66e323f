package console

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
)

const (
	frameTime = 100 * time.Millisecond // ten frames a second: smooth to the eye, cheap over ssh
	liveRows  = 12                     // a block higher than the terminal could not be taken back
)

// live shows finished work as lines that stay and running work in a block below them
// that is drawn anew. Events only change what is to be shown; one goroutine draws, so a
// slow terminal never holds up the stream.
//
// A few escape sequences that every terminal knows (ECMA-48, plus the cursor's visibility)
// do all of it. The libraries for this take the keyboard and the screen over, which a
// program that prints progress in the middle of other output must not do.
type live struct {
	palette
	glyphs glyphs
	width  func() int
	clock  func() time.Time

	mu      sync.Mutex // guards what follows; never held while writing
	board   board
	waiting []*landfallv1.ProbeResult // probes that are tried again, in order of their first finding
	state   runningState
	lag     lag
	pending []line // lines that stay, not drawn yet
	closed  bool

	screen  screen // used by animate, then by Close
	closing sync.Once
	stop    chan struct{}
	stopped chan struct{}
}

// runningState is the state shown live when no step runs.
type runningState struct {
	text  string    // empty when no operation is under way
	since time.Time // by the agent's clock
}

func newTTY(w io.Writer, o Options) *live {
	l := &live{
		palette: palette(o.Colour), glyphs: glyphsFor(o.GetEnv), width: o.Width, clock: o.Now,
		screen: screen{out: sink{w: w}}, stop: make(chan struct{}), stopped: make(chan struct{}),
	}
	go l.animate()
	return l
}

func (l *live) animate() {
	defer close(l.stopped)
	ticks := time.NewTicker(frameTime)
	defer ticks.Stop()
	for {
		select {
		case <-l.stop:
			return
		case <-ticks.C:
			l.draw()
		}
	}
}

func (l *live) Event(operationID string, e *landfallv1.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.take(operationID, e)
	}
}

func (l *live) Note(text string) { l.say(text, "", "") }

func (l *live) Warn(text string) { l.say(text, l.glyphs.warning+" ", yellow) }

func (l *live) say(text, label string, c colour) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	for _, text := range cleanLines(text) {
		l.keep(line{text: label + text, colour: c})
	}
}

// Close draws what is pending, takes the block away and shows the cursor again.
func (l *live) Close() error {
	l.closing.Do(func() {
		l.mu.Lock()
		l.closed = true
		l.mu.Unlock()
		close(l.stop)
		<-l.stopped
		l.draw()
	})
	return l.screen.out.err
}

func (l *live) keep(lines ...line) { l.pending = append(l.pending, lines...) }

// take turns one event into lines that stay and into a change of the block.
func (l *live) take(operationID string, e *landfallv1.Event) {
	at := l.lag.observe(timeOf(e.GetEventTime()), l.clock())
	switch f := e.GetFact().(type) {
	case *landfallv1.Event_Accepted:
		l.keep(line{text: acceptedLine(operationID, f.Accepted), colour: bold})
	case *landfallv1.Event_StateChanged:
		l.takeState(operationID, f.StateChanged, at)
	case *landfallv1.Event_PlanCompiled:
		l.keep(line{text: planLine(f.PlanCompiled.GetPlan()), depth: 1, colour: dim})
	case *landfallv1.Event_StepStarted:
		l.board.start(operationID, f.StepStarted, at)
	case *landfallv1.Event_StepFinished:
		l.takeFinished(operationID, f.StepFinished)
	case *landfallv1.Event_Output:
		if s := l.board.find(operationID, clean(f.Output.GetStepId())); s != nil {
			s.last = outputText(f.Output)
		}
	case *landfallv1.Event_Probe:
		l.takeProbe(operationID, f.Probe)
	case *landfallv1.Event_Warning:
		l.keep(line{text: l.glyphs.warning + " " + warningText(f.Warning), depth: 1, colour: yellow})
	case *landfallv1.Event_Migration:
		l.keep(line{text: "migrated " + clean(f.Migration.GetName()), depth: 2})
	default:
		if text := turnOf(e); text != "" {
			l.keep(line{text: l.glyphs.warning + " " + text, depth: 1, colour: yellow})
		}
	}
}

func (l *live) takeState(operationID string, s *landfallv1.StateChanged, at time.Time) {
	l.keep(line{text: stateLine(s, at), colour: stateColour(s.GetState())})
	l.keep(l.board.why(s)...)
	l.waiting = nil
	l.state = runningState{stateWord(s.GetState()), at}
	if terminal(s.GetState()) {
		l.state = runningState{}
		l.board.end(operationID)
	}
}

func (l *live) takeFinished(operationID string, f *landfallv1.StepFinished) {
	s := l.board.finish(operationID, f)
	name, details := s.name(), ""
	if summary := clean(f.GetSummary()); summary != "" {
		details += "  " + summary
	}
	if d := durationOf(f.GetDuration()); d != "" {
		details += "  " + d
	}
	done := line{depth: 1, text: l.paint(green, l.glyphs.done) + " " + name + l.paint(dim, details)}
	switch f.GetOutcome() {
	case landfallv1.StepOutcome_STEP_OUTCOME_FAILED:
		if isSuperseded(f.GetFailure()) { // the end of the operation tells it
			l.board.unseen(f.GetFailure())
			l.keep(line{depth: 1, text: l.glyphs.interrupted + " " + name + l.paint(dim, details+"  "+failureText(f.GetFailure()))})
			return
		}
		done = line{depth: 1, colour: red, text: l.glyphs.failed + " " + name + details}
	case landfallv1.StepOutcome_STEP_OUTCOME_INTERRUPTED:
		done = line{depth: 1, colour: yellow, text: l.glyphs.interrupted + " " + name + details + "  interrupted"}
	default:
	}
	l.keep(done)
	if failure := f.GetFailure(); failure != nil {
		l.keep(failureLines(failure, 2, l.board.unseen(failure))...)
	}
}

func (l *live) takeProbe(operationID string, p *landfallv1.ProbeResult) {
	if !l.board.news(operationID, p) && p.GetOutcome() != landfallv1.ProbeOutcome_PROBE_OUTCOME_WAITING {
		return
	}
	at := slices.IndexFunc(l.waiting, func(w *landfallv1.ProbeResult) bool { return w.GetName() == p.GetName() })
	if p.GetOutcome() == landfallv1.ProbeOutcome_PROBE_OUTCOME_WAITING {
		if at < 0 {
			l.waiting = append(l.waiting, p)
		} else {
			l.waiting[at] = p
		}
		return
	}
	if at >= 0 {
		l.waiting = slices.Delete(l.waiting, at, at+1)
	}
	if p.GetOutcome() == landfallv1.ProbeOutcome_PROBE_OUTCOME_PASSED {
		l.keep(line{depth: 2, text: l.paint(green, l.glyphs.done) + " " + probeLine(p)})
		return
	}
	l.keep(line{depth: 2, colour: red, text: l.glyphs.failed + " " + probeLine(p)})
	l.keep(tailLines(p.GetOutputTail(), 3)...)
}

// draw brings the terminal up to date. The spinner turns with the clock, so two frames
// of the same moment are the same.
func (l *live) draw() {
	l.mu.Lock()
	kept, now := l.pending, l.clock()
	var rows []row
	if l.pending = nil; !l.closed {
		rows = l.block(now)
	}
	l.mu.Unlock()

	width, spinner := l.width(), l.glyphs.spinner(now)
	more := len(rows) - liveRows
	if more > 0 {
		rows = rows[:liveRows]
	}
	var block []drawn
	for _, r := range rows {
		block = append(block, r.draw(l.palette, l.glyphs, spinner, width))
	}
	if more > 0 {
		block = append(block, plainRow(fmt.Sprintf("  and %d more", more), width))
	}
	var text bytes.Buffer
	for _, t := range kept {
		text.WriteString(indent(t.depth) + l.paint(t.colour, t.text) + "\n")
	}
	l.screen.show(text.Bytes(), block, width)
}

// block is what runs now, one row each.
func (l *live) block(now time.Time) []row {
	now = l.lag.agentTime(now)
	var rows []row
	for _, s := range l.board.running {
		rows = append(rows, row{depth: 1, text: s.name(), elapsed: sinceSeconds(s.started, now), extra: s.last})
	}
	for _, p := range l.waiting {
		extra := clean(p.GetMessage())
		if n := p.GetAttempts(); n > 1 {
			extra += fmt.Sprintf(" (attempt %d)", n)
		}
		rows = append(rows, row{depth: 2, text: "probe " + clean(p.GetName()), extra: extra})
	}
	if len(rows) == 0 && l.state.text != "" {
		rows = append(rows, row{depth: 1, text: l.state.text, elapsed: sinceSeconds(l.state.since, now)})
	}
	return rows
}

// sinceSeconds is a running time in whole seconds, so that it does not flicker; nothing in the first.
func sinceSeconds(start, now time.Time) string {
	if d := now.Sub(start).Truncate(time.Second); d > 0 {
		return Duration(d)
	}
	return ""
}

package console

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/workflowcommand"
)

const (
	// annotationLine bounds the lines of an annotation, in cells. The runner cuts a message off at 4096 characters
	// (actions/runner, ExecutionContext.cs), and the last lines of output, which tell most, are at its end.
	annotationLine = 180
	// heldLimit bounds the output lines kept of a step that waits for its group.
	heldLimit = 5000
)

// workflow shows the steps as groups of a GitHub Actions log. Groups can neither nest nor
// interleave, so the step that started first writes its group live, while those beside it
// are held back until it ends.
//
// The output of children stands between a stop-commands command and its token, which is
// new and random each time (https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands,
// "stopping and starting workflow commands"). What others named elsewhere is the escaped
// message of an annotation or part of a line that cannot be a command.
type workflow struct {
	mu       sync.Mutex
	out      sink
	buffer   bytes.Buffer
	board    board
	groups   []*group // in order of their start; the first is open
	token    string   // of the stop-commands in force; empty when commands are obeyed
	errors   int
	warnings int
	closed   bool
}

// group is the part of the log that belongs to one step.
type group struct {
	step    *runningStep
	opened  bool
	ended   bool
	held    []string
	dropped int
}

func newActions(w io.Writer, _ Options) *workflow { return &workflow{out: sink{w: w}} }

func (a *workflow) Event(operationID string, e *landfallv1.Event) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return
	}
	a.take(operationID, e)
	a.out.flush(&a.buffer)
}

func (a *workflow) Note(text string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return
	}
	for _, text := range cleanLines(text) {
		a.own(text)
	}
	a.out.flush(&a.buffer)
}

func (a *workflow) Warn(text string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return
	}
	a.annotate("warning", "", cleanLines(text))
	a.out.flush(&a.buffer)
}

// Close ends every group, so that what the job prints next is outside.
func (a *workflow) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.closed {
		a.closed = true
		a.endAll()
		a.out.flush(&a.buffer)
	}
	return a.out.err
}

func (a *workflow) take(operationID string, e *landfallv1.Event) {
	switch f := e.GetFact().(type) {
	case *landfallv1.Event_Accepted:
		a.own(acceptedLine(operationID, f.Accepted))
	case *landfallv1.Event_StateChanged:
		a.takeState(operationID, f.StateChanged, timeOf(e.GetEventTime()))
	case *landfallv1.Event_PlanCompiled:
		a.own(planLine(f.PlanCompiled.GetPlan()))
	case *landfallv1.Event_StepStarted:
		a.groups = append(a.groups, &group{step: a.board.start(operationID, f.StepStarted, timeOf(e.GetEventTime()))})
		a.advance()
	case *landfallv1.Event_StepFinished:
		a.takeFinished(operationID, f.StepFinished)
	case *landfallv1.Event_Output:
		a.takeOutput(operationID, f.Output)
	case *landfallv1.Event_Probe:
		a.takeProbe(operationID, f.Probe)
	case *landfallv1.Event_Warning:
		a.annotate("warning", f.Warning.GetReason(), []string{clean(f.Warning.GetMessage())})
	case *landfallv1.Event_Migration:
		a.own("migrated " + clean(f.Migration.GetName()))
	default:
		if text := turnOf(e); text != "" {
			a.annotate("warning", operationID, []string{text})
		}
	}
}

func (a *workflow) takeState(operationID string, s *landfallv1.StateChanged, at time.Time) {
	if terminal(s.GetState()) {
		a.endAll()
		a.board.end(operationID)
	}
	a.own(stateLine(s, at))
	f := s.GetFailure()
	if f != nil && !isSuperseded(f) && a.board.unseen(f) { // else the step's own failure was annotated already
		a.fail(stateWord(s.GetState()), f)
	}
}

func (a *workflow) takeFinished(operationID string, f *landfallv1.StepFinished) {
	s := a.board.finish(operationID, f)
	text := finishedWord(f)
	if d := durationOf(f.GetDuration()); d != "" {
		text += " in " + d
	}
	if summary := clean(f.GetSummary()); summary != "" {
		text += ": " + summary
	}
	if isSuperseded(f.GetFailure()) {
		text += ": " + failureText(f.GetFailure())
	}
	if g := a.groupOf(s); g != nil {
		a.add(g, text)
		g.ended = true
		a.advance()
	} else {
		a.own(s.label() + ": " + text) // its start was before the stream was entered
	}
	if failure := f.GetFailure(); failure != nil && !isSuperseded(failure) && a.board.unseen(failure) {
		a.fail(s.id+" failed", failure)
	}
}

func (a *workflow) takeOutput(operationID string, o *landfallv1.OutputLine) {
	s := a.board.find(operationID, clean(o.GetStepId()))
	if g := a.groupOf(s); g != nil {
		a.add(g, outputText(o))
		return
	}
	a.own(a.board.prefix(o) + outputText(o))
}

func (a *workflow) takeProbe(operationID string, p *landfallv1.ProbeResult) {
	if !a.board.news(operationID, p) {
		return
	}
	if p.GetOutcome() != landfallv1.ProbeOutcome_PROBE_OUTCOME_FAILED {
		a.own(probeLine(p))
		return
	}
	message := []string{probeLine(p)}
	for _, t := range tailLines(p.GetOutputTail(), 0) {
		message = append(message, t.text)
	}
	a.annotate("error", "probe "+p.GetName()+" failed", message)
}

// fail annotates a failure with its hint and its last output.
func (a *workflow) fail(title string, f *landfallv1.Failure) {
	var message []string
	for _, t := range failureLines(f, 0, true) {
		message = append(message, t.text)
	}
	a.annotate("error", title, message)
}

// annotate writes an error or warning command; beyond GitHub's limit, a plain text.
func (a *workflow) annotate(command, title string, message []string) {
	used := &a.errors
	if command == "warning" {
		used = &a.warnings
	}
	if *used++; *used > workflowcommand.AnnotationLimit {
		for _, text := range message {
			a.own(command + ": " + text)
		}
		return
	}
	for i := range message {
		message[i] = fit(message[i], annotationLine)
	}
	a.obey()
	note := workflowcommand.Annotation{Level: command, Title: clean(title), Message: strings.Join(message, "\n")}
	a.buffer.WriteString(note.String() + "\n")
	if len(a.groups) > 0 && a.groups[0].opened {
		a.ignore()
	}
}

// own writes a line of ours, which may name things that others named: inside a group or
// between groups, it is no command.
func (a *workflow) own(text string) { a.buffer.WriteString(workflowcommand.Inert(text) + "\n") }

// foreign writes a line that others made. The caller sees to it that commands are ignored.
func (a *workflow) foreign(text string) {
	a.buffer.WriteString(workflowcommand.BreakMarks(text) + "\n")
}

// ignore tells the runner to take no commands.
func (a *workflow) ignore() {
	if a.token == "" {
		a.token = rand.Text()
		fmt.Fprintf(&a.buffer, "::stop-commands::%s\n", a.token)
	}
}

// obey tells the runner to take commands again.
func (a *workflow) obey() {
	if a.token != "" {
		fmt.Fprintf(&a.buffer, "::%s::\n", a.token)
		a.token = ""
	}
}

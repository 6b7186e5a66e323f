package console

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"time"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
)

// LogStyle is how lines of logs look.
type LogStyle struct {
	JSON       bool // one object a line
	Colour     bool
	Timestamps bool
	NoPrefix   bool
}

// Logs writes lines of logs as they come.
type Logs struct {
	w      io.Writer
	style  LogStyle
	width  int               // of the longest name so far
	stacks map[string]string // by service: the stack that it was seen in first
	twice  map[string]bool   // services that more than one stack has
}

// NewLogs makes a writer of lines.
func NewLogs(w io.Writer, style LogStyle) *Logs {
	return &Logs{w: w, style: style, stacks: map[string]string{}, twice: map[string]bool{}}
}

// logColours tell services apart; red is left to what went wrong.
var logColours = []colour{"36", "33", "32", "35", "34", "96", "93", "92", "95", "94"}

// logColour is the same for a service whenever and with whatever others it is shown.
func logColour(stack, service string) colour {
	h := fnv.New32a()
	_, _ = io.WriteString(h, stack+"/"+service) // never fails
	return logColours[h.Sum32()%uint32(len(logColours))]
}

// logObject is a line in JSON.
type logObject struct {
	Time      time.Time `json:"time"`
	Stack     string    `json:"stack,omitempty"`
	Service   string    `json:"service"`
	Container string    `json:"container"`
	Number    uint32    `json:"number,omitempty"`
	Stream    string    `json:"stream"`
	Text      string    `json:"text"`
	Truncated bool      `json:"truncated,omitempty"`
}

// Line writes one line.
func (l *Logs) Line(r *landfallv1.TailLogsResponse) error {
	var line []byte
	if l.style.JSON {
		var err error
		if line, err = logJSON(r); err != nil {
			return err
		}
	} else {
		line = l.text(r)
	}
	_, err := l.w.Write(append(line, '\n'))
	return err
}

func logJSON(r *landfallv1.TailLogsResponse) ([]byte, error) {
	stream := "stdout"
	if r.GetStream() == landfallv1.OutputStream_OUTPUT_STREAM_STDERR {
		stream = "stderr"
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(logObject{
		Time: r.GetLogTime().AsTime(), Stack: r.GetStack(), Service: r.GetService(), Container: r.GetContainer(), Number: r.GetNumber(),
		Stream: stream, Text: r.GetText(), Truncated: r.GetTruncated(),
	})
	if err != nil {
		return nil, fmt.Errorf("write a line as JSON: %w", err)
	}
	return escapeUnprintable(bytes.TrimSuffix(b.Bytes(), []byte("\n"))), nil
}

func (l *Logs) text(r *landfallv1.TailLogsResponse) []byte {
	var b bytes.Buffer
	on := palette(l.style.Colour)
	if !l.style.NoPrefix {
		name := l.name(r)
		l.width = max(l.width, cellsOf(name))
		b.WriteString(on.paint(logColour(r.GetStack(), r.GetService()), padRight(name, l.width)+" |"))
		b.WriteByte(' ')
	}
	if l.style.Timestamps {
		b.WriteString(on.paint(dim, r.GetLogTime().AsTime().Format("2006-01-02T15:04:05.000Z")))
		b.WriteByte(' ')
	}
	b.WriteString(clean(r.GetText()))
	if r.GetTruncated() {
		b.WriteString("…")
	}
	return b.Bytes()
}

// name is what a container is called before its lines: SERVICE-NUMBER, with the stack once two stacks have a service of that name.
func (l *Logs) name(r *landfallv1.TailLogsResponse) string {
	service, stack := r.GetService(), r.GetStack()
	if first, seen := l.stacks[service]; !seen {
		l.stacks[service] = stack
	} else if first != stack {
		l.twice[service] = true
	}
	name := clean(service)
	if l.twice[service] && stack != "" {
		name = clean(stack) + "/" + name
	}
	if n := r.GetNumber(); n > 0 {
		name = fmt.Sprint(name, "-", n)
	}
	return name
}

// LogNotice is a notice as one line for a person.
func LogNotice(r *landfallv1.TailLogsResponse) string {
	text := clean(r.GetNotice().GetMessage())
	if service := r.GetService(); service != "" {
		return clean(service) + ": " + text
	}
	return text
}

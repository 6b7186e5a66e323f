package server

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/ports"
)

const (
	// lineWait is how long a line waits for the next of its stream: a secret may be broken over both.
	lineWait = 100 * time.Millisecond
	// waitingLines and waitingBytes bound the lines that wait.
	waitingLines = 512
	waitingBytes = 1 << 20
)

// logLines takes secrets out of lines on their way to a caller, in the order they come. A line waits a moment for the next one of its
// stream, as the recorder's do. Safe for concurrent use.
type logLines struct {
	redact func(before, line string) (string, string)
	send   func(ports.LogLine) error
	fail   context.CancelCauseFunc // called when send fails where nobody hears of it

	mu    sync.Mutex
	queue []*waitingLine // oldest first
	bytes int
	last  map[logSource]*waitingLine
	timer *time.Timer
	done  bool
	err   error
}

// logSource is one stream of one container.
type logSource struct {
	container string
	stream    operation.Stream
}

// waitingLine is the last line of its stream, or one that is not sent yet.
type waitingLine struct {
	ports.LogLine
	raw      string
	begun    bool // its beginning belongs to a secret that began on the line before
	sent     bool
	followed bool // the next line of the stream has come
	came     time.Time
}

// betweenSecrets stands for a line between two secrets.
const betweenSecrets = "[redacted]"

func newLogLines(redact func(before, line string) (string, string), send func(ports.LogLine) error, fail context.CancelCauseFunc) *logLines {
	l := &logLines{redact: redact, send: send, fail: fail, last: map[logSource]*waitingLine{}}
	l.timer = time.AfterFunc(lineWait, l.tick)
	return l
}

// add takes a line, or a notice. It blocks as long as the caller does not take what must be sent.
func (l *logLines) add(line ports.LogLine) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return l.err
	}
	w := &waitingLine{LogLine: line, raw: line.Text, followed: line.Notice != nil, came: time.Now()}
	if line.Notice == nil {
		l.hide(w)
	}
	l.queue = append(l.queue, w)
	l.bytes += len(w.raw)
	return l.flush(false)
}

// hide takes secrets out of a line, and out of the one before it where it still waits. l.mu is held.
func (l *logLines) hide(w *waitingLine) {
	from := logSource{w.ID, w.Stream}
	if len(l.last) > waitingLines { // of containers that are long gone, for the most part
		maps.DeleteFunc(l.last, func(_ logSource, w *waitingLine) bool { return w.sent })
	}
	last := l.last[from]
	l.last[from] = w
	if last == nil {
		_, w.Text = l.redact("", w.raw)
		return
	}
	last.followed = true
	before, now := l.redact(last.raw, w.raw)
	_, alone := l.redact("", last.raw)
	if !last.sent && before != alone {
		if last.begun { // a secret on either side: what is left between them is not worth telling
			before = betweenSecrets
		}
		last.Text = before
	}
	_, only := l.redact("", w.raw)
	w.Text, w.begun = now, now != only
}

// flush sends what need not wait any more, in order. l.mu is held.
func (l *logLines) flush(all bool) error {
	for len(l.queue) > 0 && l.err == nil {
		w := l.queue[0]
		if !all && !w.followed && len(l.queue) < waitingLines && l.bytes < waitingBytes && time.Since(w.came) < lineWait {
			break
		}
		l.queue[0] = nil
		l.queue = l.queue[1:]
		l.bytes -= len(w.raw)
		w.sent = true
		l.err = l.send(w.LogLine)
	}
	if len(l.queue) > 0 && !l.done {
		l.timer.Reset(max(time.Millisecond, lineWait-time.Since(l.queue[0].came)))
	}
	return l.err
}

// tick sends lines that no other has followed.
func (l *logLines) tick() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.done {
		return
	}
	if err := l.flush(false); err != nil {
		l.fail(err)
	}
}

// close ends the sending; with rest, what waits is sent before. The error is that of sending.
func (l *logLines) close(rest bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if rest {
		_ = l.flush(true) // told below
	}
	l.done = true
	l.timer.Stop()
	l.queue = slices.Delete(l.queue, 0, len(l.queue))
	return l.err
}

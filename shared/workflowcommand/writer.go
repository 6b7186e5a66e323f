package workflowcommand

import (
	"bytes"
	"fmt"
	"io"
	"sync"
)

// Writer is a stream of a program that runs inside a job: what is written to it is passed on line by line, each [Inert].
// Commands of our own go through [Print], or past it by [Commands]. Wrapping the program's streams, once, where it begins is
// what keeps every form of output from giving commands. All methods may be called from several goroutines.
type Writer struct {
	To io.Writer

	mu      sync.Mutex
	pending []byte // what has no line's end yet
}

// Write implements io.Writer.
func (w *Writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var whole bytes.Buffer
	for rest := p; ; {
		end := bytes.IndexByte(rest, '\n')
		if end < 0 {
			w.pending = append(w.pending, rest...)
			break
		}
		whole.WriteString(Inert(string(append(w.pending, rest[:end]...))))
		whole.WriteByte('\n')
		w.pending, rest = w.pending[:0], rest[end+1:]
	}
	if whole.Len() > 0 {
		if _, err := w.To.Write(whole.Bytes()); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// Flush passes on what has no line's end yet: the end of the stream.
func (w *Writer) Flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.flush("")
}

func (w *Writer) flush(end string) error {
	if len(w.pending) == 0 {
		return nil
	}
	line := string(w.pending)
	w.pending = w.pending[:0]
	_, err := io.WriteString(w.To, Inert(line)+end)
	return err
}

// Print writes a command on a line of its own, past the Writer that w may be. The command must be made by this package, or
// hold nothing that others named.
func Print(w io.Writer, command string) error {
	_, err := fmt.Fprintln(Commands(w), command)
	return err
}

// Commands is the way past the Writer that w may be, for those who give commands and see themselves to it that nothing else
// becomes one. Any other w is its own way.
func Commands(w io.Writer) io.Writer {
	if guard, ok := w.(*Writer); ok {
		return past{guard}
	}
	return w
}

type past struct{ *Writer }

// Write implements io.Writer. A line that is not ended yet is ended first.
func (p past) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.flush("\n"); err != nil {
		return 0, err
	}
	return p.To.Write(text)
}

package compose

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"time"

	"ataraxis.dev/landfall/agent/internal/operation"
)

const (
	// maxLogLine bounds one line of a log, in bytes; the rest of it is cut off.
	maxLogLine = 64 << 10
	// logChunk is what the engine makes of a longer line: entries of its own, each with a time (moby, daemon/logger/copier.go).
	logChunk = 16 << 10
	// stampLength is that of a time as the engine writes it before each entry, always in UTC with nine decimals.
	stampLength = len("2006-01-02T15:04:05.000000000Z")
	// frameHeader is the length of the header of a frame: the stream, three zeros, the length (Docker Engine API, ContainerAttach).
	frameHeader = 8
)

// printed is a line of one container.
type printed struct {
	time   time.Time
	stream operation.Stream
	text   string
	cut    bool
}

// errNoStamp is an entry of a log without a time.
var errNoStamp = errors.New("the engine sent an entry of a log without its time")

// lineBuilder puts a line together of its entries.
type lineBuilder struct {
	stream operation.Stream
	begun  bool
	time   time.Time
	text   []byte
	cut    bool
}

// begin begins an entry: the first one of a line gives it its time.
func (b *lineBuilder) begin(t time.Time) {
	if !b.begun {
		b.begun, b.time = true, t
	}
}

// add adds to a line.
func (b *lineBuilder) add(p []byte) {
	if room := maxLogLine - len(b.text); len(p) > room {
		p, b.cut = p[:room], true
	}
	b.text = append(b.text, p...)
}

// take is the line; the builder is ready for the next.
func (b *lineBuilder) take() printed {
	text := string(bytes.TrimSuffix(b.text, []byte("\r")))
	line := printed{time: b.time, stream: b.stream, text: strings.ToValidUTF8(text, "\uFFFD"), cut: b.cut}
	b.begun, b.cut, b.text = false, false, b.text[:0]
	if cap(b.text) > logChunk {
		b.text = nil // long lines are rare, and there is a builder for every stream of every container
	}
	return line
}

// readLog cuts a log with times into lines. A line that has no end yet is told with rest, and is held back without: whoever reads the log again
// finds all of it. The error is out's, or the reader's; the end of the log is none.
func readLog(r io.Reader, tty, rest bool, out func(printed) error) error {
	source := bufio.NewReaderSize(r, 2*logChunk)
	var builders []*lineBuilder
	var err error
	if tty {
		b := &lineBuilder{stream: operation.Stdout}
		builders = []*lineBuilder{b}
		err = readRaw(source, b, out)
	} else {
		builders = []*lineBuilder{{stream: operation.Stdout}, {stream: operation.Stderr}}
		err = readFrames(source, builders, out)
	}
	if !errors.Is(err, io.EOF) {
		return err
	}
	for _, b := range builders {
		if rest && b.begun {
			if err := out(b.take()); err != nil {
				return err
			}
		}
	}
	return nil
}

// readFrames reads a log of frames: each is an entry, and one that does not end a line is a part of it.
func readFrames(r *bufio.Reader, builders []*lineBuilder, out func(printed) error) error {
	var header [frameHeader]byte
	for {
		if _, err := io.ReadFull(r, header[:]); err != nil {
			return err
		}
		payload := &io.LimitedReader{R: r, N: int64(binary.BigEndian.Uint32(header[4:]))}
		switch header[0] {
		case 0, 1, 2: // 0 is stdin, which nobody prints; the engine says nothing of it
		default: // the engine's own words about what went wrong
			said := make([]byte, min(payload.N, logChunk))
			n, _ := io.ReadFull(payload, said) // as much as came
			return errors.New("the engine says: " + strings.TrimSpace(string(said[:n])))
		}
		b := builders[0]
		if header[0] == 2 {
			b = builders[1]
		}
		if err := readEntry(r, payload, b, out); err != nil {
			return unexpected(err)
		}
	}
}

// readEntry reads the payload of a frame.
func readEntry(r *bufio.Reader, payload *io.LimitedReader, b *lineBuilder, out func(printed) error) error {
	t, ok, err := takeStamp(r, payload.N)
	switch {
	case err != nil:
		return err
	case !ok:
		return errNoStamp
	}
	payload.N -= int64(stampLength) + 1
	b.begin(t)
	for payload.N > 0 {
		part, err := r.Peek(int(min(payload.N, int64(max(1, r.Buffered())))))
		if err != nil {
			return err
		}
		part = part[:min(int64(len(part)), payload.N)]
		n := len(part)
		line, _, ends := bytes.Cut(part, []byte{'\n'})
		if ends {
			n = len(line) + 1
		}
		b.add(line)
		_, _ = r.Discard(n) // it is buffered
		payload.N -= int64(n)
		if ends {
			if err := out(b.take()); err != nil {
				return err
			}
			if payload.N > 0 { // lines of one entry share its time
				b.begin(t)
			}
		}
	}
	return nil
}

// takeStamp takes the time before an entry, and the space after it; ok says whether there is one among at most so many bytes.
func takeStamp(r *bufio.Reader, most int64) (t time.Time, ok bool, err error) {
	if most < int64(stampLength)+1 {
		return t, false, nil
	}
	head, err := r.Peek(stampLength + 1)
	if err != nil {
		return t, false, err
	}
	t, malformed := time.Parse(time.RFC3339Nano, string(head[:stampLength]))
	if malformed != nil || head[stampLength] != ' ' {
		return t, false, nil
	}
	_, err = r.Discard(stampLength + 1)
	return t, true, err
}

// readRaw reads the log of a terminal, which has no frames: an entry ends with its line, or is exactly as long as a chunk.
func readRaw(r *bufio.Reader, b *lineBuilder, out func(printed) error) error {
	for {
		t, ok, err := takeStamp(r, int64(r.Size()))
		switch {
		case err != nil:
			return err // at the end of the log, perhaps in the middle of a line
		case !ok && !b.begun:
			return errNoStamp
		case ok:
			b.begin(t)
		}
		ended, err := readChunk(r, b)
		if err != nil {
			return err
		}
		if ended {
			if err := out(b.take()); err != nil {
				return err
			}
		}
	}
}

// readChunk reads up to the end of a line, or of a chunk.
func readChunk(r *bufio.Reader, b *lineBuilder) (ended bool, err error) {
	for left := logChunk; left > 0; {
		part, err := r.Peek(min(left, max(1, r.Buffered())))
		if err != nil {
			return false, err
		}
		line, _, ends := bytes.Cut(part, []byte{'\n'})
		b.add(line)
		n := len(line)
		if ends {
			n++
		}
		_, _ = r.Discard(n) // it is buffered
		left -= n
		if ends {
			return true, nil
		}
	}
	return false, nil
}

// unexpected is the error of a log that ends in the middle of a frame.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

package compose

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/ports"
)

const stampLayout = "2006-01-02T15:04:05.000000000Z"

var logEpoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// entry is an entry of a log as the engine sends it.
func entry(t time.Time, text string) string { return t.Format(stampLayout) + " " + text }

// frame is an entry of a stream as the engine sends it for a container without a terminal.
func frame(stream byte, payload string) string {
	header := [frameHeader]byte{stream}
	binary.BigEndian.PutUint32(header[4:], uint32(len(payload)))
	return string(header[:]) + payload
}

// linesIn reads a log, once as it comes and once byte by byte.
func linesIn(t *testing.T, log string, tty, rest bool) ([]string, error) {
	t.Helper()
	read := func(r io.Reader) (got []string, err error) {
		err = readLog(r, tty, rest, func(p printed) error {
			text := p.text
			if len(text) > 100 {
				text = fmt.Sprintf("%s...%d", text[:3], len(text))
			}
			got = append(got, fmt.Sprintf("%s %d %s cut=%v", p.time.Sub(logEpoch), p.stream, text, p.cut))
			return nil
		})
		return got, err
	}
	got, err := read(strings.NewReader(log))
	slow, slowErr := read(iotest.OneByteReader(strings.NewReader(log)))
	if !slices.Equal(got, slow) || fmt.Sprint(err) != fmt.Sprint(slowErr) {
		t.Errorf("byte by byte the log is another one:\n%q %v\n%q %v", got, err, slow, slowErr)
	}
	return got, err
}

func TestLogsOfContainersWithoutTerminal(t *testing.T) {
	t.Parallel()
	at := func(n int) time.Time { return logEpoch.Add(time.Duration(n) * time.Second) }
	log := frame(1, entry(at(1), "plain\n")) +
		frame(2, entry(at(2), "complaint\r\n")) +
		frame(1, entry(at(3), strings.Repeat("a", logChunk))) + // a long line is several entries,
		frame(2, entry(at(4), "between\n")) + // and another stream may come between them
		frame(1, entry(at(3), strings.Repeat("b", logChunk))) +
		frame(1, entry(at(3), "end\n")) +
		frame(1, entry(at(5), "\n")) +
		frame(1, entry(at(6), "\xff\xfe not UTF-8\n")) +
		frame(1, entry(at(7), strings.Repeat("c", 5*logChunk)+"\n")) +
		frame(1, entry(at(8), "2026-03-01T12:00:00.000000000Z is text\n")) +
		frame(1, entry(at(9), "two\nlines\n"))
	want := []string{
		"1s 1 plain cut=false", "2s 2 complaint cut=false", "4s 2 between cut=false", "3s 1 aaa...32771 cut=false", "5s 1  cut=false",
		"6s 1 \uFFFD not UTF-8 cut=false", "7s 1 ccc...65536 cut=true", "8s 1 2026-03-01T12:00:00.000000000Z is text cut=false",
		"9s 1 two cut=false", "9s 1 lines cut=false",
	}
	got, err := linesIn(t, log, false, false)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v\n%q\n%q", err, got, want)
	}
	// A line without an end is nobody's yet, unless nothing more is to come.
	got, err = linesIn(t, frame(1, entry(at(1), "half")), false, false)
	if err != nil || len(got) != 0 {
		t.Errorf("half a line: %q, %v", got, err)
	}
	got, err = linesIn(t, frame(1, entry(at(1), "half")), false, true)
	if err != nil || !slices.Equal(got, []string{"1s 1 half cut=false"}) {
		t.Errorf("half a line at the end: %q, %v", got, err)
	}
}

func TestLogsOfTerminals(t *testing.T) {
	t.Parallel()
	at := func(n int) time.Time { return logEpoch.Add(time.Duration(n) * time.Second) }
	log := entry(at(1), "plain\r\n") +
		entry(at(2), strings.Repeat("a", logChunk)) + entry(at(2), strings.Repeat("b", logChunk)) + entry(at(2), "end\r\n") +
		entry(at(3), strings.Repeat("c", logChunk-2)+"\r\n") +
		entry(at(4), strings.Repeat("d", logChunk)) + entry(at(4), "\r\n") +
		entry(at(5), "\r\n") +
		entry(at(6), strings.Repeat("e", logChunk)) + entry(at(6), strings.Repeat("e", logChunk)) + entry(at(6), strings.Repeat("e", logChunk)) +
		entry(at(6), strings.Repeat("e", logChunk)) + entry(at(6), "too long\r\n") + entry(at(7), "last\r\n")
	want := []string{
		"1s 1 plain cut=false", "2s 1 aaa...32771 cut=false", "3s 1 ccc...16382 cut=false", "4s 1 ddd...16384 cut=false", "5s 1  cut=false",
		"6s 1 eee...65536 cut=true", "7s 1 last cut=false",
	}
	got, err := linesIn(t, log, true, false)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v\n%q\n%q", err, got, want)
	}
}

func TestLogsThatBreak(t *testing.T) {
	t.Parallel()
	whole := frame(1, entry(logEpoch, "first\n"))
	for name, tt := range map[string]struct {
		log  string
		tty  bool
		says string
	}{
		"in a header":      {log: whole + "\x01\x00\x00", says: "unexpected EOF"},
		"in a payload":     {log: whole + frame(1, entry(logEpoch, "second\n"))[:30], says: "unexpected EOF"},
		"without a time":   {log: whole + frame(1, "no time at all, but long enough to have one\n"), says: errNoStamp.Error()},
		"too short":        {log: whole + frame(1, "x\n"), says: errNoStamp.Error()},
		"engine's words":   {log: whole + frame(3, "error from daemon in stream: no such file\n"), says: "no such file"},
		"terminal no time": {tty: true, log: entry(logEpoch, "first\r\n") + "no time at all, but long enough to have one\n", says: errNoStamp.Error()},
	} {
		got, err := linesIn(t, tt.log, tt.tty, false)
		if err == nil || !strings.Contains(err.Error(), tt.says) || len(got) != 1 {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func FuzzLogs(f *testing.F) {
	f.Add([]byte(frame(1, entry(logEpoch, "first\n"))), false)
	f.Add([]byte(entry(logEpoch, "first\r\n")), true)
	f.Fuzz(func(t *testing.T, log []byte, tty bool) {
		_ = readLog(bytes.NewReader(log), tty, true, func(p printed) error {
			if len(p.text) > 3*maxLogLine || strings.Contains(p.text, "\n") {
				t.Errorf("a line of %d bytes", len(p.text))
			}
			return nil
		})
	})
}

// fakeLog is a log as the engine keeps it: a time and a number a line. Times may be the wrong way round a little.
type fakeLog []time.Time

// after reads the log again from a position, as the reader does, with how many lines before the end at once.
func (l fakeLog) after(known ports.LogPosition, near int) (fresh []int, at ports.LogPosition) {
	read := func(gap seam, from int) error {
		var now logPlace
		fresh, at = nil, known
		for i := from; i < len(l); i++ {
			isNew, counts, err := gap.line(l[i])
			if err != nil {
				return err
			}
			if counts {
				now.add(l[i])
			}
			if isNew {
				fresh, at = append(fresh, i), now.at
			}
		}
		return gap.end()
	}
	if known.From.IsZero() {
		_ = read(seam{}, 0)
	} else if err := read(seam{known: known, near: known.Skip + uint64(near)}, max(0, len(l)-int(known.Skip)-near)); errors.Is(err, errFar) {
		_ = read(seam{known: known}, 0)
	}
	return fresh, at
}

// However often, and wherever, a reader breaks off, its successors find each line once.
func TestSeamsLoseAndRepeatNothing(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(7, 11))
	for range 3000 {
		var log fakeLog
		now := logEpoch
		for range 1 + random.IntN(60) {
			switch random.IntN(5) {
			case 0: // the very same time
				if len(log) > 0 {
					log = append(log, log[len(log)-1])
					continue
				}
			case 1:
				now = now.Add(time.Duration(random.Int64N(3e9) - 2e8)) // now and then the clock is set back
			default:
				now = now.Add(time.Duration(random.Int64N(2e6)))
			}
			log = append(log, now.Add(-time.Duration(random.IntN(2))*time.Duration(random.IntN(900))*time.Microsecond))
		}
		var got []int
		var known ports.LogPosition
		for end := 0; end <= len(log); end += 1 + random.IntN(8) {
			fresh, at := log[:end].after(known, random.IntN(20))
			got, known = append(got, fresh...), at
		}
		fresh, _ := log.after(known, random.IntN(20))
		got = append(got, fresh...)
		for i, n := range got {
			if n != i {
				t.Fatalf("lines %v of %d", got, len(log))
			}
		}
		if len(got) != len(log) {
			t.Fatalf("%d of %d lines", len(got), len(log))
		}
	}
}

// Of a log that was rotated meanwhile the new lines are told, as far as they are there.
func TestSeamsOfRotatedLogs(t *testing.T) {
	t.Parallel()
	var log fakeLog
	for i := range 100 {
		log = append(log, logEpoch.Add(time.Duration(i)*100*time.Millisecond))
	}
	_, known := log[:50].after(ports.LogPosition{}, 0)
	rotated := log[45:]
	fresh, at := rotated.after(known, 10)
	if len(fresh) != 50 || fresh[0] != 5 {
		t.Errorf("after line 49 of lines 45 to 99: %v", fresh)
	}
	if fresh, _ := rotated.after(at, 10); len(fresh) != 0 {
		t.Errorf("again: %v", fresh)
	}
}

// The clock is set back: what came before is known, what comes after is new.
func TestSeamsWhereTheClockWasSetBack(t *testing.T) {
	t.Parallel()
	var log fakeLog
	for i := range 10 {
		log = append(log, logEpoch.Add(time.Duration(i)*time.Minute))
	}
	_, known := log.after(ports.LogPosition{}, 0)
	log = append(log, logEpoch.Add(-time.Hour), logEpoch.Add(-time.Minute))
	fresh, known := log.after(known, 5)
	if !slices.Equal(fresh, []int{10, 11}) {
		t.Errorf("fresh: %v", fresh)
	}
	if fresh, _ := log.after(known, 5); len(fresh) != 0 {
		t.Errorf("again: %v", fresh)
	}
}

func TestMergeIsInOrderOfTime(t *testing.T) {
	t.Parallel()
	var sources []*source
	var want []string
	for i := range 3 {
		s := &source{reader: &logReader{id: fmt.Sprint(i)}, lines: make(chan ports.LogLine)}
		sources = append(sources, s)
		go func() {
			defer close(s.lines)
			for n := range 5 {
				s.lines <- ports.LogLine{Time: logEpoch.Add(time.Duration(3*n+i) * time.Second), Stream: operation.Stdout, Text: fmt.Sprint(3*n + i)}
			}
		}()
	}
	for n := range 15 {
		want = append(want, fmt.Sprint(n))
	}
	var got []string
	err := merge(sources, func(l ports.LogLine) error {
		got = append(got, l.Text)
		return nil
	})
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v\n%q\n%q", err, got, want)
	}
}

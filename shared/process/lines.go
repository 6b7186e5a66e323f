package process

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// splitter cuts a byte stream into lines in bounded memory.
type splitter struct {
	max     int // longest line kept, bytes
	emit    func(text string, truncated bool)
	pending []byte
	over    bool // pending reached max and more was dropped
	skipLF  bool // the last line ended with CR: a following LF belongs to it
}

// Write never fails.
func (s *splitter) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		if s.skipLF && p[0] == '\n' {
			s.skipLF = false
			p = p[1:]
			continue
		}
		end := bytes.IndexAny(p, "\r\n")
		if end < 0 {
			s.keep(p)
			break
		}
		s.keep(p[:end])
		if p[end] == '\n' {
			s.flush()
			s.skipLF = false
		} else if len(s.pending) > 0 {
			// A bare CR that redraws nothing is not an empty line.
			s.flush()
			s.skipLF = true
		}
		p = p[end+1:]
	}
	return n, nil
}

// Close emits a last line that had no line end.
func (s *splitter) Close() {
	if len(s.pending) > 0 {
		s.flush()
	}
}

func (s *splitter) keep(p []byte) {
	if len(p) == 0 {
		return
	}
	s.skipLF = false
	if room := s.max - len(s.pending); len(p) > room {
		p = p[:room]
		s.over = true
	}
	s.pending = append(s.pending, p...)
}

func (s *splitter) flush() {
	text := s.pending
	if s.over {
		text = trimPartialRune(text)
	}
	s.emit(strings.ToValidUTF8(string(text), "\uFFFD"), s.over)
	s.pending, s.over = s.pending[:0], false
}

// trimPartialRune drops the first bytes of a rune whose end was cut off.
func trimPartialRune(p []byte) []byte {
	for i := len(p) - 1; i >= 0 && i >= len(p)-utf8.UTFMax; i-- {
		if utf8.RuneStart(p[i]) {
			if !utf8.FullRune(p[i:]) {
				return p[:i]
			}
			return p
		}
	}
	return p
}

// ring keeps the last lines.
type ring struct {
	lines []string
	next  int
}

// tailLineBytes bounds one line of a tail: an error travels in journals and messages.
const tailLineBytes = 2 << 10

func (r *ring) add(text string) {
	if len(text) > tailLineBytes {
		text = string(trimPartialRune([]byte(text[:tailLineBytes]))) + "…"
	}
	if len(r.lines) < TailLines {
		r.lines = append(r.lines, text)
		return
	}
	r.lines[r.next] = text
	r.next = (r.next + 1) % TailLines
}

// list returns the lines, oldest first.
func (r *ring) list(redact func(string) string) []string {
	out := make([]string, 0, len(r.lines))
	out = append(out, r.lines[r.next:]...)
	out = append(out, r.lines[:r.next]...)
	if redact != nil {
		for i := range out {
			out[i] = redact(out[i])
		}
	}
	return out
}

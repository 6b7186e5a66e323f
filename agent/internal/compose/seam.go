package compose

import (
	"errors"
	"time"

	"ataraxis.dev/landfall/agent/internal/ports"
)

// anchorEvery is how often a place takes a later line to count from. The nearer that is, the less is read again at a seam.
const anchorEvery = time.Second

// logPlace follows where in a log a reader is, so that another one can go on there. A log only grows at its end, so a line is found again
// by counting from another one, and that one by its time, where no line before it was as late. Times of neighbours may be the wrong way
// round, because two streams of a container write their lines side by side, or because the clock was set back; the count is in the
// order of the log. The zero value is the beginning.
type logPlace struct {
	at  ports.LogPosition
	run uint64 // lines since the newest time came
	// next takes the place of at when it is far enough behind.
	next     time.Time
	nextSkip uint64
}

// add goes on by a line.
func (p *logPlace) add(t time.Time) {
	switch {
	case p.at.From.IsZero():
		p.at.From, p.at.Last, p.next, p.run = t, t, t, 1
	case t.After(p.at.Last):
		p.at.Last, p.run = t, 1
	default:
		p.run++
	}
	p.at.Skip++
	p.nextSkip++
	if p.at.Last.Sub(p.next) >= anchorEvery {
		p.at.From, p.at.Skip = p.next, p.nextSkip
		p.next, p.nextSkip = p.at.Last, p.run
	}
}

// errFar is a log that was read from too near its end: the position is before it.
var errFar = errors.New("the position lies before what was read of the log")

// seam tells the lines of a log that is read again which are new.
type seam struct {
	known ports.LogPosition
	near  uint64 // the log is read from at most so many lines before its end on; 0: from its beginning
	seen  uint64 // lines before the one that is counted from
	begun bool
	lost  bool // what the position names was rotated away
}

// line says of the next line whether it is new, and whether a place counts it. It fails with errFar.
func (s *seam) line(t time.Time) (fresh, counts bool, err error) {
	from := s.known.From
	if from.IsZero() {
		return true, true, nil
	}
	if !s.begun {
		before := t.Before(from)
		switch {
		case s.near > 0 && (s.seen == 0 || !t.Equal(from)) && !before:
			return false, false, errFar // of several lines with the very time of the position some may be missing
		case s.near > 0 && s.seen >= s.near:
			return false, false, errFar // the clock was set back: these lines came after the position
		case before:
			s.seen++
			return false, false, nil
		}
		// When the line that is counted from is gone, there is the time alone to go by.
		s.begun, s.lost = true, !t.Equal(from)
	}
	switch {
	case s.lost:
		return t.After(s.known.Last), true, nil
	case s.known.Skip > 0:
		s.known.Skip--
		return false, true, nil
	}
	return true, true, nil
}

// end fails with errFar where the log has ended before the position was found.
func (s *seam) end() error {
	if s.near > 0 && s.seen > 0 && !s.begun {
		return errFar
	}
	return nil
}

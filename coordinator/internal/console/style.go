package console

import (
	"bytes"
	"fmt"
	"io"
	"time"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
)

// Style is how an answer is laid out.
type Style struct {
	Colour bool      // escape sequences for colours
	Width  int       // columns of the terminal; 0 when there is none: then nothing is shortened
	Now    time.Time // what relative times are measured from; its zone is that of the times shown; zero means time.Now
}

func (s Style) withDefaults() Style {
	if s.Now.IsZero() {
		s.Now = time.Now()
	}
	if s.Width <= 0 {
		s.Width = unlimited
	}
	return s
}

// unlimited is wider than any line.
const unlimited = 1 << 20

// colour is the parameter of a Select Graphic Rendition sequence (ECMA-48, 8.3.117).
type colour string

const (
	bold   colour = "1"
	dim    colour = "2"
	red    colour = "31"
	green  colour = "32"
	yellow colour = "33"
	cyan   colour = "36"
)

// terminalColours gives each terminal state a colour of its own.
var terminalColours = map[landfallv1.OperationState]colour{
	landfallv1.OperationState_OPERATION_STATE_SUCCEEDED:        green,
	landfallv1.OperationState_OPERATION_STATE_FAILED_UNTOUCHED: yellow,
	landfallv1.OperationState_OPERATION_STATE_ROLLED_BACK:      "35",      // magenta
	landfallv1.OperationState_OPERATION_STATE_ROLLBACK_FAILED:  "1;97;41", // white on red
	landfallv1.OperationState_OPERATION_STATE_SUPERSEDED:       cyan,
	landfallv1.OperationState_OPERATION_STATE_CANCELLED:        "90", // grey
	landfallv1.OperationState_OPERATION_STATE_FAILED:           red,
}

// stateColour is the colour of a state; those that are not terminal are bold.
func stateColour(s landfallv1.OperationState) colour {
	if c, ok := terminalColours[s]; ok {
		return c
	}
	return bold
}

// palette colours text, or leaves it when it is off.
type palette bool

func (on palette) paint(c colour, text string) string {
	if !on || text == "" || c == "" {
		return text
	}
	return "\x1b[" + string(c) + "m" + text + "\x1b[0m"
}

func (on palette) state(s landfallv1.OperationState) string {
	return on.paint(stateColour(s), stateWord(s))
}

// page collects an answer, so that it is written whole or not at all.
type page struct {
	bytes.Buffer
	Style
	palette
}

func newPage(s Style) *page {
	s = s.withDefaults()
	return &page{Style: s, palette: palette(s.Colour)}
}

func (p *page) printf(format string, args ...any) { fmt.Fprintf(&p.Buffer, format, args...) }

// heading begins a section.
func (p *page) heading(text string) {
	p.printf("\n%s\n", p.paint(bold, text))
}

// field is a named line of a header.
func (p *page) field(name, value string) {
	if value != "" {
		p.printf("%s %s\n", p.paint(dim, padRight(name, 12)), value)
	}
}

func (p *page) writeTo(w io.Writer) error {
	_, err := w.Write(p.Bytes())
	return err
}

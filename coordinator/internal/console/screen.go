package console

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"
)

// screen draws a block of rows at the bottom of a terminal and takes it back again.
type screen struct {
	out    sink
	buffer bytes.Buffer
	block  []drawn // what the terminal shows below the lines that stay
	hidden bool    // the cursor
}

// drawn is a row as it is written: never wider than the terminal was.
type drawn struct {
	text  string // with colours
	plain string // without
}

const (
	hideCursor = "\x1b[?25l"
	showCursor = "\x1b[?25h"
	eraseBelow = "\x1b[J"
)

// show writes the lines that stay where the block was, and the new block below them.
// When nothing differs nothing is written. All of it is one write, so no half frame is seen.
func (s *screen) show(kept []byte, block []drawn, width int) {
	if len(kept) == 0 && slices.Equal(s.block, block) && s.hidden == (len(block) > 0) {
		return
	}
	if !s.hidden && len(block) > 0 {
		s.buffer.WriteString(hideCursor)
	}
	if up := s.height(width); up > 0 {
		fmt.Fprintf(&s.buffer, "\r\x1b[%dA%s", up, eraseBelow)
	}
	s.buffer.Write(kept)
	for _, r := range block {
		s.buffer.WriteString(r.text + "\n")
	}
	if s.hidden && len(block) == 0 {
		s.buffer.WriteString(showCursor)
	}
	s.block, s.hidden = block, len(block) > 0
	s.out.flush(&s.buffer)
}

// height is the number of rows that the block takes now: a terminal that became narrower
// has wrapped what was drawn for the greater width.
func (s *screen) height(width int) int {
	rows := 0
	for _, r := range s.block {
		rows += rowsOf(r.plain, width)
	}
	return rows
}

// rowsOf is the number of rows that text takes at a width. A wide character that does not
// fit into the last cell of a row goes to the next.
func rowsOf(text string, width int) int {
	rows, column := 1, 0
	for _, r := range text {
		n := cellsOfRune(r)
		if column+n > width {
			rows, column = rows+1, 0
		}
		column += n
	}
	return rows
}

// row is a line of the block before it is fitted to the terminal.
type row struct {
	text    string // what runs
	depth   int
	elapsed string // may be empty
	extra   string // its last word; shown as far as there is room
}

// draw fits the row into one cell less than the terminal has: in the last one some wrap.
func (r row) draw(colours palette, g glyphs, spinner string, width int) drawn {
	const readable = 20 // below that only the beginning is shown
	left := indent(r.depth) + spinner + " "
	if width < readable {
		return plainRow(left+expandTabs(r.text), width)
	}
	room := width - 1 - cellsOf(left)
	elapsed := ""
	if r.elapsed != "" {
		elapsed = "  " + r.elapsed
	}
	name := fit(expandTabs(r.text), max(room-cellsOf(elapsed), 1))
	room -= cellsOf(name) + cellsOf(elapsed)
	extra := ""
	if lead := "  " + g.says + " "; r.extra != "" && room > cellsOf(lead)+3 {
		extra = lead + fit(expandTabs(r.extra), room-cellsOf(lead))
	}
	return drawn{
		text:  indent(r.depth) + colours.paint(cyan, spinner) + " " + name + colours.paint(dim, elapsed+extra),
		plain: left + name + elapsed + extra,
	}
}

func plainRow(text string, width int) drawn {
	text = fit(text, width-1)
	return drawn{text, text}
}

func indent(depth int) string { return strings.Repeat("  ", depth) }

// glyphs are the signs of the tty renderer.
type glyphs struct {
	done, failed, interrupted, warning, says string
	turning                                  []string
}

// glyphsFor uses ASCII where the locale is known not to be UTF-8, or the console of Linux,
// whose font has no such signs. The first of the three variables that is set decides
// (POSIX, Base Definitions, 8.2).
func glyphsFor(getenv func(string) string) glyphs {
	ascii := getenv("TERM") == "linux"
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if locale := strings.ToLower(getenv(name)); locale != "" {
			ascii = ascii || !strings.Contains(strings.ReplaceAll(locale, "-", ""), "utf8")
			break
		}
	}
	if ascii {
		return glyphs{"+", "x", "-", "!", "=>", []string{"|", "/", "-", "\\"}}
	}
	return glyphs{"✔", "✘", "◌", "⚠", "→", []string{"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"}}
}

func (g glyphs) spinner(now time.Time) string {
	return g.turning[int(now.UnixMilli()/frameTime.Milliseconds())%len(g.turning)]
}

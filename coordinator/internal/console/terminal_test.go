package console

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"
)

// terminalModel is what a person sees. It knows the few sequences that the tty renderer may
// use, wraps what is too long, and reflows when its width changes, as most terminals do.
type terminalModel struct {
	t *testing.T

	mu      sync.Mutex
	width   int
	rows    []modelRow // the last one is where the cursor can be at most
	at, col int        // cursor
	hidden  bool
	writes  int
	highest int // rows the cursor went up at once, at most
}

type modelRow struct {
	text    string
	wrapped bool // goes on in the next row
}

func newTerminal(t *testing.T, width int) *terminalModel {
	return &terminalModel{t: t, width: width, rows: make([]modelRow, 1)}
}

func (m *terminalModel) Write(b []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.writes++
	for s := string(b); s != ""; {
		if strings.HasPrefix(s, "\x1b[") {
			n := strings.IndexFunc(s[2:], func(r rune) bool { return r >= 0x40 && r <= 0x7e })
			m.control(s[2:2+n], s[2+n])
			s = s[2+n+1:]
			continue
		}
		r, n := utf8.DecodeRuneInString(s)
		s = s[n:]
		m.put(r)
	}
	return len(b), nil
}

func (m *terminalModel) control(parameters string, final byte) {
	switch {
	case final == 'm':
	case final == 'J' && parameters == "":
		if m.col != 0 {
			m.t.Error("erased below from the middle of a row")
		}
		m.rows = append(m.rows[:m.at], modelRow{})
	case final == 'A':
		var n int
		if _, err := fmt.Sscan(parameters, &n); err != nil || n > m.at {
			m.t.Errorf("went up %q rows from row %d", parameters, m.at)
		}
		m.at -= min(n, m.at)
		m.highest = max(m.highest, n)
	case final == 'l' && parameters == "?25":
		m.hidden = true
	case final == 'h' && parameters == "?25":
		m.hidden = false
	default:
		m.t.Errorf("unknown sequence %q %c", parameters, final)
	}
}

func (m *terminalModel) put(r rune) {
	switch {
	case r == '\r':
		m.col = 0
	case r == '\n':
		m.at, m.col = m.at+1, 0
		if m.at == len(m.rows) {
			m.rows = append(m.rows, modelRow{})
		}
	case r < ' ' && r != '\t' || r == 0x7f:
		m.t.Errorf("control character %q", r)
	default:
		if m.col+cellsOfRune(r) > m.width {
			m.rows[m.at].wrapped = true
			m.put('\n')
		}
		m.rows[m.at].text += string(r)
		m.col += cellsOfRune(r)
	}
}

// resize reflows; the renderer leaves the cursor at the beginning of the last row.
func (m *terminalModel) resize(width int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	old := m.rows
	m.rows, m.width, m.at, m.col = make([]modelRow, 1), width, 0, 0
	for i, row := range old {
		for _, r := range row.text {
			m.put(r)
		}
		if !row.wrapped && i < len(old)-1 {
			m.put('\n')
		}
	}
}

func (m *terminalModel) columns() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.width
}

func (m *terminalModel) written() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.writes
}

// shown is the text on the screen with its scrollback.
func (m *terminalModel) shown() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var b strings.Builder
	for i, row := range m.rows {
		b.WriteString(row.text)
		if !row.wrapped && i < len(m.rows)-1 {
			b.WriteString("\n")
		}
	}
	return b.String()
}

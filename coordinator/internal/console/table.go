package console

import "strings"

// table is laid out in columns as wide as their content; columns without content are left out.
type table struct {
	header  []string
	right   []int // columns with numbers, aligned to the right
	elastic int   // column that is shortened when the table is wider than the page
	rows    [][]cell
	notes   map[int]string // lines below a row, by its index
}

// cell is text, already cleaned, in a colour.
type cell struct {
	text   string
	colour colour
}

func plainCells(texts ...string) []cell {
	cells := make([]cell, len(texts))
	for i, text := range texts {
		cells[i].text = text
	}
	return cells
}

const (
	columnGap     = 2
	leastElastic  = 8
	headingColour = dim
)

// table writes t, indented by a number of spaces.
func (p *page) table(t table, indent int) {
	widths := t.widths(p.Width - indent)
	p.row(t, widths, indent, plainCells(t.header...), headingColour)
	for i, cells := range t.rows {
		p.row(t, widths, indent, cells, "")
		if note := t.notes[i]; note != "" {
			left := strings.Repeat(" ", indent+columnGap) + "└ "
			p.printf("%s%s\n", left, p.paint(dim, fit(note, p.Width-cellsOf(left))))
		}
	}
}

// row writes the cells of one row; base colours those without a colour of their own.
func (p *page) row(t table, widths []int, indent int, cells []cell, base colour) {
	var b strings.Builder
	b.WriteString(strings.Repeat(" ", indent))
	gap := 0
	for i, c := range cells {
		if widths[i] == 0 {
			continue
		}
		text := fit(c.text, widths[i])
		fill := strings.Repeat(" ", widths[i]-cellsOf(text))
		paint := c.colour
		if paint == "" {
			paint = base
		}
		b.WriteString(strings.Repeat(" ", gap))
		gap = columnGap
		if t.isRight(i) {
			b.WriteString(fill + p.paint(paint, text))
		} else {
			b.WriteString(p.paint(paint, text) + fill)
		}
	}
	p.WriteString(strings.TrimRight(b.String(), " ") + "\n")
}

func (t table) isRight(column int) bool {
	for _, c := range t.right {
		if c == column {
			return true
		}
	}
	return false
}

// widths gives every column its width in cells, 0 for one without content.
func (t table) widths(room int) []int {
	widths := make([]int, len(t.header))
	for _, cells := range t.rows {
		for i, c := range cells {
			widths[i] = max(widths[i], cellsOf(c.text))
		}
	}
	total := -columnGap
	for i := range widths {
		if widths[i] > 0 {
			widths[i] = max(widths[i], cellsOf(t.header[i]))
			total += widths[i] + columnGap
		}
	}
	if over := total - room; over > 0 && widths[t.elastic] > leastElastic {
		widths[t.elastic] = max(leastElastic, widths[t.elastic]-over)
	}
	return widths
}

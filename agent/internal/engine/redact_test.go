package engine

import (
	"strings"
	"testing"

	"ataraxis.dev/landfall/agent/internal/operation"
)

// halves takes "SECRET" out, also where it is broken over two lines.
type halves struct{}

const broken = "SECRET"

func (halves) Text(text string) string { return strings.ReplaceAll(text, broken, "[redacted]") }

func (h halves) Lines(before, line string) (string, string) {
	for cut := 1; cut < len(broken); cut++ {
		if head, ok := strings.CutSuffix(before, broken[:cut]); ok && strings.HasPrefix(line, broken[cut:]) {
			return h.Text(head) + "[redacted]", "[redacted]" + h.Text(line[len(broken)-cut:])
		}
	}
	return h.Text(before), h.Text(line)
}

// TestLinesBetweenSecrets: what was taken out of a line because of the one before stays out when the next one comes.
func TestLinesBetweenSecrets(t *testing.T) {
	t.Parallel()
	for name, lines := range map[string][]string{
		"whole":             {"a SECRET b", "c"},
		"broken":            {"a SEC", "RET b"},
		"broken, then more": {"a SEC", "RET b", "c", "d"},
		"broken twice":      {"a SEC", "RET b SEC", "RET c", "d"},
	} {
		r := &Run{engine: &Engine{redact: halves{}}, lines: map[source]*line{}}
		var said []*operation.OutputLine
		var last tail
		from := source{step: "build/a/1"}
		for _, text := range lines {
			out := &operation.OutputLine{Text: r.redacted(from, text, &last)}
			last.add(out.Text)
			r.lines[from].pending = out
			said = append(said, out)
		}
		for i, out := range said {
			for _, text := range []string{out.Text, last.lines()[i]} {
				for _, part := range []string{"SEC", "RET"} {
					if strings.Contains(text, part) {
						t.Errorf("%s: line %d is %q", name, i, text)
					}
				}
			}
		}
	}
}

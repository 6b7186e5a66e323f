package console

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"testing"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
)

// ganttLine is every line that a diagram of ours may have.
var ganttLine = regexp.MustCompile(`\A(gantt|    dateFormat x|    axisFormat %H:%M:%S|    section [A-Z_]+|` +
	`    · [\pL\pN ._/()\[\]=…+-]* :(done, |active, |crit, |crit, done, )?b\d+, -?\d+, [1-9]\d*ms)\z`)

// diagrams are the blocks of Mermaid in a page.
func diagrams(page string) []string {
	var out []string
	for _, part := range strings.Split(page, "```mermaid\n")[1:] {
		block, _, _ := strings.Cut(part, "```\n")
		out = append(out, block)
	}
	return out
}

func TestGanttIsSplitAndHarmless(t *testing.T) {
	op := exampleOperation()
	op.Steps = nil
	for i := range 2000 {
		attack := attacks[i%len(attacks)]
		op.Steps = append(op.Steps, &landfallv1.StepRecord{
			Id: fmt.Sprintf("section %d", i), Title: attack + ":;#%%{init}\nclick b1 href \"x\"", StartTime: after(float64(i)), EndTime: after(float64(i) + 0.5),
			State: landfallv1.OperationState_OPERATION_STATE_BUILDING, Outcome: landfallv1.StepOutcome_STEP_OUTCOME_DONE,
		})
	}
	var b bytes.Buffer
	if err := WriteOperationMarkdown(&b, op, exampleStyle); err != nil {
		t.Fatal(err)
	}
	blocks := diagrams(b.String())
	if len(blocks) < 2 {
		t.Fatalf("%d diagrams for 2000 steps", len(blocks))
	}
	bars := 0
	for _, block := range blocks {
		if len(block) > 50_000 {
			t.Errorf("a diagram has %d bytes", len(block))
		}
		for line := range strings.Lines(block) {
			line = strings.TrimSuffix(line, "\n")
			if !ganttLine.MatchString(line) {
				t.Errorf("%q is no line of a diagram", line)
			}
			if strings.HasPrefix(line, "    · ") && strings.HasSuffix(line, " 500ms") {
				bars++
			}
		}
	}
	if bars != 2000 {
		t.Errorf("%d bars for 2000 steps", bars)
	}
}

// A fence cannot be closed by what it holds.
func TestCodeBlocksHoldTheirLines(t *testing.T) {
	for _, text := range []string{"```", "````\n```", "``` `` `````"} {
		p := newPage(exampleStyle)
		p.codeBlock([]string{"first", text, "last"})
		var b bytes.Buffer
		if err := p.writeTo(&b); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSpace(b.String()), "\n")
		fence := lines[len(lines)-1]
		for _, line := range lines[1 : len(lines)-1] {
			if strings.HasPrefix(strings.TrimSpace(line), fence) {
				t.Errorf("%q ends the block of %q", line, fence)
			}
		}
	}
}

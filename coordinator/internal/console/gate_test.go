package console

import (
	"bytes"
	"testing"
	"time"

	"ataraxis.dev/landfall/shared/ci"
)

func TestGate(t *testing.T) {
	gates := []Gate{
		{Verdict: "pass", Reason: "passed: lint.yml (success), test.yml (not triggered)", Waited: 75 * time.Second, Polls: 6, Lines: []ci.Line{
			{File: "lint.yml", Decision: ci.Pass, Status: "success", Run: 7, URL: "https://github.com/o/r/actions/runs/7", Attempt: 2, Reason: "lint.yml (run 3, attempt 2) succeeded"},
			{File: "test.yml", Decision: ci.Pass, Status: "not triggered", Reason: "no changed path matches"},
		}},
		{Verdict: "blocked", Reason: "x\n::error::y|z", Hint: "run it again <b>", Polls: 1, Lines: []ci.Line{{File: "a|b.yml", Decision: ci.Blocked, Status: "failure", Reason: "`x`"}}},
		{Verdict: "superseded", Reason: "run 9 is pending", Polls: 1},
	}
	for _, format := range []string{"text", "markdown", "json"} {
		var b bytes.Buffer
		for _, g := range gates {
			if err := WriteGate(&b, g, format, exampleStyle); err != nil {
				t.Fatal(err)
			}
		}
		golden(t, "answers/gate."+format, b.String())
	}
	if err := WriteGate(&bytes.Buffer{}, gates[0], "xml", exampleStyle); err == nil {
		t.Error("xml is a format")
	}
}

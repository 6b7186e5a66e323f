package actions

import (
	"crypto/rand"
	"errors"
	"os"
	"regexp"
	"strings"

	"ataraxis.dev/landfall/shared/fault"
)

// outputLimit bounds the outputs of one call, in bytes: GitHub takes 1 MB of a job
// (https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#jobsjob_idoutputs).
const outputLimit = 900 << 10

var outputName = regexp.MustCompile(`\A[A-Za-z_][A-Za-z0-9_-]*\z`)

// Output is one output of a step.
type Output struct {
	Name  string
	Value string // any text
}

// WriteOutputs appends outputs to GITHUB_OUTPUT, all in one write; outside of Actions there
// is no such file, and nothing is written. Every value stands between delimiters that are new
// and random each time, so that a value of several lines is one value: the runner reads
// NAME<<DELIMITER, lines, DELIMITER (actions/runner, FileCommandManager.cs).
func (e Environment) WriteOutputs(outputs ...Output) error {
	if e.OutputFile == "" {
		return nil
	}
	var b strings.Builder
	for _, o := range outputs {
		delimiter := "landfall_" + rand.Text()
		if !outputName.MatchString(o.Name) || strings.Contains(o.Value, delimiter) {
			return fault.New(fault.Internal, "OUTPUT_NAME", "%q cannot be an output", o.Name)
		}
		b.WriteString(o.Name + "<<" + delimiter + "\n" + strings.ToValidUTF8(o.Value, "\uFFFD") + "\n" + delimiter + "\n")
	}
	if b.Len() > outputLimit {
		return fault.New(fault.Failed, "OUTPUT_TOO_LONG", "the outputs have %d bytes, GitHub takes %d", b.Len(), outputLimit)
	}
	return appendTo(e.OutputFile, b.String(), "OUTPUT_FILE", "write the outputs")
}

// appendTo appends text to a file of the runner.
func appendTo(name, text, reason, doing string) error {
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fault.Wrap(err, fault.Failed, reason, "%s", doing)
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Close()); err != nil {
		return fault.Wrap(err, fault.Failed, reason, "%s", doing)
	}
	return nil
}

package flow_test

import (
	"context"
	"encoding/json"
	"strings"
	"sync/atomic"
	"testing"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
)

// forgetful is a redactor that knows its secret only once it was taught in this life of the agent, and who teaches it.
type forgetful struct {
	secret string
	taught atomic.Bool
	err    error
}

func (f *forgetful) Learn(context.Context, *pipeline.Plan) error {
	f.taught.Store(f.err == nil)
	return f.err
}

func (f *forgetful) Text(text string) string {
	if !f.taught.Load() {
		return text
	}
	return strings.ReplaceAll(text, f.secret, "[redacted]")
}

func (f *forgetful) Lines(before, line string) (string, string) { return f.Text(before), f.Text(line) }

// TestSecretsAreKnownAgainAfterARestart: an agent that takes an operation up in the middle of a migration has no secret in its memory, and the
// migration prints one before Compose is run again.
func TestSecretsAreKnownAgainAfterARestart(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.deployed(b.Head())
		id := b.stopIn("Scripts.Migrate", next(b))
		b.On("Scripts.Migrate", nil)
		b.Print("Scripts.Migrate", "connecting with hunter2hunter2")
		f := &forgetful{secret: "hunter2hunter2"}
		b.Redactor, b.Teacher = f, f
		b.start()
		if op := b.judged(id); op.State != operation.Succeeded {
			t.Fatalf("ended in %s: %+v", op.State, op.Failure)
		}
		events, err := b.Ports().Journal.Events(id, 0, 1000)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := json.Marshal(events)
		if err != nil || strings.Contains(string(raw), f.secret) || !strings.Contains(string(raw), "connecting with [redacted]") {
			t.Errorf("the journal has the secret, or not the line: %v\n%s", err, raw)
		}
	})
}

// TestNoScriptRunsWhoseSecretsCannotBeLearned: what it prints could not be redacted.
func TestNoScriptRunsWhoseSecretsCannotBeLearned(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.deployed(b.Head())
		b.engine.Close()
		f := &forgetful{err: fault.New(fault.Refused, "SECRETS_NOT_READ", "what big.env holds cannot be kept out of logs")}
		b.Teacher = f
		b.start()
		op := b.judged(b.deploy(next(b)).ID)
		if op.State == operation.Succeeded || op.Failure == nil || !strings.Contains(op.Failure.Message, "big.env") {
			t.Errorf("ended in %s: %+v", op.State, op.Failure)
		}
		if calls := b.Calls("Scripts.Migrate"); len(calls) > 1 {
			t.Errorf("the script ran: %v", calls)
		}
	})
}

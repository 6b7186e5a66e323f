package journal

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/hashicorp/go-hclog"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/shared/fault"
)

// A page that a failing disk damaged is an error, never a panic, and never an empty answer.
func TestDamagedPageIsAnError(t *testing.T) {
	dir := t.TempDir()
	j, err := Open(dir, 10, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	first := operation.Event{Sequence: 1, Accepted: &operation.Accepted{Kind: operation.KindDeploy, CommandID: "c"}}
	op, _, err := j.Create(first)
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "journal.db")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	page := os.Getpagesize()
	for i := 2 * page; i < len(raw); i++ { // everything but the two meta pages
		raw[i] = 0xa5
	}
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	j, err = Open(dir, 10, hclog.NewNullLogger())
	if err == nil {
		_, err = j.Operation(op.ID)
		_ = j.Close() // what it says of a damaged file does not matter
	}
	if fault.KindOf(err) != fault.Degraded {
		t.Errorf("a damaged page gave %v", err)
	}
}

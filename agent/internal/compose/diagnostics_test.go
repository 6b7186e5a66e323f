package compose

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"ataraxis.dev/landfall/shared/pipeline"
	"ataraxis.dev/landfall/shared/process"
)

// While docker compose hangs diagnostics go by what was rendered last; steps never do.
func TestDiagnosticsGoByTheLastRendering(t *testing.T) {
	dir := t.TempDir()
	hang := filepath.Join(dir, "hang")
	script := "#!/bin/sh\n[ -e " + hang + " ] && exec sleep 60\necho '{\"name\":\"shop\",\"services\":{\"app\":{\"image\":\"app:1\"}}}'\n"
	if err := os.WriteFile(filepath.Join(dir, "docker"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	owner, err := process.LookupOwner(dir)
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(dir, owner, Deadlines{Config: time.Minute}, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	stack := pipeline.Stack{Name: "core"}
	// Plans of two commits: a rendering of one is not taken for the other's.
	before, after := &pipeline.Plan{Target: "a"}, &pipeline.Plan{Target: "b"}
	if m, err := c.model(t.Context(), before, stack); err != nil || m.Project != "shop" {
		t.Fatalf("%v, %v", m, err)
	}
	if err := os.WriteFile(hang, nil, 0o600); err != nil {
		t.Fatal(err)
	}

	began := time.Now()
	m, err := diagnostics{c}.recent(t.Context(), after, stack)
	if err != nil || m.Project != "shop" || m.Services["app"].Image != "app:1" {
		t.Errorf("diagnostics are told %v, %v", m, err)
	}
	if took := time.Since(began); took < modelLimits.Wait || took > modelLimits.First {
		t.Errorf("diagnostics were told after %s", took)
	}
	short, cancel := context.WithTimeout(t.Context(), 2*modelLimits.Wait)
	defer cancel()
	if m, err := c.model(short, after, stack); err == nil {
		t.Errorf("a step is told %v although nothing was rendered", m)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

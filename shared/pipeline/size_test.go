package pipeline

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestLargeConfigurationsAreCheap parses and compiles the longest chain of actions that
// the bounds of strictyaml let through, closed to a cycle and open.
func TestLargeConfigurationsAreCheap(t *testing.T) {
	var text strings.Builder
	text.WriteString("version: 1\nproject: p\nstacks: {s: {}}\nflags: {f: {paths: [\"**\"], actions: [")
	const count = 1000
	for i := range count {
		fmt.Fprintf(&text, "a%d, ", i)
	}
	text.WriteString("]}}\nactions:\n")
	for i := 1; i < count; i++ {
		fmt.Fprintf(&text, "  a%d: {after: [a%d], steps: [{restart: {stack: s}}]}\n", i, i-1)
	}
	open := text.String() + "  a0: [{restart: {stack: s}}]\n"
	closed := text.String() + fmt.Sprintf("  a0: {after: [a%d], steps: [{restart: {stack: s}}]}\n", count-1)
	start := time.Now()
	config, err := Parse("open.yaml", []byte(open))
	if err != nil {
		t.Fatal(err)
	}
	plan := mustCompile(t, config, Input{Target: target, Everything: "test"})
	if last := plan.Steps[count-1]; last.ID != "apply/a999/1" || len(last.After) != 1 {
		t.Errorf("last step %+v", last)
	}
	if _, err := Parse("closed.yaml", []byte(closed)); err == nil || strings.Count(err.Error(), "cycle") != 1 {
		t.Errorf("the cycle: %.200v", err)
	}
	if took := time.Since(start); took > 30*time.Second {
		t.Errorf("took %s", took)
	}
}

// bigChangeSet is 20,000 paths spread over known and unknown folders.
func bigChangeSet() []Change {
	folders := []string{"dashboard/api/src", "mcp/gmail", "docs/a/b", "n8n/workflows", "some/new/folder", "lib/tests/unit", "sites/ataraxis/pages"}
	list := make([]Change, 20_000)
	for i := range list {
		list[i] = Change{Status: 'M', Path: fmt.Sprintf("%s/file-%05d.ts", folders[i%len(folders)], i)}
	}
	return list
}

func TestCompileIsFast(t *testing.T) {
	config, _ := fleet(t, "reference")
	in := Input{Changes: bigChangeSet()}
	start := time.Now()
	plan := mustCompile(t, config, in)
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("20,000 changes took %s; the benchmark expects less than 0.1 s", took)
	}
	if plan.UnclaimedCount == 0 || len(plan.SetFlags()) != 5 {
		t.Errorf("set %v, %d unclaimed", plan.SetFlags(), plan.UnclaimedCount)
	}
}

func BenchmarkCompile20000Changes(b *testing.B) {
	config, _ := fleet(b, "reference")
	in := Input{Base: base, Target: target, Changes: bigChangeSet()}
	for b.Loop() {
		if _, err := Compile(config, in); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDigest(b *testing.B) {
	config, _ := fleet(b, "reference")
	plan := mustCompile(b, config, Input{Target: target, Everything: "test"})
	for b.Loop() {
		plan.Digest()
	}
}

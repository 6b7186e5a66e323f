package architecture_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"testing"
)

// unbounded are the calls that hold whatever they are given, and wait for it: a device without end, a FIFO without a writer, an answer of a
// gigabyte.
var unbounded = map[string]bool{"os.ReadFile": true, "io.ReadAll": true}

// mayReadAll says which files call them all the same, and why. Everything else reads by package boundedfile.
var mayReadAll = map[string]string{
	"shared/boundedfile/boundedfile.go":   "it is the one that bounds",
	"shared/ci/transport.go":              "an answer of the network, behind io.LimitReader",
	"shared/ci/conditional.go":            "an answer that transport.go has bounded",
	"shared/discordtest/discordtest.go":   "a server of tests, behind io.LimitReader",
	"shared/git/gittest/gittest.go":       "repositories that tests make",
	"shared/notify/client.go":             "an answer of the network, behind io.LimitReader",
	"agent/internal/probe/probe.go":       "an answer of the network, behind io.LimitReader",
	"agent/internal/checkout/disk.go":     "an open regular file, no longer than what it is compared with",
	"agent/internal/checkout/holders.go":  "/proc, which the kernel writes and bounds",
	"agent/internal/compose/processes.go": "/proc, which the kernel writes and bounds",
	"agent/internal/orphans/orphans.go":   "/proc, which the kernel writes and bounds",
	"agent/internal/host/read.go":         "/proc, which the kernel writes and bounds",
}

// TestReadsAreBounded: limits hold before and while a file is read, in one function that both programs use.
func TestReadsAreBounded(t *testing.T) {
	t.Parallel()
	used := map[string]bool{}
	for _, p := range load(t).ours {
		if !in(p.room(), "agent", "coordinator", "shared") {
			continue // scripts are tools of tests
		}
		for _, name := range p.GoFiles {
			file := p.room() + "/" + name
			for _, call := range callsOf(t, filepath.Join(p.Dir, name)) {
				if used[file] = true; mayReadAll[file] == "" {
					t.Errorf("%s calls %s: read by package boundedfile, or say here why not", file, call)
				}
			}
		}
	}
	for file := range mayReadAll {
		if !used[file] {
			t.Errorf("%s is excused for nothing: take it off the list", file)
		}
	}
}

// callsOf lists the unbounded calls of a file.
func callsOf(t *testing.T, path string) (found []string) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		s, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if of, ok := s.X.(*ast.Ident); ok && unbounded[of.Name+"."+s.Sel.Name] {
			found = append(found, of.Name+"."+s.Sel.Name)
		}
		return true
	})
	return found
}

package architecture

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestPromisesAreTested: each line of SECURITY.md's table names tests, or files of tests, that exist.
func TestPromisesAreTested(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	page, err := os.ReadFile(filepath.Join(root, "SECURITY.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(page), "## Which test shows it")
	table, _, _ = strings.Cut(table, "\n## ")
	if !found {
		t.Fatal("SECURITY.md has no table of tests")
	}
	tests := testsOf(t, root)
	name := regexp.MustCompile("`([^`]+)`")
	rows := 0
	for line := range strings.Lines(table) {
		promise, shown, row := strings.Cut(strings.TrimPrefix(line, "| "), " | ")
		if !row || promise == "Promise" {
			continue
		}
		rows++
		named := name.FindAllStringSubmatch(shown, -1)
		if len(named) == 0 {
			t.Errorf("%q is shown by nothing", promise)
		}
		for _, n := range named {
			if !tests[n[1]] {
				t.Errorf("%q is shown by %s, which does not exist", promise, n[1])
			}
		}
	}
	if rows == 0 {
		t.Error("the table is empty")
	}
}

// testsOf has the name of every test, and of every file of tests relative to root.
func testsOf(t *testing.T, root string) map[string]bool {
	t.Helper()
	declared := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	tests := map[string]bool{}
	if err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		raw, err := os.ReadFile(path)
		for _, found := range declared.FindAllStringSubmatch(string(raw), -1) {
			tests[found[1]] = true
		}
		tests[filepath.ToSlash(rel)] = err == nil
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return tests
}

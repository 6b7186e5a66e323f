package workflows

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/strictyaml"
)

// laidOut writes the rendered files of a configuration into a folder.
func laidOut(t *testing.T, name string) (root string, files []File) {
	t.Helper()
	root, files = t.TempDir(), render(t, name)
	changes, err := Compare(root, files, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := Write(root, changes); err != nil {
		t.Fatal(err)
	}
	return root, files
}

func read(t *testing.T, root, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, Folder, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func write(t *testing.T, root, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(root, Folder, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestRenderingTwiceChangesNothing(t *testing.T) {
	for _, name := range []string{"reference", "small"} {
		root, files := laidOut(t, name)
		changes, err := Compare(root, files, false)
		if err != nil {
			t.Fatal(err)
		}
		if len(Changed(changes)) != 0 || Diff(changes) != "" {
			t.Errorf("%s: %s", name, Diff(changes))
		}
		entries, err := os.ReadDir(filepath.Join(root, Folder))
		if err != nil || len(entries) == 0 {
			t.Fatal(err)
		}
		for _, e := range entries {
			if strings.HasSuffix(e.Name(), ".landfall") {
				t.Errorf("a temporary file is left: %s", e.Name())
			}
		}
	}
}

// TestUsersTextIsKept edits around the marks and inside a region.
func TestUsersTextIsKept(t *testing.T) {
	root, files := laidOut(t, "reference")
	fresh := read(t, root, LintFile)
	kept := fresh
	for _, edit := range [][2]string{
		{"name: lint\n", "name: my lint # renamed\n"},
		{"# landfall:end triggers\n", "# landfall:end triggers\n  merge_group:\n"},
		{"jobs:\n", "jobs:\n  # mine\n  spelling:\n    runs-on: ubuntu-latest\n    steps:\n      - run: 'true'\n\n"},
		{"      # landfall:end job.ruff\n", "      # landfall:end job.ruff\n      - run: echo before\n"},
		{"  # landfall:end steps.ruff\n", "  # landfall:end steps.ruff\n      - run: echo after\r\n"},
	} {
		if !strings.Contains(kept, edit[0]) {
			t.Fatalf("nothing to edit: %q", edit[0])
		}
		kept = strings.Replace(kept, edit[0], edit[1], 1)
	}
	kept += "# the end, without a line end"
	edited := strings.Replace(kept, "timeout-minutes: 20", "timeout-minutes: 9999", 1)
	edited = strings.Replace(edited, "permissions: {}\n", "permissions: write-all\n", 1)
	write(t, root, LintFile, edited)

	changes, err := Compare(root, files, false)
	if err != nil {
		t.Fatal(err)
	}
	diff := Diff(changes)
	for _, want := range []string{"-permissions: write-all", "+permissions: {}", "-    timeout-minutes: 9999", "+    timeout-minutes: 20"} {
		if !strings.Contains(diff, "\n"+want+"\n") {
			t.Errorf("the diff lacks %q:\n%s", want, diff)
		}
	}
	if err := Write(root, changes); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(kept, read(t, root, LintFile)); diff != "" {
		t.Error(diff)
	}
	if changes, err = Compare(root, files, false); err != nil || len(Changed(changes)) != 0 {
		t.Errorf("again: %v, %v", changes, err)
	}
}

// TestNewJobFindsItsPlace adds linters to a file that a person has edited.
func TestNewJobFindsItsPlace(t *testing.T) {
	c := config(t, "reference")
	all := c.Workflows.Lint
	some := map[string]bool{"ruff": true, "shellcheck": true}
	for name := range all {
		if !some[name] {
			delete(all, name)
		}
	}
	before, _, err := Render(c, "landfall.yaml")
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	changes, err := Compare(root, before, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := Write(root, changes); err != nil {
		t.Fatal(err)
	}
	const mine = "      - run: echo mine\n"
	text := strings.Replace(read(t, root, LintFile), "  # landfall:end steps.ruff\n", "  # landfall:end steps.ruff\n"+mine, 1)
	write(t, root, LintFile, text)

	files := render(t, "reference")
	if changes, err = Compare(root, files, false); err != nil {
		t.Fatal(err)
	}
	if err := Write(root, changes); err != nil {
		t.Fatal(err)
	}
	want := ""
	for _, file := range files {
		if strings.HasSuffix(file.Path, LintFile) {
			want = strings.Replace(string(file.Content), "  # landfall:end steps.ruff\n", "  # landfall:end steps.ruff\n"+mine, 1)
		}
	}
	if diff := cmp.Diff(want, read(t, root, LintFile)); diff != "" {
		t.Error(diff)
	}
}

// TestRefused holds that a file which cannot be merged is named with its line, and that
// nothing at all is written then.
func TestRefused(t *testing.T) {
	mark := func(name string) string { return "      # landfall:begin " + name + markNote + "\n" }
	for _, c := range []struct {
		name, from, to, want string
	}{
		{"no marks", "*", "name: mine\non: push\njobs: {}\n", "deploy.yml:1:1: the file is there already and has no marks"},
		{"empty", "*", "", "deploy.yml:1:1: the file is there already and has no marks"},
		{"damaged", "# landfall:end triggers", "# landfall:end", "deploy.yml:18:1: this mark is damaged"},
		{"mistyped", "# landfall:end triggers", "#landfall:end triggers", "deploy.yml:18:1: this mark is damaged"},
		{"never ends", "# landfall:end triggers\n", "", "deploy.yml:19:1: region settings begins inside region triggers"},
		{"never began", "  # landfall:begin triggers" + markNote + "\n", "", "region triggers ends but never began"},
		{"other name", "# landfall:end triggers", "# landfall:end settings", "region settings ends where region triggers should"},
		{"nested", "      # landfall:end job.deploy\n", mark("steps.deploy") + "      # landfall:end job.deploy\n", "region steps.deploy begins inside region job.deploy"},
		{"twice", "jobs:\n", "# landfall:begin settings\n# landfall:end settings\njobs:\n", "region settings is there twice"},
		{"unknown", "jobs:\n", "# landfall:begin extra\n# landfall:end extra\njobs:\n", "region extra is none of this file"},
		{"begins at the end", "  # landfall:end steps.notify\n", "", "region steps.notify never ends"},
		{"half a job", mark("steps.verify"), "", "region steps.verify ends but never began"},
		{"swallowed", "jobs:\n", "x: |\n  text\njobs:\n  y: |\n    text\n", "what stands around the marks breaks the file: jobs.y must be a mapping"},
		{"in a block scalar", "# landfall:begin settings", "env:\n  A: |\n   a\n   # landfall:begin settings", ""},
		{"other key", "jobs:\n", "tasks:\n", "what stands around the marks breaks the file: the key jobs is missing"},
		{"key below", "  # landfall:end steps.verify\n", "  # landfall:end steps.verify\n    if: always()\n", `breaks the file: jobs.verify: the key "if" stands on line`},
		{"key above", "name: deploy\n", "name: deploy\npermissions: write-all\n", `breaks the file: a workflow: the key "permissions" stands on line`},
		{"trigger again", "# landfall:end triggers\n", "# landfall:end triggers\n  push: {branches: ['**']}\n", `breaks the file: on: the key "push" stands on line`},
		{"weaker environment", "  # landfall:end steps.verify\n", "  # landfall:end steps.verify\n    environment: other\n", "changes environment of the job verify"},
		{"job taken away", "  # landfall:begin job.verify", "  other: {runs-on: x, env: {A: |\n  # landfall:begin job.verify", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			root, files := laidOut(t, "reference")
			text := c.to
			if c.from != "*" {
				fresh := read(t, root, DeployFile)
				if !strings.Contains(fresh, c.from) {
					t.Fatalf("nothing to edit: %q", c.from)
				}
				text = strings.Replace(fresh, c.from, c.to, 1)
			}
			write(t, root, DeployFile, text)
			if err := os.Remove(filepath.Join(root, Folder, TestFile)); err != nil {
				t.Fatal(err)
			}
			changes, err := Compare(root, files, false)
			var problems strictyaml.Problems
			if err == nil {
				if c.want != "" {
					t.Fatalf("accepted:\n%s", Diff(changes))
				}
				return
			}
			if fault.ReasonOf(err) != "WORKFLOW_MARKS" || !errors.As(err, &problems) || !strings.Contains(err.Error(), c.want) || c.want == "" && len(problems) == 0 {
				t.Errorf("got %v\nwant %s", err, c.want)
			}
			if changes != nil {
				t.Error("changes beside an error")
			}
			forced, err := Compare(root, files, true)
			if err != nil {
				t.Fatal(err)
			}
			if err := Write(root, forced); err != nil {
				t.Fatal(err)
			}
			for _, file := range files {
				if got := read(t, root, "../../"+file.Path); got != string(file.Content) {
					t.Errorf("%s was not replaced", file.Path)
				}
			}
		})
	}
}

func TestForceKeepsWhatCanBeMerged(t *testing.T) {
	root, files := laidOut(t, "small")
	text := strings.Replace(read(t, root, DeployFile), "name: deploy", "name: mine", 1)
	write(t, root, DeployFile, text)
	changes, err := Compare(root, files, true)
	if err != nil || len(Changed(changes)) != 0 {
		t.Errorf("%v\n%s", err, Diff(changes))
	}
}

func TestWriteStaysInside(t *testing.T) {
	root, outside := t.TempDir(), t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, ".github"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(root, Folder)); err != nil {
		t.Fatal(err)
	}
	changes := []Change{{Path: Folder + "/x.yml", After: []byte("x")}}
	if err := Write(root, changes); fault.ReasonOf(err) != "WORKFLOW_WRITE" {
		t.Errorf("got %v", err)
	}
	if entries, _ := os.ReadDir(outside); len(entries) != 0 {
		t.Errorf("written outside: %v", entries)
	}
}

func TestDiff(t *testing.T) {
	many := func(from, to string) []byte {
		return []byte("1\n2\n3\n4\n" + from + "6\n7\n8\n9\n10\n11\n12\n13\n" + to + "15\n")
	}
	got := Diff([]Change{
		{Path: "same", Before: []byte("a\n"), After: []byte("a\n")},
		{Path: "new", After: []byte("a\nb\n")},
		{Path: "changed", Before: many("5\n", "14\n"), After: many("five\n", "")},
	})
	want := `--- /dev/null
+++ b/new
@@ -0,0 +1,2 @@
+a
+b
--- a/changed
+++ b/changed
@@ -2,7 +2,7 @@
 2
 3
 4
-5
+five
 6
 7
 8
@@ -11,5 +11,4 @@
 11
 12
 13
-14
 15
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// FuzzMerge holds that merging either refuses, or gives a file that merges to itself.
func FuzzMerge(f *testing.F) {
	raw, err := os.ReadFile("testdata/small/test.yml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Fuzz(func(t *testing.T, existing []byte) {
		merged, problems := merge(Folder+"/test.yml", raw, existing)
		if len(problems) > 0 {
			return
		}
		again, problems := merge(Folder+"/test.yml", raw, merged)
		if len(problems) > 0 || string(again) != string(merged) {
			t.Errorf("not stable: %v\n%s", problems, cmp.Diff(string(merged), string(again)))
		}
	})
}

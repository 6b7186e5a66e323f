package cli

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ataraxis.dev/landfall/shared/git/gittest"
)

// runnerFiles makes the files by which a step answers its runner.
func runnerFiles(t *testing.T) (output, summary string) {
	t.Helper()
	dir := t.TempDir()
	output, summary = filepath.Join(dir, "output"), filepath.Join(dir, "summary")
	t.Setenv("GITHUB_ACTIONS", "true")
	t.Setenv("GITHUB_EVENT_NAME", "push")
	t.Setenv("RUNNER_ENVIRONMENT", "self-hosted")
	t.Setenv("GITHUB_OUTPUT", output)
	t.Setenv("GITHUB_STEP_SUMMARY", summary)
	return output, summary
}

// outputs reads an output file in the form NAME<<DELIMITER, lines, DELIMITER.
func outputs(t *testing.T, file string) map[string]string {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	lines := strings.Split(strings.TrimSuffix(string(raw), "\n"), "\n")
	for i := 0; i < len(lines); i++ {
		name, delimiter, ok := strings.Cut(lines[i], "<<")
		if !ok {
			t.Fatalf("%q is no output", lines[i])
		}
		var value []string
		for i++; lines[i] != delimiter; i++ {
			value = append(value, lines[i])
		}
		got[name] = strings.Join(value, "\n")
	}
	return got
}

func read(t *testing.T, file string) string {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestDetectChangesTellsTheJob(t *testing.T) {
	bare(t)
	repo, base, _ := clone(t)
	const odd = "odd `name`|\n::error::x\n\"q\" \xff.bin"
	head2 := repo.Commit("::set-output name=any_deploy::false", map[string]string{odd: "1\n", "docs/a.md": "a\n"})
	a := &agent{stamp: base}
	a.serve(t)
	output, summary := runnerFiles(t)
	t.Chdir(repo.Dir)
	o := landfall(t, "detect-changes", "--head", head2)
	o.expect(t, 0)
	want := map[string]string{
		"any_deploy": "true", "any_deploy_reason": "", "base_sha": base, "head_sha": head2, "everything_reason": "", "files_changed": "3", "insertions": "3", "deletions": "1",
		"commits": "2", "unclaimed_count": "1", "app": "true", "docs": "true",
	}
	got := outputs(t, output)
	unclaimed := got["unclaimed"]
	delete(got, "unclaimed")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if len(decode(t, `{"unclaimed":`+unclaimed+"}\n")) != 1 || strings.Contains(unclaimed, "\n") {
		t.Errorf("unclaimed: %s", unclaimed)
	}
	page := read(t, summary)
	for _, part := range []string{"### Changes: `" + base[:12] + "` → `" + head2[:12] + "`", "| Files | 3 |", "### Plan for sample", "`app/main.txt`"} {
		if !strings.Contains(page, part) {
			t.Errorf("the summary does not show %q:\n%s", part, page)
		}
	}
	if strings.Contains(page, "\n::error") || strings.Contains(o.out, "\n::error") || strings.Contains(o.err, "\n::error") {
		t.Error("a file's name gives commands")
	}
	if len(a.commands) != 0 || !strings.Contains(o.out, "flags        app, docs") {
		t.Errorf("stdout %s, commands %q", o.out, a.commands)
	}
}

func TestDetectChangesWithoutABase(t *testing.T) {
	bare(t)
	repo, _, head := clone(t)
	t.Chdir(repo.Dir)
	for _, base := range []string{strings.Repeat("0", 40), strings.Repeat("a", 40)} {
		o := landfall(t, "detect-changes", "--base", base, "--format", "json")
		o.expect(t, 0)
		got := decode(t, o.out)[0]
		flags, _ := got["flags"].(map[string]any)
		if got["any_deploy"] != true || flags["app"] != true || flags["docs"] != true || got["everything_reason"] == nil || got["files_changed"] != nil || got["head_sha"] != head {
			t.Errorf("base %s: %s", base, o.out)
		}
	}
	landfall(t, "detect-changes", "--base", "no-such-branch").expect(t, 2, "no-such-branch")
	landfall(t, "detect-changes").expect(t, 2, "--base", "--agent")
	landfall(t, "detect-changes", "--base", "HEAD", "--format", "xml").expect(t, 2, "xml", "text, json, markdown")
}

func TestDetectChangesInAShallowClone(t *testing.T) {
	bare(t)
	origin, base, _ := clone(t)
	origin.Git("config", "uploadpack.allowAnySHA1InWant", "true")
	shallow := gittest.Clone(t, origin, "--depth=1")
	output, _ := runnerFiles(t)
	t.Chdir(shallow.Dir)
	landfall(t, "detect-changes", "--base", base).expect(t, 0)
	if got := outputs(t, output); got["commits"] != "" || got["files_changed"] != "1" || got["app"] != "true" || got["docs"] != "false" {
		t.Errorf("%v", got)
	}
}

// An answer is read by the runner, too: the names in it give no commands.
func TestAnswersGiveNoCommands(t *testing.T) {
	bare(t)
	repo, base, _ := clone(t)
	repo.Commit("names", map[string]string{"::stop-commands::tok/f": "1\n", "##[group]z/f": "1\n"})
	runnerFiles(t)
	t.Chdir(repo.Dir)
	for _, command := range [][]string{{"plan"}, {"detect-changes"}, {"plan", "--format", "markdown"}} {
		o := landfall(t, append(command, "--base", base)...)
		o.expect(t, 0)
		if !strings.Contains(o.out, "stop-commands::tok/f") || strings.Contains(o.out, "##[") {
			t.Errorf("%s: %s", command, o.out)
		}
		for line := range strings.Lines(o.out) {
			if strings.HasPrefix(strings.TrimSpace(line), "::") {
				t.Errorf("%s gives the command %q", command, line)
			}
		}
	}
}

func TestLongNamesFailNothing(t *testing.T) {
	bare(t)
	repo, base, _ := clone(t)
	files := map[string]string{}
	for i := range 100 {
		files[strings.Repeat(strings.Repeat("<", 200)+"/", 8)+strconv.Itoa(i)] = "x\n"
	}
	repo.Commit("long", files)
	output, _ := runnerFiles(t)
	t.Chdir(repo.Dir)
	landfall(t, "detect-changes", "--base", base).expect(t, 0)
	if got := outputs(t, output); got["unclaimed_count"] != "100" || len(got["unclaimed"]) > 256<<10 || len(got["unclaimed"]) < 1<<10 {
		t.Errorf("%s paths in %d bytes", got["unclaimed_count"], len(got["unclaimed"]))
	}
}

// What a self-hosted runner is told by a fork's event does not reach the agent.
func TestForksReachNothing(t *testing.T) {
	bare(t)
	repo, base, _ := clone(t)
	a := &agent{stamp: base}
	a.serve(t)
	runnerFiles(t)
	t.Setenv("GITHUB_EVENT_NAME", "pull_request")
	t.Setenv("GITHUB_REPOSITORY", "o/r")
	event := filepath.Join(t.TempDir(), "event.json")
	if err := os.WriteFile(event, []byte(`{"pull_request":{"head":{"repo":{"full_name":"stranger/r"}}},"repository":{"full_name":"o/r"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GITHUB_EVENT_PATH", event)
	t.Chdir(repo.Dir)
	for _, command := range [][]string{{"run", "--no-gate"}, {"deploy"}, {"status"}, {"rollback", "--to", base}, {"detect-changes"}} {
		landfall(t, append(command, "--timeout", "5s")...).expect(t, 7, "stranger/r")
	}
	if len(a.commands) != 0 {
		t.Errorf("commands: %q", a.commands)
	}
	t.Setenv("RUNNER_ENVIRONMENT", "github-hosted")
	landfall(t, "plan", "--base", base).expect(t, 0)
}

func TestSecretsAreMaskedFirst(t *testing.T) {
	bare(t)
	repo, base, _ := clone(t)
	runnerFiles(t)
	t.Setenv("GITHUB_TOKEN", "ghs_verysecrettoken")
	t.Chdir(repo.Dir)
	o := landfall(t, "detect-changes", "--base", base)
	o.expect(t, 0)
	if !strings.HasPrefix(o.err, "::add-mask::") || !strings.Contains(o.err, "::add-mask::ghs_verysecrettoken\n") {
		t.Errorf("stderr: %s", o.err)
	}
}

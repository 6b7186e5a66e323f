package actions

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRead(t *testing.T) {
	t.Parallel()
	variables := map[string]string{
		"GITHUB_ACTIONS": "true", "GITHUB_REPOSITORY": "o/r", "GITHUB_SERVER_URL": "https://github.com", "GITHUB_API_URL": "https://api.github.com",
		"GITHUB_EVENT_NAME": "push", "GITHUB_REF": "refs/heads/main", "GITHUB_SHA": "abc", "GITHUB_JOB": "deploy",
		"GITHUB_WORKFLOW_REF": "o/r/.github/workflows/deploy.yml@refs/heads/main", "GITHUB_RUN_ID": "42", "GITHUB_RUN_NUMBER": "7",
		"GITHUB_RUN_ATTEMPT": "nonsense", "RUNNER_ENVIRONMENT": "self-hosted",
	}
	e := Read(func(name string) string { return variables[name] })
	want := Environment{
		InActions: true, Repository: "o/r", ServerURL: "https://github.com", APIURL: "https://api.github.com", EventName: "push",
		Ref: "refs/heads/main", SHA: "abc", Workflow: "deploy.yml", Job: "deploy", RunID: 42, RunNumber: 7, Runner: "self-hosted",
	}
	if diff := cmp.Diff(want, e); diff != "" {
		t.Error(diff)
	}
	if got, want := e.RunURL(), "https://github.com/o/r/actions/runs/42"; got != want {
		t.Errorf("the run's page is %s, want %s", got, want)
	}
	if e := Read(func(string) string { return "" }); e != (Environment{}) || e.RunURL() != "" || e.SelfHosted() {
		t.Errorf("outside of Actions: %+v", e)
	}
}

func TestEventOfPushes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		file          string
		before, after string
	}{
		{"push_branch.json", "old", "new"},
		{"push_master_commit.json", "", "new"},
		{"push_tag_deleted.json", "old", ""},
	} {
		e := Environment{EventName: "push", EventPath: filepath.Join("testdata", c.file)}
		event, err := e.Event()
		if err != nil {
			t.Fatal(err)
		}
		if event.Repository == "" || event.Proposed {
			t.Errorf("%s: %+v", c.file, event)
		}
		if (event.Before == "") != (c.before == "") || (event.After == "") != (c.after == "") {
			t.Errorf("%s: before %q, after %q", c.file, event.Before, event.After)
		}
	}
}

// outputsOf reads an output file as the runner does (actions/runner, FileCommandManager.cs).
func outputsOf(t *testing.T, text string) map[string]string {
	t.Helper()
	got := map[string]string{}
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		if line == "" {
			continue
		}
		equals, heredoc := strings.Index(line, "="), strings.Index(line, "<<")
		if equals >= 0 && (heredoc < 0 || equals < heredoc) {
			got[line[:equals]] = line[equals+1:]
			continue
		}
		if heredoc < 0 || line[heredoc+2:] == "" {
			t.Fatalf("the runner refuses the line %q", line)
		}
		var value []string
		for i++; ; i++ {
			if i == len(lines) {
				t.Fatalf("the runner misses %q", line[heredoc+2:])
			}
			if lines[i] == line[heredoc+2:] {
				break
			}
			value = append(value, lines[i])
		}
		got[line[:heredoc]] = strings.Join(value, "\n")
	}
	return got
}

func TestOutputsStayApart(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "output")
	e := Environment{OutputFile: file}
	values := []Output{
		{"plain", "true"},
		{"empty", ""},
		{"lines", "a\nstate=SUCCEEDED\nstate<<EOF\nEOF\n"},
		{"equals", "=<<x"},
		{"returns", "a\r\nb\r"},
		{"guess", "landfall_AAAA\n"},
		{"bytes", "a\xffb"},
	}
	if err := e.WriteOutputs(values[:3]...); err != nil {
		t.Fatal(err)
	}
	if err := e.WriteOutputs(values[3:]...); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	delimiters := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^[a-z]+<<(.+)$`).FindAllStringSubmatch(string(raw), -1) {
		delimiters[m[1]] = true
	}
	if len(delimiters) < len(values) {
		t.Errorf("%d delimiters for %d values: one that can be guessed ends a value early", len(delimiters), len(values))
	}
	want := map[string]string{}
	for _, o := range values {
		want[o.Name] = strings.ToValidUTF8(o.Value, "\uFFFD")
	}
	if diff := cmp.Diff(want, outputsOf(t, string(raw))); diff != "" {
		t.Error(diff)
	}
}

func TestOutputsRefused(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "output")
	e := Environment{OutputFile: file}
	for _, o := range []Output{{"a=b", ""}, {"", ""}, {"1a", ""}, {"a\nb", ""}, {"long", strings.Repeat("x", 1<<20)}} {
		if err := e.WriteOutputs(Output{"good", "1"}, o); err == nil {
			t.Errorf("%.20q was written", o.Name)
		}
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("half of the outputs were written")
	}
	if err := (Environment{}).WriteOutputs(Output{"a", "b"}); err != nil {
		t.Errorf("outside of Actions: %v", err)
	}
}

func TestMask(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	Environment{InActions: true}.Mask(&b, "s3cret/va lue", "abc", "first line\nsecond\n::error::x")
	got := b.String()
	for _, want := range []string{
		"::add-mask::s3cret/va lue\n", "::add-mask::s3cret%252Fva+lue\n", "::add-mask::czNjcmV0L3ZhIGx1ZQ==\n", "::add-mask::second\n", "::add-mask::::error::x\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in\n%s", want, got)
		}
	}
	if strings.Contains(got, "::abc\n") {
		t.Error("three letters would be masked everywhere")
	}
	b.Reset()
	Environment{}.Mask(&b, "s3cret/value")
	if b.String() != "" {
		t.Errorf("a terminal shows %q", b.String())
	}
}

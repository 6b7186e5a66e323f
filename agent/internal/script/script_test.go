package script

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
	"ataraxis.dev/landfall/shared/process"
)

// scripts makes the scripts of a folder that holds one script, run.sh.
func scripts(t *testing.T, content string) (*Scripts, string) {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "run.sh"), "#!/bin/sh\n"+content, 0o755)
	owner, err := process.LookupOwner(dir)
	if err != nil {
		t.Fatal(err)
	}
	return New(dir, owner, Deadlines{Script: time.Minute, Migrate: time.Minute}, hclog.NewNullLogger()), dir
}

func write(t *testing.T, path, content string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
}

type output struct{ lines []string }

func (o *output) add(stream operation.Stream, text string, _ bool) {
	o.lines = append(o.lines, fmt.Sprintf("%d %s", stream, text))
}

func wantFault(t *testing.T, err error, kind fault.Kind, reason string) {
	t.Helper()
	if err == nil || fault.KindOf(err) != kind || fault.ReasonOf(err) != reason {
		t.Errorf("error %v (%v, %s), want %v, %s", err, fault.KindOf(err), fault.ReasonOf(err), kind, reason)
	}
}

func TestRunScript(t *testing.T) {
	s, dir := scripts(t, `echo "$#:$1:$2"; echo oops >&2; pwd`)
	var out output
	err := s.RunScript(t.Context(), &pipeline.Plan{}, pipeline.Script{Path: "run.sh", Args: []string{"a b", "$(id); *"}}, out.add)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(out.lines)
	dir, _ = filepath.EvalSymlinks(dir)
	if want := []string{"1 " + dir, "1 2:a b:$(id); *", "2 oops"}; !slices.Equal(out.lines, want) {
		t.Errorf("printed %q, want %q", out.lines, want)
	}
}

func TestEnvironmentIsExactlyThePromisedOne(t *testing.T) {
	t.Setenv("LANDFALL_SECRET", "s3cret")
	for _, variable := range process.PassedOn() { // whatever this machine sets
		key, _, _ := strings.Cut(variable, "=")
		t.Setenv(key, "")
	}
	t.Setenv("DOCKER_HOST", "unix:///run/docker.sock")
	t.Setenv("DOCKER_CONFIG", "/nonexistent")
	t.Setenv("https_proxy", "http://proxy.test:3128")
	s, _ := scripts(t, "env")
	var out output
	plan := &pipeline.Plan{Environment: map[string]string{"GIT_SHA": "abc", "LC_ALL": "de_DE", "ODD": "a b=$c"}}
	if err := s.RunScript(t.Context(), plan, pipeline.Script{Path: "run.sh"}, out.add); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, line := range out.lines {
		key, value, _ := strings.Cut(strings.TrimPrefix(line, "1 "), "=")
		got[key] = value
	}
	want := map[string]string{
		"PATH": os.Getenv("PATH"), "GIT_SHA": "abc", "LC_ALL": "de_DE", "ODD": "a b=$c",
		"DOCKER_HOST": "unix:///run/docker.sock", "DOCKER_CONFIG": "/nonexistent",
		"https_proxy": "http://proxy.test:3128",
	}
	if s.owner.Name != "" {
		want["USER"], want["LOGNAME"] = s.owner.Name, s.owner.Name
	}
	if s.owner.Home != "" {
		want["HOME"] = s.owner.Home
	}
	for key, value := range want {
		if got[key] != value {
			t.Errorf("%s is %q, want %q", key, got[key], value)
		}
	}
	for key := range got {
		// The shell adds these by itself.
		if _, ok := want[key]; !ok && !slices.Contains([]string{"PWD", "OLDPWD", "SHLVL", "_"}, key) {
			t.Errorf("%s is in the environment", key)
		}
	}
}

func TestScriptsOutsideTheCheckoutAreRefused(t *testing.T) {
	s, dir := scripts(t, "true")
	outside := t.TempDir()
	write(t, filepath.Join(outside, "evil.sh"), "#!/bin/sh\n", 0o755)
	link := func(to, name string) {
		t.Helper()
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	link(filepath.Join(outside, "evil.sh"), "link.sh")
	link(outside, "folder")
	link("run.sh", "inside.sh")
	link("gone", "dangling.sh")
	link(dir, "self")
	sibling := dir + "-sibling"
	if err := os.Mkdir(sibling, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(sibling, "evil.sh"), "#!/bin/sh\n", 0o755)
	write(t, filepath.Join(dir, "plain.txt"), "#!/bin/sh\n", 0o644)
	for path, want := range map[string]string{
		"run.sh": "", "inside.sh": "", "./run.sh": "",
		"link.sh": "SCRIPT_OUTSIDE", "folder/evil.sh": "SCRIPT_OUTSIDE", "self": "SCRIPT_OUTSIDE",
		"../" + filepath.Base(sibling) + "/evil.sh": "SCRIPT_OUTSIDE",
		"dangling.sh": "SCRIPT_MISSING", "missing.sh": "SCRIPT_MISSING", "run.sh/x": "SCRIPT_MISSING",
		"plain.txt": "SCRIPT_NOT_EXECUTABLE",
	} {
		_, err := s.find(path)
		if fault.ReasonOf(err) != want {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "directory"), 0o755); err != nil {
		t.Fatal(err)
	}
	_, err := s.find("directory")
	wantFault(t, err, fault.Invalid, "SCRIPT_NOT_EXECUTABLE")
	err = s.RunScript(t.Context(), &pipeline.Plan{}, pipeline.Script{Path: "link.sh"}, (&output{}).add)
	wantFault(t, err, fault.Refused, "SCRIPT_OUTSIDE")
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	_, err = s.find("run.sh")
	wantFault(t, err, fault.Invalid, "SCRIPT_MISSING")
}

func TestFailuresKeepTheirCause(t *testing.T) {
	s, _ := scripts(t, `echo "no such table" >&2; exit 3`)
	err := s.RunScript(t.Context(), &pipeline.Plan{}, pipeline.Script{Path: "run.sh"}, (&output{}).add)
	wantFault(t, err, fault.Failed, "SCRIPT_FAILED")
	var child *process.Error
	if !errors.As(err, &child) || child.ExitCode != 3 || !strings.Contains(err.Error(), "no such table") {
		t.Errorf("the error is %v", err)
	}
	err = s.Migrate(t.Context(), &pipeline.Plan{}, pipeline.Migrate{Script: "run.sh"}, (&output{}).add, func(string) {})
	wantFault(t, err, fault.Failed, "MIGRATION_FAILED")
}

func TestDeadlines(t *testing.T) {
	s, _ := scripts(t, "exec sleep 60")
	s.deadlines = Deadlines{Script: time.Minute, Migrate: 600 * time.Millisecond, NoProgress: 200 * time.Millisecond}
	began := time.Now()
	err := s.RunScript(t.Context(), &pipeline.Plan{}, pipeline.Script{Path: "run.sh"}, (&output{}).add)
	wantFault(t, err, fault.Deadline, "CHILD_NO_PROGRESS")
	// A database is silent while it builds an index: only its own time ends a migration.
	err = s.Migrate(t.Context(), &pipeline.Plan{}, pipeline.Migrate{Script: "run.sh"}, (&output{}).add, func(string) {})
	wantFault(t, err, fault.Deadline, "CHILD_DEADLINE")
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
}

func TestMigrateReportsWhatWasApplied(t *testing.T) {
	s, _ := scripts(t, `cat <<'END'
applied 001_first
applied 002_add_index (34 ms)
 applied 003_indented
applied 004 with more words
applied
not applied 005
appliedx 006
applied 007 (1 ms) and more
applied 008_ü
END
echo "applied 009_on_stderr" >&2
[ "$1" = --mode ] && [ "$2" = deploy ] || exit 9
exit $3`)
	for _, exit := range []string{"0", "4"} {
		var out output
		var applied []string
		err := s.Migrate(t.Context(), &pipeline.Plan{}, pipeline.Migrate{Script: "run.sh", Args: []string{"--mode", "deploy", exit}}, out.add,
			func(name string) { applied = append(applied, name) })
		if (err == nil) != (exit == "0") {
			t.Errorf("exit code %s: %v", exit, err)
		}
		if want := []string{"001_first", "002_add_index", "008_ü"}; !slices.Equal(applied, want) {
			t.Errorf("applied %q, want %q", applied, want)
		}
		if len(out.lines) != 10 {
			t.Errorf("%d lines of output", len(out.lines))
		}
	}
}

func TestScriptsRunAsTheOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to run a script as another user")
	}
	s, dir := scripts(t, "id -u; id -G")
	for path := dir; path != filepath.Dir(os.TempDir()) && path != os.TempDir(); path = filepath.Dir(path) {
		if err := os.Chmod(path, 0o755); err != nil { // the test's own folders are closed to others
			t.Fatal(err)
		}
	}
	s.owner = &process.Owner{UID: 12345, GID: 12345, Groups: []uint32{12345}}
	var out output
	if err := s.RunScript(t.Context(), &pipeline.Plan{}, pipeline.Script{Path: "run.sh"}, out.add); err != nil {
		t.Fatal(err)
	}
	if want := []string{"1 12345", "1 12345"}; !slices.Equal(out.lines, want) {
		t.Errorf("it ran as %q", out.lines)
	}
}

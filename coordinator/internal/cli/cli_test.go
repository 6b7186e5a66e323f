package cli

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"ataraxis.dev/landfall/shared/git/gittest"
)

// every visits a command and all below it. Cobra's own commands are left out: their help is cobra's.
func every(cmd *cobra.Command, visit func(*cobra.Command)) {
	if name := cmd.Name(); name == "help" || name == "completion" {
		return
	}
	visit(cmd)
	for _, c := range cmd.Commands() {
		every(c, visit)
	}
}

func TestHelpOfEveryCommand(t *testing.T) {
	bare(t)
	seen := 0
	every(newRoot(Streams{Out: io.Discard, Err: io.Discard}), func(c *cobra.Command) {
		seen++
		words := strings.Fields(c.CommandPath())
		o := landfall(t, append(words[1:], "--help")...)
		o.expect(t, 0)
		for _, part := range []string{"Exit codes:\n", "Examples:\n", "Usage:\n", strings.Join(words, " ")} {
			if !strings.Contains(o.out, part) {
				t.Errorf("%s --help does not show %q:\n%s", c.CommandPath(), part, o.out)
			}
		}
		for line := range strings.Lines(c.Example) {
			example, _, err := newRoot(Streams{}).Find(strings.Fields(line)[1:])
			if err != nil || !strings.HasPrefix(example.CommandPath(), c.CommandPath()) {
				t.Errorf("the example %q is not one of %s: %v", line, c.CommandPath(), err)
			}
		}
		if c.HasParent() && !c.Parent().HasParent() && c.GroupID == "" {
			t.Errorf("%s belongs to no group of the help", c.CommandPath())
		}
	})
	if seen < 15 {
		t.Errorf("only %d commands", seen)
	}
	if o := landfall(t); o.code != 0 || !strings.Contains(o.out, "Deploy:") || o.err != "" {
		t.Errorf("without arguments: %+v", o)
	}
}

func TestVersionIsSaidTwoWays(t *testing.T) {
	bare(t)
	flag, command := landfall(t, "--version"), landfall(t, "version")
	if flag != command || flag.code != 0 || !strings.Contains(flag.out, runtime.Version()) || flag.err != "" {
		t.Errorf("--version %+v, version %+v", flag, command)
	}
}

func TestCompletion(t *testing.T) {
	bare(t)
	for _, shell := range []string{"bash", "zsh", "fish"} {
		o := landfall(t, "completion", shell)
		o.expect(t, 0)
		if !strings.Contains(o.out, "landfall-coordinator") || o.err != "" {
			t.Errorf("completion %s: %d bytes, stderr %q", shell, len(o.out), o.err)
		}
	}
	if o := landfall(t, "__complete", "sta"); !strings.HasPrefix(o.out, "status\t") {
		t.Errorf("sta completes to %q", o.out)
	}
}

func TestUsageErrors(t *testing.T) {
	bare(t)
	for name, tt := range map[string]struct {
		args []string
		says []string
	}{
		"unknown command":    {[]string{"stauts"}, []string{"stauts", "did you mean status", "--help"}},
		"unknown flag":       {[]string{"status", "--colour"}, []string{"--colour", "landfall-coordinator status --help"}},
		"too many arguments": {[]string{"status", "now"}, []string{"now"}},
		"flag without value": {[]string{"deploy", "--sha"}, []string{"--sha"}},
		"bad duration":       {[]string{"status", "--timeout", "soon"}, []string{"soon"}},
		"unknown format":     {[]string{"status", "--format", "xml"}, []string{`"xml"`, "text, json"}},
		"markdown status":    {[]string{"history", "--format", "markdown"}, []string{"markdown"}},
		"plan format":        {[]string{"plan", "--format", "html"}, []string{"html", "text, json, markdown"}},
		"deploy format":      {[]string{"deploy", "--format", "html"}, []string{"html"}},
		"attach format":      {[]string{"attach", "--format", "html"}, []string{"html"}},
		"verify format":      {[]string{"verify", "--format", "html"}, []string{"html"}},
		"rollback where":     {[]string{"rollback"}, []string{"--operation", "--to"}},
		"cancel what":        {[]string{"cancel"}, nil},
		"no agent":           {[]string{"status"}, []string{"--agent", "LANDFALL_AGENT"}},
		"no identity":        {[]string{"status", "--agent", "127.0.0.1:1"}, []string{"--identity", "LANDFALL_IDENTITY"}},
		"progress":           {[]string{"attach", "--progress", "loud"}, []string{"loud"}},
	} {
		t.Run(name, func(t *testing.T) {
			o := landfall(t, tt.args...)
			o.expect(t, 2, tt.says...)
			if !strings.HasPrefix(o.err, "landfall-coordinator: ") || strings.Contains(o.err, "Usage:") || strings.Count(o.err, "\n") > 2 {
				t.Errorf("not one message with one hint:\n%s", o.err)
			}
		})
	}
}

func TestErrorsAreObjectsInJSONMode(t *testing.T) {
	bare(t)
	t.Chdir(t.TempDir())
	for name, tt := range map[string]struct {
		args         []string
		kind, reason string
	}{
		"format":   {[]string{"status", "--format", "json"}, "invalid", "NO_AGENT"},
		"progress": {[]string{"attach", "--progress", "json", "--agent", "127.0.0.1:1"}, "invalid", "NO_IDENTITY"},
		"plan":     {[]string{"plan", "--format", "json"}, "invalid", "CONFIG_MISSING"},
		"usage":    {[]string{"status", "--format", "json", "too", "many"}, "invalid", "USAGE"},
	} {
		t.Run(name, func(t *testing.T) {
			o := landfall(t, tt.args...)
			o.expect(t, 2)
			objects := decode(t, o.err)
			if len(objects) != 1 {
				t.Fatalf("stderr: %s", o.err)
			}
			e, _ := objects[0]["error"].(map[string]any)
			if e["kind"] != tt.kind || e["reason"] != tt.reason || e["message"] == "" || e["exit_code"] != float64(2) || objects[0]["time"] == "" {
				t.Errorf("stderr: %s", o.err)
			}
		})
	}
}

// closedPort is an address that nobody listens at.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestFlagBeatsEnvironment(t *testing.T) {
	bare(t)
	ids := identities(t)
	t.Setenv("LANDFALL_AGENT", closedPort(t))
	t.Setenv("LANDFALL_IDENTITY", filepath.Join(ids, "observer"))
	fromEnv := os.Getenv("LANDFALL_AGENT")

	landfall(t, "status").expect(t, 6, fromEnv)
	byFlag := closedPort(t)
	if o := landfall(t, "status", "--agent", byFlag); o.code != 6 || !strings.Contains(o.err, byFlag) || strings.Contains(o.err, fromEnv) {
		t.Errorf("--agent: %+v", o)
	}
	missing := filepath.Join(ids, "nobody")
	landfall(t, "status", "--identity", missing).expect(t, 6, missing)

	t.Setenv("LANDFALL_PROGRESS", "loud")
	landfall(t, "attach").expect(t, 2, "loud")
	landfall(t, "attach", "--progress", "quiet").expect(t, 6, fromEnv)
	t.Setenv("LANDFALL_PROGRESS", "")

	repo, _, head := clone(t)
	t.Setenv("LANDFALL_CONFIG", filepath.Join(ids, "missing.yaml"))
	landfall(t, "plan", "--base", head).expect(t, 2, "missing.yaml")
	landfall(t, "plan", "--base", head, "--config", filepath.Join(repo.Dir, "landfall.yaml")).expect(t, 0)
}

func TestPlanWithoutAnAgent(t *testing.T) {
	bare(t)
	repo, base, head := clone(t)
	t.Chdir(filepath.Join(repo.Dir, "deep/er")) // landfall.yaml is found upwards

	text := landfall(t, "plan", "--base", base)
	text.expect(t, 0)
	for _, part := range []string{"sample", base[:7], head[:7], "app/main.txt", "app"} {
		if !strings.Contains(text.out, part) {
			t.Errorf("the plan does not show %s:\n%s", part, text.out)
		}
	}
	object := landfall(t, "plan", "--base", base, "--format", "json")
	object.expect(t, 0)
	plans := decode(t, object.out)
	if len(plans) != 1 || plans[0]["target_sha"] != head || plans[0]["base_sha"] != base || !strings.HasPrefix(plans[0]["digest"].(string), "sha256:") || plans[0]["any_deploy"] != true {
		t.Errorf("plan --format json: %s", object.out)
	}
	markdown := landfall(t, "plan", "--base", base, "--format", "markdown")
	markdown.expect(t, 0)
	if !strings.Contains(markdown.out, "| ") || strings.Contains(markdown.out, "\x1b") {
		t.Errorf("plan --format markdown: %s", markdown.out)
	}
	for name, o := range map[string]outcome{"text": text, "json": object, "markdown": markdown} {
		if o.err != "" {
			t.Errorf("%s writes to stderr: %s", name, o.err)
		}
	}
	same := landfall(t, "plan", "--base", "HEAD", "--format", "json")
	if got := decode(t, same.out); got[0]["any_deploy"] == true {
		t.Errorf("nothing changed, and the plan deploys: %s", same.out)
	}
	t.Setenv("GITHUB_SHA", base)
	if got := decode(t, landfall(t, "plan", "--base", head, "--format", "json").out); got[0]["target_sha"] != base {
		t.Errorf("GITHUB_SHA is not the target: %v", got)
	}
	if got := decode(t, landfall(t, "plan", "--base", base, "--sha", head, "--format", "json").out); got[0]["target_sha"] != head {
		t.Errorf("--sha does not beat GITHUB_SHA: %v", got)
	}
}

func TestPlanErrors(t *testing.T) {
	bare(t)
	repo, base, _ := clone(t)
	t.Chdir(repo.Dir)
	landfall(t, "plan").expect(t, 2, "--base", "--agent")
	landfall(t, "plan", "--base", "no-such-branch").expect(t, 2, "no-such-branch")
	landfall(t, "plan", "--base", base, "--sha", strings.Repeat("a", 40)).expect(t, 2, strings.Repeat("a", 12))

	repo.Commit("broken", map[string]string{"landfall.yaml": strings.Replace(sampleConfig, "actions: [app]", "actions: [ap]", 1)})
	landfall(t, "plan", "--base", base).expect(t, 2, "landfall.yaml:5:", "app")
	repo.Remove("landfall.yaml")
	repo.Commit("removed", nil)
	landfall(t, "plan", "--base", base).expect(t, 2, "landfall.yaml")
	repo.Write("landfall.yaml", sampleConfig)
	landfall(t, "plan", "--base", base).expect(t, 2, "commit it first")

	outside := t.TempDir()
	t.Chdir(outside)
	landfall(t, "plan", "--base", base).expect(t, 2, "no landfall.yaml", "--config")
	if err := os.WriteFile(filepath.Join(outside, "landfall.yaml"), []byte(sampleConfig), 0o644); err != nil {
		t.Fatal(err)
	}
	landfall(t, "plan", "--base", base).expect(t, 2, "git clone")
}

// A linked worktree has a .git file, not a folder.
func TestPlanInALinkedWorktree(t *testing.T) {
	bare(t)
	repo, base, _ := clone(t)
	tree := filepath.Join(t.TempDir(), "linked")
	repo.Git("worktree", "add", "-q", tree)
	t.Chdir(tree)
	landfall(t, "plan", "--base", base).expect(t, 0)
}

// mute accepts connections and says nothing.
func mute(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String()
}

func TestTimeout(t *testing.T) {
	bare(t)
	ids := identities(t)
	repo, _, _ := clone(t)
	t.Chdir(repo.Dir)
	for _, command := range []string{"status", "deploy", "attach"} {
		landfall(t, command, "--agent", mute(t), "--identity", filepath.Join(ids, "deployer"), "--timeout", "200ms").
			expect(t, 130, "stopped waiting after --timeout")
	}
}

func TestFindUpwards(t *testing.T) {
	t.Parallel()
	repo := gittest.New(t)
	repo.Commit("one", map[string]string{"a/landfall.yaml": "x", "a/b/c/d.txt": "", "landfall.yaml": "y"})
	for from, want := range map[string]string{"a/b/c": "a", "a": "a", "": ""} {
		if got, err := findUpwards(filepath.Join(repo.Dir, from), configName); err != nil || got != filepath.Join(repo.Dir, want) {
			t.Errorf("from %q: %s, %v", from, got, err)
		}
	}
	if got, err := findUpwards(t.TempDir(), "there-is-no-such-entry"); err == nil {
		t.Errorf("found %s", got)
	}
}

func TestHelpersOfAnswers(t *testing.T) {
	t.Parallel()
	if short("0123456789abcdef") != "0123456789ab" || short("abc") != "abc" {
		t.Error("short")
	}
	if err := checkFormat("json", "text", "json"); err != nil {
		t.Error(err)
	}
	if !slices.Equal(strings.Split(joined([]string{"a", "b"}), ", "), []string{"a", "b"}) {
		t.Error("joined")
	}
}

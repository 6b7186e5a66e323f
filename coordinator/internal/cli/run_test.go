package cli

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ataraxis.dev/landfall/shared/git/gittest"
	"ataraxis.dev/landfall/shared/identity"
)

// outcome is what a run of the program left.
type outcome struct {
	code     int
	out, err string
}

// environment is what the program reads; the tests start from none of it.
var environment = []string{
	"LANDFALL_AGENT", "LANDFALL_IDENTITY", "LANDFALL_CONFIG", "LANDFALL_PROGRESS", "GITHUB_SHA", "GITHUB_ACTIONS", "GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY",
	"GITHUB_EVENT_NAME", "GITHUB_EVENT_PATH", "GITHUB_REPOSITORY", "GITHUB_TOKEN", "GITHUB_API_URL", "GITHUB_RUN_ID", "GITHUB_RUN_NUMBER", "GITHUB_RUN_ATTEMPT",
	"GITHUB_WORKFLOW_REF", "GITHUB_REF", "GITHUB_JOB", "RUNNER_ENVIRONMENT", "DISCORD_WEBHOOK_URL",
}

// bare takes away what the surroundings of the test would tell the program.
func bare(t *testing.T) {
	t.Helper()
	for _, key := range environment {
		t.Setenv(key, "")
	}
}

// landfall runs the program as a person does.
func landfall(t *testing.T, args ...string) outcome {
	t.Helper()
	var out, errs bytes.Buffer
	code := Run(args, Streams{In: strings.NewReader(""), Out: &out, Err: &errs})
	return outcome{code: code, out: out.String(), err: errs.String()}
}

// expect fails unless the run ended with a code and said every part on stderr.
func (o outcome) expect(t *testing.T, code int, says ...string) {
	t.Helper()
	if o.code != code {
		t.Errorf("exit code %d, want %d\nstdout: %s\nstderr: %s", o.code, code, o.out, o.err)
	}
	for _, part := range says {
		if !strings.Contains(o.err, part) {
			t.Errorf("stderr does not say %q:\n%s", part, o.err)
		}
	}
	if code == 2 && o.out != "" {
		t.Errorf("a usage error prints an answer: %s", o.out)
	}
}

const sampleConfig = `version: 1
project: sample
stacks: {core: {files: [compose.yml]}}
flags:
  app:  {paths: ["app/**"], actions: [app]}
  docs: {paths: ["docs/**"]}
skip: [Makefile]
actions:
  app:
    - build: {stack: core, services: [app]}
    - up: {stack: core, services: [app]}
verify: {probes: {up: {containers: {}}}}
`

// clone is a repository with two commits, of which the second changes the app.
func clone(t *testing.T) (repo *gittest.Repo, base, head string) {
	t.Helper()
	repo = gittest.New(t)
	base = repo.Commit("one", map[string]string{"landfall.yaml": sampleConfig, "compose.yml": "services: {}\n", "app/main.txt": "1\n", "Makefile": "all:\n", "deep/er/x.txt": ""})
	head = repo.Commit("two", map[string]string{"app/main.txt": "2\n"})
	return repo, base, head
}

// identities makes an identity for every role below a folder.
func identities(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	ca, err := identity.NewCA(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for _, role := range identity.Roles() {
		req := identity.Request{Role: role, Name: "test"}
		if role == identity.RoleAgent {
			req.Hosts = []string{"127.0.0.1"}
		}
		bundle, err := ca.Issue(req, time.Now())
		if err == nil {
			err = bundle.Replace(filepath.Join(dir, string(role)))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// decode reads one JSON object a line.
func decode(t *testing.T, text string) []map[string]any {
	t.Helper()
	var all []map[string]any
	for line := range strings.Lines(text) {
		var object map[string]any
		if err := json.Unmarshal([]byte(line), &object); err != nil {
			t.Fatalf("%q is no JSON object: %v", line, err)
		}
		all = append(all, object)
	}
	return all
}

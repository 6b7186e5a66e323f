package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ataraxis.dev/landfall/shared/git/gittest"
)

const goodTree = `version: 1
project: sample
stacks: {core: {files: [compose.yml]}}
ci: {required: [lint.yml]}
flags: {app: {paths: ["app/**"], actions: [app]}}
actions: {app: [{up: {stack: core, services: [app]}}]}
verify: {probes: {up: {containers: {}}}}
workflows:
  coordinator: {module: ataraxis.dev/landfall/coordinator/cmd/landfall-coordinator, version: v0.4.0}
  lint: {shell: {paths: ["**/*.sh"], command: [shellcheck]}}
`

func TestCheckFindsEverythingAtOnce(t *testing.T) {
	bare(t)
	repo := gittest.New(t)
	repo.Commit("one", map[string]string{
		"landfall.yaml": strings.Replace(goodTree, "services: [app]}}]", "services: [ap]}}, {script: no.sh}]", 1),
		"compose.yml":   "services:\n  app: {image: x}\n",
		".github/workflows/mine.yml": "on: pull_request\njobs:\n  x:\n    runs-on: self-hosted\n    steps:\n      - uses: actions/checkout@v4\n" +
			"      - run: 'echo \"::error::x\"'\n",
	})
	t.Chdir(repo.Dir)
	o := landfall(t, "check")
	if o.code != 2 {
		t.Errorf("exit code %d", o.code)
	}
	for _, part := range []string{
		"landfall.yaml:6:", `no service ap: did you mean "app"?`, "the script no.sh does not exist",
		".github/workflows/mine.yml:4:", "fork-guard", "unpinned-action", "permissions",
		".github/workflows/deploy.yml:1:1: rendered", "required-workflow",
	} {
		if !strings.Contains(o.out, part) {
			t.Errorf("%q is not found:\n%s", part, o.out)
		}
	}
	if !strings.Contains(o.err, "findings in landfall.yaml, compose files, workflow files") {
		t.Errorf("stderr: %s", o.err)
	}
}

func TestCheckOfAGoodTree(t *testing.T) {
	bare(t)
	repo := gittest.New(t)
	repo.Commit("one", map[string]string{"landfall.yaml": goodTree, "compose.yml": "services:\n  app: {image: x}\n", "a.sh": "#!/bin/sh\n"})
	t.Chdir(repo.Dir)
	o := landfall(t, "workflows", "render", "--dry-run")
	o.expect(t, 0)
	if !strings.Contains(o.out, "+++ ") || !strings.Contains(o.out, "deploy.yml") {
		t.Errorf("dry run: %s", o.out)
	}
	if _, err := os.Stat(filepath.Join(repo.Dir, ".github")); err == nil {
		t.Fatal("a dry run writes")
	}
	landfall(t, "workflows", "render").expect(t, 0)
	o = landfall(t, "workflows", "render")
	o.expect(t, 0)
	if strings.Contains(o.out, "wrote") || !strings.Contains(o.out, "up to date: .github/workflows/deploy.yml") {
		t.Errorf("rendered again: %s", o.out)
	}
	landfall(t, "workflows", "check").expect(t, 0)
	if o := landfall(t, "check"); o.code != 0 || !strings.HasPrefix(o.out, "nothing to find fault with") {
		t.Errorf("check: %+v", o)
	}
}

func TestFindingsAreAnnotations(t *testing.T) {
	bare(t)
	repo := gittest.New(t)
	repo.Commit("one", map[string]string{"landfall.yaml": strings.Replace(goodTree, "flags:", "flgas:", 1), "compose.yml": "services: {}\n"})
	runnerFiles(t)
	t.Chdir(repo.Dir)
	o := landfall(t, "check")
	if o.code != 2 || !strings.Contains(o.err, "::error file=landfall.yaml,line=5,col=1,title=landfall.yaml::") || !strings.Contains(o.out, `did you mean "flags"?`) {
		t.Errorf("%+v", o)
	}
}

func TestRenderRefusesForeignFiles(t *testing.T) {
	bare(t)
	repo := gittest.New(t)
	const mine = "on: push\njobs: {}\n"
	repo.Commit("one", map[string]string{"landfall.yaml": goodTree, "compose.yml": "services:\n  app: {}\n", ".github/workflows/lint.yml": mine})
	t.Chdir(repo.Dir)
	landfall(t, "workflows", "render").expect(t, 2, ".github/workflows/lint.yml")
	if got := repo.Read(".github/workflows/lint.yml"); got != mine {
		t.Errorf("lint.yml was changed: %s", got)
	}
	landfall(t, "workflows", "render", "--force").expect(t, 0)
}

package workflow_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/strictyaml"
	"ataraxis.dev/landfall/shared/workflow"
)

func parse(t *testing.T, text string) *workflow.File {
	t.Helper()
	file, err := workflow.Parse("w.yml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func TestParseSkeletons(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yml")
	if err != nil || len(files) != 5 {
		t.Fatal(files, err)
	}
	for _, name := range files {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		file, err := workflow.Parse(name, raw)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if file.Name+".yml" != file.Base() || len(file.Jobs) == 0 || file.Permissions == nil {
			t.Errorf("%s: %+v", name, file)
		}
	}
}

func TestParseDeploy(t *testing.T) {
	raw, err := os.ReadFile("testdata/deploy.yml")
	if err != nil {
		t.Fatal(err)
	}
	file := parse(t, string(raw))
	push := file.Event("push")
	if push == nil || push.Line != 3 || push.Column != 3 || !push.Branches.Written || len(push.Paths.Patterns) != 4 {
		t.Errorf("push: %+v", push)
	}
	if at := push.Paths.Patterns[3]; at != (workflow.Text{Value: "!**/*.md", Line: 9, Column: 9}) {
		t.Errorf("pattern: %+v", at)
	}
	if diff := cmp.Diff([]workflow.Input{{Name: "sha", Type: "string"}}, file.Event("workflow_dispatch").Inputs); diff != "" {
		t.Error(diff)
	}
	if file.Concurrency.Group.Value != "deploy-production" || file.Concurrency.Cancel.Value != "false" {
		t.Errorf("concurrency: %+v", file.Concurrency)
	}
	gate, deploy := file.Job("gate"), file.Job("deploy")
	if got := gate.Permissions.Scopes["actions"]; got != "read" {
		t.Errorf("gate may %q", got)
	}
	if gate.Timeout.Value != "30" || gate.Steps[0].Input("persist-credentials").Value != "false" || gate.Steps[1].Run.Value != "./bin/coordinator ci-gate" {
		t.Errorf("gate: %+v", gate)
	}
	var labels []string
	for _, l := range deploy.RunsOn.Labels {
		labels = append(labels, l.Value)
	}
	if diff := cmp.Diff([]string{"self-hosted", "linux", "arm64", "pi"}, labels); diff != "" {
		t.Error(diff)
	}
	if deploy.Environment.Value != "production" || deploy.Needs[0].Value != "gate" || len(deploy.Steps[0].Env) != 2 {
		t.Errorf("deploy: %+v", deploy)
	}
	if at := deploy.Scalars[0]; at.Line == 0 {
		t.Errorf("scalars: %+v", deploy.Scalars)
	}
}

// TestShapes holds what GitHub takes in more than one shape.
func TestShapes(t *testing.T) {
	const jobs = "\njobs: {a: {runs-on: x}}\n"
	for _, c := range []struct{ text, events string }{
		{"on: push" + jobs, "push"},
		{`"on": push` + jobs, "push"},
		{"'on': [push, pull_request]" + jobs, "push pull_request"},
		{"on: {push: null, workflow_dispatch: }" + jobs, "push workflow_dispatch"},
		{"on:\n  push: &f {branches: main}\n  pull_request: *f" + jobs, "push pull_request"},
		{"# 100% unknown keys\nx-y: [1]\non: {schedule: [{cron: '0 9 * * 0'}], something_new: {a: [b]}}" + jobs, "schedule something_new"},
	} {
		var names []string
		for _, e := range parse(t, c.text).On {
			names = append(names, e.Name)
		}
		if got := strings.Join(names, " "); got != c.events {
			t.Errorf("%s: got %s", c.text, got)
		}
	}
	file := parse(t, `
on: push
permissions: read-all
concurrency: only-a-group
jobs:
  group: {runs-on: {group: big, labels: [x]}}
  one: {runs-on: "${{ matrix.os }}", strategy: {matrix: {os: [a, b], v: "${{ x }}", include: [{os: c}]}}}
  open: {runs-on: x, strategy: {matrix: "${{ fromJSON(x) }}"}}
  call: {uses: ./.github/workflows/x.yml, secrets: inherit, needs: one, permissions: {}}
`)
	if file.Permissions.All != "read-all" || file.Concurrency.Group.Value != "only-a-group" {
		t.Errorf("%+v", file)
	}
	if g := file.Job("group").RunsOn; g.Group.Value != "big" || g.Labels[0].Value != "x" {
		t.Errorf("group: %+v", g)
	}
	m := file.Job("one").Matrix
	if values, known := m.Key("os"); !known || strings.Join(values, "") != "abc" {
		t.Errorf("os: %v %v", values, known)
	}
	if _, known := m.Key("v"); known {
		t.Error("v comes from an expression")
	}
	if _, known := file.Job("open").Matrix.Key("os"); known {
		t.Error("the matrix comes from an expression")
	}
	call := file.Job("call")
	if call.Uses.Value == "" || call.Secrets.Value != "inherit" || call.Permissions == nil || call.Permissions.All != "" || file.Job("one").Permissions != nil {
		t.Errorf("call: %+v", call)
	}
}

func TestProblems(t *testing.T) {
	const jobs = "\njobs: {a: {runs-on: x}}\n"
	for text, want := range map[string]string{
		"":                                "w.yml:1:1: the file is empty",
		"on: [push\n":                     "w.yml:2:1: not valid YAML",
		"- a\n":                           "w.yml:1:1: a workflow must be a mapping",
		"on: push\n":                      "w.yml:1:1: the key jobs is missing",
		"jobs: {a: {}}\n":                 "w.yml:1:1: the key on is missing",
		"true: push" + jobs:               "w.yml:1:1: the key on is missing",
		"on: push\njobs: []":              "w.yml:2:7: jobs must be a mapping",
		"on: push" + jobs + "---\na: b\n": "w.yml:3:1: a second document",
		"on: push\nOn: push" + jobs:       `w.yml:2:1: a workflow: the key "On" stands on line 1 already`,
		"on: {push: {paths: [a], paths-ignore: [b]}}" + jobs:            "w.yml:1:12: on.push has both paths and paths-ignore",
		"on: {push: {branches: }}" + jobs:                               "w.yml:1:13: on.push.branches has no patterns",
		"on: {push: {branches: [{a: b}]}}" + jobs:                       "w.yml:1:24: on.push.branches must be a single value",
		"on: &a {push: {}}\njobs: {a: {<<: *a}}":                        "w.yml:2:12: jobs.a: GitHub knows anchors but no merge keys (<<)",
		"on: push\njobs: {a: {runs-on: x, steps: {}}}":                  "w.yml:2:31: jobs.a.steps must be a list",
		"on: push\njobs: &x {a: {steps: [*x]}}":                         "w.yml:2:7: too large or too deep",
		"on: push\njobs: {a: {runs-on: {group: [a]}}}":                  "w.yml:2:29: jobs.a.runs-on.group must be a single value",
		"on: push\njobs: {a: {if: {}, needs: {}, environment: [a, b]}}": "w.yml:2:16: jobs.a.if must be a single value",
	} {
		file, err := workflow.Parse("w.yml", []byte(text))
		if err == nil || !strings.Contains(err.Error(), want) || file != nil {
			t.Errorf("%q: got %v, want %s", text, err, want)
			continue
		}
		var problems strictyaml.Problems
		if fault.ReasonOf(err) != "CONFIG_INVALID" || !errors.As(err, &problems) {
			t.Errorf("%q: %T", text, err)
		}
	}
}

// TestAliasesAreBounded feeds a file that doubles with every line.
func TestAliasesAreBounded(t *testing.T) {
	text := "on: push\nx0: &x0 [a, a]\n"
	for i := 1; i < 40; i++ {
		text += fmt.Sprintf("x%d: &x%d [*x%d, *x%d]\n", i, i, i-1, i-1)
	}
	text += "jobs: {a: {runs-on: x, env: {v: *x39}}}\n"
	if _, err := workflow.Parse("w.yml", []byte(text)); err == nil || !strings.Contains(err.Error(), "too large") {
		t.Errorf("got %v", err)
	}
}

func TestStartsOnPush(t *testing.T) {
	for _, c := range []struct {
		name, on, branch string
		paths            []string
		want             workflow.Outcome
		reason           string
	}{
		{"no push", "pull_request", "main", []string{"a"}, workflow.NoPushTrigger, "on: does not name push"},
		{"bare", "push", "main", []string{"a"}, workflow.Starts, "no path filter"},
		{"bare without changes", "push", "main", nil, workflow.Starts, "no path filter"},
		{"branch", "{push: {branches: [main]}}", "main", nil, workflow.Starts, "no path filter"},
		{"one branch as a string", "{push: {branches: main}}", "main", nil, workflow.Starts, "no path filter"},
		{"other branch", "{push: {branches: [main]}}", "dev", nil, workflow.DoesNot, `branches: ["main"] does not match dev`},
		{"branch star stops at a slash", "{push: {branches: ['*']}}", "a/b", nil, workflow.DoesNot, `branches: ["*"] does not match a/b`},
		{"branch stars", "{push: {branches: ['**', '!a/**']}}", "a/b", nil, workflow.DoesNot, `branches: ["**", "!a/**"] does not match a/b`},
		{"ignored branch", "{push: {branches-ignore: [main]}}", "main", nil, workflow.DoesNot, `branches-ignore: ["main"] matches main`},
		{"not ignored branch", "{push: {branches-ignore: [dev]}}", "main", nil, workflow.Starts, "no path filter"},
		{"tags", "{push: {tags: ['v*']}}", "main", []string{"a"}, workflow.DoesNot, "only tags start it"},
		{"tags and branches", "{push: {tags: ['v*'], branches: [main]}}", "main", []string{"a"}, workflow.Starts, "no path filter"},
		{"no patterns", "{push: {branches: []}}", "main", nil, workflow.DoesNot, "branches: [] does not match main"},
		{"path", "{push: {paths: ['go.*', '**/*.go']}}", "main", []string{"x", "a/b.go"}, workflow.Starts, `paths: "**/*.go" matches a/b.go`},
		{"path taken out", "{push: {paths: ['**', '!docs/**']}}", "main", []string{"docs/x"}, workflow.DoesNot, "paths: none of 1 changed path matches"},
		{"path taken in again", "{push: {paths: ['**', '!docs/**', docs/x]}}", "main", []string{"docs/x"}, workflow.Starts, `paths: "docs/x" matches docs/x`},
		{"no path", "{push: {paths: [a]}}", "main", []string{"b", "c"}, workflow.DoesNot, "paths: none of 2 changed paths matches"},
		{"nothing changed", "{push: {paths: ['**']}}", "main", nil, workflow.DoesNot, "paths: none of 0 changed paths matches"},
		{"ignored paths", "{push: {paths-ignore: ['**.md', Makefile]}}", "main", []string{"a/b.md", "Makefile"}, workflow.DoesNot, "paths-ignore: matches all of 2 changed paths"},
		{"not all ignored", "{push: {paths-ignore: ['**.md']}}", "main", []string{"b.md", "c"}, workflow.Starts, "paths-ignore: no pattern matches c"},
		{"strange path", "{push: {paths: ['*']}}", "main", []string{"a\nb"}, workflow.Starts, `paths: "*" matches "a\nb"`},
		{"unreadable paths", "{push: {paths: ['[']}}", "main", nil, workflow.Starts, "paths cannot be judged"},
		{"unreadable ignored paths", "{push: {paths-ignore: ['[']}}", "main", nil, workflow.Starts, "paths-ignore cannot be judged"},
		{"unreadable branch", "{push: {branches: ['[']}}", "main", nil, workflow.Starts, "no path filter"},
		{"unreadable ignored branch", "{push: {branches-ignore: ['[']}}", "main", nil, workflow.Starts, "no path filter"},
		{"branch before paths", "{push: {branches: [dev], paths: ['**']}}", "main", []string{"a"}, workflow.DoesNot, `branches: ["dev"] does not match main`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := parse(t, "on: "+c.on+"\njobs: {a: {runs-on: x}}\n").StartsOnPush(c.branch, c.paths)
			if got.Outcome != c.want || !strings.HasPrefix(got.Reason, c.reason) {
				t.Errorf("got %s: %s\nwant %s: %s", got.Outcome, got.Reason, c.want, c.reason)
			}
		})
	}
}

func TestSkipsCI(t *testing.T) {
	for message, want := range map[string]bool{
		"":                                     false,
		"fix":                                  false,
		"fix [skip ci]":                        true,
		"[ci skip] fix":                        true,
		"a\n\nb [no ci] c":                     true,
		"x[skip actions]":                      true,
		"x[actions skip]":                      true,
		"[Skip CI]":                            false,
		"skip ci":                              false,
		"[skip  ci]":                           false,
		"skip-checks: true":                    false,
		"fix\n\nskip-checks: true":             true,
		"fix\n\n\nskip-checks:true\n":          true,
		"fix\r\n\r\n\r\nskip-checks: true\r\n": true,
		"fix\n\nskip-checks: false":            false,
		"fix\n\nSigned-off-by: a\nskip-checks: true": true,
		"fix\n\nskip-checks: true\nSigned-off-by: a": false,
		"fix\n\nwhat\nskip-checks: true":             false,
		"fix\n\nskip-checks: true\n\nmore":           false,
	} {
		if got := workflow.SkipsCI(message); got != want {
			t.Errorf("%q: got %v", message, got)
		}
	}
}

// FuzzParse looks for panics; whatever parses can be asked.
func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.yml")
	for _, name := range files {
		raw, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		file, err := workflow.Parse("w.yml", raw)
		if err != nil {
			if fault.ReasonOf(err) != "CONFIG_INVALID" {
				t.Errorf("unclassified: %v", err)
			}
			return
		}
		if file.StartsOnPush("main", []string{"a"}).Reason == "" {
			t.Error("no reason")
		}
	})
}

func TestParseEnvironments(t *testing.T) {
	file := parse(t, `on:
  workflow_call:
    inputs: {ref: {type: string, default: main}, deep: {type: number}, bare: }
    outputs: {sha: {value: "${{ jobs.a.outputs.sha }}"}}
env: {A: 1, B: "${{ secrets.X }}"}
defaults: {run: {shell: bash, working-directory: x}}
jobs:
  a:
    runs-on: x
    env: "${{ fromJSON(vars.E) }}"
    defaults: {run: {shell: sh}}
    container: node:20
    services: {db: {image: postgres:16}, cache: redis, none: }
    outputs: {sha: "${{ steps.s.outputs.sha }}"}
    strategy: {matrix: {v: [1, "${{ github.sha }}"], w: "${{ fromJSON(inputs.w) }}", include: [{v: 2, u: {z: "${{ inputs.u }}"}}]}}
    steps: [{run: x, working-directory: y}]
  B: {uses: ./x.yml, with: {ref: "${{ github.head_ref }}"}, container: {image: "alpine@sha256:0", options: -x}}
`)
	values := func(pairs []workflow.Pair) (list []string) {
		for _, p := range pairs {
			list = append(list, p.Key+"="+p.Value.Value)
		}
		return list
	}
	texts := func(list []workflow.Text) (values []string) {
		for _, text := range list {
			values = append(values, text.Value)
		}
		return values
	}
	a, b := file.Job("A"), file.Job("b")
	call := file.Event("workflow_call")
	for _, c := range []struct {
		name      string
		want, got any
	}{
		{"inputs", []string{"ref string main", "deep number ", "bare  "}, func() (list []string) {
			for _, i := range call.Inputs {
				list = append(list, i.Name+" "+i.Type+" "+i.Default.Value)
			}
			return list
		}()},
		{"outputs of the file", []string{"sha=${{ jobs.a.outputs.sha }}"}, values(call.Outputs)},
		{"env of the file", []string{"A=1", "B=${{ secrets.X }}"}, values(file.Env)},
		{"values of the file", []string{"1", "${{ secrets.X }}", "bash", "x"}, texts(file.Scalars)},
		{"defaults of the file", "bash x", file.Defaults.Shell.Value + " " + file.Defaults.WorkingDirectory.Value},
		{"env of the job", []string{"=${{ fromJSON(vars.E) }}"}, values(a.Env)},
		{"defaults of the job", "sh", a.Defaults.Shell.Value},
		{"container", "node:20", a.Container.Value},
		{"container with options", "alpine@sha256:0", b.Container.Value},
		{"services", []string{"postgres:16", "redis", ""}, texts(a.Services)},
		{"outputs", []string{"sha=${{ steps.s.outputs.sha }}"}, values(a.Outputs)},
		{"with", []string{"ref=${{ github.head_ref }}"}, values(b.With)},
		{"expressions of the matrix", []string{"${{ github.sha }}", "${{ fromJSON(inputs.w) }}", "${{ inputs.u }}"}, texts(a.Matrix.Expressions)},
		{"working directory", "y", a.Steps[0].WorkingDirectory.Value},
	} {
		if diff := cmp.Diff(c.want, c.got); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
}

func TestParseAction(t *testing.T) {
	action, err := workflow.ParseAction("x/action.yml", []byte(`name: x
inputs: {title: {required: true}, ref: {default: "${{ github.ref }}"}}
outputs: {out: {value: "${{ steps.a.outputs.b }}"}}
runs:
  using: composite
  steps: [{id: a, run: "echo ${{ inputs.title }}", shell: bash, env: {A: b}}]
`))
	if err != nil {
		t.Fatal(err)
	}
	if len(action.Inputs) != 2 || action.Inputs[1].Default.Value != "${{ github.ref }}" || action.Using.Value != "composite" ||
		len(action.Steps) != 1 || action.Steps[0].Run.Line != 6 || len(action.Outputs) != 1 {
		t.Errorf("%+v", action)
	}
	docker, err := workflow.ParseAction("action.yml", []byte("runs: {using: docker, image: 'docker://x:1', args: [a, '${{ inputs.x }}']}"))
	if err != nil || docker.Image.Value != "docker://x:1" || len(docker.Scalars) != 4 {
		t.Errorf("%+v, %v", docker, err)
	}
	for text, want := range map[string]string{"name: x": "the key runs is missing", "[]": "must be a mapping", "runs: {steps: x}": "must be a list", "a: [": "YAML"} {
		if _, err := workflow.ParseAction("action.yml", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

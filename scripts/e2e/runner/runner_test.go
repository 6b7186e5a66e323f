package runner

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestExpressions(t *testing.T) {
	t.Parallel()
	c := contexts{status: status{success: true}, values: map[string]any{
		"github": map[string]any{"event_name": "push", "event": map[string]any{"pull_request": nil}, "ref": "refs/heads/main"},
		"needs":  map[string]any{"gate": map[string]any{"result": "success", "outputs": map[string]any{"verdict": "pass", "empty": ""}}},
		"inputs": map[string]any(nil),
	}}
	for text, want := range map[string]any{
		"github.event_name == 'PUSH'":                                    true,
		"github.event.pull_request.head.repo.full_name == 'a/b'":         false,
		"github.event.pull_request.head.repo.full_name == null":          true,
		"needs.gate.outputs.verdict == 'pass' && github.ref":             "refs/heads/main",
		"needs.gate.outputs.missing || 'fallback'":                       "fallback",
		"needs['gate'].outputs.verdict":                                  "pass",
		"inputs.sha || github.event_name":                                "push",
		"contains(needs.*.result, 'success')":                            true,
		"contains(needs.*.result, 'failure')":                            false,
		"!cancelled() && success()":                                      true,
		"contains('Hello', 'hell')":                                      true,
		"contains(fromJSON('[\"push\",\"x\"]'), github.event_name)":      true,
		"startsWith(github.ref, 'refs/heads/')":                          true,
		"'1' == 1":                                                       true,
		"'' == false":                                                    true,
		"format('{0}-{1}', 'a', needs.gate.result)":                      "a-success",
		"github.event_name != 'pull_request' || github.event.x == 'abc'": true,
	} {
		if got, err := c.evaluate(text); err != nil || got != want {
			t.Errorf("%s = %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"nosuch.thing", "hashFiles('x')", "1 +"} {
		if got, err := c.evaluate(text); err == nil {
			t.Errorf("%s = %v", text, got)
		}
	}
}

func TestConditionsAskForSuccess(t *testing.T) {
	t.Parallel()
	failed := contexts{status: status{failure: true}, values: map[string]any{"x": map[string]any{"y": "z"}}}
	for text, want := range map[string]bool{
		"": false, "x.y == 'z'": false, "always()": true, "failure()": true, "!cancelled() && x.y == 'z'": true, "${{ always() && x.y }}": true,
	} {
		if got, err := failed.condition(text); err != nil || got != want {
			t.Errorf("%q after a failure: %t, %v; want %t", text, got, err, want)
		}
	}
}

const sample = `on: push
env: {WHO: world}
jobs:
  one:
    runs-on: ubuntu-latest
    outputs: {greeting: "${{ steps.say.outputs.greeting }}", lines: "${{ steps.say.outputs.lines }}"}
    steps:
      - uses: actions/checkout@v4
        with: {fetch-depth: 0}
      - id: say
        env: {TOKEN: "${{ github.token }}"}
        run: |
          echo "greeting=hello $WHO from $RUNNER_ENVIRONMENT" >> "$GITHUB_OUTPUT"
          printf 'lines<<E\na\nb=c\nE\n' >> "$GITHUB_OUTPUT"
          echo "$GITHUB_RUN_ID $TOKEN" >> "$GITHUB_STEP_SUMMARY"
          mkdir -p tools && printf '#!/bin/sh\necho mine\n' > tools/mine && chmod +x tools/mine
          echo "$PWD/tools" >> "$GITHUB_PATH"
          echo "LATER=set" >> "$GITHUB_ENV"
      - run: test "$(mine)" = mine && test "$LATER" = set && test -f from-checkout
  two:
    needs: one
    runs-on: [self-hosted, macOS]
    steps:
      - run: echo "::warning::got $GOT"; test "$GOT" = "hello world from github-hosted"
        env: {GOT: "${{ needs.one.outputs.greeting }}"}
      - run: exit 3
      - run: echo never
      - if: failure()
        run: echo "told $RUNNER_ENVIRONMENT"
  three:
    needs: two
    runs-on: ubuntu-latest
    steps: [{run: echo never}]
  four:
    needs: [three, two]
    if: ${{ !cancelled() && needs.two.result == 'failure' }}
    runs-on: ubuntu-latest
    steps: [{run: echo four}]
`

func TestExecute(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "sample.yml")
	if err := os.WriteFile(file, []byte(sample), 0o600); err != nil {
		t.Fatal(err)
	}
	result, err := Execute(t.Context(), Run{
		File: file, Work: filepath.Join(dir, "work"), Event: "push", Repository: "o/r", Ref: "refs/heads/main", SHA: "abc", ID: 42, Token: "secret",
		Environ: func(string) []string { return []string{"PATH=" + os.Getenv("PATH")} },
		Checkout: func(_ context.Context, workspace string, with map[string]string) error {
			return os.WriteFile(filepath.Join(workspace, "from-checkout"), []byte(with["fetch-depth"]), 0o600)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ended := map[string]string{}
	for id, job := range result.Jobs {
		ended[id] = job.Result
	}
	if diff := cmp.Diff(map[string]string{"one": "success", "two": "failure", "three": "skipped", "four": "success"}, ended); diff != "" {
		t.Error(diff)
	}
	one, two := result.Jobs["one"], result.Jobs["two"]
	if one.Outputs["lines"] != "a\nb=c" || one.Steps[1].Summary != "42 secret\n" {
		t.Errorf("outputs %q, summary %q", one.Outputs, one.Steps[1].Summary)
	}
	var outcomes []string
	for _, s := range two.Steps {
		outcomes = append(outcomes, s.Outcome)
	}
	if diff := cmp.Diff([]string{"success", "failure", "skipped", "success"}, outcomes); diff != "" || two.Steps[3].Log != "told self-hosted\n" {
		t.Errorf("%s %q", diff, two.Steps[3].Log)
	}
	if diff := cmp.Diff([]Command{{Name: "warning", Value: "got hello world from github-hosted"}}, Commands(two.Steps[0].Log)); diff != "" {
		t.Error(diff)
	}
}

func TestCommandsBetweenStops(t *testing.T) {
	t.Parallel()
	log := strings.Join([]string{"::error::one%0Atwo", "::stop-commands::tok", "::error::hidden", "::other::", "::tok::", "  ::add-mask::x", "not ::error::me", "\r::notice::cr"}, "\n")
	want := []Command{{Name: "error", Value: "one\ntwo"}, {Name: "add-mask", Value: "x"}, {Name: "notice", Value: "cr"}}
	if diff := cmp.Diff(want, Commands(log)); diff != "" {
		t.Error(diff)
	}
}

func TestParseFile(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"no mark\n", "x<<\n", "x<<E\na\n", "=x\n", "<<E\nE\n"} {
		if got, err := ParseFile(text); err == nil {
			t.Errorf("%q was read as %q", text, got)
		}
	}
}

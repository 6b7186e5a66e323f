package workflows

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ataraxis.dev/landfall/shared/pipeline"
	"ataraxis.dev/landfall/shared/workflow"
)

const sha = "@0123456789012345678901234567890123456789"

// guardCase is the if: of a job on an own runner, and whether it proves enough for each of
// the events that an outsider can cause.
type guardCase struct {
	condition string
	proves    string // the events it is proven for, among those of outside
}

// outside are the events of TestGuards.
var outside = []string{"pull_request", "pull_request_target", "issue_comment", "workflow_run"}

const all = "pull_request pull_request_target issue_comment workflow_run"

var guardCases = []guardCase{
	{"", ""},
	{"github.event_name != 'pull_request' || github.event.pull_request.head.repo.full_name == github.repository", "pull_request"},
	{"github.event_name != 'pull_request' && github.event_name != 'issue_comment'", "pull_request issue_comment"},
	{"github.event.pull_request.head.repo.full_name == github.repository", all},
	{"${{ github.event.pull_request.head.repo.full_name == github.repository }}", all},
	{"github.repository == github.event.pull_request.head.repo.full_name && github.actor == 'me'", all},
	{"github.event.pull_request.head.repo.full_name == 'own/repo'", all},
	{"github.event.pull_request.head.repo.full_name == 'OWN/repo'", all},
	{"github.event.pull_request.head.repo.full_name == 'friend/repo'", "issue_comment workflow_run"}, // a fork that is let in
	{"github.event.pull_request.head.repo.full_name != 'evil/repo'", ""},
	{"github.event.pull_request.head.repo.fork == false", ""}, // null == false,
	{"!github.event.pull_request.head.repo.fork", ""},         // true where the fork was deleted
	{"github.event_name == 'push'", all},
	{"github.event_name == 'push' || github.event_name == 'workflow_dispatch'", all},
	{"contains(fromJSON('[\"push\", \"schedule\"]'), github.event_name)", all},
	{"contains('push schedule', github.event_name)", all},
	{"startsWith(github.event_name, 'pu')", "issue_comment workflow_run"},
	{"endsWith(github.event_name, 'patch')", all},
	{"github.ref == 'refs/heads/main'", "pull_request"}, // the others run for the default branch
	{"startsWith(github.ref, 'refs/heads/')", "pull_request"},
	{"github['event_name'] == 'push'", all},
	{"GITHUB.EVENT_NAME == 'PUSH'", all},
	{"false", all},
	{"${{ false }}", all},
	{"always()", ""},
	{"!cancelled()", ""},
	{"failure() && github.event_name == 'push'", all},
	{"always() || github.event_name == 'push'", ""},
	{"!(github.event_name != 'push')", all},
	{"github.event_name == 'push' && github.actor == 'me' || github.actor == 'you'", ""},
	{"github.actor == 'me'", ""},
	{"github.actor != 'dependabot[bot]'", ""},
	{"github.event.action == 'opened'", ""},
	{"github.event.label.name == 'safe to test'", ""},
	{"contains(github.event.pull_request.labels.*.name, 'safe')", ""},
	{"github.event.pull_request.author_association == 'OWNER'", "issue_comment workflow_run"},
	{"github.event.comment.author_association == 'OWNER'", ""},
	{"github.event.workflow_run.event == 'push'", all},
	{"github.event.workflow_run.head_repository.full_name == github.repository", all},
	{"github.event.workflow_run.conclusion == 'success'", "pull_request pull_request_target issue_comment"},
	{"inputs.x || vars.y", ""},
	{"${{ github.event_name == 'push' }} && true", ""}, // a string, which is true
	{"${{ github.event_name == 'push' }}\n", ""},       // a line end makes it a string, too
	{"github.event_name == 'push' ||", ""},             // not an expression
	{"github.event_name == \"push\"", ""},              // not an expression
	{"github.event_name == 'push' # && false", ""},     // not an expression
	{strings.Repeat("(", 200) + "false", ""},           // too deep
	{"needs.a.result == 'success'", ""},                // of a job that does not exist
	{"1 == 2", all},
	{"0x10 == 16 && github.event_name == 'push'", all},
	{"github.event_name == 'push' && 'x' || ''", all},
	{"null", all},
	{"github.event.number < 5", ""},
	{"fromJSON('{\"a\": false}').a", ""},
	{"toJSON(github) == 'x'", ""},
	{"hashFiles('x') != ''", ""},
}

func quoted(condition string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(condition) + `"`
}

func TestGuards(t *testing.T) {
	for _, c := range guardCases {
		for _, event := range outside {
			text := fmt.Sprintf("on: [push, %s]\npermissions: {}\njobs:\n  a:\n    runs-on: self-hosted\n", event)
			if c.condition != "" {
				text += "    if: " + quoted(c.condition) + "\n"
			}
			findings := Check([]File{{Folder + "/a.yml", []byte(text)}}, Options{Repository: "own/repo"})
			want := true
			for _, e := range strings.Fields(c.proves) {
				want = want && e != event
			}
			if got := len(findings) > 0; got != want {
				t.Errorf("%s on %s: found %v, want %v: %v", c.condition, event, got, want, findings)
			}
		}
	}
}

func TestGuardNamesWithoutRepository(t *testing.T) {
	text := "on: pull_request\npermissions: {}\njobs: {a: {runs-on: self-hosted, if: \"github.event.pull_request.head.repo.full_name == 'own/repo'\"}}\n"
	if got := Check([]File{{Folder + "/a.yml", []byte(text)}}, Options{}); len(got) != 1 {
		t.Errorf("got %v", got)
	}
}

// onPull is a file for pull requests with jobs; the guard-less one is what TestJobs varies.
func onPull(jobs string) string {
	return "on: pull_request\npermissions: {}\njobs:\n" + jobs
}

const guarded = "  guarded: {runs-on: self-hosted, if: \"github.event_name == 'push'\"}\n"

func TestJobs(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       []string // "line: rule: beginning of the message"
	}{
		{"hosted", onPull("  a: {runs-on: ubuntu-latest}\n  b: {runs-on: macos-15-xlarge}\n  c: {runs-on: [windows-2025]}\n  d: {runs-on: ubuntu-24.04-arm}"), nil},
		{"self-hosted", onPull("  a:\n    runs-on: [linux, Self-Hosted]"), []string{"5:15: fork-guard: job a runs on linux"}},
		{"custom label", onPull("  a: {runs-on: atlas}"), []string{"4:16: fork-guard: job a runs on atlas, which is no runner of GitHub's"}},
		{"hosted label of the own runner", onPull("  a: {runs-on: ubuntu-22.04}"), []string{"4:16: fork-guard: job a runs on ubuntu-22.04"}},
		{"group", onPull("  a: {runs-on: {group: big, labels: ubuntu-latest}}"), []string{"4:37: fork-guard: job a runs in the runner group big"}},
		{"no runs-on", onPull("  a: {steps: []}"), []string{"4:3: fork-guard: job a does not say where it runs"}},
		{"expression", onPull("  a: {runs-on: \"${{ vars.RUNNER }}\"}"), []string{"4:16: fork-guard: job a may run on an own runner (${{ vars.RUNNER }})"}},
		{"expression that is known", onPull("  a: {runs-on: \"${{ github.event_name == 'pull_request' && 'ubuntu-latest' || 'self-hosted' }}\"}"), nil},
		{"expression the wrong way", onPull("  a: {runs-on: \"${{ github.event_name == 'push' && 'ubuntu-latest' || 'self-hosted' }}\"}"), []string{"4:16: fork-guard: job a runs on an own runner"}},
		{"list by expression", onPull("  a: {runs-on: \"${{ fromJSON('[\\\"self-hosted\\\", \\\"x\\\"]') }}\"}"), []string{"4:16: fork-guard: job a runs on an own runner"}},
		{"matrix", onPull("  a: {runs-on: \"${{ matrix.os }}\", strategy: {matrix: {os: [ubuntu-latest, macos-latest]}}}"), nil},
		{"matrix with own", onPull("  a: {runs-on: \"${{ matrix.os }}\", strategy: {matrix: {os: [ubuntu-latest], include: [{os: self-hosted}]}}}"), []string{"4:16: fork-guard: job a runs on an own runner"}},
		{"open matrix", onPull("  a: {runs-on: \"${{ matrix.os }}\", strategy: {matrix: {os: \"${{ fromJSON(x) }}\"}}}"), []string{"4:16: fork-guard: job a may run on an own runner"}},
		{"only push", "on: [push, workflow_dispatch, schedule, release]\npermissions: {}\njobs: {a: {runs-on: self-hosted}}", nil},
		{"all secrets at once", onPull("  a:\n    runs-on: self-hosted\n    if: github.event.pull_request.head.repo.full_name == github.repository\n    env: {A: '${{ toJSON(secrets) }}'}"), []string{"7:14: pull-request-secret: job a"}},
		{"merge queue", "on: merge_group\npermissions: {}\njobs: {a: {runs-on: self-hosted}}", []string{"3:21: fork-guard: job a"}},
		{"branch", onPull("  a: {runs-on: self-hosted, if: github.ref == 'refs/heads/main'}"), nil},
		{"branch of a merged one", "on: {pull_request: {types: [opened, closed]}}\npermissions: {}\njobs: {a: {runs-on: self-hosted, if: github.ref == 'refs/heads/main'}}", []string{"3:38: fork-guard: job a"}},
		{"branch of a review", "on: pull_request_review\npermissions: {}\njobs: {a: {runs-on: self-hosted, if: github.ref == 'refs/heads/main'}}", []string{"3:38: fork-guard: job a"}},
		{"event nobody knows", "on: [new_event]\npermissions: {}\njobs: {a: {runs-on: self-hosted}}", []string{"3:21: fork-guard: job a runs on an own runner, and nothing proves that new_event"}},
		{"stars and wikis", "on: {watch: {}, gollum: {}}\npermissions: {}\njobs: {a: {runs-on: self-hosted}}", []string{"3:21: fork-guard: job a runs on an own runner, and nothing proves that watch"}},
		{"behind a guarded job", onPull(guarded + "  a: {needs: guarded, runs-on: self-hosted}\n  b: {needs: [a], runs-on: self-hosted, if: success() && true}"), nil},
		{"behind a guarded job, always", onPull(guarded + "  a: {needs: guarded, runs-on: self-hosted, if: always()}"), []string{"5:49: fork-guard: job a"}},
		{"behind a guarded job, not cancelled", onPull(guarded + "  a: {needs: guarded, runs-on: self-hosted, if: \"!cancelled()\"}"), []string{"5:49: fork-guard: job a"}},
		{"behind a guarded job, failed", onPull(guarded + "  a: {needs: guarded, runs-on: self-hosted, if: failure()}"), []string{"5:49: fork-guard: job a"}},
		{"behind a job behind", onPull(guarded + "  a: {needs: guarded, runs-on: ubuntu-latest, if: always()}\n  b: {needs: a, runs-on: self-hosted}"), nil},
		{"asks for the guarded result", onPull(guarded + "  a: {needs: guarded, runs-on: self-hosted, if: always() && needs.guarded.result == 'success'}"), nil},
		{"asks for a guarded output", onPull(guarded + "  a: {needs: guarded, runs-on: self-hosted, if: \"always() && needs.guarded.outputs.go == 'yes'\"}"), nil},
		{"behind a hosted job", onPull("  h: {runs-on: ubuntu-latest}\n  a: {needs: h, runs-on: self-hosted, if: needs.h.outputs.x == 'y'}"), []string{"5:43: fork-guard: job a"}},
		{"needs itself", onPull("  a: {needs: a, runs-on: self-hosted}"), []string{"4:26: fork-guard: job a"}},
		{"call elsewhere", onPull("  a: {uses: o/r/.github/workflows/x.yml" + sha + "}"), []string{"4:13: fork-guard: job a calls a workflow that lies elsewhere"}},
		{"unpinned", "on: push\npermissions: {}\njobs: {a: {runs-on: ubuntu-latest, steps: [{uses: a/b@v1}, {uses: a/b" + sha + "}, {uses: ./x}, {uses: docker://x:1}, {uses: a/b@main}, {uses: a/b@0123456}]}}", []string{
			"3:51: unpinned-action: a/b@v1 may", "3:134: unpinned-action: docker://x:1 may", "3:156: unpinned-action: a/b@main may", "3:174: unpinned-action: a/b@0123456 may",
		}},
		{"unpinned call", "on: push\npermissions: {}\njobs: {a: {uses: o/r/.github/workflows/x.yml@main}}", []string{"3:18: unpinned-action: o/r/.github/workflows/x.yml@main may"}},
		{"image by digest", "on: push\npermissions: {}\njobs: {a: {runs-on: ubuntu-latest, steps: [{uses: \"docker://x@sha256:" + strings.Repeat("0", 64) + "\"}]}}", nil},
		{"no permissions", "on: push\njobs: {a: {runs-on: ubuntu-latest, permissions: {}}}", []string{"1:1: permissions: the file sets no permissions"}},
		{"all permissions", "on: push\npermissions: write-all\njobs: {a: {runs-on: ubuntu-latest, permissions: write-all}}", []string{"2:1: permissions: every job may", "3:36: permissions: job a may"}},
		{"target and checkout", "on: pull_request_target\npermissions: {}\njobs: {a: {runs-on: ubuntu-latest, steps: [{uses: actions/checkout" + sha + ", with: {ref: \"${{ github.event.pull_request.head.sha }}\"}}]}}", []string{"3:122: untrusted-checkout: job a checks"}},
		{"target and ref of the merge", "on: pull_request_target\npermissions: {}\njobs: {a: {runs-on: ubuntu-latest, steps: [{uses: actions/checkout" + sha + ", with: {ref: \"refs/pull/${{ github.event.number }}/merge\"}}]}}", []string{"3:122: untrusted-checkout: job a checks"}},
		{"target and base", "on: pull_request_target\npermissions: {}\njobs: {a: {runs-on: ubuntu-latest, steps: [{uses: actions/checkout" + sha + "}]}}", nil},
		{"comment and gh", "on: issue_comment\npermissions: {}\njobs: {a: {runs-on: ubuntu-latest, steps: [{run: gh pr checkout 5}]}}", []string{"3:50: untrusted-checkout: job a fetches"}},
		{"run and git", "on: workflow_run\npermissions: {}\njobs: {a: {runs-on: ubuntu-latest, steps: [{run: 'git fetch origin \"$SHA\"', env: {SHA: \"${{ github.event.workflow_run.head_sha }}\"}}]}}", []string{"3:50: untrusted-checkout: job a fetches"}},
		{"secret on the own runner", "on: pull_request\npermissions: {}\njobs:\n  a:\n    runs-on: self-hosted\n    if: github.event.pull_request.head.repo.full_name == github.repository\n    env: {T: \"${{ secrets.TOKEN }}\"}", []string{"7:14: pull-request-secret: job a gives"}},
		{"secret by index", "on: pull_request\npermissions: {}\njobs:\n  a:\n    runs-on: self-hosted\n    if: github.event.pull_request.head.repo.full_name == github.repository\n    env: {T: \"${{ secrets['TOKEN'] }}\"}", []string{"7:14: pull-request-secret: job a gives"}},
		{"secret on push", "on: [push, pull_request]\npermissions: {}\njobs:\n  a:\n    runs-on: self-hosted\n    if: github.event_name == 'push'\n    env: {T: \"${{ secrets.TOKEN }}\"}", nil},
		{"secret on a hosted runner", onPull("  a: {runs-on: ubuntu-latest, env: {T: \"${{ secrets.TOKEN }}\"}}"), nil},
		{"token of the run", "on: pull_request\npermissions: {}\njobs:\n  a:\n    runs-on: self-hosted\n    if: github.event.pull_request.head.repo.full_name == github.repository\n    env: {T: \"${{ secrets.GITHUB_TOKEN }} ${{ github.token }}\"}", nil},
		{"not a workflow", "on: push\n", []string{"1:1: syntax: the key jobs is missing"}},
		{"not YAML", "on: [push\n", []string{"2:1: syntax: not valid YAML"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := Options{Config: &pipeline.Config{Workflows: &pipeline.WorkflowsConfig{Runner: []string{"ubuntu-22.04"}}}}
			compareFindings(t, c.want, Check([]File{{Folder + "/a.yml", []byte(c.text)}}, o))
		})
	}
}

func compareFindings(t *testing.T, want []string, findings []Finding) {
	t.Helper()
	var got []string
	for i, f := range findings {
		line := fmt.Sprintf("%d:%d: %s: %s", f.Line, f.Column, f.Rule, f.Message)
		if i < len(want) && strings.HasPrefix(line, want[i]) {
			line = want[i]
		}
		if f.Hint == "" {
			t.Errorf("%s has no hint", line)
		}
		got = append(got, line)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestCalls follows reusable workflows to those that call them.
func TestCalls(t *testing.T) {
	called := File{Folder + "/called.yml", []byte("on: workflow_call\npermissions: {}\njobs: {a: {runs-on: self-hosted}}")}
	caller := func(on, extra string) File {
		return File{Folder + "/caller.yml", []byte("on: " + on + "\npermissions: {}\njobs: {c: {uses: ./.github/workflows/called.yml" + extra + "}}")}
	}
	const found = "3:21: fork-guard: job a runs on an own runner"
	for _, c := range []struct {
		name  string
		files []File
		want  []string
	}{
		{"nobody", []File{called}, nil},
		{"push", []File{called, caller("push", "")}, nil},
		{"pull request", []File{called, caller("pull_request", "")}, []string{found}},
		{"guarded", []File{called, caller("[push, pull_request]", ", if: github.event_name == 'push'")}, nil},
		{"inherited secrets", []File{called, caller("push", ", secrets: inherit")}, nil},
		{"through another", []File{
			called,
			{Folder + "/caller.yml", []byte("on: workflow_call\npermissions: {}\njobs: {c: {uses: ./.github/workflows/called.yml}}")},
			{Folder + "/top.yml", []byte("on: pull_request\npermissions: {}\njobs: {c: {uses: ./.github/workflows/caller.yml}}")},
		}, []string{found}},
		{"in a circle", []File{
			{Folder + "/called.yml", []byte("on: workflow_call\npermissions: {}\njobs: {a: {runs-on: self-hosted}, b: {uses: ./.github/workflows/called.yml}}")},
		}, []string{found}},
	} {
		t.Run(c.name, func(t *testing.T) { compareFindings(t, c.want, Check(c.files, Options{})) })
	}
}

func TestRequired(t *testing.T) {
	jobs := "\npermissions: {}\njobs: {a: {runs-on: ubuntu-latest}}"
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"missing", "", []string{"1:1: required-workflow: ci.required names this file, but it does not exist"}},
		{"no push", "on: pull_request" + jobs, []string{"1:1: required-workflow: ci.required names this file, but no push to main starts it: on: does not name push"}},
		{"other branch", "on: {push: {branches: [dev]}}" + jobs, []string{`1:1: required-workflow: ci.required names this file, but no push to main starts it: branches: ["dev"] does not match main`}},
		{"tags", "on: {push: {tags: ['*']}}" + jobs, []string{"1:1: required-workflow: ci.required names this file, but no push to main starts it: only tags"}},
		{"paths", "on: {push: {paths: [a]}}" + jobs, nil},
		{"paths taken out", "on: {push: {paths-ignore: ['**']}}" + jobs, nil},
		{"cancelled by ref", "on: push\nconcurrency: {group: \"x-${{ github.ref }}\", cancel-in-progress: true}" + jobs, []string{"2:65: required-workflow: the next push to main cancels this run"}},
		{"cancelled by a name", "on: push\nconcurrency: {group: x, cancel-in-progress: true}" + jobs, []string{"2:45: required-workflow: the next push"}},
		{"by commit", "on: push\nconcurrency: {group: \"x-${{ github.sha }}\", cancel-in-progress: true}" + jobs, nil},
		{"by commit on push", "on: push\nconcurrency: {group: \"x-${{ github.event_name == 'pull_request' && github.ref || github.sha }}\", cancel-in-progress: true}" + jobs, nil},
		{"by commit on pull requests", "on: push\nconcurrency: {group: \"x-${{ github.event_name == 'pull_request' && github.sha || github.ref }}\", cancel-in-progress: true}" + jobs, []string{"2:118: required-workflow: the next push"}},
		{"for pull requests", "on: push\nconcurrency: {group: \"x-${{ github.ref }}\", cancel-in-progress: \"${{ github.event_name == 'pull_request' }}\"}" + jobs, nil},
		{"not for this branch", "on: push\nconcurrency: {group: \"x-${{ github.ref }}\", cancel-in-progress: \"${{ github.ref != 'refs/heads/main' }}\"}" + jobs, nil},
		{"who knows", "on: push\nconcurrency: {group: \"x-${{ github.ref }}\", cancel-in-progress: \"${{ vars.X }}\"}" + jobs, []string{"2:65: required-workflow: the next push"}},
		{"not cancelled", "on: push\nconcurrency: {group: x, cancel-in-progress: false}" + jobs, nil},
		{"group alone", "on: push\nconcurrency: x" + jobs, nil},
		{"of a job", "on: push\npermissions: {}\njobs: {a: {runs-on: ubuntu-latest, concurrency: {group: x, cancel-in-progress: true}}}", []string{"3:80: required-workflow: the next push"}},
		{"broken", "on: push", []string{"1:1: syntax"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var files []File
			if c.text != "" {
				files = []File{{Folder + "/ci.yml", []byte(c.text)}}
			}
			o := Options{Config: &pipeline.Config{Branch: "main", CI: pipeline.CIConfig{Required: []string{"ci.yml"}}}}
			compareFindings(t, c.want, Check(files, o))
		})
	}
}

func TestGate(t *testing.T) {
	const found = "deploy-gate: job d deploys, and nothing proves that the gate has passed before"
	gate := "  g: {runs-on: ubuntu-latest, steps: [{run: landfall-coordinator ci-gate}]}\n"
	deploy := func(extra string) string {
		return "  d:\n    runs-on: ubuntu-latest\n" + extra + "    steps: [{run: '/opt/landfall-coordinator --progress plain deploy --sha x'}]\n"
	}
	for _, c := range []struct {
		name, jobs string
		want       string // "" for clean
	}{
		{"gated", gate + deploy("    needs: g\n"), ""},
		{"gated at a distance", gate + "  m: {needs: g, runs-on: ubuntu-latest}\n" + deploy("    needs: [m]\n"), ""},
		{"gated by verdict", gate + deploy("    needs: g\n    if: always() && needs.g.outputs.verdict == 'pass'\n"), ""},
		{"no gate", deploy(""), found},
		{"beside the gate", gate + deploy(""), found},
		{"in spite of the gate", gate + deploy("    needs: g\n    if: always()\n"), found},
		{"not cancelled", gate + deploy("    needs: g\n    if: '!cancelled()'\n"), found},
		{"any verdict", gate + deploy("    needs: g\n    if: always() && needs.g.outputs.verdict != ''\n"), found},
		{"another verdict", gate + deploy("    needs: g\n    if: always() && needs.g.outputs.verdict == 'blocked'\n"), found},
		{"gate goes on", strings.Replace(gate, "g: {", "g: {continue-on-error: true, ", 1) + deploy("    needs: g\n"), found},
		{"step goes on", strings.Replace(gate, "{run: ", "{continue-on-error: true, run: ", 1) + deploy("    needs: g\n"), found},
		{"gate goes on, verdict asked", strings.Replace(gate, "g: {", "g: {continue-on-error: true, ", 1) + deploy("    needs: g\n    if: needs.g.outputs.verdict == 'pass'\n"), ""},
		{"gate sometimes", strings.Replace(gate, "{run: ", "{if: vars.X, run: ", 1) + deploy("    needs: g\n"), found},
		{"in one job", "  d: {runs-on: ubuntu-latest, steps: [{run: landfall-coordinator ci-gate}, {run: landfall-coordinator deploy}]}\n", ""},
		{"in one job, always", "  d: {runs-on: ubuntu-latest, steps: [{run: landfall-coordinator ci-gate}, {if: always(), run: landfall-coordinator deploy}]}\n", found},
		{"in one job, too late", "  d: {runs-on: ubuntu-latest, steps: [{run: landfall-coordinator deploy}, {run: landfall-coordinator ci-gate}]}\n", found},
		{"run", "  d: {runs-on: ubuntu-latest, steps: [{run: landfall-coordinator run}]}\n", ""},
		{"run without", "  d: {runs-on: ubuntu-latest, steps: [{run: landfall-coordinator run --no-gate}]}\n", "deploy-gate: job d deploys without waiting"},
		{"only talks of it", "  d: {runs-on: ubuntu-latest, steps: [{run: landfall-coordinator plan --format deployment}]}\n", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			findings := Check([]File{{Folder + "/a.yml", []byte("on: [push, workflow_dispatch]\npermissions: {}\njobs:\n" + c.jobs)}}, Options{})
			switch {
			case c.want == "" && len(findings) > 0, c.want != "" && len(findings) != 1:
				t.Errorf("got %v", findings)
			case c.want != "" && !strings.Contains(findings[0].String(), c.want):
				t.Errorf("got %v", findings[0])
			}
		})
	}
}

// TestRenderedFilesAreClean judges what this package renders itself.
func TestRenderedFilesAreClean(t *testing.T) {
	for _, name := range []string{"reference", "small"} {
		var files []File
		for _, f := range render(t, name) {
			if strings.HasPrefix(f.Path, Folder) {
				files = append(files, f)
			}
		}
		if got := Check(files, Options{Config: config(t, name)}); len(got) > 0 {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestGuardIsWhatHolds takes the guards out of the rendered files: every job that a pull
// request reaches on the own runner is then a finding.
func TestGuardIsWhatHolds(t *testing.T) {
	var files []File
	guards := 0
	const guard = "github.event.pull_request.head.repo.full_name == github.repository"
	for _, f := range render(t, "reference") {
		guards += strings.Count(string(f.Content), guard)
		f.Content = []byte(strings.ReplaceAll(string(f.Content), guard, "github.actor != 'somebody'"))
		files = append(files, f)
	}
	found := 0
	for _, f := range Check(files[1:], Options{}) {
		if f.Rule == RuleForkGuard {
			found++
		}
	}
	if guards < 6 || found != guards {
		t.Errorf("%d guards, %d findings", guards, found)
	}
}

func FuzzCondition(f *testing.F) {
	for _, c := range guardCases {
		f.Add(c.condition)
	}
	raw, err := os.ReadFile("testdata/small/test.yml")
	if err != nil {
		f.Fatal(err)
	}
	file, err := workflow.Parse("test.yml", raw)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, source string) {
		e, err := condition(source)
		if err != nil {
			return
		}
		for _, event := range outside {
			for _, sc := range fromOutside(workflow.Event{Name: event}) {
				v := e.eval(newSituation(file, sc, "own/repo"))
				if v.isTrue() && v.isFalse() {
					t.Errorf("%q is true and false", source)
				}
			}
		}
	})
}

package workflows

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"ataraxis.dev/landfall/shared/pipeline"
)

// pattern is a way to write a workflow, by its name, and the rule that finds it; "" for one that nothing must find.
type pattern struct {
	name, rule string
	files      []File
}

// judge holds patterns to their rules. A pattern may be found by that rule only, so that the bad ones are bad for one reason.
func judge(t *testing.T, patterns []pattern, o Options) {
	t.Helper()
	seen := map[string]bool{}
	for _, p := range patterns {
		if seen[p.name] {
			t.Errorf("two patterns are called %s", p.name)
		}
		seen[p.name] = true
		t.Run(p.name, func(t *testing.T) {
			findings := Check(p.files, o)
			rules := map[string]bool{}
			for _, f := range findings {
				rules[f.Rule] = true
				if f.Hint == "" || f.Line < 1 || strings.ContainsAny(f.Message, "\n") {
					t.Errorf("incomplete: %+v", f)
				}
			}
			switch {
			case p.rule == "" && len(findings) > 0, p.rule != "" && (!rules[p.rule] || len(rules) > 1):
				t.Errorf("want %q, got %v\n%s", p.rule, findings, p.files[0].Content)
			}
		})
	}
}

// single is a pattern of one file. The steps of it may use PIN for a commit.
func single(name, rule, text string) pattern { return several(name, rule, "w.yml", text) }

// several is a pattern of files: a name, a text, a name, a text.
func several(name, rule string, namesAndTexts ...string) pattern {
	p := pattern{name: name, rule: rule}
	for pair := range slices.Chunk(namesAndTexts, 2) {
		path := pair[0]
		if !strings.Contains(path, "/") {
			path = Folder + "/" + path
		}
		p.files = append(p.files, File{path, []byte(strings.ReplaceAll(pair[1], "PIN", strings.TrimPrefix(sha, "@")))})
	}
	return p
}

// gatePatterns are jobs that run the gate, and a deployment that needs them. The text is the gate's job, from its second line on.
var gatePatterns = func() []pattern {
	const gate = "on: [push, workflow_dispatch]\npermissions: {}\njobs:\n  g:\n    runs-on: ubuntu-latest\n%s\n  d:\n    needs: g\n    runs-on: ubuntu-latest\n    steps: [{run: landfall-coordinator deploy}]\n"
	run := func(name, rule, script string) pattern {
		body := "    steps:\n      - run: |\n          " + strings.ReplaceAll(script, "\n", "\n          ")
		return single(name, rule, fmt.Sprintf(gate, body))
	}
	job := func(name, rule, body string) pattern { return single(name, rule, fmt.Sprintf(gate, body)) }
	step := func(name, rule, keys string) pattern {
		return job(name, rule, "    steps:\n      - "+strings.ReplaceAll(keys, "\n", "\n        "))
	}
	whole := single
	good := []pattern{
		run("alone", "", "landfall-coordinator ci-gate"),
		run("with a folder", "", "/opt/landfall/bin/landfall-coordinator ci-gate"),
		run("with a folder of the runner's", "", "\"$RUNNER_TEMP/landfall/landfall-coordinator\" ci-gate"),
		run("with a folder as an expression", "", "\"${{ runner.temp }}/landfall-coordinator\" ci-gate"),
		run("over several lines", "", "landfall-coordinator \\\n  --progress plain \\\n  ci-gate --timeout 30m"),
		run("in quotes", "", "'landfall-coordinator' \"ci-gate\" --poll '15s'"),
		run("with a comment", "", "# waits for lint and test\nlandfall-coordinator ci-gate # no || true here"),
		run("behind set -e", "", "set -e\nlandfall-coordinator ci-gate"),
		run("behind set -euo pipefail", "", "set -euo pipefail; landfall-coordinator ci-gate"),
		run("by exec", "", "exec landfall-coordinator ci-gate"),
		run("by command", "", "command landfall-coordinator ci-gate"),
		run("behind a word to the log", "", "echo 'waiting for CI'\nlandfall-coordinator ci-gate"),
		run("own commit by variable", "", "landfall-coordinator ci-gate --sha \"$GITHUB_SHA\""),
		run("own commit by expression", "", "landfall-coordinator ci-gate --sha ${{ github.sha }}"),
		run("own commit with an equals sign", "", "landfall-coordinator ci-gate --sha=\"${GITHUB_SHA}\""),
		run("own repository", "", "landfall-coordinator ci-gate --repository \"$GITHUB_REPOSITORY\" --sha \"${{ github.sha }}\""),
		run("into a log", "", "landfall-coordinator ci-gate >gate.log 2>&1"),
		run("or exit 1", "", "landfall-coordinator ci-gate || exit 1"),
		run("or a block that fails", "", "landfall-coordinator ci-gate || { echo blocked; exit 3; }"),
		run("and a word", "", "landfall-coordinator ci-gate && echo passed"),
		run("pipe with pipefail", "", "set -o pipefail\nlandfall-coordinator ci-gate | tee gate.log"),
		step("pipe in bash", "", "shell: bash\nrun: landfall-coordinator ci-gate | tee gate.log"),
		step("shell with options", "", "shell: bash --noprofile --norc -euo pipefail {0}\nrun: landfall-coordinator ci-gate"),
		step("commit by env", "", "env: {TARGET: \"${{ inputs.sha || github.sha }}\", GITHUB_TOKEN: \"${{ github.token }}\"}\nrun: landfall-coordinator ci-gate --sha \"${TARGET:?no commit}\""),
		step("agent by env", "", "env: {LANDFALL_AGENT: 'host:1', LANDFALL_PROGRESS: plain}\nrun: landfall-coordinator ci-gate"),
		step("own folder", "", "working-directory: .\nrun: landfall-coordinator ci-gate"),
		job("commit by env of the job", "", "    env: {TARGET: \"${{ github.sha }}\"}\n    steps: [{run: landfall-coordinator ci-gate --sha \"$TARGET\"}]"),
		job("installed before", "", "    steps:\n      - run: |\n          curl -fsSLo \"$RUNNER_TEMP/x/landfall-coordinator\" https://example.org/x\n          chmod 755 \"$RUNNER_TEMP/x/landfall-coordinator\"\n          echo \"$RUNNER_TEMP/x\" >>\"$GITHUB_PATH\"\n      - run: landfall-coordinator ci-gate"),
		job("moved into place before", "", "    steps:\n      - run: sudo install -m 755 dist/coordinator-linux /usr/local/bin/landfall-coordinator\n      - run: landfall-coordinator ci-gate"),
		whole("lost exit code, verdict asked", "", "on: push\npermissions: {}\njobs:\n  g:\n    runs-on: ubuntu-latest\n    outputs: {verdict: \"${{ steps.x.outputs.verdict }}\"}\n    steps: [{id: x, run: landfall-coordinator ci-gate || true}]\n  d: {needs: g, if: needs.g.outputs.verdict == 'pass', runs-on: ubuntu-latest, steps: [{run: landfall-coordinator deploy}]}"),
		whole("within one job, with a condition", "", "on: push\npermissions: {}\njobs:\n  d: {runs-on: ubuntu-latest, steps: [{run: landfall-coordinator ci-gate}, {if: github.ref == 'refs/heads/main', run: landfall-coordinator deploy}]}"),
		whole("gate with a guard", "", "on: [push, pull_request]\npermissions: {}\njobs:\n  g: {if: github.event_name == 'push', runs-on: ubuntu-latest, steps: [{run: landfall-coordinator ci-gate}]}\n  d: {needs: g, runs-on: ubuntu-latest, steps: [{run: landfall-coordinator deploy}]}"),
		whole("names in upper case", "", "on: push\npermissions: {}\njobs:\n  Gate: {runs-on: ubuntu-latest, steps: [{run: landfall-coordinator ci-gate}]}\n  d: {needs: [Gate], if: always() && needs.Gate.result == 'success', runs-on: ubuntu-latest, steps: [{run: landfall-coordinator deploy}]}"),
		several("called behind the gate", "",
			"w.yml", "on: push\npermissions: {}\njobs:\n  g: {runs-on: ubuntu-latest, steps: [{run: landfall-coordinator ci-gate}]}\n  d: {needs: g, uses: ./.github/workflows/ship.yml}",
			"ship.yml", "on: workflow_call\npermissions: {}\njobs: {d: {runs-on: ubuntu-latest, steps: [{run: landfall-coordinator deploy}]}}"),
		several("behind a called gate", "",
			"w.yml", "on: push\npermissions: {}\njobs:\n  g: {uses: ./.github/workflows/gate.yml}\n  d: {needs: g, runs-on: ubuntu-latest, steps: [{run: landfall-coordinator deploy}]}",
			"gate.yml", "on: workflow_call\npermissions: {}\njobs: {g: {runs-on: ubuntu-latest, steps: [{run: landfall-coordinator ci-gate}]}}"),
		whole("talks of deploying", "", "on: push\npermissions: {}\njobs:\n  d: {runs-on: ubuntu-latest, steps: [{run: 'echo landfall-coordinator deploy'}]}"),
		whole("comments on deploying", "", "on: push\npermissions: {}\njobs:\n  d:\n    runs-on: ubuntu-latest\n    steps:\n      - run: |\n          # landfall-coordinator deploy is for another job\n          make"),
	}
	bad := []pattern{
		// Those of the attacker's list.
		run("or true", RuleGate, "landfall-coordinator ci-gate || true"),
		run("pipe without pipefail", RuleGate, "landfall-coordinator ci-gate | cat"),
		run("in the background", RuleGate, "landfall-coordinator ci-gate &"),
		run("set +e", RuleGate, "set +e\nlandfall-coordinator ci-gate\necho done"),
		run("in a comment", RuleGate, "# landfall-coordinator ci-gate\ntrue"),
		run("echoed", RuleGate, "echo landfall-coordinator ci-gate"),
		run("help", RuleGate, "landfall-coordinator ci-gate --help"),
		run("another commit", RuleGate, "landfall-coordinator ci-gate --sha HEAD~50"),
		run("another repository", RuleGate, "landfall-coordinator ci-gate --repository evil/repo"),
		// Our own.
		run("short help", RuleGate, "landfall-coordinator ci-gate -h"),
		run("version", RuleGate, "landfall-coordinator --version ci-gate"),
		run("help for it", RuleGate, "landfall-coordinator help ci-gate"),
		run("or colon", RuleGate, "landfall-coordinator ci-gate || :"),
		run("or a word", RuleGate, "landfall-coordinator ci-gate || echo blocked"),
		run("or exit 0", RuleGate, "landfall-coordinator ci-gate || exit 0"),
		run("or a block that goes on", RuleGate, "landfall-coordinator ci-gate || { echo blocked; }"),
		run("and then or", RuleGate, "landfall-coordinator ci-gate && echo ok || echo blocked"),
		run("another command behind it", RuleGate, "landfall-coordinator ci-gate; true"),
		run("exit 0 behind it", RuleGate, "landfall-coordinator ci-gate\nexit 0"),
		run("exit 0 before it", RuleGate, "exit 0\nlandfall-coordinator ci-gate"),
		run("turned around", RuleGate, "! landfall-coordinator ci-gate"),
		run("as a condition", RuleGate, "if landfall-coordinator ci-gate; then echo ok; fi"),
		run("under a condition", RuleGate, "if [ -n \"$WAIT\" ]; then landfall-coordinator ci-gate; fi"),
		run("behind a test", RuleGate, "[ -n \"$WAIT\" ] && landfall-coordinator ci-gate"),
		run("in a subshell", RuleGate, "(landfall-coordinator ci-gate)"),
		run("in a block", RuleGate, "{ landfall-coordinator ci-gate; }"),
		run("in a function that nobody calls", RuleGate, "gate() { landfall-coordinator ci-gate; }"),
		run("in a loop", RuleGate, "for i in $LIST; do landfall-coordinator ci-gate; done"),
		run("until it passes", RuleGate, "until landfall-coordinator ci-gate; do break; done"),
		run("in a heredoc", RuleGate, "cat <<EOF\nlandfall-coordinator ci-gate\nEOF"),
		run("in a string", RuleGate, "x='landfall-coordinator ci-gate'"),
		run("in a substitution", RuleGate, "echo \"$(landfall-coordinator ci-gate)\""),
		run("in a test's substitution", RuleGate, "verdict=$(landfall-coordinator ci-gate || true)"),
		run("in another shell", RuleGate, "bash -c 'landfall-coordinator ci-gate; true'"),
		run("after a trap", RuleGate, "trap 'exit 0' EXIT\nlandfall-coordinator ci-gate"),
		run("a function of its name", RuleGate, "landfall-coordinator() { true; }\nlandfall-coordinator ci-gate"),
		run("an alias of its name", RuleGate, "shopt -s expand_aliases\nalias landfall-coordinator=true\nlandfall-coordinator ci-gate"),
		run("set +o errexit", RuleGate, "set +o errexit; landfall-coordinator ci-gate; echo x"),
		run("noexec", RuleGate, "set -n\nlandfall-coordinator ci-gate"),
		run("another PATH", RuleGate, "PATH=.:$PATH\nlandfall-coordinator ci-gate"),
		run("another PATH for it", RuleGate, "PATH=./fake:$PATH landfall-coordinator ci-gate"),
		run("another commit for it", RuleGate, "GITHUB_SHA=$GOOD landfall-coordinator ci-gate"),
		run("exported before", RuleGate, "export GITHUB_REPOSITORY=evil/repo\nlandfall-coordinator ci-gate"),
		run("a variable as the program", RuleGate, "$GATE ci-gate"),
		run("a computed program", RuleGate, "$(which true) landfall-coordinator ci-gate"),
		run("nobody's program", RuleGate, "not-landfall-coordinator ci-gate"),
		run("true before it", RuleGate, "true landfall-coordinator ci-gate"),
		run("another commit by variable", RuleGate, "landfall-coordinator ci-gate --sha \"$LAST_GOOD\""),
		run("another commit by expression", RuleGate, "landfall-coordinator ci-gate --sha ${{ github.event.before }}"),
		run("HEAD", RuleGate, "landfall-coordinator ci-gate --sha HEAD"),
		run("a commit with something before", RuleGate, "landfall-coordinator ci-gate --sha \"$GITHUB_SHA~1\""),
		run("a default commit", RuleGate, "landfall-coordinator ci-gate --sha \"${TARGET:-main}\""),
		run("fewer workflows", RuleGate, "landfall-coordinator ci-gate --workflows lint.yml"),
		run("another configuration", RuleGate, "landfall-coordinator ci-gate --config easy.yaml"),
		run("a configuration before the command", RuleGate, "landfall-coordinator --config=easy.yaml ci-gate"),
		run("a repository before the command", RuleGate, "landfall-coordinator --repository evil/repo ci-gate"),
		run("unknown flags", RuleGate, "landfall-coordinator ci-gate $FLAGS"),
		run("process substitution", RuleGate, "landfall-coordinator ci-gate > >(cat; exit 0)"),
		run("into the runner's outputs", RuleGate, "landfall-coordinator ci-gate >>\"$GITHUB_OUTPUT\""),
		run("in the background with wait", RuleGate, "landfall-coordinator ci-gate & wait"),
		run("timed", RuleGate, "timeout 1 landfall-coordinator ci-gate; exit 0"),
		step("in PowerShell", RuleGate, "shell: pwsh\nrun: landfall-coordinator ci-gate"),
		step("in Python", RuleGate, "shell: python\nrun: landfall-coordinator ci-gate"),
		step("in a shell that is true", RuleGate, "shell: \"true {0}\"\nrun: landfall-coordinator ci-gate"),
		step("in a shell that only reads", RuleGate, "shell: bash -n {0}\nrun: landfall-coordinator ci-gate"),
		step("in a shell that goes on", RuleGate, "shell: bash -c 'bash {0} || true'\nrun: landfall-coordinator ci-gate"),
		step("goes on by expression", RuleGate, "continue-on-error: ${{ github.ref != 'x' }}\nrun: landfall-coordinator ci-gate"),
		step("goes on", RuleGate, "continue-on-error: true\nrun: landfall-coordinator ci-gate"),
		step("sometimes", RuleGate, "if: github.actor != 'me'\nrun: landfall-coordinator ci-gate"),
		step("never", RuleGate, "if: false\nrun: landfall-coordinator ci-gate"),
		step("BASH_ENV", RuleGate, "env: {BASH_ENV: ./x}\nrun: landfall-coordinator ci-gate"),
		step("PATH by env", RuleGate, "env: {PATH: ./fake}\nrun: landfall-coordinator ci-gate"),
		step("configuration by env", RuleGate, "env: {LANDFALL_CONFIG: easy.yaml}\nrun: landfall-coordinator ci-gate"),
		step("repository by env", RuleGate, "env: {GITHUB_REPOSITORY: evil/repo}\nrun: landfall-coordinator ci-gate"),
		step("API by env", RuleGate, "env: {GITHUB_API_URL: 'https://evil.example'}\nrun: landfall-coordinator ci-gate"),
		step("computed env", RuleGate, "env: ${{ fromJSON(vars.ENV) }}\nrun: landfall-coordinator ci-gate"),
		step("another commit by env", RuleGate, "env: {TARGET: \"${{ vars.LAST_GOOD }}\"}\nrun: landfall-coordinator ci-gate --sha \"$TARGET\""),
		step("another folder", RuleGate, "working-directory: easy\nrun: landfall-coordinator ci-gate"),
		job("another folder by defaults", RuleGate, "    defaults: {run: {working-directory: easy}}\n    steps: [{run: landfall-coordinator ci-gate}]"),
		job("another shell by defaults", RuleGate, "    defaults: {run: {shell: pwsh}}\n    steps: [{run: landfall-coordinator ci-gate}]"),
		job("job goes on", RuleGate, "    continue-on-error: true\n    steps: [{run: landfall-coordinator ci-gate}]"),
		job("job goes on by expression", RuleGate, "    continue-on-error: ${{ vars.X == 'y' }}\n    steps: [{run: landfall-coordinator ci-gate}]"),
		job("one leg of a matrix", RuleGate, "    strategy: {matrix: {soft: [true, false]}}\n    continue-on-error: ${{ matrix.soft }}\n    steps: [{run: landfall-coordinator ci-gate}]"),
		job("PATH by an earlier step", RuleGate, "    steps: [{run: 'echo \"$PWD/fake\" >>\"$GITHUB_PATH\"'}, {run: landfall-coordinator ci-gate}]"),
		job("PATH of the checkout by an earlier step", RuleGate, "    steps: [{run: 'echo ./bin >> $GITHUB_PATH'}, {run: landfall-coordinator ci-gate}]"),
		job("BASH_ENV by an earlier step", RuleGate, "    steps: [{run: 'echo BASH_ENV=x >> $GITHUB_ENV'}, {run: landfall-coordinator ci-gate}]"),
		job("configuration by an earlier step", RuleGate, "    steps: [{run: 'echo \"LANDFALL_CONFIG=easy.yaml\" >> \"$GITHUB_ENV\"'}, {run: landfall-coordinator ci-gate}]"),
		job("any variable by an earlier step", RuleGate, "    steps: [{run: 'cat env.txt | tee -a \"$GITHUB_ENV\"'}, {run: landfall-coordinator ci-gate}]"),
		job("program replaced", RuleGate, "    steps: [{run: 'ln -sf /bin/true /usr/local/bin/landfall-coordinator'}, {run: landfall-coordinator ci-gate}]"),
		job("program replaced by which", RuleGate, "    steps: [{run: 'sudo cp \"$(which true)\" /usr/local/bin/landfall-coordinator'}, {run: landfall-coordinator ci-gate}]"),
		job("program written", RuleGate, "    steps:\n      - run: |\n          cat >\"$RUNNER_TEMP/landfall-coordinator\" <<'EOF'\n          #!/bin/sh\n          EOF\n      - run: landfall-coordinator ci-gate"),
		job("changed commit", RuleGate, "    env: {TARGET: \"${{ github.sha }}\"}\n    steps: [{run: 'echo TARGET=abc >> $GITHUB_ENV'}, {run: landfall-coordinator ci-gate --sha \"$TARGET\"}]"),
		job("in another job's words", RuleGate, "    name: landfall-coordinator ci-gate\n    steps: [{name: landfall-coordinator ci-gate, run: make}]"),
		whole("dependent always", RuleGate, "on: push\npermissions: {}\njobs:\n  g: {runs-on: ubuntu-latest, steps: [{run: landfall-coordinator ci-gate}]}\n  d: {needs: g, if: always(), runs-on: ubuntu-latest, steps: [{run: landfall-coordinator deploy}]}"),
		whole("dependent unless it failed", RuleGate, "on: push\npermissions: {}\njobs:\n  g: {runs-on: ubuntu-latest, steps: [{run: landfall-coordinator ci-gate}]}\n  d: {needs: g, if: always() && needs.g.result != 'failure', runs-on: ubuntu-latest, steps: [{run: landfall-coordinator deploy}]}"),
		whole("dependent unless it blocked", RuleGate, "on: push\npermissions: {}\njobs:\n  g: {runs-on: ubuntu-latest, outputs: {verdict: \"${{ steps.x.outputs.verdict }}\"}, steps: [{id: x, run: landfall-coordinator ci-gate}]}\n  d: {needs: g, if: always() && needs.g.outputs.verdict != 'blocked', runs-on: ubuntu-latest, steps: [{run: landfall-coordinator deploy}]}"),
		whole("a verdict of its own", RuleGate, "on: push\npermissions: {}\njobs:\n  g: {runs-on: ubuntu-latest, outputs: {verdict: pass}, steps: [{run: landfall-coordinator ci-gate || true}]}\n  d: {needs: g, if: needs.g.outputs.verdict == 'pass', runs-on: ubuntu-latest, steps: [{run: landfall-coordinator deploy}]}"),
		whole("a verdict on another commit", RuleGate, "on: push\npermissions: {}\njobs:\n  g: {runs-on: ubuntu-latest, outputs: {verdict: \"${{ steps.x.outputs.verdict }}\"}, steps: [{id: x, run: landfall-coordinator ci-gate --sha HEAD~1}]}\n  d: {needs: g, if: needs.g.outputs.verdict == 'pass', runs-on: ubuntu-latest, steps: [{run: landfall-coordinator deploy}]}"),
		whole("needs nothing", RuleGate, "on: push\npermissions: {}\njobs:\n  g: {runs-on: ubuntu-latest, steps: [{run: landfall-coordinator ci-gate}]}\n  d: {runs-on: ubuntu-latest, steps: [{run: landfall-coordinator deploy}]}"),
		whole("needs another", RuleGate, "on: push\npermissions: {}\njobs:\n  g: {runs-on: ubuntu-latest, steps: [{run: landfall-coordinator ci-gate}]}\n  m: {runs-on: ubuntu-latest, steps: [{run: make}]}\n  d: {needs: m, runs-on: ubuntu-latest, steps: [{run: landfall-coordinator deploy}]}"),
		whole("within one job, or true", RuleGate, "on: push\npermissions: {}\njobs:\n  d: {runs-on: ubuntu-latest, steps: [{run: landfall-coordinator ci-gate || true}, {run: landfall-coordinator deploy}]}"),
		whole("within one job, failure", RuleGate, "on: push\npermissions: {}\njobs:\n  d: {runs-on: ubuntu-latest, steps: [{run: landfall-coordinator ci-gate}, {if: success() || failure(), run: landfall-coordinator deploy}]}"),
		whole("deploys by a variable", RuleGate, "on: push\npermissions: {}\njobs:\n  d: {runs-on: ubuntu-latest, env: {LC: landfall-coordinator}, steps: [{run: '\"$LC\" deploy'}]}"),
		whole("deploys in another shell", RuleGate, "on: push\npermissions: {}\njobs:\n  d: {runs-on: ubuntu-latest, steps: [{run: 'ssh pi \"landfall-coordinator deploy\"'}]}"),
		whole("deploys in quotes", RuleGate, "on: push\npermissions: {}\njobs:\n  d: {runs-on: ubuntu-latest, steps: [{run: '\"landfall-coordinator\" \"deploy\"'}]}"),
		whole("deploys in PowerShell", RuleGate, "on: push\npermissions: {}\njobs:\n  d: {runs-on: ubuntu-latest, steps: [{shell: pwsh, run: '& landfall-coordinator deploy'}]}"),
		whole("deploys in a function", RuleGate, "on: push\npermissions: {}\njobs:\n  d: {runs-on: ubuntu-latest, steps: [{run: 'go() { landfall-coordinator deploy; }; go'}]}"),
		whole("runs without the gate by a variable", RuleGate, "on: push\npermissions: {}\njobs:\n  d: {runs-on: ubuntu-latest, env: {FLAGS: --no-gate}, steps: [{run: landfall-coordinator run $FLAGS}]}"),
		whole("runs with another repository's gate", RuleGate, "on: push\npermissions: {}\njobs:\n  d: {runs-on: ubuntu-latest, steps: [{run: landfall-coordinator run --repository evil/repo}]}"),
		several("called, and started by itself", RuleGate,
			"w.yml", "on: push\npermissions: {}\njobs:\n  g: {runs-on: ubuntu-latest, steps: [{run: landfall-coordinator ci-gate}]}\n  d: {needs: g, uses: ./.github/workflows/ship.yml}",
			"ship.yml", "on: [workflow_call, workflow_dispatch]\npermissions: {}\njobs: {d: {runs-on: ubuntu-latest, steps: [{run: landfall-coordinator deploy}]}}"),
		several("called by one that has no gate", RuleGate,
			"w.yml", "on: push\npermissions: {}\njobs:\n  g: {runs-on: ubuntu-latest, steps: [{run: landfall-coordinator ci-gate}]}\n  d: {needs: g, uses: ./.github/workflows/ship.yml}\n  e: {uses: ./.github/workflows/ship.yml}",
			"ship.yml", "on: workflow_call\npermissions: {}\njobs: {d: {runs-on: ubuntu-latest, steps: [{run: landfall-coordinator deploy}]}}"),
		several("behind a called gate that is skipped", RuleGate,
			"w.yml", "on: push\npermissions: {}\njobs:\n  g: {uses: ./.github/workflows/gate.yml}\n  d: {needs: g, runs-on: ubuntu-latest, steps: [{run: landfall-coordinator deploy}]}",
			"gate.yml", "on: workflow_call\npermissions: {}\njobs: {g: {if: vars.GATE, runs-on: ubuntu-latest, steps: [{run: landfall-coordinator ci-gate}]}}"),
		several("behind a called gate, always", RuleGate,
			"w.yml", "on: push\npermissions: {}\njobs:\n  g: {uses: ./.github/workflows/gate.yml}\n  d: {needs: g, if: always(), runs-on: ubuntu-latest, steps: [{run: landfall-coordinator deploy}]}",
			"gate.yml", "on: workflow_call\npermissions: {}\njobs: {g: {runs-on: ubuntu-latest, steps: [{run: landfall-coordinator ci-gate}]}}"),
		several("deploys by an action", RuleGate,
			"w.yml", "on: push\npermissions: {}\njobs:\n  d: {runs-on: ubuntu-latest, steps: [{uses: ./.github/actions/ship}]}",
			".github/actions/ship/action.yml", "runs: {using: composite, steps: [{shell: bash, run: landfall-coordinator deploy}]}"),
	}
	return append(good, bad...)
}()

func TestGatePatterns(t *testing.T) {
	config := &pipeline.Config{Branch: "main", CI: pipeline.CIConfig{Required: []string{"w.yml", "test.yml"}}}
	patterns := slices.Clone(gatePatterns)
	for i := range patterns { // what ci.required names is there
		patterns[i].files = append(slices.Clone(patterns[i].files), File{Folder + "/test.yml", []byte("on: push\npermissions: {}\njobs: {a: {runs-on: ubuntu-latest}}")})
	}
	judge(t, patterns, Options{Config: config, Repository: "own/repo"})
}

// TestConfigurationElsewhere: what names the own configuration is no other one.
func TestConfigurationElsewhere(t *testing.T) {
	const text = "on: push\npermissions: {}\nenv: {LANDFALL_CONFIG: deploy/fleet.yaml}\njobs:\n  d: {runs-on: ubuntu-latest, steps: [{run: landfall-coordinator ci-gate --config deploy/fleet.yaml, working-directory: %s}, {run: landfall-coordinator deploy}]}"
	for at, found := range map[string]bool{"deploy/fleet.yaml": false, "landfall.yaml": true, "": true} {
		if got := Check([]File{{Folder + "/a.yml", fmt.Appendf(nil, text, "deploy")}}, Options{At: at}); len(got) > 0 != found {
			t.Errorf("%q: %v", at, got)
		}
	}
}

package workflows

import "testing"

// TestMorePatterns are forms that were found by trying to get past the rules, each with the rule that must find it.
func TestMorePatterns(t *testing.T) {
	g := func(body string) string {
		return "on: [push, workflow_dispatch]\npermissions: {}\njobs:\n  g:\n    runs-on: ubuntu-latest\n" + body + "\n  d:\n    needs: g\n    runs-on: ubuntu-latest\n    steps: [{run: landfall-coordinator deploy}]\n"
	}
	deploy := func(step string) string {
		return "on: push\npermissions: {}\njobs:\n  d: {runs-on: ubuntu-latest, steps: [" + step + "]}\n"
	}
	const (
		target = "pull_request_target"
		commit = "env: {A: \"${{ github.event.pull_request.head.sha }}\"}\n"
		clone  = "env: {A: \"${{ github.event.pull_request.head.repo.clone_url }}\"}\n"
		title  = "env: {T: \"${{ github.event.pull_request.title }}\"}"
		fetch  = "{uses: dawidd6/action-download-artifact@PIN, with: {path: out}}"
	)
	judge(t, []pattern{
		single("or a subshell that passes", RuleGate, g("    steps: [{run: 'landfall-coordinator ci-gate || (exit 0)'}]")),
		single("by eval", RuleGate, g("    steps: [{run: 'eval \"landfall-coordinator ci-gate || true\"'}]")),
		single("trap of errors", RuleGate, g("    steps: [{run: \"set -e\\ntrap 'exit 0' ERR\\nlandfall-coordinator ci-gate\"}]")),
		single("nohup", RuleGate, g("    steps: [{run: 'nohup landfall-coordinator ci-gate >/dev/null 2>&1 &'}]")),
		single("coproc", RuleGate, g("    steps: [{run: 'coproc landfall-coordinator ci-gate'}]")),
		single("configuration by env of the workflow", RuleGate, "env: {LANDFALL_CONFIG: other.yaml}\n"+g("    steps: [{run: landfall-coordinator ci-gate}]")),
		single("PATH by env of the job", RuleGate, g("    env: {PATH: '/tmp/x:/usr/bin'}\n    steps: [{run: landfall-coordinator ci-gate}]")),
		single("shell by defaults of the workflow", RuleGate, "defaults: {run: {shell: 'bash --noprofile --norc +e {0}'}}\n"+g("    steps: [{run: landfall-coordinator ci-gate}]")),
		single("commit that is spelled out", RuleGate, g("    steps: [{run: landfall-coordinator ci-gate --sha 0123456789012345678901234567890123456789}]")),
		single("base of a pull request", RuleGate, g("    steps: [{run: 'landfall-coordinator ci-gate --sha \"${{ github.base_ref || github.sha }}\"'}]")),
		single("computed commit", RuleGate, g("    steps: [{run: 'landfall-coordinator ci-gate --sha \"$(git rev-parse HEAD~1)\"'}]")),
		single("on Windows", RuleGate, "on: push\npermissions: {}\njobs:\n  g: {runs-on: windows-latest, steps: [{run: landfall-coordinator ci-gate}]}\n  d: {needs: g, runs-on: ubuntu-latest, steps: [{run: landfall-coordinator deploy}]}\n"),
		single("dependent unless cancelled", RuleGate, "on: push\npermissions: {}\njobs:\n  g: {runs-on: ubuntu-latest, steps: [{run: landfall-coordinator ci-gate}]}\n  d: {needs: g, if: \"${{ !cancelled() && github.ref == 'refs/heads/main' }}\", runs-on: ubuntu-latest, steps: [{run: landfall-coordinator deploy}]}\n"),
		single("dependent on another's result", RuleGate, "on: push\npermissions: {}\njobs:\n  g: {runs-on: ubuntu-latest, steps: [{run: landfall-coordinator ci-gate}]}\n  b: {runs-on: ubuntu-latest, steps: [{run: make}]}\n  d: {needs: [g, b], if: always() && needs.b.result == 'success', runs-on: ubuntu-latest, steps: [{run: landfall-coordinator deploy}]}\n"),
		single("deploys by xargs", RuleGate, deploy("{run: 'echo deploy | xargs landfall-coordinator'}")),
		single("deploys by eval", RuleGate, deploy("{run: 'cmd=\"landfall-coordinator deploy\"; eval \"$cmd\"'}")),
		single("deploys by a command in a variable", RuleGate, deploy("{run: 'cmd=\"landfall-coordinator deploy\"; $cmd'}")),
		single("deploys by a word in a variable", RuleGate, deploy("{run: 'landfall-coordinator $WHAT', env: {WHAT: deploy}}")),
		single("deploys by an unknown word", RuleGate, deploy("{run: 'landfall-coordinator --agent x:1 ${{ matrix.c }}'}")),
		single("deploys within a time", RuleGate, deploy("{run: 'timeout 60m landfall-coordinator --agent x:1 deploy'}")),
		single("deploys in a heredoc", RuleGate, deploy("{run: \"ssh pi <<EOF\\nlandfall-coordinator deploy\\nEOF\"}")),
		single("no gate, in quotes", RuleGate, deploy("{run: 'landfall-coordinator run \"--no-\"gate'}")),
		single("deploys after another workflow", RuleGate, "on: {workflow_run: {workflows: [gate]}}\npermissions: {}\njobs:\n  d: {runs-on: ubuntu-latest, steps: [{run: landfall-coordinator deploy}]}\n"),
		single("folded", "", g("    steps:\n      - run: >-\n          landfall-coordinator ci-gate\n          --sha \"${{ github.sha }}\"\n          --timeout 45m")),
		single("semicolon at the end", "", g("    steps: [{run: 'landfall-coordinator ci-gate;'}]")),
		single("choice of the own commit", "", g("    env: {SHA: \"${{ github.event_name == 'workflow_dispatch' && inputs.sha || github.sha }}\"}\n    steps: [{run: 'landfall-coordinator ci-gate --sha \"$SHA\"'}]")),
		single("own commit by env as an expression", "", g("    env: {SHA: \"${{ github.sha }}\"}\n    steps: [{run: 'landfall-coordinator ci-gate --sha ${{ env.SHA }}'}]")),
		single("with a time and a name", "", g("    steps: [{timeout-minutes: 50, id: gate, name: x, run: landfall-coordinator ci-gate}]")),
		single("in a group of the log", "", g("    steps: [{run: \"echo '::group::gate'\\nlandfall-coordinator ci-gate\"}]")),
		single("looks with options in a variable", "", deploy("{run: 'landfall-coordinator $OPTIONS status'}")),
		single("looks by an address in a variable", "", deploy("{run: 'landfall-coordinator --agent \"$AGENT\" status'}")),

		single("expression into GITHUB_ENV", RuleTarget, jobIn(target, hosted+"steps:\n- run: echo \"REF=${{ github.event.pull_request.head.sha }}\" >> $GITHUB_ENV\n- {uses: actions/checkout@PIN, with: {ref: \"${{ env.REF }}\"}}")),
		single("env out of env", RuleTarget, jobIn(target, hosted+commit+"steps: [{env: {B: \"${{ env.A }}\"}, run: 'git checkout $B'}]")),
		single("git in a variable", RuleTarget, jobIn(target, hosted+commit+"steps: [{run: 'g=git; $g fetch origin $A'}]")),
		single("archive by the API", RuleTarget, jobIn(target, hosted+commit+"steps: [{run: 'gh api repos/o/r/tarball/$A > x.tgz && tar xzf x.tgz'}]")),
		single("raw file into a shell", RuleTarget, jobIn(target, hosted+commit+"steps: [{run: 'curl -s https://raw.githubusercontent.com/o/r/$A/x.sh | bash'}]")),
		single("raw file in Python", RuleTarget, jobIn(target, hosted+commit+"steps: [{shell: python, run: 'import urllib.request,os; exec(urllib.request.urlopen(\"https://raw.githubusercontent.com/o/r/\"+os.environ[\"A\"]+\"/x.py\").read())'}]")),
		single("as a remote", RuleTarget, jobIn(target, hosted+clone+"steps: [{run: 'git remote add pr $A && git remote update'}]")),
		single("docker build of an address", RuleTarget, jobIn(target, hosted+clone+"steps: [{run: 'docker build $A'}]")),
		single("npm install of an address", RuleTarget, jobIn(target, hosted+clone+"steps: [{run: 'npm install $A'}]")),
		single("degit", RuleTarget, jobIn(target, hosted+"env: {A: \"${{ github.event.pull_request.head.repo.full_name }}\"}\nsteps: [{run: 'npx degit $A x'}]")),
		single("words of a discussion", RuleTarget, jobIn("discussion_comment", hosted+"env: {A: \"${{ github.event.comment.body }}\"}\nsteps: [{run: 'git checkout \"$A\"'}]")),
		single("answer of the API in a file", RuleTarget, jobIn("issue_comment", hosted+"steps: [{run: 'gh api repos/o/r/pulls/1 > pr.json'}, {run: 'git fetch origin $(jq -r .head.sha pr.json)'}]")),
		single("answer of github-script", RuleTarget, jobIn("issue_comment", hosted+"steps: [{id: pr, uses: actions/github-script@PIN, with: {script: 'const pr = await github.rest.pulls.get({pull_number: context.issue.number}); return pr.data.head.sha'}}, {run: 'git fetch origin $S && git checkout FETCH_HEAD', env: {S: '${{ steps.pr.outputs.result }}'}}]")),
		single("tags an image by the commit", "", jobIn("workflow_run", hosted+"env: {S: \"${{ github.event.workflow_run.head_sha }}\"}\nsteps: [{run: 'docker build --build-arg \"SHA=$S\" -t \"x:$S\" . && docker push \"x:$S\"'}]")),
		single("tells what the history says", "", jobIn("workflow_run", hosted+"steps: [{run: 'git fetch origin main && git log -1 --format=%s'}]")),

		single("variable of the runner by eval", RuleInjection, jobIn("pull_request", hosted+"steps: [{run: 'eval \"echo $GITHUB_HEAD_REF\"'}]")),
		single("one or the other", RuleInjection, jobIn("issues", hosted+"steps: [{run: 'echo ${{ github.event.issue.title && github.event.issue.body }}'}]")),
		single("title or a default", RuleInjection, jobIn("issues", hosted+"container: \"a@sha256:0000000000000000000000000000000000000000000000000000000000000000\"\nsteps: [{run: 'echo ${{ github.event.issue.title || 1 }}'}]")),
		single("include of a matrix", RuleInjection, jobIn("pull_request", hosted+"strategy: {matrix: {include: [{b: \"${{ github.head_ref }}\"}]}}\nsteps: [{run: 'echo ${{ matrix.b }}'}]")),
		single("title as JSON", RuleInjection, jobIn("pull_request", hosted+"steps: [{run: 'echo ${{ toJSON(github.event.pull_request.title) }}'}]")),
		single("all steps as JSON", RuleInjection, jobIn("pull_request", hosted+title+"\nsteps: [{id: a, run: 'echo \"x=$T\" >> $GITHUB_OUTPUT'}, {run: 'echo ${{ toJSON(steps) }}'}]")),
		single("all of env as JSON", RuleInjection, jobIn("pull_request", hosted+title+"\nsteps: [{run: 'echo ${{ toJSON(env) }}'}]")),
		single("env by a computed name", RuleInjection, jobIn("pull_request", hosted+title+"\nsteps: [{run: 'echo ${{ env[format(''T'')] }}'}]")),
		single("heredoc into the outputs", RuleInjection, jobIn("pull_request", hosted+title+"\nsteps: [{id: a, run: \"cat >> $GITHUB_OUTPUT <<EOF\\nt=$T\\nEOF\"}, {run: 'echo ${{ steps.a.outputs.t }}'}]")),
		single("printf into the outputs", RuleInjection, jobIn("pull_request", hosted+title+"\nsteps: [{id: a, run: \"printf 't=%s\\\\n' \\\"$T\\\" >> $GITHUB_OUTPUT\"}, {run: 'echo ${{ steps.a.outputs.t }}'}]")),
		single("condition before the outputs", RuleInjection, jobIn("pull_request", hosted+title+"\nsteps: [{id: a, run: 'if true; then echo \"t=$T\" >> $GITHUB_OUTPUT; fi'}, {run: 'echo ${{ steps.a.outputs.t }}'}]")),
		single("outputs in Python", RuleInjection, jobIn("pull_request", hosted+title+"\nsteps: [{id: a, shell: python, run: 'import os; open(os.environ[\"GITHUB_OUTPUT\"],\"a\").write(\"t=\"+os.environ[\"T\"])'}, {run: 'echo ${{ steps.a.outputs.t }}'}]")),
		single("message by git log", RuleInjection, jobIn("push", hosted+"steps: [{id: a, run: 'echo \"t=$(git log -1 --pretty=%s)\" >> $GITHUB_OUTPUT'}, {run: 'echo ${{ steps.a.outputs.t }}'}]")),
		single("names of files by git diff", RuleInjection, jobIn("pull_request", hosted+"steps: [{id: a, run: 'echo \"t=$(git diff --name-only origin/main | xargs)\" >> $GITHUB_OUTPUT'}, {run: 'lint ${{ steps.a.outputs.t }}'}]")),
		single("title by gh", RuleInjection, jobIn("pull_request", hosted+"steps: [{id: a, run: 'echo \"t=$(gh pr view 1 --json title -q .title)\" >> $GITHUB_OUTPUT'}, {run: 'echo ${{ steps.a.outputs.t }}'}]")),
		single("number in a command", "", jobIn("pull_request", hosted+"steps: [{run: 'gh pr comment ${{ github.event.pull_request.number }} --body hi'}]")),
		single("what GitHub names", "", jobIn("pull_request", hosted+"steps: [{run: 'echo ${{ github.repository }} ${{ github.run_id }} ${{ runner.os }} ${{ github.workspace }} ${{ github.server_url }} ${{ github.job }}'}]")),
		single("what jobs need", "", "on: pull_request\npermissions: {}\njobs:\n  b: {runs-on: ubuntu-latest, outputs: {v: \"${{ steps.v.outputs.v }}\"}, steps: [{id: v, run: 'echo v=1 >> $GITHUB_OUTPUT'}]}\n  a: {needs: b, if: always(), runs-on: ubuntu-latest, steps: [{run: 'echo ${{ needs.b.result }} ${{ needs.b.outputs.v }} ${{ toJSON(needs) }}'}]}\n"),
		single("release of a tag", "", jobIn("{push: {tags: ['v*']}}", hosted+"steps: [{run: 'gh release create ${{ github.ref_name }} --generate-notes'}]")),
		single("commit by git log", "", jobIn("push", hosted+"steps: [{id: a, run: 'echo \"t=$(git log -1 --format=%H)\" >> $GITHUB_OUTPUT'}, {run: 'echo ${{ steps.a.outputs.t }}'}]")),

		single("unpacked by curl", RuleArtifact, jobIn("workflow_run", hosted+"steps: [{run: 'curl -L \"https://api.github.com/repos/o/r/actions/artifacts/1/zip\" -o a.zip && unzip a.zip && bash install.sh'}]")),
		single("perl", RuleArtifact, jobIn("workflow_run", hosted+"steps: ["+fetch+", {run: 'perl ./out/x.pl'}]")),
		single("docker load", RuleArtifact, jobIn("workflow_run", hosted+"steps: ["+fetch+", {run: 'docker load -i out/img.tar && docker run img'}]")),
		single("eval of what it says", RuleInjection, jobIn("workflow_run", hosted+"steps: ["+fetch+", {run: 'eval \"$(cat out/env)\"'}]")),
		single("find and exec", RuleArtifact, jobIn("workflow_run", hosted+"steps: ["+fetch+", {run: 'find out -name \"*.sh\" -exec bash {} \\;'}]")),
		single("find and xargs", RuleArtifact, jobIn("workflow_run", hosted+"steps: ["+fetch+", {run: 'find out -name \"*.sh\" | xargs -n1 bash'}]")),
		single("each of its scripts", RuleArtifact, jobIn("workflow_run", hosted+"steps: ["+fetch+", {run: 'for f in out/*.sh; do bash \"$f\"; done'}]")),
		single("by the name in a variable", RuleArtifact, jobIn("workflow_run", hosted+"steps: ["+fetch+", {run: 'dir=out; node \"$dir/x.js\"'}]")),
		single("required by github-script", RuleArtifact, jobIn("workflow_run", hosted+"steps: ["+fetch+", {uses: actions/github-script@PIN, with: {script: 'require(\"./out/x.js\")'}}]")),
		single("read by github-script", "", jobIn("workflow_run", hosted+"steps: ["+fetch+", {uses: actions/github-script@PIN, with: {script: 'const n = Number(fs.readFileSync(\"out/number\"))'}}]")),
	}, Options{})
}

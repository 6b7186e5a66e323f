package workflows

import (
	"fmt"
	"strings"
	"testing"
)

// jobIn is a file with one job a, of which the lines are given without their indentation.
func jobIn(on, lines string) string {
	return fmt.Sprintf("on: %s\npermissions: {}\njobs:\n  a:\n    %s\n", on, strings.ReplaceAll(strings.TrimSuffix(lines, "\n"), "\n", "\n    "))
}

const (
	hosted  = "runs-on: ubuntu-latest\n"
	ownOnly = "runs-on: self-hosted\nif: github.event.pull_request.head.repo.full_name == github.repository\n"
	head    = "${{ github.event.pull_request.head.sha }}"
)

// script is a job with one step of several lines.
func scriptIn(on, before, script string) string {
	return jobIn(on, hosted+before+"steps:\n- run: |\n    "+strings.ReplaceAll(script, "\n", "\n    "))
}

func TestCheckoutPatterns(t *testing.T) {
	const target = "pull_request_target"
	const called = "on: workflow_call\npermissions: {contents: write}\njobs: {a: {runs-on: ubuntu-latest, steps: [{uses: actions/checkout@PIN, with: {ref: \"%s\"}}]}}"
	const withInput = "on: {workflow_call: {inputs: {ref: {type: string}}}}\npermissions: {contents: write}\njobs: {a: {runs-on: ubuntu-latest, steps: [{uses: actions/checkout@PIN, with: {ref: \"${{ inputs.ref }}\"}}]}}"
	caller := func(on, with string) string {
		return "on: " + on + "\npermissions: {contents: write}\njobs: {c: {uses: ./.github/workflows/called.yml" + with + "}}"
	}
	judge(t, []pattern{
		// The attacker's.
		single("env of the job", RuleTarget, scriptIn(target, "env: {SHA: \""+head+"\"}\n", `git fetch origin "$SHA"`)),
		single("env of the workflow", RuleTarget, "env: {SHA: \""+head+"\"}\n"+scriptIn(target, "", `git checkout "$SHA"`)),
		single("clone of an address", RuleTarget, scriptIn(target, "env: {URL: \"${{ github.event.pull_request.head.repo.clone_url }}\"}\n", `git clone "$URL"`)),
		single("git with options", RuleTarget, scriptIn(target, "env: {SHA: \""+head+"\"}\n", `git -c protocol.version=2 fetch origin "$SHA"`)),
		single("curl of an archive", RuleTarget, scriptIn(target, "env: {REPO: \"${{ github.event.pull_request.head.repo.full_name }}\", SHA: \""+head+"\"}\n", `curl -L "https://github.com/$REPO/archive/$SHA.tar.gz" | tar xz`)),
		single("path of the event", RuleTarget, scriptIn(target, "", "sha=$(jq -r .pull_request.head.sha \"$GITHUB_EVENT_PATH\")\ngit fetch origin \"$sha\"")),
		single("another checkout action", RuleTarget, jobIn(target, hosted+"steps: [{uses: someone/fetch-code@PIN, with: {ref: \""+head+"\"}}]")),
		several("reusable, called", RuleTarget, "called.yml", fmt.Sprintf(called, head), "c.yml", caller(target, "")),
		// Our own.
		several("reusable, alone", RuleTarget, "called.yml", fmt.Sprintf(called, head)),
		several("reusable with an input, alone", RuleTarget, "called.yml", withInput),
		several("reusable with an input, called", RuleTarget, "called.yml", withInput, "c.yml", caller(target, ", with: {ref: \""+head+"\"}")),
		several("reusable with an input, through another", RuleTarget, "called.yml", withInput,
			"m.yml", "on: {workflow_call: {inputs: {which: {type: string}}}}\npermissions: {}\njobs: {c: {uses: ./.github/workflows/called.yml, with: {ref: \"${{ inputs.which }}\"}}}",
			"c.yml", "on: issue_comment\npermissions: {}\njobs: {c: {uses: ./.github/workflows/m.yml, with: {which: \"refs/pull/${{ github.event.issue.number }}/head\"}}}"),
		single("env of the step", RuleTarget, jobIn(target, hosted+"steps: [{run: 'git fetch origin $SHA', env: {SHA: \""+head+"\"}}]")),
		single("in braces", RuleTarget, scriptIn(target, "env: {REF: \"${{ github.head_ref }}\"}\n", `git checkout "origin/${REF}"`)),
		single("through a variable of the script", RuleTarget, scriptIn(target, "env: {SHA: \""+head+"\"}\n", "what=$SHA\ngit reset --hard \"$what\"")),
		single("through GITHUB_ENV", RuleTarget, jobIn(target, hosted+"steps:\n- {run: 'echo \"SHA=$HEAD\" >> \"$GITHUB_ENV\"', env: {HEAD: \""+head+"\"}}\n- run: git checkout \"$SHA\"")),
		single("through an output", RuleTarget, jobIn(target, hosted+"steps:\n- {id: pr, run: 'echo \"sha=$HEAD\" >> \"$GITHUB_OUTPUT\"', env: {HEAD: \""+head+"\"}}\n- uses: actions/checkout@PIN\n  with: {ref: \"${{ steps.pr.outputs.sha }}\"}")),
		single("through another job", RuleTarget, "on: pull_request_target\npermissions: {}\njobs:\n  b: {runs-on: ubuntu-latest, outputs: {x: \""+head+"\"}, steps: [{run: make}]}\n  a: {needs: b, runs-on: ubuntu-latest, env: {X: \"${{ needs.b.outputs.x }}\"}, steps: [{run: git fetch origin $X}]}"),
		single("through a matrix", RuleTarget, jobIn(target, hosted+"strategy: {matrix: {ref: [main, \""+head+"\"]}}\nsteps: [{uses: actions/checkout@PIN, with: {ref: \"${{ matrix.ref }}\"}}]")),
		single("through env as an expression", RuleTarget, jobIn(target, hosted+"env: {R: \"${{ github.head_ref }}\"}\nsteps: [{uses: actions/checkout@PIN, with: {ref: \"${{ env.R }}\"}}]")),
		single("by format", RuleTarget, jobIn("issue_comment", hosted+"steps: [{uses: actions/checkout@PIN, with: {ref: \"${{ format('refs/pull/{0}/merge', github.event.issue.number) }}\"}}]")),
		single("by an index", RuleTarget, jobIn(target, hosted+"steps: [{uses: actions/checkout@PIN, with: {ref: \"${{ github['event']['pull_request']['head']['sha'] }}\"}}]")),
		single("by a choice", RuleTarget, jobIn(target, hosted+"steps: [{uses: actions/checkout@PIN, with: {ref: \"${{ github.event_name == 'push' && github.sha || github.event.pull_request.head.sha }}\"}}]")),
		single("merge commit", RuleTarget, jobIn(target, hosted+"steps: [{uses: actions/checkout@PIN, with: {ref: \"${{ github.event.pull_request.merge_commit_sha }}\"}}]")),
		single("repository of the head", RuleTarget, jobIn(target, hosted+"steps: [{uses: actions/checkout@PIN, with: {repository: \"${{ github.event.pull_request.head.repo.full_name }}\"}}]")),
		single("a comment as the ref", RuleTarget, jobIn("issue_comment", hosted+"steps: [{uses: actions/checkout@PIN, with: {ref: \"${{ github.event.comment.body }}\"}}]")),
		single("branch of another action", RuleTarget, jobIn("workflow_run", hosted+"steps: [{uses: x/git-clone@PIN, with: {branch: \"${{ github.event.workflow_run.head_branch }}\"}}]")),
		single("commit of a checkout action", RuleTarget, jobIn("workflow_run", hosted+"steps: [{uses: x/checkout-at@PIN, with: {commit: \"${{ github.event.workflow_run.head_sha }}\"}}]")),
		single("context of a build", RuleTarget, jobIn(target, hosted+"steps: [{uses: docker/build-push-action@PIN, with: {context: \"https://github.com/${{ github.event.pull_request.head.repo.full_name }}.git#${{ github.head_ref }}\"}}]")),
		single("gh pr checkout by number", RuleTarget, scriptIn("issue_comment", "env: {PR: \"${{ github.event.issue.number }}\"}\n", `gh pr checkout "$PR"`)),
		single("gh pr diff applied", RuleTarget, scriptIn(target, "env: {PR: \"${{ github.event.number }}\"}\n", `gh pr diff "$PR" | git apply`)),
		single("gh pr view and checkout", RuleTarget, scriptIn("issue_comment", "env: {PR: \"${{ github.event.issue.number }}\"}\n", "ref=$(gh pr view \"$PR\" --json headRefName -q .headRefName)\ngit fetch origin \"$ref\"")),
		single("ref of the pull request, spelled out", RuleTarget, scriptIn(target, "", `git fetch origin "+refs/pull/*/head:refs/remotes/pr/*"`)),
		single("variable of the runner", RuleTarget, scriptIn(target, "", `git fetch origin "$GITHUB_HEAD_REF"`)),
		single("patch by curl", RuleTarget, scriptIn(target, "env: {U: \"${{ github.event.pull_request.patch_url }}\"}\n", `curl -sL "$U" | git am`)),
		single("wget of a zip", RuleTarget, scriptIn("workflow_run", "env: {S: \"${{ github.event.workflow_run.head_sha }}\"}\n", `wget "https://github.com/$GITHUB_REPOSITORY/archive/$S.zip"`)),
		single("pip install from git", RuleTarget, scriptIn(target, "env: {S: \""+head+"\"}\n", `pip install "git+https://github.com/o/r@$S"`)),
		single("go install", RuleTarget, scriptIn(target, "env: {S: \""+head+"\"}\n", `go install "example.org/x@$S"`)),
		single("over several lines", RuleTarget, scriptIn(target, "env: {S: \""+head+"\"}\n", "git \\\n  fetch \\\n  origin \"$S\"")),
		single("in PowerShell", RuleTarget, jobIn(target, hosted+"steps: [{shell: pwsh, run: 'git fetch origin $env:S', env: {S: \""+head+"\"}}]")),
		single("in Python", RuleTarget, jobIn(target, hosted+"steps: [{shell: python, run: 'import os; os.system(\"git fetch origin \" + os.environ[\"S\"])', env: {S: \""+head+"\"}}]")),
		single("in a loop", RuleTarget, scriptIn(target, "env: {S: \""+head+"\"}\n", "for c in $S; do git cherry-pick \"$c\"; done")),
		single("by read", RuleTarget, scriptIn(target, "env: {S: \""+head+"\"}\n", "echo \"$S\" | while read -r c; do git checkout \"$c\"; done")),
		single("after a push to the pull request", RuleTarget, jobIn(target, hosted+"steps: [{uses: actions/checkout@PIN, with: {ref: \"${{ github.event.after }}\"}}]")),
		single("check suite", RuleTarget, jobIn("check_suite", hosted+"steps: [{uses: actions/checkout@PIN, with: {ref: \"${{ github.event.check_suite.head_sha }}\"}}]")),
		single("an unknown event", RuleTarget, jobIn("something_new", hosted+"steps: [{uses: actions/checkout@PIN, with: {ref: \"${{ github.head_ref }}\"}}]")),
		single("whole environment computed", RuleTarget, jobIn(target, hosted+"env: \"${{ fromJSON(toJSON(github.event.pull_request.head)) }}\"\nsteps: [{run: git fetch origin $SHA}]")),
		single("label as the guard", RuleTarget, jobIn(target, hosted+"if: contains(github.event.pull_request.labels.*.name, 'safe')\nsteps: [{uses: actions/checkout@PIN, with: {ref: \""+head+"\"}}]")),
		single("comment that starts it", RuleTarget, jobIn("issue_comment", hosted+"if: github.event.comment.body == '/test'\nsteps: [{run: gh pr checkout 1}]")),
		several("an action of the repository", RuleTarget,
			"w.yml", jobIn(target, hosted+"steps: [{uses: ./.github/actions/get, with: {which: \""+head+"\"}}]"),
			".github/actions/get/action.yml", "inputs: {which: {required: true}}\nruns: {using: composite, steps: [{uses: actions/checkout@PIN, with: {ref: \"${{ inputs.which }}\"}}]}"),
		several("an action's script", RuleTarget,
			"w.yml", jobIn(target, hosted+"steps: [{uses: ./get, with: {which: \""+head+"\"}}]"),
			"get/action.yaml", "inputs: {which: {required: true}}\nruns: {using: composite, steps: [{shell: bash, run: git fetch origin $W, env: {W: \"${{ inputs.which }}\"}}]}"),
		several("an action's output", RuleTarget,
			"w.yml", jobIn(target, hosted+"steps: [{id: s, uses: ./get}, {run: git fetch origin $X, env: {X: \"${{ steps.s.outputs.sha }}\"}}]"),
			"get/action.yml", "outputs: {sha: {value: \""+head+"\"}}\nruns: {using: composite, steps: [{shell: bash, run: make}]}"),
		several("an action's default", RuleTarget,
			"w.yml", jobIn(target, hosted+"steps: [{uses: ./get}]"),
			"get/action.yml", "inputs: {which: {default: \"${{ github.head_ref }}\"}}\nruns: {using: composite, steps: [{uses: actions/checkout@PIN, with: {ref: \"${{ inputs.which }}\"}}]}"),

		single("through a file", RuleTarget, jobIn(target, hosted+"steps:\n- run: echo "+head+" > sha.txt\n- run: git fetch origin \"$(cat sha.txt)\"")),
		single("through an artifact of this run", RuleTarget, "on: pull_request_target\npermissions: {}\njobs:\n"+
			"  b: {runs-on: ubuntu-latest, steps: [{run: 'echo \"$S\" | tee out/sha', env: {S: \""+head+"\"}}, {uses: actions/upload-artifact@PIN, with: {path: out}}]}\n"+
			"  a: {needs: b, runs-on: ubuntu-latest, steps: [{uses: actions/download-artifact@PIN}, {run: 'git checkout $(< sha)'}]}"),
		single("ref with the number in a variable", RuleTarget, jobIn("issue_comment", hosted+"steps: [{id: n, uses: x/number@PIN}, {run: 'git pull origin \"pull/$N/head\"', env: {N: \"${{ steps.n.outputs.n }}\"}}]")),

		single("in github-script", RuleTarget, jobIn(target, hosted+"steps: [{uses: actions/github-script@PIN, with: {script: \"await exec.exec('git', ['fetch', 'origin', context.payload.pull_request.head.sha])\"}}]")),
		single("over ssh by an action", RuleTarget, jobIn("issue_comment", hosted+"steps: [{uses: appleboy/ssh-action@PIN, with: {script: \"git fetch origin pull/${{ github.event.issue.number }}/head\"}}]")),

		// What is good.
		single("address of a preview", "", jobIn(target, hosted+"steps: [{uses: x/wait-for@PIN, with: {url: \"https://pr-${{ github.event.number }}.example.org\", branch: \"preview-${{ github.event.number }}\"}}]")),
		single("tells a hook of the title", "", scriptIn("issues", "env: {T: \"${{ github.event.issue.title }}\"}\n", `jq -n --arg t "$T" '{text: $t}' | curl -sSf -X POST -d @- "$HOOK" -o /dev/null | cat`)),
		single("a branch for an issue", "", scriptIn("issues", "env: {N: \"${{ github.event.issue.number }}\", T: \"${{ github.event.issue.title }}\"}\n", "git fetch origin main\ngit checkout -b \"issue-$N\" origin/main\ngit commit --allow-empty -m \"$T\"\ngit push origin \"issue-$N\"")),
		single("names of the files of a pull request", "", scriptIn(target, "env: {N: \"${{ github.event.number }}\"}\n", `gh pr diff "$N" --name-only | grep -q '^docs/'`)),
		single("merges by the API", "", scriptIn(target, "env: {U: \"${{ github.event.pull_request.html_url }}\"}\n", `gh pr merge --auto --squash "$U"`)),
		single("asks the API about the issue", "", scriptIn("issue_comment", "env: {N: \"${{ github.event.issue.number }}\"}\n", `curl -sf -H "Authorization: Bearer $GITHUB_TOKEN" "https://api.github.com/repos/$GITHUB_REPOSITORY/issues/$N" -o issue.json`)),
		single("own file", "", jobIn(target, hosted+"steps:\n- run: echo main > ref.txt\n- run: git fetch origin \"$(cat ref.txt)\"")),
		single("artifacts that go round", "", "on: pull_request_target\npermissions: {}\njobs:\n"+
			"  b: {runs-on: ubuntu-latest, steps: [{uses: actions/download-artifact@PIN}, {run: 'cat x > y'}, {uses: actions/upload-artifact@PIN}]}\n"+
			"  a: {runs-on: ubuntu-latest, steps: [{uses: actions/download-artifact@PIN}, {run: 'cat y > x; git fetch origin \"$(cat x)\"'}, {uses: actions/upload-artifact@PIN}]}"),
		single("own branch by ref", "", jobIn("[pull_request, issue_comment]", hosted+"steps: [{uses: actions/checkout@PIN, with: {ref: \"${{ github.ref }}\"}}]")),
		single("pull_request", "", jobIn("pull_request", hosted+"steps: [{uses: actions/checkout@PIN, with: {ref: \""+head+"\"}}]")),
		single("base of the pull request", "", jobIn(target, hosted+"steps: [{uses: actions/checkout@PIN, with: {ref: \"${{ github.event.pull_request.base.sha }}\"}}]")),
		single("own commit", "", jobIn("workflow_run", hosted+"steps: [{uses: actions/checkout@PIN, with: {ref: \"${{ github.sha }}\", repository: \"${{ github.repository }}\"}}]")),
		single("default branch", "", jobIn("issue_comment", hosted+"steps: [{uses: actions/checkout@PIN, with: {ref: \"${{ github.event.repository.default_branch }}\"}}]")),
		single("a variable of the repository", "", jobIn(target, hosted+"env: {R: main}\nsteps: [{uses: actions/checkout@PIN, with: {ref: \"${{ env.R }}\"}}, {uses: actions/checkout@PIN, with: {ref: \"${{ vars.R }}\"}}]")),
		single("guarded", "", jobIn(target, hosted+"if: github.event.pull_request.head.repo.full_name == github.repository\nsteps: [{uses: actions/checkout@PIN, with: {ref: \""+head+"\"}}]")),
		single("run of a push", "", jobIn("workflow_run", hosted+"if: github.event.workflow_run.event == 'push'\nsteps: [{uses: actions/checkout@PIN, with: {ref: \"${{ github.event.workflow_run.head_sha }}\"}}]")),
		single("step of another event", "", jobIn("[pull_request_target, push]", hosted+"steps: [{if: github.event_name == 'push', run: git fetch origin $B, env: {B: \"${{ github.head_ref }}\"}}]")),
		single("comments on it", "", scriptIn(target, "env: {PR: \"${{ github.event.number }}\"}\n", "gh pr comment \"$PR\" --body thanks\ngh pr edit \"$PR\" --add-label new")),
		single("asks the API", "", scriptIn(target, "env: {PR: \"${{ github.event.number }}\"}\n", `gh api "repos/$GITHUB_REPOSITORY/pulls/$PR/files" --jq length`)),
		single("tells by curl", "", scriptIn("issues", "env: {N: \"${{ github.event.issue.number }}\"}\n", `curl --fail -X POST "https://example.org/hook?issue=$N"`)),
		single("names the commit", "", scriptIn("workflow_run", "env: {S: \"${{ github.event.workflow_run.head_sha }}\"}\n", `echo "judged $S" >> "$GITHUB_STEP_SUMMARY"`)),
		single("number for a comment action", "", jobIn(target, hosted+"steps: [{uses: peter-evans/create-or-update-comment@PIN, with: {issue-number: \"${{ github.event.number }}\", body: hello}}]")),
		single("status of the commit", "", jobIn("workflow_run", hosted+"steps: [{uses: x/commit-status@PIN, with: {sha: \"${{ github.event.workflow_run.head_sha }}\", state: success}}]")),
		single("own clone beside the number", "", jobIn(target, hosted+"steps: [{run: git fetch origin main}, {run: gh pr comment $PR --body x, env: {PR: \"${{ github.event.number }}\"}}]")),
		single("dispatched by hand", "", jobIn("{workflow_dispatch: {inputs: {ref: {type: string}}}}", hosted+"steps: [{uses: actions/checkout@PIN, with: {ref: \"${{ inputs.ref }}\"}}]")),
		several("reusable, called by a push", "", "called.yml", withInput, "c.yml", caller("push", ", with: {ref: \"${{ github.sha }}\"}")),
		several("reusable without rights, alone", "", "called.yml", strings.Replace(withInput, "contents: write", "contents: read", 1)),
		several("an action that is given the own commit", "",
			"w.yml", jobIn(target, hosted+"steps: [{uses: ./get, with: {which: \"${{ github.sha }}\"}}]"),
			"get/action.yml", "inputs: {which: {required: true}}\nruns: {using: composite, steps: [{uses: actions/checkout@PIN, with: {ref: \"${{ inputs.which }}\"}}]}"),
	}, Options{})
}

func TestSecretPatterns(t *testing.T) {
	const called = "on: workflow_call\npermissions: {}\njobs: {a: {runs-on: self-hosted, steps: [{run: make}]}}"
	const calls = "on: pull_request\npermissions: {}\njobs:\n  c:\n    if: github.event.pull_request.head.repo.full_name == github.repository\n    uses: ./.github/workflows/called.yml\n    "
	judge(t, []pattern{
		// The attacker's.
		several("inherited by a called file", RuleSecrets, "called.yml", called, "c.yml", calls+"secrets: inherit"),
		single("env of the workflow", RuleSecrets, "env: {T: \"${{ secrets.TOKEN }}\"}\n"+jobIn("pull_request", ownOnly+"steps: [{run: make}]")),
		// Our own.
		several("named for a called file", RuleSecrets, "called.yml", called, "c.yml", calls+"secrets: {T: \"${{ secrets.TOKEN }}\"}"),
		several("as an input of a called file", RuleSecrets, "called.yml", called, "c.yml", calls+"with: {t: \"${{ secrets.TOKEN }}\"}"),
		several("inherited through another", RuleSecrets, "called.yml", called,
			"m.yml", "on: workflow_call\npermissions: {}\njobs: {c: {uses: ./.github/workflows/called.yml}}", "c.yml", strings.Replace(calls, "called.yml", "m.yml", 1)+"secrets: inherit"),
		single("env of the job", RuleSecrets, jobIn("pull_request", ownOnly+"env: {T: \"${{ secrets.TOKEN }}\"}\nsteps: [{run: make}]")),
		single("all as JSON", RuleSecrets, jobIn("pull_request", ownOnly+"steps: [{run: make, env: {ALL: \"${{ toJSON(secrets) }}\"}}]")),
		single("all as JSON on a push", RuleSecrets, jobIn("push", hosted+"steps: [{run: make, env: {ALL: \"${{ toJson( secrets ) }}\"}}]")),
		single("all of the workflow", RuleSecrets, "env: {ALL: \"${{ toJSON(secrets) }}\"}\n"+jobIn("push", hosted+"steps: [{run: make}]")),
		single("all by a star", RuleSecrets, jobIn("push", hosted+"steps: [{run: make, env: {ALL: \"${{ join(secrets.*, ',') }}\"}}]")),
		single("by an index", RuleSecrets, jobIn("pull_request", ownOnly+"steps: [{run: make, env: {T: \"${{ secrets[format('{0}', 'TOKEN')] }}\"}}]")),
		single("as an input", RuleSecrets, jobIn("pull_request", ownOnly+"steps: [{uses: a/b@PIN, with: {token: \"${{ secrets.TOKEN }}\"}}]")),
		single("in a review", RuleSecrets, jobIn("pull_request_review", ownOnly+"steps: [{run: make, env: {T: \"${{ secrets.TOKEN }}\"}}]")),
		single("over several lines", RuleSecrets, jobIn("pull_request", ownOnly+"env:\n  T: >-\n    ${{ vars.T ||\n      secrets.TOKEN }}\nsteps: [{run: make}]")),

		single("of the run alone", "", jobIn("pull_request", ownOnly+"env: {T: \"${{ secrets.GITHUB_TOKEN }}\"}\nsteps: [{run: make}]")),
		single("env of a workflow for pushes", "", "env: {T: \"${{ secrets.TOKEN }}\"}\n"+jobIn("push", "runs-on: self-hosted\nsteps: [{run: make}]")),
		single("env of a workflow on hosted runners", "", "env: {T: \"${{ secrets.TOKEN }}\"}\n"+jobIn("pull_request", hosted+"steps: [{run: make}]")),
		single("only the word", "", jobIn("pull_request", ownOnly+"steps: [{run: 'echo \"no secrets for ${{ github.sha }}\"'}]")),
		single("an output of that name", "", jobIn("pull_request", ownOnly+"steps: [{id: secrets, run: make}, {run: make, env: {X: \"${{ steps.secrets.outputs.x }}\"}}]")),
		several("inherited on hosted runners", "", "called.yml", strings.Replace(called, "self-hosted", "ubuntu-latest", 1), "c.yml", calls+"secrets: inherit"),
		several("inherited by a push", "", "called.yml", called, "c.yml", strings.Replace(calls, "on: pull_request", "on: push", 1)+"secrets: inherit"),
		several("called without", "", "called.yml", called, "c.yml", calls+"with: {x: y}"),
	}, Options{})
}

func TestInjectionPatterns(t *testing.T) {
	inScript := func(name, on, expression string) pattern {
		return single(name, RuleInjection, jobIn(on, hosted+"steps: [{run: 'echo \"${{ "+strings.ReplaceAll(expression, "'", "''")+" }}\"'}]"))
	}
	clean := func(name, on, expression string) pattern {
		p := inScript(name, on, expression)
		p.rule = ""
		return p
	}
	judge(t, []pattern{
		// The attacker's.
		inScript("title of an issue", "issues", "github.event.issue.title"),
		inScript("body of a comment", "issue_comment", "github.event.comment.body"),
		inScript("head_ref", "pull_request", "github.head_ref"),
		single("title in github-script", RuleInjection, jobIn("pull_request", hosted+"steps: [{uses: actions/github-script@PIN, with: {script: 'core.info(\"${{ github.event.pull_request.title }}\")'}}]")),
		inScript("branch of a run", "workflow_run", "github.event.workflow_run.head_branch"),
		single("title on a guarded own runner", RuleInjection, jobIn("pull_request", ownOnly+"steps: [{run: 'echo ${{ github.event.pull_request.title }}'}]")),
		single("message of a commit on the own runner", RuleInjection, jobIn("push", "runs-on: self-hosted\nsteps: [{run: 'echo ${{ github.event.head_commit.message }}'}]")),
		// Our own.
		inScript("body of an issue", "issues", "github.event.issue.body"),
		inScript("body of a pull request", "pull_request_target", "github.event.pull_request.body"),
		inScript("body of a review", "pull_request_review", "github.event.review.body"),
		inScript("title of a discussion", "discussion", "github.event.discussion.title"),
		inScript("ref of the head", "pull_request", "github.event.pull_request.head.ref"),
		inScript("label of the head", "pull_request", "github.event.pull_request.head.label"),
		inScript("default branch of the fork", "pull_request", "github.event.pull_request.head.repo.default_branch"),
		inScript("description of the fork", "pull_request", "github.event.pull_request.head.repo.description"),
		inScript("messages of commits", "push", "join(github.event.commits.*.message, ' ')"),
		inScript("one of the commits", "push", "github.event.commits[0].author.email"),
		inScript("name of an author", "push", "github.event.head_commit.author.name"),
		inScript("email of an author", "push", "github.event.head_commit.author.email"),
		inScript("name of a page", "gollum", "github.event.pages[0].page_name"),
		inScript("title of a run", "workflow_run", "github.event.workflow_run.display_title"),
		inScript("message of a run's commit", "workflow_run", "github.event.workflow_run.head_commit.message"),
		inScript("author of a run's commit", "workflow_run", "github.event.workflow_run.head_commit.author.email"),
		inScript("pull requests of a run", "workflow_run", "github.event.workflow_run.pull_requests[0].head.ref"),
		inScript("branch of a check suite", "check_suite", "github.event.check_suite.head_branch"),
		inScript("ref_name of an outsider's event", "pull_request", "github.ref_name"),
		inScript("by an index", "issues", "github.event['issue']['title']"),
		inScript("in another case", "issues", "GitHub.Event.Issue.TITLE"),
		inScript("as JSON", "issues", "toJSON(github.event)"),
		inScript("all of github", "issues", "toJSON(github)"),
		inScript("by format", "issues", "format('{0}', github.event.issue.title)"),
		inScript("as the other choice", "issues", "github.event_name == 'push' && 'x' || github.event.issue.title"),
		inScript("a part of what is computed", "issues", "fromJSON(toJSON(github.event.issue)).title"),
		inScript("title before it was changed", "issues", "github.event.changes.title.from"),
		inScript("a whole object", "pull_request", "toJSON(github.event.pull_request.head)"),
		single("env as an expression", RuleInjection, jobIn("issues", hosted+"env: {T: \"${{ github.event.issue.title }}\"}\nsteps: [{run: 'echo \"${{ env.T }}\"'}]")),
		single("env of the workflow as an expression", RuleInjection, "env: {T: \"${{ github.head_ref }}\"}\n"+jobIn("pull_request", hosted+"steps: [{run: 'echo ${{ env.T }}'}]")),
		single("env of the step as an expression", RuleInjection, jobIn("issues", hosted+"steps: [{env: {T: \"${{ github.event.issue.title }}\"}, run: 'echo ${{ env.T }}'}]")),
		single("written to GITHUB_ENV, then an expression", RuleInjection, jobIn("pull_request", hosted+"steps:\n- {run: 'echo \"B=$REF\" >> $GITHUB_ENV', env: {REF: \"${{ github.head_ref }}\"}}\n- run: echo ${{ env.B }}")),
		single("through an output", RuleInjection, jobIn("pull_request", hosted+"steps:\n- {id: b, run: 'echo \"name=${REF#x}\" | tee -a \"$GITHUB_OUTPUT\"', env: {REF: \"${{ github.head_ref }}\"}}\n- run: echo ${{ steps.b.outputs.name }}")),
		single("through an old output", RuleInjection, jobIn("pull_request", hosted+"steps:\n- {id: b, run: 'echo \"::set-output name=x::$REF\"', env: {REF: \"${{ github.head_ref }}\"}}\n- run: echo ${{ steps.b.outputs.x }}")),
		single("through a job", RuleInjection, "on: pull_request\npermissions: {}\njobs:\n  b: {runs-on: ubuntu-latest, outputs: {x: \"${{ github.head_ref }}\"}, steps: [{run: make}]}\n  a: {needs: b, runs-on: ubuntu-latest, steps: [{run: 'echo ${{ needs.b.outputs.x }}'}]}"),
		single("through what github-script gives", RuleInjection, jobIn("issues", hosted+"steps:\n- {id: s, uses: actions/github-script@PIN, with: {script: return context.payload.issue.title}}\n- run: echo ${{ steps.s.outputs.result }}")),
		single("names of changed files", RuleInjection, jobIn("pull_request", hosted+"steps:\n- {id: c, uses: tj-actions/changed-files@PIN}\n- run: echo ${{ steps.c.outputs.all_changed_files }}")),
		single("through the path of the event", RuleInjection, jobIn("issues", hosted+"steps:\n- {id: t, run: 'echo \"t=$(jq -r .issue.title \"$GITHUB_EVENT_PATH\")\" >> \"$GITHUB_OUTPUT\"'}\n- run: echo ${{ steps.t.outputs.t }}")),
		single("through a matrix", RuleInjection, jobIn("issues", hosted+"strategy: {matrix: {x: [\"${{ github.event.issue.title }}\"]}}\nsteps: [{run: 'echo ${{ matrix.x }}'}]")),
		single("as the shell", RuleInjection, jobIn("issues", hosted+"steps: [{run: make, shell: \"bash {0} ${{ github.event.issue.title }}\"}]")),
		single("as another action's script", RuleInjection, jobIn("issues", hosted+"steps: [{uses: azure/cli@PIN, with: {inlineScript: 'echo ${{ github.event.issue.title }}'}}]")),
		single("as a command of an action", RuleInjection, jobIn("issues", hosted+"steps: [{uses: nick-fields/retry@PIN, with: {command: 'echo ${{ github.event.issue.title }}'}}]")),
		single("over ssh by an action", RuleInjection, jobIn("issue_comment", hosted+"steps: [{uses: appleboy/ssh-action@PIN, with: {script: 'deploy ${{ github.event.comment.body }}'}}]")),
		single("eval", RuleInjection, jobIn("issues", hosted+"steps: [{run: 'eval \"echo $T\"', env: {T: \"${{ github.event.issue.title }}\"}}]")),
		single("bash -c", RuleInjection, jobIn("issues", hosted+"steps: [{run: 'bash -c \"echo $T\"', env: {T: \"${{ github.event.issue.title }}\"}}]")),
		single("in a container's shell", RuleInjection, jobIn("issues", hosted+"steps: [{run: 'docker exec web sh -c \"echo $T\"', env: {T: \"${{ github.event.issue.title }}\"}}]")),
		single("python -c", RuleInjection, jobIn("issues", hosted+"steps: [{run: 'python3 -c \"print(''$T'')\"', env: {T: \"${{ github.event.issue.title }}\"}}]")),
		single("piped into a shell", RuleInjection, jobIn("issue_comment", hosted+"steps: [{run: 'echo \"$C\" | bash', env: {C: \"${{ github.event.comment.body }}\"}}]")),
		single("fed to a shell", RuleInjection, jobIn("issue_comment", hosted+"steps: [{run: 'bash <<< \"$C\"', env: {C: \"${{ github.event.comment.body }}\"}}]")),
		single("as the program", RuleInjection, jobIn("issue_comment", hosted+"steps: [{run: '$C', env: {C: \"${{ github.event.comment.body }}\"}}]")),
		single("in another host's shell", RuleInjection, jobIn("issues", hosted+"steps: [{run: 'ssh pi \"echo $T\"', env: {T: \"${{ github.event.issue.title }}\"}}]")),
		single("lines into GITHUB_ENV", RuleInjection, jobIn("issues", hosted+"steps: [{run: 'echo \"BODY=$B\" >> \"$GITHUB_ENV\"', env: {B: \"${{ github.event.issue.body }}\"}}]")),
		single("a text into GITHUB_ENV", RuleInjection, jobIn("issues", hosted+"steps: [{run: 'echo \"$B\" >> \"$GITHUB_ENV\"', env: {B: \"${{ github.event.issue.title }}\"}}]")),
		single("a branch into GITHUB_PATH", RuleInjection, jobIn("pull_request", hosted+"steps: [{run: 'echo \"$PWD/$B\" >> \"$GITHUB_PATH\"', env: {B: \"${{ github.head_ref }}\"}}]")),
		single("as BASH_ENV", RuleInjection, jobIn("issues", hosted+"env: {BASH_ENV: \"${{ github.event.issue.title }}\"}\nsteps: [{run: make}]")),
		single("as the options of node", RuleInjection, jobIn("issues", hosted+"steps: [{run: make, env: {NODE_OPTIONS: \"${{ github.event.issue.title }}\"}}]")),
		single("in PowerShell", RuleInjection, jobIn("issues", "runs-on: windows-latest\nsteps: [{shell: pwsh, run: 'Write-Host \"${{ github.event.issue.title }}\"'}]")),
		single("run by PowerShell", RuleInjection, jobIn("issues", hosted+"steps: [{shell: pwsh, run: 'Invoke-Expression \"echo $env:T\"', env: {T: \"${{ github.event.issue.title }}\"}}]")),
		several("input of a called file", RuleInjection,
			"called.yml", "on: {workflow_call: {inputs: {t: {type: string}}}}\npermissions: {}\njobs: {a: {runs-on: ubuntu-latest, steps: [{run: 'echo ${{ inputs.t }}'}]}}",
			"c.yml", "on: issues\npermissions: {}\njobs: {c: {uses: ./.github/workflows/called.yml, with: {t: \"${{ github.event.issue.title }}\"}}}"),
		several("input of a called file, alone", RuleInjection,
			"called.yml", "on: {workflow_call: {inputs: {t: {type: string}}}}\npermissions: {}\njobs: {a: {runs-on: ubuntu-latest, steps: [{run: 'echo ${{ inputs.t }}'}]}}"),
		several("output of a called file", RuleInjection,
			"called.yml", "on: {workflow_call: {outputs: {o: {value: \"${{ jobs.a.outputs.o }}\"}}}}\npermissions: {}\njobs: {a: {runs-on: ubuntu-latest, outputs: {o: \"${{ github.head_ref }}\"}, steps: [{run: make}]}}",
			"c.yml", "on: pull_request\npermissions: {}\njobs: {c: {uses: ./.github/workflows/called.yml}, d: {needs: c, runs-on: ubuntu-latest, steps: [{run: 'echo ${{ needs.c.outputs.o }}'}]}}"),
		several("input of an action", RuleInjection,
			"w.yml", jobIn("issues", hosted+"steps: [{uses: ./say, with: {what: \"${{ github.event.issue.title }}\"}}]"),
			"say/action.yml", "inputs: {what: {required: true}}\nruns: {using: composite, steps: [{shell: bash, run: 'echo ${{ inputs.what }}'}]}"),
		several("env of the job in an action", RuleInjection,
			"w.yml", jobIn("issues", hosted+"env: {T: \"${{ github.event.issue.title }}\"}\nsteps: [{uses: ./say}]"),
			"say/action.yml", "runs: {using: composite, steps: [{shell: bash, run: 'echo ${{ env.T }}'}]}"),
		several("an action within an action", RuleInjection,
			"w.yml", jobIn("issues", hosted+"steps: [{uses: ./outer, with: {x: \"${{ github.event.issue.title }}\"}}]"),
			"outer/action.yml", "inputs: {x: {}}\nruns: {using: composite, steps: [{uses: ./inner, with: {y: \"${{ inputs.x }}\"}}]}",
			"inner/action.yml", "inputs: {y: {}}\nruns: {using: composite, steps: [{shell: bash, run: 'echo ${{ inputs.y }}'}]}"),

		// What is good.
		single("right behind a variable", RuleInjection, jobIn("pull_request", hosted+"steps:\n- {id: b, run: 'echo \"n=$REF${{ github.sha }}\" >> $GITHUB_OUTPUT', env: {REF: \"${{ github.head_ref }}\"}}\n- run: echo ${{ steps.b.outputs.n }}")),
		single("by env", "", jobIn("issues", hosted+"steps: [{run: 'echo \"$T\"', env: {T: \"${{ github.event.issue.title }}\"}}]")),
		single("by env of the job", "", jobIn("issues", hosted+"env: {T: \"${{ github.event.issue.title }}\"}\nsteps: [{run: 'printf \"%s\\n\" \"$T\" | grep -c x'}]")),
		single("by env in github-script", "", jobIn("issues", hosted+"steps: [{uses: actions/github-script@PIN, env: {T: \"${{ github.event.issue.title }}\"}, with: {script: core.info(process.env.T)}}]")),
		single("by the payload in github-script", "", jobIn("issues", hosted+"steps: [{uses: actions/github-script@PIN, with: {script: core.info(context.payload.issue.title)}}]")),
		single("a branch into GITHUB_ENV", "", jobIn("pull_request", hosted+"steps: [{run: 'echo \"B=$REF\" >> \"$GITHUB_ENV\"', env: {REF: \"${{ github.head_ref }}\"}}, {run: 'echo \"$B\"'}]")),
		single("lines into GITHUB_ENV with a random end", "", jobIn("issues", hosted+"steps:\n- env: {B: \"${{ github.event.issue.body }}\"}\n  run: |\n    end=$(openssl rand -hex 16)\n    {\n      echo \"BODY<<$end\"\n      echo \"$B\"\n      echo \"$end\"\n    } >> \"$GITHUB_ENV\"")),
		single("single quotes for another shell", "", jobIn("issues", hosted+"steps: [{run: 'bash -c ''echo \"$T\"''', env: {T: \"${{ github.event.issue.title }}\"}}]")),
		single("an argument of bash -c", "", jobIn("issues", hosted+"steps: [{run: 'bash -c ''echo \"$1\"'' -- \"$T\"', env: {T: \"${{ github.event.issue.title }}\"}}]")),
		single("as a body for a comment", "", jobIn("issues", hosted+"steps: [{uses: peter-evans/create-or-update-comment@PIN, with: {issue-number: \"${{ github.event.issue.number }}\", body: \"${{ github.event.issue.title }}\"}}]")),
		single("as a name", "", jobIn("pull_request", "name: \"${{ github.event.pull_request.title }}\"\n"+hosted+"steps: [{name: \"test ${{ github.head_ref }}\", run: make}]")),
		single("in a condition", "", jobIn("issue_comment", hosted+"if: contains(github.event.comment.body, '/deploy')\nsteps: [{run: make}]")),
		clean("number of an issue", "issues", "github.event.issue.number"),
		clean("commit of the head", "pull_request", "github.event.pull_request.head.sha"),
		clean("own commit", "push", "github.sha"),
		clean("branch of a push", "push", "github.ref_name"),
		clean("base of a pull request", "pull_request", "github.base_ref"),
		clean("login name", "issues", "github.event.issue.user.login"),
		clean("actor", "issues", "github.actor"),
		clean("a comparison", "pull_request", "github.head_ref == 'x'"),
		clean("a test", "issue_comment", "contains(github.event.comment.body, 'x')"),
		clean("a choice by a title", "issues", "github.event.issue.title == 'x' && 'a' || 'b'"),
		clean("a variable", "issues", "vars.NAME"),
		clean("input of a dispatch", "workflow_dispatch", "inputs.name"),
		clean("what a plain step gives", "issues", "steps.x.outputs.y"),
		clean("a run's number", "workflow_run", "github.event.workflow_run.id"),
		single("a version as an output", "", jobIn("pull_request", hosted+"steps: [{id: v, run: 'echo \"v=$(cat VERSION)\" >> \"$GITHUB_OUTPUT\"'}, {run: 'echo ${{ steps.v.outputs.v }}'}]")),
		single("a number out of the event", "", jobIn("pull_request", hosted+"steps: [{id: n, run: 'echo \"n=$(jq -r .pull_request.number \"$GITHUB_EVENT_PATH\")\" >> \"$GITHUB_OUTPUT\"'}, {run: 'echo ${{ steps.n.outputs.n }}'}]")),
		several("typed input of a called file, alone", "", "called.yml", "on: {workflow_call: {inputs: {n: {type: number}}}}\npermissions: {}\njobs: {a: {runs-on: ubuntu-latest, steps: [{run: 'echo ${{ inputs.n }}'}]}}"),
		several("harmless input of a called file", "",
			"called.yml", "on: {workflow_call: {inputs: {t: {type: string}}}}\npermissions: {}\njobs: {a: {runs-on: ubuntu-latest, steps: [{run: 'echo ${{ inputs.t }}'}]}}",
			"c.yml", "on: issues\npermissions: {}\njobs: {c: {uses: ./.github/workflows/called.yml, with: {t: staging}}}"),
		several("input of an action by env", "",
			"w.yml", jobIn("issues", hosted+"steps: [{uses: ./say, with: {what: \"${{ github.event.issue.title }}\"}}]"),
			"say/action.yml", "inputs: {what: {required: true}}\nruns: {using: composite, steps: [{shell: bash, run: 'echo \"$W\"', env: {W: \"${{ inputs.what }}\"}}]}"),
	}, Options{})
}

func TestArtifactPatterns(t *testing.T) {
	const fetch = "- {uses: actions/download-artifact@PIN, with: {run-id: \"${{ github.event.workflow_run.id }}\", github-token: \"${{ github.token }}\"%s}}\n"
	job := func(name, rule, path, rest string) pattern {
		if path != "" {
			path = ", path: " + path
		}
		return single(name, rule, jobIn("workflow_run", hosted+"steps:\n"+fmt.Sprintf(fetch, path)+rest))
	}
	judge(t, []pattern{
		job("runs a script of it", RuleArtifact, "", "- run: bash artifact/run.sh"), // the attacker's
		job("runs a program of it", RuleArtifact, "", "- run: ./build/tool"),
		job("makes it executable", RuleArtifact, "out", "- run: chmod +x out/tool"),
		job("runs it in its folder", RuleArtifact, "out", "- {run: make, working-directory: out}"),
		job("goes to its folder", RuleArtifact, "out", "- run: cd out && npm test"),
		job("reads it as commands", RuleArtifact, "out", "- run: source out/env.sh"),
		job("installs it", RuleArtifact, "out", "- run: pip install out/x.whl"),
		job("builds what lies about", RuleArtifact, "", "- uses: actions/checkout@PIN\n- run: npm ci"),
		job("builds in the working directory by its name", RuleArtifact, "\"${{ github.workspace }}\"", "- run: go test ./..."),
		job("runs it below the runner's folder", RuleArtifact, "\"${{ runner.temp }}/x\"", "- run: sh \"$RUNNER_TEMP/x/go.sh\""),
		job("an action of it", RuleArtifact, "out", "- uses: ./out/action"),
		job("node", RuleArtifact, "out", "- run: node out/report.js"),
		job("in PowerShell", RuleArtifact, "", "- {shell: pwsh, run: ./report.ps1}"),
		single("by gh", RuleArtifact, jobIn("workflow_run", hosted+"steps: [{run: gh run download $ID -D out, env: {ID: \"${{ github.event.workflow_run.id }}\"}}, {run: python out/x.py}]")),
		single("by gh in one step", RuleArtifact, scriptIn("workflow_run", "", "gh run download \"$ID\" --dir out\nbash out/x.sh")),
		single("by another action", RuleArtifact, jobIn("workflow_run", hosted+"steps: [{uses: dawidd6/action-download-artifact@PIN, with: {workflow: test.yml}}, {run: make report}]")),
		single("by github-script", RuleArtifact, jobIn("workflow_run", hosted+"steps: [{uses: actions/github-script@PIN, with: {script: 'github.rest.actions.downloadArtifact({})'}}, {run: unzip x.zip && ./x}]")),
		single("after a comment", RuleArtifact, jobIn("issue_comment", hosted+"steps: [{uses: dawidd6/action-download-artifact@PIN, with: {path: out}}, {run: bash out/x}]")),

		single("reads a number by github-script", "", jobIn("workflow_run", hosted+"steps:\n- {uses: actions/github-script@PIN, with: {script: 'const d = await github.rest.actions.downloadArtifact({}); require(\"fs\").writeFileSync(\"${{ github.workspace }}/pr.zip\", Buffer.from(d.data))'}}\n- run: unzip pr.zip\n- {uses: actions/github-script@PIN, with: {script: 'const n = Number(require(\"fs\").readFileSync(\"./NR\")); await github.rest.issues.createComment({issue_number: n})'}}")),
		job("reads it", "", "out", "- run: cat out/coverage.txt >> \"$GITHUB_STEP_SUMMARY\""),
		job("own code beside it", "", "out", "- uses: actions/checkout@PIN\n- run: npm ci && node scripts/report.js"),
		job("sends it on", "", "out", "- run: curl --fail --data-binary @out/report.json https://example.org/in"),
		job("a number of it as an argument", "", "out", "- id: pr\n  run: echo \"number=$(cat out/number)\" >> \"$GITHUB_OUTPUT\"\n- run: gh pr comment \"$PR\" --body-file out/body.md\n  env: {PR: \"${{ steps.pr.outputs.number }}\"}"),
		single("of this run", "", jobIn("workflow_run", hosted+"steps: [{uses: actions/download-artifact@PIN}, {run: ./x}]")),
		single("of a push", "", jobIn("workflow_run", hosted+"if: github.event.workflow_run.event == 'push'\nsteps: [{uses: dawidd6/action-download-artifact@PIN}, {run: ./x}]")),
		single("on a push", "", jobIn("push", hosted+"steps: [{uses: dawidd6/action-download-artifact@PIN}, {run: ./x}]")),
	}, Options{})
	// What it says is an outsider's text.
	judge(t, []pattern{
		job("its lines become the environment", RuleInjection, "out", "- run: cat out/env >> \"$GITHUB_ENV\""),
		job("own lines become the environment", "", "out", "- run: cat own.env >> \"$GITHUB_ENV\""),
		job("a number of it in a script", RuleInjection, "out", "- id: pr\n  run: echo \"number=$(cat out/number)\" >> \"$GITHUB_OUTPUT\"\n- run: gh pr comment ${{ steps.pr.outputs.number }} --body x"),
		job("a commit of it", RuleTarget, "out", "- run: git fetch origin \"$(cat out/sha)\""),
	}, Options{})
}

func TestImagePatterns(t *testing.T) {
	digest := "@sha256:" + strings.Repeat("0", 64)
	judge(t, []pattern{
		single("container", RuleImage, jobIn("push", hosted+"container: {image: x:latest}\nsteps: [{run: make}]")), // the attacker's
		single("container by its name", RuleImage, jobIn("push", hosted+"container: node:20\nsteps: [{run: make}]")),
		single("container without a tag", RuleImage, jobIn("push", hosted+"container: alpine\nsteps: [{run: make}]")),
		single("service", RuleImage, jobIn("push", hosted+"services: {db: {image: postgres:16}}\nsteps: [{run: make}]")),
		single("one of several services", RuleImage, jobIn("push", hosted+"services: {a: {image: \"x"+digest+"\"}, b: {image: redis}}\nsteps: [{run: make}]")),
		single("matrix of images", RuleImage, jobIn("push", hosted+"strategy: {matrix: {i: [a, b]}}\ncontainer: \"${{ matrix.i }}\"\nsteps: [{run: make}]")),
		single("computed image", RuleImage, jobIn("push", hosted+"container: \"${{ vars.IMAGE }}\"\nsteps: [{run: make}]")),
		single("digest that is short", RuleImage, jobIn("push", hosted+"container: x@sha256:0123\nsteps: [{run: make}]")),
		single("step in an image", RulePin, jobIn("push", hosted+"steps: [{uses: docker://alpine:3}]")),
		several("image of an action", RulePin, "w.yml", jobIn("push", hosted+"steps: [{uses: ./x}]"), "x/action.yml", "runs: {using: docker, image: 'docker://alpine:3'}"),
		several("action within an action", RulePin, "w.yml", jobIn("push", hosted+"steps: [{uses: ./x}]"), "x/action.yml", "runs: {using: composite, steps: [{uses: a/b@v1}]}"),
		single("container by digest", "", jobIn("push", hosted+"container: {image: \"node:20"+digest+"\"}\nservices: {db: {image: \"ghcr.io/o/pg:16"+digest+"\"}}\nsteps: [{run: make}]")),
		single("matrix of digests", "", jobIn("push", hosted+"strategy: {matrix: {i: [\"a"+digest+"\", \"b"+digest+"\"]}}\ncontainer: \"${{ matrix.i }}\"\nsteps: [{run: make}]")),
		single("no container", "", jobIn("push", hosted+"container: ''\nsteps: [{run: make}]")),
		several("file of an action", "", "w.yml", jobIn("push", hosted+"steps: [{uses: ./x}]"), "x/action.yml", "runs: {using: docker, image: Dockerfile}"),
		several("action that is not there", "", "w.yml", jobIn("push", hosted+"steps: [{uses: ./made/by/a/step}]")),
	}, Options{})
}

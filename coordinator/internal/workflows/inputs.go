package workflows

import (
	"regexp"
	"strings"
)

// plainName is the name of an input without its punctuation: git-ref, git_ref and gitRef are one.
func plainName(name string) string {
	return strings.NewReplacer("-", "", "_", "", ".", "").Replace(strings.ToLower(name))
}

// scriptInput are inputs of actions that are programs: script of actions/github-script, inlineScript of azure/cli.
var scriptInput = regexp.MustCompile(`(?:script|scripts|command|commands|cmd|cmds)$|^(?:run|runs|shell|exec|execute|eval|code|entrypoint|args|prerun|postrun|before|after|powershell|bash|python|js|javascript|expression|query|sql)$`)

func isScript(input string) bool { return scriptInput.MatchString(plainName(input)) }

// payload are the ways by which a script of actions/github-script has what an outsider wrote.
var (
	payload    = regexp.MustCompile(`context\.payload|\.payload\b|pulls\.(?:get|list)|issues\.(?:get|list)|getCommit|listCommits|comments?\.(?:get|list)|listComments`)
	thatNumber = regexp.MustCompile(`context\.issue\.number|payload\.(?:pull_request|issue)\.number|payload\.number`)
	outline    = regexp.MustCompile(`payload\.(?:action|repository|sender|installation|organization|(?:pull_request|issue)\.(?:number|id|node_id|state|draft|user|base)|pull_request\.merged)\b`)
)

// saidToAPI is the taint of what a script of actions/github-script can give.
func saidToAPI(text string) taint {
	t := said(text)
	if thatNumber.MatchString(text) {
		t |= pullID
	}
	if payload.MatchString(outline.ReplaceAllString(text, "")) {
		t |= anyText | headCode
	}
	return t
}

// Inputs of actions by what they choose.
var (
	// refInput choose code, whatever the action is.
	refInput = regexp.MustCompile(`^(?:ref|refs|repository|repo|branch|revision|rev|treeish|gitref|headref|head|headbranch|headrepository|headrepo|checkoutref|sourceref|sourcebranch|` +
		`remote|url|giturl|repourl|repositoryurl|cloneurl|clone|source|src|context|buildcontext|committish|commitish|versionspec|target|targetref|refname)$`)
	// idleInput only name things, or are told to people.
	idleInput = regexp.MustCompile(`(?:number|id|ids|token|key|keys|name|title|body|message|comment|text|label|labels|tag|tags|status|state|description|summary|content|color|` +
		`channel|payload|reviewers|assignees|milestone|environment|artifact|user|username|author|prefix|suffix|cachefrom|cacheto|output|outputs|notes|reactions|reaction|template|vars|env)$|` +
		`^(?:issue|pr|pullrequest|prnumber|overridebranch|overridecommit|overridepr|autologindomain|reporter|data|html|markdown|log|args)$`)
	commitInput = regexp.MustCompile(`^(?:sha|sha1|commit|commitsha|commithash|headsha|githash|gitsha|hash|commitid)$`)
	// reports are actions that tell something about a commit and take no code from it.
	reports = regexp.MustCompile(`(?i)status|check|comment|label|report|codecov|coverage|coveralls|publish|notif|slack|discord|teams|deployment|annotat|sonar|badge|summary|result|review|assign|welcome|greet|stale`)
	takes   = regexp.MustCompile(`(?i)checkout|clone|fetch|git-?pull`)
)

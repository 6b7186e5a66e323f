package workflows

import (
	"regexp"
	"slices"
	"strings"
)

// taint is what an outsider may have put into a value. The zero value is one that only people with a right to write, or GitHub
// itself, can set.
type taint uint8

const (
	freeText  taint = 1 << iota // any characters: a program that it is pasted into becomes another one
	manyLines                   // line ends too
	headCode                    // names an outsider's commit, branch or repository
	pullID                      // the number of a pull request, by which its code can be fetched
	uncertain                   // nobody can tell
	ofCommit                    // as freeText, of commits that are in the repository already: what is fetched by it is its own
)

// pasteable are the characters that make another program of one that they are pasted into.
const pasteable = freeText | ofCommit

const (
	anyText   = freeText | manyLines
	anything  = anyText | headCode | pullID | uncertain
	nameOfRef = freeText | headCode // a branch, which may have nearly any characters
	foreigner = freeText | headCode | pullID
)

// source is a part of the context github that outsiders set. An element * stands for any one, a last ** for all below.
type source struct {
	elements []string
	taint    taint
}

// sources are those of every event. What is not here is set by those who may write, or is a number, a date, an address or a
// login name, which have no characters that do harm. Sources:
// https://docs.github.com/actions/reference/security/secure-use#good-practices-for-mitigating-script-injection-attacks,
// https://docs.github.com/webhooks/webhook-events-and-payloads
var sources = sourcesOf(map[taint]string{
	nameOfRef: `head_ref
		event.pull_request.head.ref event.pull_request.head.label event.pull_request.head.repo.default_branch
		event.workflow_run.head_branch event.workflow_run.pull_requests.** event.workflow_run.head_repository.default_branch
		event.check_suite.head_branch event.check_suite.pull_requests.** event.check_run.check_suite.head_branch event.check_run.check_suite.pull_requests.**
		event.check_run.pull_requests.** event.forkee.default_branch event.branches.** event.workflow_job.head_branch`,
	freeText: `event.issue.title event.pull_request.title event.discussion.title event.workflow_run.display_title
		event.pull_request.head.repo.homepage event.workflow_run.head_repository.homepage event.forkee.homepage
		event.pull_request.head.repo.topics.** event.pull_request.auto_merge.commit_title
		event.comment.path event.pusher.email event.changes.** event.check_run.name event.check_run.external_id
		event.client_payload.pull_request.** event.client_payload.issue.** event.client_payload.comment.** event.client_payload.head_ref`,
	anyText: `event.issue.body event.pull_request.body event.discussion.body event.comment.body event.review.body event.review_comment.body
		event.answer.body event.old_answer.body event.comment.diff_hunk event.pull_request.auto_merge.commit_message
		event.pull_request.head.repo.description event.workflow_run.head_repository.description event.forkee.description
		event.commits.*.message event.commits.*.author.name event.commits.*.author.email event.commits.*.committer.name event.commits.*.committer.email
		event.commits.*.added.** event.commits.*.removed.** event.commits.*.modified.**
		event.head_commit.message event.head_commit.author.name event.head_commit.author.email event.head_commit.committer.name event.head_commit.committer.email
		event.head_commit.added.** event.head_commit.removed.** event.head_commit.modified.**
		event.workflow_run.head_commit.message event.workflow_run.head_commit.author.** event.workflow_run.head_commit.committer.**
		event.check_suite.head_commit.message event.check_suite.head_commit.author.** event.check_suite.head_commit.committer.**
		event.merge_group.head_commit.message event.merge_group.head_commit.author.** event.merge_group.head_commit.committer.**
		event.commit.commit.** event.pages.** event.check_run.output.** event.thread.**`,
	headCode: `event.pull_request.head.sha event.pull_request.head.repo.full_name event.pull_request.head.repo.name event.pull_request.head.repo.clone_url
		event.pull_request.head.repo.git_url event.pull_request.head.repo.ssh_url event.pull_request.head.repo.html_url event.pull_request.head.repo.url
		event.pull_request.head.repo.archive_url event.pull_request.head.repo.owner.login event.pull_request.head.user.login event.pull_request.head.repo.svn_url
		event.pull_request.merge_commit_sha event.pull_request.patch_url event.pull_request.diff_url event.pull_request.commits_url event.pull_request.statuses_url
		event.issue.pull_request.**
		event.workflow_run.head_sha event.workflow_run.head_commit.id event.workflow_run.head_commit.tree_id event.workflow_run.head_repository.full_name
		event.workflow_run.head_repository.name event.workflow_run.head_repository.html_url event.workflow_run.head_repository.url event.workflow_run.head_repository.owner.login
		event.workflow_run.head_repository.archive_url event.workflow_run.artifacts_url
		event.check_suite.head_sha event.check_suite.after event.check_suite.head_commit.id event.check_run.head_sha event.check_run.check_suite.head_sha
		event.check_run.check_suite.after event.workflow_job.head_sha event.review.commit_id event.comment.commit_id event.comment.original_commit_id event.forkee.full_name
		event.forkee.clone_url event.forkee.html_url event.sha`,
	pullID: `event.number event.pull_request.number event.issue.number event.pull_request.html_url event.pull_request.url event.pull_request._links.**
		event.issue.html_url event.issue.url event.discussion.number`,
})

func sourcesOf(table map[taint]string) []source {
	var list []source
	for t, paths := range table {
		for path := range strings.FieldsSeq(paths) {
			list = append(list, source{strings.Split(path, "."), t})
		}
	}
	slices.SortFunc(list, func(a, b source) int { return slices.Compare(a.elements, b.elements) })
	return list
}

// ofEvent is the taint of a part of the context github. A whole of which a part is tainted is tainted.
func ofEvent(elements []string) taint {
	var t taint
	for _, s := range sources {
		if s.matches(elements) {
			t |= s.taint
			if len(elements) < len(s.elements) {
				t |= anyText // as JSON, everything that is in it
			}
		}
	}
	return t
}

func (s source) matches(elements []string) bool {
	for i, want := range s.elements {
		switch {
		case want == "**", i == len(elements):
			return true
		case want != "*" && elements[i] != "" && elements[i] != want:
			return false
		}
	}
	return true
}

// spoken are the words by which a script asks for an outsider's code without any variable.
var spoken = regexp.MustCompile(`refs/pull/|\bpull/[^\s/]+/(?:head|merge)\b|\bgh\s+pr\s+(?:checkout|diff)\b|` +
	`\bhead_?[rR]ef(?:Name|Oid)?\b|\bhead_?[rR]epository\b|\bhead_?[sS]ha\b|\bhead_?[bB]ranch\b|\.head\.(?:ref|sha|repo|label)|GITHUB_HEAD_REF|GITHUB_EVENT_PATH|github\.event_path`)

// said is the taint of words that a script spells out.
func said(text string) taint {
	var t taint
	for _, word := range spoken.FindAllString(text, -1) {
		switch {
		case strings.Contains(word, "GITHUB_EVENT_PATH"), strings.Contains(word, "event_path"):
			t |= anyText | headCode | pullID
		case strings.Contains(word, "/"), strings.HasPrefix(word, "gh"), strings.HasSuffix(strings.ToLower(word), "sha"), strings.HasSuffix(word, "Oid"):
			t |= headCode
		default:
			t |= nameOfRef
		}
	}
	return t
}

package workflows

import (
	"regexp"
	"strings"

	"ataraxis.dev/landfall/shared/workflow"
)

const reviewHint = "let the job run for push only, or move what needs the secret to a job of its own"

// secrets looks for secrets within reach of a pull request's code on an own runner, where what it leaves behind outlives the
// job; and for jobs that are given every secret there is.
func (c *checker) secrets(file *workflow.File) {
	scenarios := c.reach(file, ownPulls)
	ofAll := secretIn(file.Scalars)
	for i := range file.Jobs {
		job := &file.Jobs[i]
		at := firstOf(secretOf(job), ofAll)
		if where := c.unreviewed(file, job, scenarios, at != ofAll); at.Written() && where != "" {
			c.find(file, at, RuleSecrets, reviewHint, "job %s gives a secret to %s", job.Key.Value, where)
			continue
		}
		if at := everySecret(job.Scalars); at.Written() {
			c.find(file, at, RuleSecrets, "name the secrets that are needed", "job %s is given every secret of the repository at once", job.Key.Value)
		}
	}
	if at := everySecret(file.Scalars); at.Written() {
		c.find(file, at, RuleSecrets, "name the secrets that are needed", "every job is given every secret of the repository at once")
	}
}

// unreviewed says what of a pull request's code a job may run on an own runner, "" when none; called is whether a workflow that
// it calls counts.
func (c *checker) unreviewed(file *workflow.File, job *workflow.Job, scenarios []scenario, called bool) string {
	for _, sc := range scenarios {
		s := c.situation(file, sc)
		if s.skipped(job) {
			continue
		}
		if c.own(s, job) != "" {
			return "the unreviewed code of a pull request on an own runner"
		}
		if callee := c.files[calledFile(job.Uses.Value)]; callee != nil && called && c.ownWithin(callee, sc) {
			return "a workflow that runs the unreviewed code of a pull request on an own runner"
		}
	}
	return ""
}

// ownWithin reports whether a called file, or one that it calls, may use an own runner in a scenario.
func (c *checker) ownWithin(file *workflow.File, sc scenario) bool {
	key := situationKey{file, sc}
	if known := c.owned[key]; known != 0 {
		return known == yes // in a circle: what is on the way is asked already
	}
	c.owned[key] = asking
	s := c.situation(file, sc)
	result := no
	for i := range file.Jobs {
		job := &file.Jobs[i]
		if s.skipped(job) {
			continue
		}
		called := c.files[calledFile(job.Uses.Value)]
		if c.own(s, job) != "" || called != nil && c.ownWithin(called, sc) {
			result = yes
			break
		}
	}
	c.owned[key] = result
	return result == yes
}

var (
	secretUse   = regexp.MustCompile(`(?i)(?:^|[^.\w-])secrets\b(?:\s*\.\s*([a-z0-9_-]+))?`)
	wholeSecret = regexp.MustCompile(`(?i)(?:^|[^.\w-])secrets\s*(?:[),]|\.\s*\*|\[\s*\*|$)`)
	inQuotes    = regexp.MustCompile(`'(?:[^']|'')*'`)
)

// secretOf is where a job names a secret besides GITHUB_TOKEN.
func secretOf(job *workflow.Job) workflow.Text {
	if strings.EqualFold(job.Secrets.Value, "inherit") {
		return job.Secrets
	}
	return secretIn(job.Scalars)
}

func secretIn(scalars []workflow.Text) workflow.Text {
	return firstWith(scalars, func(source string) bool {
		for _, m := range secretUse.FindAllStringSubmatch(source, -1) {
			if !strings.EqualFold(m[1], "GITHUB_TOKEN") {
				return true
			}
		}
		return false
	})
}

// everySecret is where all secrets are handed on as one value.
func everySecret(scalars []workflow.Text) workflow.Text {
	return firstWith(scalars, wholeSecret.MatchString)
}

// firstWith is the first value with an expression that is of a kind; texts within expressions are left out.
func firstWith(scalars []workflow.Text, is func(source string) bool) workflow.Text {
	for _, scalar := range scalars {
		for _, e := range embeds(scalar.Value) {
			if is(strings.TrimSpace(inQuotes.ReplaceAllString(e.source, "''"))) {
				return scalar
			}
		}
	}
	return workflow.Text{}
}

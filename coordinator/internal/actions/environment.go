// Package actions is the coordinator's side of a GitHub Actions job: what the runner tells
// it, and the files by which it answers.
//
// It promises that no value can set an output it was not meant for, that a summary is never
// so long that GitHub drops it, that a self-hosted runner does nothing for a fork
// ([Environment.RefuseFork]). Start reading at [Read].
package actions

import (
	"path"
	"strconv"
	"strings"
)

// Environment is what the runner says in variables
// (https://docs.github.com/en/actions/reference/workflows-and-actions/variables). Outside of Actions
// every field is empty unless a person set the variable.
type Environment struct {
	InActions   bool   // GITHUB_ACTIONS
	Repository  string // owner/name
	ServerURL   string // https://github.com
	APIURL      string // https://api.github.com
	EventName   string // push, workflow_dispatch, ...
	EventPath   string // file with the event's payload
	Ref         string // refs/heads/main
	SHA         string // of a pull request: the merge commit that is tested
	Workflow    string // base name of the file this job is written in: deploy.yml
	Job         string // its key in that file
	RunID       int64  // 0: none
	RunNumber   int
	RunAttempt  int
	Runner      string // RUNNER_ENVIRONMENT: github-hosted or self-hosted; "" with old runners
	OutputFile  string
	SummaryFile string
}

// Read takes the environment from getenv.
func Read(getenv func(string) string) Environment {
	number := func(name string) int64 {
		n, err := strconv.ParseInt(getenv(name), 10, 64)
		if err != nil || n < 0 {
			return 0 // a variable that the runner did not set, or a person set to something else
		}
		return n
	}
	return Environment{
		InActions:   getenv("GITHUB_ACTIONS") == "true",
		Repository:  getenv("GITHUB_REPOSITORY"),
		ServerURL:   getenv("GITHUB_SERVER_URL"),
		APIURL:      getenv("GITHUB_API_URL"),
		EventName:   getenv("GITHUB_EVENT_NAME"),
		EventPath:   getenv("GITHUB_EVENT_PATH"),
		Ref:         getenv("GITHUB_REF"),
		SHA:         getenv("GITHUB_SHA"),
		Workflow:    workflowFile(getenv("GITHUB_WORKFLOW_REF")),
		Job:         getenv("GITHUB_JOB"),
		RunID:       number("GITHUB_RUN_ID"),
		RunNumber:   int(number("GITHUB_RUN_NUMBER")),
		RunAttempt:  int(number("GITHUB_RUN_ATTEMPT")),
		Runner:      getenv("RUNNER_ENVIRONMENT"),
		OutputFile:  getenv("GITHUB_OUTPUT"),
		SummaryFile: getenv("GITHUB_STEP_SUMMARY"),
	}
}

// workflowFile is the base name in "owner/name/.github/workflows/deploy.yml@refs/heads/main".
func workflowFile(ref string) string {
	file, _, _ := strings.Cut(ref, "@")
	if file == "" {
		return ""
	}
	return path.Base(file)
}

// SelfHosted reports whether the job runs on a machine of the user's own. A runner that
// does not say is taken for one.
func (e Environment) SelfHosted() bool { return e.InActions && e.Runner != "github-hosted" }

// RunURL is the page of this run, "" outside of Actions.
func (e Environment) RunURL() string {
	if e.RunID == 0 || e.Repository == "" || e.ServerURL == "" {
		return ""
	}
	return e.ServerURL + "/" + e.Repository + "/actions/runs/" + strconv.FormatInt(e.RunID, 10)
}

package git

import (
	"errors"
	"strings"
	"testing"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/process"
)

// Texts of failures that a test cannot bring about everywhere.
func TestClassify(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, stderr string
		kind         fault.Kind
		reason       string
	}{
		{"disk full", "error: unable to write file a\nfatal: write error: No space left on device", fault.Failed, "DISK_FULL"},
		{"disk full beats the fetch's epilogue", "fatal: write error: No space left on device\nfatal: fetch-pack: invalid index-pack output", fault.Failed, "DISK_FULL"},
		{"old git's ownership text", "fatal: unsafe repository ('/srv/x' is owned by someone else)", fault.Refused, "DUBIOUS_OWNERSHIP"},
		{"ssh key", "git@github.com: Permission denied (publickey).\nfatal: Could not read from remote repository.", fault.Failed, "REMOTE_AUTHENTICATION"},
		{"host key", "Host key verification failed.\nfatal: Could not read from remote repository.", fault.Failed, "REMOTE_HOST_KEY"},
		{"token", "fatal: could not read Username for 'https://github.com': terminal prompts disabled", fault.Failed, "REMOTE_AUTHENTICATION"},
		{"private", "remote: Repository not found.\nfatal: repository 'https://github.com/o/r/' not found", fault.Failed, "REMOTE_NOT_FOUND"},
		{"dns", "fatal: unable to access 'https://github.com/o/r/': Could not resolve host: github.com", fault.Failed, "REMOTE_UNREACHABLE"},
		{"ssh down", "ssh: connect to host h port 22: Connection refused\nfatal: Could not read from remote repository.", fault.Failed, "REMOTE_UNREACHABLE"},
		{"power cut", "error: object file .git/objects/ab/cd is empty\nfatal: loose object abcd (stored in .git/objects/ab/cd) is corrupt", fault.Failed, "REPOSITORY_CORRUPT"},
		{"lock that is gone again", "fatal: Unable to create '/nonexistent/.git/index.lock': File exists.", fault.Refused, "INDEX_LOCKED"},
		{"anything else", "fatal: the moon is full", fault.Failed, "GIT_FAILED"},
		{"nothing said", "", fault.Failed, "GIT_FAILED"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			child := &process.Error{Cause: process.CauseExit, ExitCode: 128, Tail: strings.Split(tt.stderr, "\n")}
			err := classify(child, "fetch", "/srv/checkout")
			if fault.KindOf(err) != tt.kind || fault.ReasonOf(err) != tt.reason {
				t.Errorf("got %v %s: %v", fault.KindOf(err), fault.ReasonOf(err), err)
			}
			if !errors.Is(err, child) {
				t.Error("the child's error is lost")
			}
		})
	}
	deadline := &process.Error{Cause: process.CauseDeadline}
	if err := classify(deadline, "fetch", "/srv/checkout"); !errors.Is(err, deadline) || fault.ReasonOf(err) != "" {
		t.Errorf("a deadline became %v", err)
	}
}

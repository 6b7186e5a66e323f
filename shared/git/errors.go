package git

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/process"
)

// staleLock is the age at which an index.lock is taken for a leftover of a killed git:
// no command of ours may run longer than a fetch, and none holds the lock that long.
const staleLock = 10 * time.Minute

// symptom tells a failure by a part of git's English error text.
type symptom struct {
	text   string
	kind   fault.Kind
	reason string
	hint   string // %s is the repository's folder
}

// symptoms are tried in order. The texts are git's own (LC_ALL=C) and OpenSSH's and
// curl's where git passes them on.
var symptoms = [...]symptom{
	{"No space left on device", fault.Failed, "DISK_FULL", "make room on the file system of %s: docker system df shows what images take"},
	{"Disk quota exceeded", fault.Failed, "DISK_FULL", "make room on the file system of %s"},
	{"detected dubious ownership", fault.Refused, "DUBIOUS_OWNERSHIP", "%s belongs to another user: run as its owner or as root, or give it back with chown -R"},
	{"is owned by someone else", fault.Refused, "DUBIOUS_OWNERSHIP", "%s belongs to another user: run as its owner or as root, or give it back with chown -R"},
	{"not a git repository", fault.Invalid, "NOT_A_REPOSITORY", "%s must be the top folder of a git clone"},
	{"untracked working tree files would be", fault.Refused, "UNTRACKED_IN_THE_WAY", "move the untracked files in %s that git names out of the way"},
	{"would lose untracked files", fault.Refused, "UNTRACKED_IN_THE_WAY", "move the untracked files in %s that git names out of the way"},
	{"would be overwritten by", fault.Refused, "DIRTY_TREE", "commit, stash or drop the local changes in %s: git status lists them"},
	{"transport '", fault.Refused, "PROTOCOL_NOT_ALLOWED", "the remote of %s must be a file, https or ssh URL: git remote set-url changes it"},
	{"couldn't find remote ref", fault.NotFound, "UNKNOWN_BRANCH", "the remote of %s has no such branch: check the branch setting, or push it first"},
	{"not our ref", fault.NotFound, "UNKNOWN_COMMIT", "the remote of %s does not have this commit: push it first"},
	{"does not allow request for unadvertised object", fault.NotFound, "UNKNOWN_COMMIT", "the remote of %s does not give out this commit: it may have been force-pushed away"},
	{"Host key verification failed", fault.Failed, "REMOTE_HOST_KEY", "add the remote's host key to known_hosts of the user that owns %s: ssh-keyscan prints it"},
	{"Permission denied (", fault.Failed, "REMOTE_AUTHENTICATION", "the remote refused the ssh key of the user that owns %s: check its deploy key"},
	{"Authentication failed", fault.Failed, "REMOTE_AUTHENTICATION", "the remote of %s refused the credentials: check the token or the deploy key"},
	{"terminal prompts disabled", fault.Failed, "REMOTE_AUTHENTICATION", "the remote of %s wants credentials: give its owner a credential helper or a deploy key"},
	{"could not read Password", fault.Failed, "REMOTE_AUTHENTICATION", "the remote of %s wants credentials: give its owner a credential helper or a deploy key"},
	{"Repository not found", fault.Failed, "REMOTE_NOT_FOUND", "check the URL of the remote of %s, and that its credentials may read it"},
	{"does not appear to be a git repository", fault.Failed, "REMOTE_NOT_FOUND", "check the remote of %s: git remote -v shows it"},
	{"No such remote", fault.Invalid, "REMOTE_NOT_FOUND", "check the remote setting: git remote -v in %s lists the names"},
	{"Could not resolve host", fault.Failed, "REMOTE_UNREACHABLE", "check the network and DNS; the fetch into %s is safe to repeat"},
	{"unable to access", fault.Failed, "REMOTE_UNREACHABLE", "check the network; the fetch into %s is safe to repeat"},
	{"Connection refused", fault.Failed, "REMOTE_UNREACHABLE", "check the network; the fetch into %s is safe to repeat"},
	{"Connection timed out", fault.Failed, "REMOTE_UNREACHABLE", "check the network; the fetch into %s is safe to repeat"},
	{"Could not read from remote repository", fault.Failed, "REMOTE_UNREACHABLE", "check the network and the credentials; the fetch into %s is safe to repeat"},
	{"is corrupt", fault.Failed, "REPOSITORY_CORRUPT", "objects of %s are damaged, after a power cut perhaps: git fsck names them, deleting those files and fetching again restores them"},
	{"object file", fault.Failed, "REPOSITORY_CORRUPT", "objects of %s are damaged, after a power cut perhaps: git fsck names them, deleting those files and fetching again restores them"},
	{"bad object", fault.NotFound, "UNKNOWN_COMMIT", "%s does not have this object: fetch it first"},
	{"Not a valid commit name", fault.NotFound, "UNKNOWN_COMMIT", "%s does not have this commit: fetch it first"},
	{"Not a valid object name", fault.NotFound, "UNKNOWN_COMMIT", "%s does not have this commit: fetch it first"},
	{"not a tree object", fault.NotFound, "UNKNOWN_COMMIT", "%s does not have this commit: fetch it first"},
	{"unable to read tree", fault.NotFound, "UNKNOWN_COMMIT", "%s does not have this commit: fetch it first"}, // git 2.47
	{"reference is not a tree", fault.NotFound, "UNKNOWN_COMMIT", "%s does not have this commit: fetch it first"},
	{"Could not parse object", fault.NotFound, "UNKNOWN_COMMIT", "%s does not have this commit: fetch it first"},
	{"invalid reference", fault.NotFound, "UNKNOWN_COMMIT", "%s does not have this commit: fetch it first"},
}

// gitError puts the line that matters in front of a child's error.
type gitError struct {
	line string
	err  *process.Error
}

func (e *gitError) Error() string {
	if e.line == "" {
		return e.err.Error()
	}
	return e.line
}

func (e *gitError) Unwrap() error { return e.err }

// classify turns a child's error into a fault with a reason of this package. Errors of
// other causes than git's own exit code pass unchanged.
func classify(err error, command, dir string) error {
	var child *process.Error
	if !errors.As(err, &child) || child.Cause != process.CauseExit {
		return err
	}
	text := strings.Join(child.Tail, "\n")
	cause := &gitError{line: telling(child.Tail), err: child}
	if path := lockIn(text); path != "" {
		return lockFault(cause, command, path)
	}
	for _, s := range symptoms {
		if strings.Contains(text, s.text) {
			return fault.Wrap(cause, s.kind, s.reason, "git %s in %s", command, dir).WithHint(s.hint, dir)
		}
	}
	return fault.Wrap(cause, fault.Failed, "GIT_FAILED", "git %s in %s", command, dir)
}

// telling finds the first line in which git says what is wrong.
func telling(tail []string) string {
	for _, line := range tail {
		if strings.HasPrefix(line, "fatal: ") || strings.HasPrefix(line, "error: ") {
			return line
		}
	}
	return ""
}

var lockMessage = regexp.MustCompile(`Unable to create '([^']+\.lock)': File exists`)

// LockPath is the lock file that a command found held, for errors with the reason INDEX_LOCKED
// or INDEX_LOCK_STALE; "" for any other. It is what git printed: whoever acts on it makes
// sure first that it lies in the repository.
func LockPath(err error) string {
	var e *gitError
	if !errors.As(err, &e) {
		return ""
	}
	return lockIn(strings.Join(e.err.Tail, "\n"))
}

func lockIn(text string) string {
	if m := lockMessage.FindStringSubmatch(text); m != nil {
		return m[1]
	}
	return ""
}

// lockFault tells a leftover lock from one that is in use by its age, the only sign there is.
func lockFault(cause error, command, path string) error {
	f := fault.Wrap(cause, fault.Refused, "INDEX_LOCKED", "git %s found %s", command, path).
		WithHint("another git works in this repository: wait for it and try again")
	info, err := os.Stat(path)
	if err != nil {
		return f // gone by now, so it was in use
	}
	if age := time.Since(info.ModTime()); age > staleLock {
		f.Reason = "INDEX_LOCK_STALE"
		return f.WithHint("it is %s old, so a git that was killed left it behind: make sure that no git runs there, then rm %s",
			age.Round(time.Minute), path)
	}
	return f
}

// unknownCommit is the fault for a revision that the repository does not have.
func unknownCommit(rev, dir string) *fault.Error {
	return fault.New(fault.NotFound, "UNKNOWN_COMMIT", "%s has no commit %s", dir, rev).
		WithHint("%s", fmt.Sprintf("check the spelling, or fetch first: git -C %s fetch", dir))
}

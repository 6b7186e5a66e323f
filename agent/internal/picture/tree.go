package picture

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
)

// Commit is a commit as a person knows it. The texts are valid UTF-8, without control
// characters and of bounded length.
type Commit struct {
	SHA     string    `json:"sha"`
	Subject string    `json:"subject,omitempty"` // first line of the message
	Author  string    `json:"author,omitempty"`  // name only
	Time    time.Time `json:"time,omitzero"`     // committer's, by the clock of whoever made it
}

// MaxUnpushed is how many commits Tree.Unpushed names at most.
const MaxUnpushed = 100

// Tree is a checkout before it is moved to a target, as far as the move could lose
// something of it. Paths are relative to Dir, slash-separated, raw bytes.
type Tree struct {
	Dir    string // absolute
	Head   string // commit that is checked out
	Branch string // branch that is checked out; "" when HEAD is detached
	// Unpushed are the commits of HEAD, and of the local branch that the host follows, that
	// are nowhere else: not on a branch of a remote, nor ever on the remote's branch as far
	// as the reflog remembers, not in the target, not in a commit that Landfall deployed.
	// Newest first, at most MaxUnpushed.
	Unpushed []Commit
	// Edited are the tracked files that differ from HEAD or from the index, without those
	// that prepare.reset names: these change at run time and are given back.
	Edited []string
	// Flagged are files with assume-unchanged or skip-worktree, usually for an edit that
	// only this host has, that the move would change.
	Flagged []string
	// Noted are flagged files that are on the disk and that the move leaves alone.
	Noted []string
	// InTheWay are the places of files and folders of the target where something lies that is
	// not tracked, ignored or not; a folder has a slash at its end. A file with the very bytes
	// of the target's is in the way, too: once tracked, a rollback would take it away.
	// A folder without any file in it is not, there is nothing to lose.
	InTheWay []string
	// InProgress is what a person began in the tree and did not end: merge, rebase, am,
	// cherry-pick, revert or bisect; "" when nothing.
	InProgress string
}

// Move says where a checkout shall go.
type Move struct {
	Target    string           // full SHA
	Operation string           // ID of the operation; names what is saved
	Prepare   pipeline.Prepare // which edits are not edits
	Known     []string         // commits that Landfall deployed; those the repository lacks are passed over
	// GoOn is for a move that must happen: a rollback, or one that was cut off half way. What is in its
	// way is saved first. Without it such a move is refused and nothing is changed.
	GoOn bool
	// Stood is what a move with GoOn brings back besides the commit; nil checks the branch out that the host follows. See [Move.Ends].
	Stood *Stand
}

// Moved is what a move with GoOn had to put out of its way.
type Moved struct {
	Saved string // ref of a commit with every edit, "refs/landfall/saved/OPERATION"; "" when there was none
	// Aside are the new names of what was not tracked and in the way, relative to the checkout.
	Aside []string
	// Unflagged are files whose assume-unchanged or skip-worktree was taken off; their content is in Saved.
	Unflagged []string
}

// shown is how many names a message has of each kind.
const shown = 5

// Refusal is nil when the tree may be moved, else one Refused error that tells everything
// that stands against it. branch is the one that the host follows, configPath that of
// landfall.yaml, for the hint. Its reason is that of the first that holds: GIT_IN_PROGRESS,
// BRANCH_CHECKED_OUT, HOST_COMMITS, DIRTY_TREE, FLAGGED_FILES, UNTRACKED_IN_THE_WAY.
func (t Tree) Refusal(branch, configPath string) error {
	var all []objection
	for _, o := range []objection{t.inProgress(), t.otherBranch(branch), t.hostCommits(branch), t.edits(configPath), t.flags(), t.inTheWay()} {
		if o.reason != "" {
			all = append(all, o)
		}
	}
	if len(all) == 0 {
		return nil
	}
	var messages, hints []string
	for _, o := range all {
		messages, hints = append(messages, o.message), append(hints, o.hint)
	}
	return fault.New(fault.Refused, all[0].reason, "%s", strings.Join(messages, "; ")).WithHint("%s", strings.Join(hints, "; "))
}

// objection is one thing that stands against a move; none has no reason.
type objection struct{ reason, message, hint string }

func (t Tree) inProgress() objection {
	if t.InProgress == "" {
		return objection{}
	}
	way := "git " + t.InProgress + " --abort"
	if t.InProgress == "bisect" {
		way = "git bisect reset"
	}
	return objection{"GIT_IN_PROGRESS", fmt.Sprintf("a git %s is under way in %s", t.InProgress, t.Dir), "end it, or give it up with " + way}
}

func (t Tree) otherBranch(branch string) objection {
	if t.Branch == "" || t.Branch == branch {
		return objection{}
	}
	return objection{
		"BRANCH_CHECKED_OUT", fmt.Sprintf("%s has branch %s checked out, this host follows %s", t.Dir, name(t.Branch), branch),
		"go back with git checkout " + branch,
	}
}

func (t Tree) hostCommits(branch string) objection {
	if len(t.Unpushed) == 0 {
		return objection{}
	}
	var names []string
	for _, c := range t.Unpushed {
		names = append(names, strings.TrimSpace(fmt.Sprintf("%.12s %s", c.SHA, c.Subject)))
	}
	count := strconv.Itoa(len(names))
	if len(names) >= MaxUnpushed {
		count += " or more"
	}
	newest := fmt.Sprintf("%.12s", t.Unpushed[0].SHA)
	return objection{
		"HOST_COMMITS", fmt.Sprintf("%s commits in %s are nowhere else, the remote's %s does not have them: %s", count, t.Dir, branch, few(names)),
		fmt.Sprintf("push them; or keep them aside with git branch keep-%s %s, then git reset --keep to a commit that the remote has", newest, newest),
	}
}

func (t Tree) edits(configPath string) objection {
	if len(t.Edited) == 0 {
		return objection{}
	}
	return objection{
		"DIRTY_TREE", fmt.Sprintf("%d tracked files in %s were edited by hand: %s", len(t.Edited), t.Dir, few(named(t.Edited))),
		"commit them elsewhere or drop them with git restore; files that change at run time belong into prepare.reset of " + configPath,
	}
}

func (t Tree) flags() objection {
	if len(t.Flagged) == 0 {
		return objection{}
	}
	return objection{
		"FLAGGED_FILES", fmt.Sprintf("%d files in %s are flagged assume-unchanged or skip-worktree, and the target changes them: %s", len(t.Flagged), t.Dir, few(named(t.Flagged))),
		"keep a copy of each, take the flags off with git update-index --no-assume-unchanged FILE and git update-index --no-skip-worktree FILE, then git restore FILE",
	}
}

func (t Tree) inTheWay() objection {
	if len(t.InTheWay) == 0 {
		return objection{}
	}
	return objection{
		"UNTRACKED_IN_THE_WAY",
		fmt.Sprintf("%d untracked files or folders in %s are where the target has its own: %s", len(t.InTheWay), t.Dir, few(named(t.InTheWay))),
		"move them out of the way, or take them out of the commit with git rm --cached",
	}
}

// few names the first of many.
func few(names []string) string {
	if len(names) > shown {
		return strings.Join(names[:shown], ", ") + ", ..."
	}
	return strings.Join(names, ", ")
}

func named(paths []string) []string {
	names := make([]string, len(paths))
	for i, p := range paths {
		names[i] = name(p)
	}
	return names
}

// name is a path in a message: in quotes when it could be taken for something else.
func name(path string) string {
	clean := strings.ToValidUTF8(path, "\uFFFD")
	if strings.ContainsFunc(clean, unprintable) || strings.Contains(clean, ", ") {
		return strconv.Quote(clean)
	}
	return clean
}

func unprintable(r rune) bool { return !unicode.IsPrint(r) }

// Text makes somebody's words fit for display: valid UTF-8, no control characters, at most
// limit characters.
func Text(s string, limit int) string {
	clean := strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unprintable(r) && r != unicode.ReplacementChar:
			return -1 // an escape sequence would steer the reader's terminal
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	clean = strings.TrimSpace(clean)
	if runes := []rune(clean); len(runes) > limit {
		return strings.TrimSpace(string(runes[:limit-1])) + "…"
	}
	return clean
}

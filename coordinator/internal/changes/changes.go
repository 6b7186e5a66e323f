// Package changes finds out what a deploy changes: the paths between the commit that runs and the target.
//
// It promises an exact answer or everything, never a guess: a base that is missing,
// unknown or unreachable sets every flag and says why. Start reading at [Detect].
package changes

import (
	"context"
	"slices"
	"strings"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/git"
	"ataraxis.dev/landfall/shared/pipeline"
)

// Set is what lies between two commits.
type Set struct {
	Base       string // full commit SHA; "" when there is none
	Head       string // full commit SHA
	Everything string // why every flag is set; "" when the paths decide
	Diff       git.Diff
	Counted    bool // Diff was taken; without it there was nothing to compare with
	Shallow    bool // the clone lacks history, so Diff.Commits may be too small

	// Moved is the commit that the checkout of the host stands at, where somebody moved it away from Base; "" where nobody did.
	Moved string
	// Beside is what differs between Moved and Head. It sets flags as Diff does, and counts nowhere.
	Beside []git.Change
}

// Detect compares base with head in a clone. base is the stamp of the host, "" before the first deploy. A
// base that the clone lacks, as in a shallow one, is fetched from remote.
func Detect(ctx context.Context, repo git.Repo, remote, base, head string) (Set, error) {
	set := Set{Base: base, Head: head}
	if base == "" {
		set.Everything = "nothing was deployed here yet"
		return set, nil
	}
	diff, err := repo.Diff(ctx, base, head)
	if fault.ReasonOf(err) == "UNKNOWN_COMMIT" {
		fetchErr := repo.FetchCommit(ctx, remote, base, nil)
		switch {
		case fault.ReasonOf(fetchErr) == "UNKNOWN_COMMIT":
			set.Everything = "the commit that runs, " + base + ", is not in the repository (force-push?)"
			return set, nil
		case fetchErr != nil:
			set.Everything = "the commit that runs, " + base + ", is not here and cannot be fetched: " + cut(fetchErr.Error())
			return set, nil //nolint:nilerr // no base is a result: everything changed
		}
		diff, err = repo.Diff(ctx, base, head)
	}
	if err != nil {
		return Set{}, err
	}
	set.Diff, set.Counted = diff, true
	set.Shallow, err = repo.IsShallow(ctx)
	return set, err
}

// Input is the set as the input of a plan: what differs between the head and any of the commits that the host stands between.
func (s Set) Input() pipeline.Input {
	return pipeline.Input{
		Base: s.Base, Target: s.Head, Everything: s.Everything, Changes: pipeline.Union(planned(s.Diff.Changes), planned(s.Beside)),
	}
}

// Empty reports whether nothing differs between the head and what the host has: a pushed revert, say.
func (s Set) Empty() bool {
	return s.Everything == "" && s.Counted && len(s.Diff.Changes) == 0 && len(s.Beside) == 0
}

// Has reports whether the path of something that differs from Base ends like one of these.
func (s Set) Has(endings ...string) bool {
	return slices.ContainsFunc(s.Diff.Changes, func(c git.Change) bool {
		return slices.ContainsFunc(endings, func(end string) bool { return strings.HasSuffix(c.Path, end) })
	})
}

// planned are changes as a plan knows them.
func planned(changes []git.Change) []pipeline.Change {
	out := make([]pipeline.Change, len(changes))
	for i, c := range changes {
		out[i] = pipeline.Change{Status: c.Status, Path: c.Path}
	}
	return out
}

// cut keeps a reason to a size that travels and is read.
func cut(text string) string {
	const most = 300
	if len(text) > most {
		return strings.ToValidUTF8(text[:most], "") + "..."
	}
	return text
}

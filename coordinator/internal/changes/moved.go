package changes

import (
	"context"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/git"
)

// AddMoved adds what differs between the head and the commit that somebody moved the checkout of the host to: files of that
// commit lie beneath the containers, so the deploy changes them, too. "" adds nothing. A commit that the clone lacks is
// fetched from remote; one that cannot be had, made on the host and never pushed say, sets every flag.
func AddMoved(ctx context.Context, repo git.Repo, remote string, set Set, moved string) (Set, error) {
	set.Moved = moved
	if moved == "" || set.Everything != "" {
		return set, nil
	}
	diff, err := repo.Diff(ctx, moved, set.Head)
	if fault.ReasonOf(err) == "UNKNOWN_COMMIT" {
		if fetchErr := repo.FetchCommit(ctx, remote, moved, nil); fetchErr != nil {
			set.Everything = "somebody moved the checkout to " + moved + ", which is not in this clone"
			if fault.ReasonOf(fetchErr) != "UNKNOWN_COMMIT" {
				set.Everything += " and cannot be fetched: " + cut(fetchErr.Error())
			}
			return set, nil //nolint:nilerr // no commit to compare with is a result: everything changed
		}
		diff, err = repo.Diff(ctx, moved, set.Head)
	}
	if err != nil {
		return Set{}, err
	}
	set.Beside = diff.Changes
	return set, nil
}

package checkout

import (
	"context"

	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/shared/git"
)

// Pack packs what fetches left behind when there is enough of it, and takes some
// milliseconds when there is not. It is for the time between operations: nothing is deployed by
// it, and on a small host it keeps disk and processor busy for a while.
func (c *Checkout) Pack(ctx context.Context) error { return c.repo.Maintain(ctx) }

// Longest texts of a commit for display, in characters.
const (
	maxSubject = 200
	maxAuthor  = 80
)

// Commit looks a commit up for display. The error is NotFound, UNKNOWN_COMMIT when the
// repository does not have it.
func (c *Checkout) Commit(ctx context.Context, sha string) (picture.Commit, error) {
	info, err := c.repo.Describe(ctx, sha)
	if err != nil {
		return picture.Commit{}, err
	}
	return shown(info), nil
}

func shown(info git.CommitInfo) picture.Commit {
	return picture.Commit{
		SHA: info.SHA, Subject: picture.Text(info.Subject, maxSubject), Author: picture.Text(info.Author, maxAuthor), Time: info.Time,
	}
}

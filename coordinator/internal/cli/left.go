package cli

import (
	"context"
	"strings"

	"ataraxis.dev/landfall/coordinator/internal/console"
)

// left says what of the clone is not in what is deployed: edits that nobody committed, commits that nobody pushed. What
// cannot be found out is not said.
func (s source) left(ctx context.Context, branch string) []string {
	var notes []string
	if entries, err := s.repo.Status(ctx); err == nil {
		const most = 3
		var paths []string
		for _, e := range entries {
			if !e.Untracked() {
				paths = append(paths, e.Path)
			}
		}
		if n := len(paths); n > 0 {
			note := "this clone has " + console.Count(n, "edited file") + " that nobody committed: " + strings.Join(paths[:min(n, most)], ", ")
			if n > most {
				note += ", ..."
			}
			notes = append(notes, note+"; only commits are deployed")
		}
	}
	head, err := s.repo.Head(ctx)
	if err != nil {
		return notes
	}
	if tracking, err := s.repo.RevParseRef(ctx, "refs/remotes/"+remote+"/"+branch); err == nil {
		if n, err := s.repo.CountCommits(ctx, tracking, head); err == nil && n > 0 {
			notes = append(notes, "this clone has "+console.Count(n, "commit")+" that "+remote+"/"+branch+" does not have, as far as is known here: push first")
		}
	}
	return notes
}

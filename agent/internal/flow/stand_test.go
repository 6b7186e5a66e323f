package flow_test

import (
	"strings"
	"testing"

	"ataraxis.dev/landfall/agent/internal/flow"
	"ataraxis.dev/landfall/agent/internal/hosttest"
	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/shared/fault"
)

// standStories are of checkouts that somebody left on a detached HEAD, or on another branch: what goes back goes back there.
func standStories() map[string]hosttest.Story {
	detach := func(h *hosttest.Host) { h.Switch("") }
	plain, code := small("app\ndatabase\n"), map[string]string{"app/main.go": "two"}
	otherBranch := upkeepStory(restartOf(), func(h *hosttest.Host) { h.Switch("mine") }, fails("Engine.Restart extra/mailer"), operation.RolledBack)
	return map[string]hosttest.Story{
		"detached, and goes back": tale{files: plain, change: code, since: detach, bad: true, end: operation.RolledBack}.story(),
		"detached, build fails": tale{
			files: plain, change: code, since: detach, end: operation.FailedUntouched,
			along: func(h *hosttest.Host, _ string) {
				h.FailAt("Runtime.Run build/app/1", fault.New(fault.Failed, "BROKEN", "it broke"))
			},
		}.story(),
		"detached for good":                   tale{files: plain, change: code, since: detach, end: operation.Succeeded}.story(),
		"another branch, and a restart fails": otherBranch,
	}
}

// TestAStandThatIsLeftIsTold, by a deploy and by a rollback by hand, which does not bring it back.
func TestAStandThatIsLeftIsTold(t *testing.T) {
	inBubble(t, func(b *bench) {
		first := b.Head()
		b.deployed(first)
		b.Switch("")
		op := b.judged(b.deploy(next(b)).ID)
		told := warningsOf(b.watch(op.ID, 0, nil), "BRANCH_NOT_CHECKED_OUT")
		if w := b.World(); op.State != operation.Succeeded || w.Branch != "main" || strings.Join(told, "|") != "HEAD is detached; main gets checked out" {
			t.Fatalf("%s on %q, told %q", op.State, w.Branch, told)
		}
		op = b.ended(b.rollback(flow.RollbackRequest{Operation: op.ID}).ID)
		told = warningsOf(b.watch(op.ID, 0, nil), "BRANCH_NOT_CHECKED_OUT")
		if w := b.World(); op.State != operation.Succeeded || w.Head != first || w.Branch != "main" || strings.Join(told, "|") != "HEAD was detached then; it is main that gets checked out now" {
			t.Errorf("%s on %q, told %q", op.State, w.Branch, told)
		}
	})
}

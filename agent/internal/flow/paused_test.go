package flow_test

import (
	"strings"
	"testing"

	"ataraxis.dev/landfall/agent/internal/hosttest"
	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/picture"
)

// freeze pauses a service by hand.
func freeze(project, service string) func(h *hosttest.Host) {
	return func(h *hosttest.Host) {
		h.ChangeContainer(project, service, func(c *picture.Container) { c.State = "paused" })
	}
}

// pausedStories are of services that somebody paused: going back pauses them again, whatever made them run.
func pausedStories() map[string]hosttest.Story {
	plain, code := small("app\ndatabase\n"), map[string]string{"app/main.go": "two"}
	other := map[string]string{"compose.yml": "app\ndatabase v2\n"}
	return map[string]hosttest.Story{
		"paused and recreated":         tale{files: plain, change: code, since: freeze("core", "app"), bad: true, end: operation.RolledBack}.story(),
		"paused and brought up":        tale{files: plain, change: other, since: freeze("core", "app"), bad: true, end: operation.RolledBack}.story(),
		"paused and left alone":        tale{files: plain, change: code, since: freeze("core", "database"), bad: true, end: operation.RolledBack}.story(),
		"paused, brought up for good":  tale{files: plain, change: other, since: freeze("core", "app"), end: operation.Succeeded}.story(),
		"paused owner of a namespace":  tale{files: small("app\nside shares:app\n"), change: code, since: freeze("core", "app"), bad: true, end: operation.RolledBack}.story(),
		"paused, and a restart fails":  upkeepStory(restartOf(), freeze("core", "app"), fails("Engine.Restart extra/mailer"), operation.RolledBack),
		"paused who lives with others": tale{files: small("app\nside shares:app\n"), change: code, since: freeze("core", "side"), bad: true, end: operation.RolledBack}.story(),
	}
}

// TestPausedIsTold beforehand: by a deploy that brings it up, and by a restart.
func TestPausedIsTold(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.deployed(b.Head())
		freeze("core", "app")(b.Host)
		op := b.judged(b.deploy(next(b)).ID)
		told := warningsOf(b.watch(op.ID, 0, nil), picture.PausedRuns)
		if c, _ := b.Container("core", "app"); op.State != operation.Succeeded || c.State != "running" || len(told) != 1 || !strings.Contains(told[0], "core/app is paused; what changes or restarts it lets it run again") {
			t.Fatalf("%s, the app is %s, told %q", op.State, c.State, told)
		}
		freeze("extra", "mailer")(b.Host)
		op, _, err := restartOf("mailer")(b.engine)
		if err != nil {
			t.Fatal(err)
		}
		op = b.ended(op.ID)
		if told = warningsOf(b.watch(op.ID, 0, nil), picture.PausedRuns); op.State != operation.Succeeded || len(told) != 1 {
			t.Errorf("%s, told %q", op.State, told)
		}
	})
}

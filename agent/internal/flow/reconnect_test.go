package flow_test

import (
	"strings"
	"testing"

	"ataraxis.dev/landfall/agent/internal/hosttest"
	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/picture"
)

// byHandStories are of containers that somebody put into a network, or took off one: going back gives what it makes their places.
func byHandStories() map[string]hosttest.Story {
	code := map[string]string{"app/main.go": "two"}
	joined := func(h *hosttest.Host) { h.Connect("core", "app", "tools", "api", "shop") }
	both := func(h *hosttest.Host) {
		joined(h)
		freeze("core", "app")(h)
	}
	return map[string]hosttest.Story{
		"in a network by hand":             tale{files: small("app\ndatabase\n"), change: code, since: joined, bad: true, end: operation.RolledBack}.story(),
		"in a network by hand, and paused": tale{files: small("app\ndatabase\n"), change: code, since: both, bad: true, end: operation.RolledBack}.story(),
		"off a network by hand": tale{
			files: small("app\ndatabase\n"), change: code, since: func(h *hosttest.Host) { h.Disconnect("core", "app", "core_default") }, bad: true, end: operation.RolledBack,
		}.story(),
		"in a network by hand, and not touched": tale{files: small("app\ndatabase\n"), change: code, since: func(h *hosttest.Host) { h.Connect("core", "database", "tools", "rows") }, bad: true, end: operation.RolledBack}.story(),
		"owner in a network by hand":            tale{files: small("app\nside shares:app\n"), change: code, since: joined, bad: true, end: operation.RolledBack}.story(),
	}
}

// TestANetworkByHandIsTold, and what goes back tells what it did.
func TestANetworkByHandIsTold(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.deployed(b.Head())
		b.Connect("core", "app", "tools", "api")
		before := b.World()
		target := next(b)
		b.Answer("web", func(int) operation.ProbeResult {
			if b.Head() == target {
				return bad("crash loop")
			}
			return good("good")
		})
		op := b.judged(b.deploy(target).ID)
		told := strings.Join(warningsOf(b.watch(op.ID, 0, nil), picture.NetworkByHand), "|")
		if !strings.Contains(told, "core/app: container core-app-1 is in a network that no compose file gives it: tools as api") || !strings.Contains(told, "docker network connect --alias api tools core-app-1") {
			t.Errorf("told %q", told)
		}
		if op.State != operation.RolledBack || b.World().Networks["core/app"] != before.Networks["core/app"] {
			t.Errorf("%s, networks %q, they were %q", op.State, b.World().Networks["core/app"], before.Networks["core/app"])
		}
		if s := step(t, op, "rollback/restore"); s.Summary != "recreated app; reconnected app" {
			t.Errorf("it did: %s", s.Summary)
		}
	})
}

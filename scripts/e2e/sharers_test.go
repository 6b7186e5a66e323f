package e2e

import (
	"strings"
	"testing"
	"time"
)

// tunnelFiles are a stack whose vpn is replaced by every edition, and another, of another project, that lives in its namespaces by the name of its
// container; both are stacks of landfall.yaml, or the first alone.
func tunnelFiles(edition, torrent string, both bool) map[string]string {
	stacks := "core: {files: [compose.yml]}"
	if both {
		stacks += ", extra: {files: [extra.yml]}"
	}
	return map[string]string{
		"compose.yml": "name: PROJECT\nservices:\n" + sleeper("vpn", `container_name: PROJECT-vpn`, `labels: {edition: "`+edition+`"}`) + sleeper("app"),
		"extra.yml":   "name: PROJECT-extra\nservices:\n" + torrent + sleeper("log", `network_mode: "service:torrent"`) + sleeper("apart"),
		"landfall.yaml": yardConfig(stacks, `vpn: {paths: ["compose.yml"], actions: [vpn]}, app: {paths: ["app/**"], actions: [app]}`,
			"vpn: [{up: {stack: core}}], app: [{recreate: {stack: core, services: [app], no_deps: true}}]"),
	}
}

func torrent() string { return sleeper("torrent", `network_mode: "container:PROJECT-vpn"`) }

// Who lives in the namespaces of another stack's container goes with it, forward and back, and nobody else of that stack does.
func TestSharersOfAnotherStack(t *testing.T) {
	t.Parallel()
	y := newYard(t, tunnelFiles("1", torrent(), true), "compose.yml", "extra.yml")
	y.startAgent()
	extra := y.project + "-extra"
	lives := func(t *testing.T, want string) {
		t.Helper()
		now := y.truth()
		for service, with := range map[string]string{"torrent": "with vpn", "log": "with torrent"} {
			if c := now.containers[extra+"/"+service][0]; c.lives != with+want {
				t.Errorf("%s lives %s, want %s", service, c.lives, with+want)
			}
		}
	}
	t.Run("the owner is replaced", func(t *testing.T) {
		defer y.in(t)()
		apart := y.truth().containers[extra+"/apart"][0]
		y.deploys(y.commit("two", tunnelFiles("2", torrent(), true)), 0, "SUCCEEDED", "with it: "+extra+"/torrent")
		lives(t, "")
		if now := y.truth().containers[extra+"/apart"][0]; now.id != apart.id || now.started != apart.started {
			t.Error("who lives with nobody was touched")
		}
	})
	t.Run("and a rollback by hand", func(t *testing.T) {
		defer y.in(t)()
		y.coordinate("deployer", "rollback", "--operation", y.newest().ID).expect(t, 0, "SUCCEEDED", "5 of 5 services run what ran before")
		lives(t, "")
		y.clean()
	})
	t.Run("the owner is replaced by a commit that fails", func(t *testing.T) {
		defer y.in(t)()
		files := tunnelFiles("3", torrent(), true)
		files["compose.yml"] = strings.Replace(files["compose.yml"], sleeper("app"), broken("app"), 1)
		y.comesBack(y.commit("three", files), "app")
		lives(t, "")
		y.clean()
	})
	t.Run("who was stopped stays so, and can be started", func(t *testing.T) {
		defer y.in(t)()
		y.docker("stop", extra+"-log-1", extra+"-torrent-1")
		y.deploys(y.commit("four", tunnelFiles("4", torrent(), true)), 0, "SUCCEEDED", "made again with it, and left stopped: "+extra+"/torrent")
		lives(t, ", stopped")
		y.docker("start", extra+"-torrent-1")
		y.docker("start", extra+"-log-1")
		lives(t, "")
	})
	t.Run("who had lost the namespace before is left alone by a deploy about another, and told", func(t *testing.T) {
		defer y.in(t)()
		y.docker("restart", "--time", "0", y.project+"-vpn")
		before := y.truth().containers[extra+"/torrent"][0]
		y.deploys(y.commit("app", map[string]string{"app/text": "two\n"}), 0, "SUCCEEDED", "was not as it should be before, and is not judged: "+extra+"/torrent: shares the network namespace of vpn as it was before")
		if now := y.truth().containers[extra+"/torrent"][0]; now.id != before.id || now.started != before.started {
			t.Error("a deploy about another has touched it")
		}
		y.deploys(y.commit("five", tunnelFiles("5", torrent(), true)), 0, "SUCCEEDED", "with it: "+extra+"/torrent")
		lives(t, "")
	})
}

// A cancel while one of another stack is recreated with its owner waits for what the engine goes on with.
func TestSharersOfAnotherStackThatStopSlowly(t *testing.T) {
	t.Parallel()
	slow := `  torrent: {image: BASE, restart: unless-stopped, stop_grace_period: 10s, command: [sh, -c, "trap '' TERM; while :; do sleep 1; done"], network_mode: "container:PROJECT-vpn"}` + "\n"
	y := newYard(t, tunnelFiles("1", slow, true), "compose.yml", "extra.yml")
	y.startAgent()
	before := y.truth()
	wait := y.runs(y.commit("two", tunnelFiles("2", slow, true)))
	y.happens("the recreate of torrent has begun", prints("apply/vpn/1", "-torrent-1  Recreate"))
	pause(time.Second)
	y.coordinate("deployer", "cancel").expect(t, 0, "ROLLED_BACK", "5 of 5 services run what ran before")
	wait()
	y.like(before, y.newest())
	y.clean()
}

// What no stack makes again stands against what would cut it off, whatever namespace it shares, and against nothing else.
func TestStrangersInNamespaces(t *testing.T) {
	t.Parallel()
	y := newYard(t, tunnelFiles("1", torrent(), false), "compose.yml", "extra.yml")
	y.startAgent()
	t.Run("a commit about another service", func(t *testing.T) {
		defer y.in(t)()
		y.deploys(y.commit("app", map[string]string{"app/text": "two\n"}), 0, "SUCCEEDED")
	})
	two := y.commit("two", tunnelFiles("2", torrent(), false))
	t.Run("another project", func(t *testing.T) {
		defer y.in(t)()
		y.refuses(two, 7, "NAMESPACE_IN_USE", y.project+"-extra-torrent-1", "/vpn may be replaced")
	})
	y.docker("rm", "--force", y.project+"-extra-torrent-1", y.project+"-extra-log-1")
	for _, kind := range []string{"network", "pid"} {
		t.Run("somebody's own, "+kind, func(t *testing.T) {
			defer y.in(t)()
			own := y.project + "-own"
			y.docker("run", "--detach", "--name", own, "--stop-timeout", "1", "--"+kind, "container:"+y.project+"-vpn", y.base(), "sleep", "100000")
			y.refuses(two, 7, "NAMESPACE_IN_USE", own)
			y.docker("rm", "--force", own)
		})
	}
	t.Run("nobody lives with it any more", func(t *testing.T) {
		defer y.in(t)()
		y.deploys(two, 0, "SUCCEEDED")
	})
	y.removeContainers()
}

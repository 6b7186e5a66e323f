package e2e

import (
	"strings"
	"testing"
	"time"
)

// everyday is a stack whose changes are brought up as a whole.
func everyday(services string, more ...string) map[string]string {
	return map[string]string{
		"compose.yml":   "name: PROJECT\nservices:\n" + services + strings.Join(more, ""),
		"landfall.yaml": yardConfig("core: {files: [compose.yml]}", `all: {paths: ["**"], actions: [all]}`, "all: [{up: {stack: core}}]"),
	}
}

// What a commit takes away, renames or moves.
func TestWhatLeaves(t *testing.T) {
	t.Parallel()
	y := newYard(t, everyday(sleeper("app")+sleeper("late")), "compose.yml")
	y.startAgent()
	t.Run("a service leaves, and a rollback brings it back", func(t *testing.T) {
		defer y.in(t)()
		before := y.truth()
		y.deploys(y.commit("late leaves", everyday(sleeper("app"))), 0, "SUCCEEDED", "/late is in no compose file any more")
		if now := y.truth(); len(now.containers[y.project+"/late"]) != 0 || now.running(y.project+"/app") != 1 {
			t.Errorf("late has left, and there is %v", now.containers)
		}
		y.coordinate("deployer", "rollback", "--operation", y.newest().ID).expect(t, 0, "SUCCEEDED", "2 of 2 services run what ran before")
		y.like(before, y.newest())
		y.clean()
	})
	t.Run("a service leaves with a commit that fails", func(t *testing.T) {
		defer y.in(t)()
		y.comesBack(y.commit("late leaves, app breaks", everyday(broken("app"))), "app")
		y.clean()
	})
	t.Run("a stack is renamed by a commit that fails", func(t *testing.T) {
		defer y.in(t)()
		files := everyday(broken("app") + sleeper("late"))
		files["landfall.yaml"] = strings.ReplaceAll(files["landfall.yaml"], "core", "kernel")
		y.comesBack(y.commit("renamed, and app breaks", files))
		y.clean()
	})
	t.Run("a stack is renamed, and its rollback", func(t *testing.T) {
		defer y.in(t)()
		before := y.truth()
		files := everyday(sleeper("app", `labels: {edition: "2"}`) + sleeper("late"))
		files["landfall.yaml"] = strings.ReplaceAll(files["landfall.yaml"], "core", "kernel")
		y.deploys(y.commit("renamed", files), 0, "SUCCEEDED")
		if now := y.truth(); now.containers[y.project+"/app"][0].edition != "2" {
			t.Errorf("SUCCEEDED, and app is %v", now.containers[y.project+"/app"])
		}
		y.coordinate("deployer", "rollback", "--operation", y.newest().ID).expect(t, 0, "SUCCEEDED")
		y.like(before, y.newest())
		y.clean()
	})
	t.Run("a compose file moves, and with it the project", func(t *testing.T) {
		defer y.in(t)()
		files := everyday(sleeper("app") + sleeper("late"))
		moved := map[string]string{
			"deploy/compose.yml": strings.Replace(files["compose.yml"], "name: PROJECT", "name: PROJECT-deploy", 1),
			"landfall.yaml":      strings.ReplaceAll(files["landfall.yaml"], "[compose.yml]", "[deploy/compose.yml]"),
		}
		y.dev.Remove("compose.yml")
		y.refuses(y.commit("moved", moved), 7, "PROJECT_RENAMED", "every container would exist twice")
	})
}

// at is a truth in which another commit is stamped and checked out.
func (before truth) at(sha string) truth {
	before.stamp, before.head = sha, sha
	return before
}

// networked is a stack on a network of its own, with a label, and another that a second stack shares.
func networked(own, shared string, services ...string) map[string]string {
	files := everyday(strings.Join(services, ""), "networks:\n  own: {labels: {x: \""+own+"\"}}\n  shared: {name: PROJECT-shared, labels: {x: \""+shared+"\"}}\n")
	files["extra.yml"] = "name: PROJECT-extra\nservices:\n" + sleeper("ext", "networks: [shared]") + "networks: {shared: {name: PROJECT-shared, external: true}}\n"
	files["landfall.yaml"] = strings.Replace(files["landfall.yaml"], "core: {files: [compose.yml]}", "core: {files: [compose.yml]}, extra: {files: [extra.yml]}", 1)
	return files
}

// A network whose definition changes takes everybody on it along, or nobody.
func TestNetworksThatChange(t *testing.T) {
	t.Parallel()
	a, b := sleeper("a", "networks: [own, shared]"), sleeper("b", "networks: [own]")
	y := newYard(t, networked("1", "1", a, b), "compose.yml", "extra.yml")
	y.startAgent()
	label := func(network string) string {
		return y.docker("network", "inspect", "--format", `{{index .Labels "x"}}`, y.project+network)[0]
	}
	t.Run("while a second stack is on it", func(t *testing.T) {
		defer y.in(t)()
		y.refuses(y.commit("shared", networked("1", "2", a, b)), 7, "NETWORK_IN_USE", "-extra/ext would be cut off")
	})
	t.Run("one up brings up everybody on it", func(t *testing.T) {
		defer y.in(t)()
		before := y.truth()
		y.deploys(y.commit("own", networked("2", "1", a, b)), 0, "SUCCEEDED")
		now := y.truth()
		if label("_own") != "2" {
			t.Errorf("SUCCEEDED, and the network has label %s", label("_own"))
		}
		for _, d := range before.at(now.head).differences(now) {
			t.Errorf("SUCCEEDED, and %s", d)
		}
	})
	t.Run("and back with a commit that fails", func(t *testing.T) {
		defer y.in(t)()
		y.comesBack(y.commit("own, and b breaks", networked("3", "1", a, strings.Replace(broken("b"), "image:", "networks: [own], image:", 1))))
		if label("_own") != "2" {
			t.Errorf("ROLLED_BACK, and the network has label %s", label("_own"))
		}
	})
}

// shared are two services of one image's name, and more.
func shared(edition, run string, services ...string) map[string]string {
	files := map[string]string{
		"compose.yml": "name: PROJECT\nservices:\n" +
			"  app: {image: PROJECT-app, build: {context: app}, restart: unless-stopped, init: true, stop_grace_period: 1s}\n" +
			"  worker: {image: PROJECT-app, restart: unless-stopped, init: true, stop_grace_period: 1s}\n" + strings.Join(services, ""),
		"landfall.yaml": yardConfig("core: {files: [compose.yml]}", `app: {paths: ["app/**"], actions: [app]}, worker: {paths: ["worker/**"], actions: [worker]}, rest: {paths: ["rest/**"], actions: [rest]}`,
			"app: [{build: {stack: core, services: [app]}}, {up: {stack: core, services: [app], no_deps: true}}], worker: [{up: {stack: core, services: [worker], no_deps: true}}], rest: [{up: {stack: core, services: [rest], no_deps: true}}]"),
		"app/Dockerfile": "FROM BASE\nLABEL revision=" + edition + "\nCMD " + run + "\n",
	}
	return files
}

// What belongs to several, was scaled, stopped or named by hand comes back as it was.
func TestWhatComesBackAsItWas(t *testing.T) {
	t.Parallel()
	const good, bad = `["sleep", "1000000"]`, `["sh", "-c", "exit 3"]`
	rest := func(more ...string) string { return sleeper("rest", more...) }
	other := "  other: {image: PROJECT-db, init: true, restart: unless-stopped, stop_grace_period: 1s, command: [sleep, \"1000000\"], build: {context: db}}\n"
	with := func(edition, run, rest string) map[string]string {
		files := shared(edition, run, rest, other)
		files["db/Dockerfile"] = "FROM BASE\nLABEL revision=1\n"
		return files
	}
	y := newYard(t, with("1", good, rest()), "compose.yml")
	y.startAgent()
	y.deploys(y.commit("app only", with("2", good, rest())), 0, "SUCCEEDED")
	t.Run("two services share the name of an image, and run different ones", func(t *testing.T) {
		defer y.in(t)()
		files := with("3", bad, rest())
		files["worker/changed"] = "1\n"
		y.comesBack(y.commit("both break", files))
		now := y.truth()
		if a, w := now.containers[y.project+"/app"][0].revision, now.containers[y.project+"/worker"][0].revision; a != "2" || w != "1" {
			t.Errorf("app runs %s, worker %s; they ran 2 and 1", a, w)
		}
		y.clean()
	})
	t.Run("a commit that scales, and fails", func(t *testing.T) {
		defer y.in(t)()
		files := with("4", bad, rest("scale: 3"))
		files["rest/changed"] = "1\n"
		y.comesBack(y.commit("rest times three", files))
		y.clean()
	})
	t.Run("what was scaled by hand", func(t *testing.T) {
		defer y.in(t)()
		y.compose("", nil, "up", "--detach", "--no-build", "--no-recreate", "--no-deps", "--scale", "rest=3", "rest")
		files := with("5", bad, rest(`labels: {edition: "5"}`))
		files["rest/changed"] = "2\n"
		op := y.comesBack(y.commit("rest is labelled", files))
		if n := y.truth().running(y.project + "/rest"); n != 3 {
			t.Errorf("%s, and %d of 3 run", op.State, n)
		}
		y.compose("", nil, "up", "--detach", "--no-build", "--no-deps", "--scale", "rest=1", "rest")
		y.clean()
	})
	t.Run("what was stopped stays so, and is not to blame", func(t *testing.T) {
		defer y.in(t)()
		y.docker("stop", "--time", "0", y.containers()["rest"])
		files := with("6", bad, rest(`labels: {edition: "6"}`))
		files["rest/changed"] = "3\n"
		y.comesBack(y.commit("rest is touched", files), "as before not as it should be")
		y.clean()
		before := y.truth()
		y.dev.Remove("rest") // as it is at the stamp: no flag claims it
		y.deploys(y.commit("app is good, rest is left alone", with("7", good, rest())), 0, "SUCCEEDED")
		if now := y.truth(); now.running(y.project+"/rest") != 0 || len(now.containers[y.project+"/rest"]) != len(before.containers[y.project+"/rest"]) {
			t.Errorf("rest was stopped, and is %v", now.containers[y.project+"/rest"])
		}
		y.docker("start", y.containers()["rest"])
		pause(time.Second)
	})
	t.Run("a name that a person moved stays where it is", func(t *testing.T) {
		defer y.in(t)()
		y.docker("tag", y.base(), y.project+"-db") // as a pull of a newer one does
		y.comesBack(y.commit("app breaks", with("8", bad, rest())))
		y.clean()
	})
}

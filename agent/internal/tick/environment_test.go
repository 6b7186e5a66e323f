package tick_test

import (
	"fmt"
	"strings"
	"testing"

	"ataraxis.dev/landfall/agent/internal/converge"
	"ataraxis.dev/landfall/agent/internal/hosttest"
	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/picture"
)

// withEnvironment has landfall.yaml put commits into what is rendered.
func (b *bench) withEnvironment(compose, flags, actions string) {
	b.t.Helper()
	config := strings.Replace(files()[hosttest.ConfigPath], "prepare:", "environment: {SHORT: \"${short_sha}\", BASE: \"${base_sha}\"}\nprepare:", 1)
	config = strings.Replace(strings.Replace(config, "flags:\n", "flags:\n"+flags, 1), "actions:\n", "actions:\n"+actions, 1)
	b.deploy(map[string]string{hosttest.ConfigPath: config, "compose.yml": compose})
}

func (b *bench) deploy(files map[string]string) string {
	b.t.Helper()
	target := b.Push(files)
	if _, err := b.Deployed(target); err != nil {
		b.t.Fatal(err)
	}
	return target
}

// A container is not held against a commit that has nothing to do with it, also where what it was made with names none.
func TestWhatACommitPutsIntoTheEnvironmentIsNoDrift(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.withEnvironment("app mount:config env:SHORT\ndatabase pulled:postgres:16 env:BASE\n", "", "")
		b.must(converge.Nothing, "IN_STEP", "")
		for n := range 5 {
			b.deploy(map[string]string{"docs/index.md": fmt.Sprint(n)})
			b.must(converge.Nothing, "IN_STEP", "")
		}
		b.deploy(map[string]string{"app/main.go": "two"}) // makes one of them anew
		b.must(converge.Nothing, "IN_STEP", "")
		b.deploy(map[string]string{"docs/index.md": "six"})
		b.must(converge.Nothing, "IN_STEP", "")
		b.ChangeContainer("core", "app", func(c *picture.Container) { c.Config = "by hand" })
		b.must(converge.Skipped, "DRIFT_SEEN", "")
		b.must(converge.Repair, "DRIFT", operation.Succeeded)
		b.deploy(map[string]string{"docs/index.md": "seven"})
		b.must(converge.Nothing, "IN_STEP", "")
	})
}

// Each of many services was deployed by a commit of its own.
func TestManyServicesOfManyCommitsAreNoDrift(t *testing.T) {
	inBubble(t, func(b *bench) {
		const many = 30
		var compose, flags, actions strings.Builder
		for n := range many {
			fmt.Fprintf(&compose, "s%d env:SHORT\n", n)
			fmt.Fprintf(&flags, "  s%d: {paths: [\"s%d/**\"], actions: [s%d]}\n", n, n, n)
			fmt.Fprintf(&actions, "  s%d:\n    - recreate: {stack: core, services: [s%d], no_deps: true}\n", n, n)
		}
		b.withEnvironment("app mount:config\ndatabase pulled:postgres:16\n"+compose.String(), flags.String(), actions.String())
		for n := range many {
			sha := b.deploy(map[string]string{fmt.Sprintf("s%d/main.go", n): "two"})
			b.ChangeContainer("core", fmt.Sprintf("s%d", n), func(c *picture.Container) { c.Commits = []string{sha} })
		}
		if made, _ := b.must(converge.Nothing, "IN_STEP", ""); len(made.Unknown) > 0 {
			b.t.Errorf("%v", made.Unknown)
		}
	})
}

// Another version of Compose hashes the same otherwise: that is no drift. What it then makes by hand is.
func TestAnUpgradeOfComposeIsNoDrift(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.UpgradeCompose("2.40.3")
		b.deploy(map[string]string{"compose.yml": "app mount:config\ndatabase pulled:postgres:16\nnewer\n", "compose.extra.yml": "mailer\nworker\nnewer\n"})
		for _, of := range [][2]string{{"core", "app"}, {"core", "database"}, {"extra", "mailer"}, {"extra", "worker"}} {
			b.ChangeContainer(of[0], of[1], nil)
		}
		b.must(converge.Skipped, "DRIFT_SEEN", "")
		b.must(converge.Repair, "DRIFT", operation.Succeeded)
		b.must(converge.Nothing, "IN_STEP", "")
		b.UpgradeCompose("5.0.0")
		before := b.ContainerIDs()
		for range 3 {
			if made, _ := b.must(converge.Nothing, "IN_STEP", ""); len(made.Unknown) == 0 {
				b.t.Error("nobody is told that it cannot be compared")
			}
		}
		if !equal(before, b.ContainerIDs()) {
			b.t.Error("made anew")
		}
		b.ChangeContainer("core", "app", func(c *picture.Container) { c.Composer, c.Config = "5.0.0", "by hand" })
		b.must(converge.Skipped, "DRIFT_SEEN", "")
		b.must(converge.Repair, "DRIFT", operation.Succeeded)
		b.ChangeContainer("core", "app", func(c *picture.Container) { c.Composer = "5.0.1" }) // hashes alike
		b.must(converge.Nothing, "IN_STEP", "")
	})
}

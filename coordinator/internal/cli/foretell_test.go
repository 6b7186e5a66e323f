package cli

import (
	"strings"
	"testing"
)

// What follows from the compose files besides the steps is told by plan in every form, and by run before it begins.
func TestPlanTellsWhatComposeFilesMean(t *testing.T) {
	repo, _, _ := clone(t)
	base := repo.Commit("two services", map[string]string{"compose.yml": "name: shop\nservices: {web: {image: a}, old: {image: a}}\n"})
	repo.Commit("one leaves", map[string]string{"compose.yml": "name: shop\nservices: {web: {image: a}}\n", "app/main.txt": "3\n"})
	t.Chdir(repo.Dir)
	const want = `no compose file of project "shop" names old any more: stopped and removed, volumes stay`
	for _, format := range []string{"text", "markdown"} {
		if o := landfall(t, "plan", "--base", base, "--format", format); o.code != 0 || !strings.Contains(strings.Join(strings.Fields(o.out), " "), want) {
			t.Errorf("plan --format %s: %d\n%s", format, o.code, o.out)
		}
	}
	o := landfall(t, "plan", "--base", base, "--format", "json")
	o.expect(t, 0)
	if notes, _ := decode(t, o.out)[0]["notes"].([]any); len(notes) != 1 || notes[0] != want {
		t.Errorf("plan --format json: %s", o.out)
	}
	a := &agent{stamp: base, ends: succeeded}
	a.serve(t)
	landfall(t, "run", "--no-gate").expect(t, 0, want)

	// A file that is no compose file, or that no commit has, keeps nobody from planning.
	broken := repo.Commit("broken", map[string]string{"compose.yml": "- a\n"})
	repo.Commit("whole", map[string]string{"compose.yml": "name: shop\nservices: {}\n"})
	if o := landfall(t, "plan", "--base", broken); o.code != 0 || strings.Contains(o.out, "any more") {
		t.Errorf("plan from a broken file: %d\n%s%s", o.code, o.out, o.err)
	}
}

func TestCheckTellsClashes(t *testing.T) {
	bare(t)
	repo, _, _ := clone(t)
	repo.Commit("clash", map[string]string{"compose.yml": "services:\n  a: {image: x, container_name: web}\n  b:\n    image: x\n    container_name: web\n"})
	t.Chdir(repo.Dir)
	o := landfall(t, "check")
	if want := `compose.yml:3:1: compose: b wants the container_name "web", which a in compose.yml has`; o.code != 2 || !strings.Contains(o.out, want) {
		t.Errorf("%d\n%s%s", o.code, o.out, o.err)
	}
}

// What the policy of the host finds in a commit that it knows is told; of one that it does not know that it will be.
func TestPlanTellsThePolicyOfTheHost(t *testing.T) {
	repo, base, _ := clone(t)
	t.Chdir(repo.Dir)
	a := &agent{stamp: base, ends: succeeded}
	a.serve(t)
	if o := landfall(t, "plan", "--format", "markdown"); !strings.Contains(o.out, "the host does not have this commit yet") {
		t.Errorf("of a commit that the host does not know: %s%s", o.out, o.err)
	}
	a.set(func() { a.policy = []string{"refused by this host: core/app is privileged"} })
	for _, format := range []string{"text", "markdown", "json"} {
		if o := landfall(t, "plan", "--format", format); o.code != 0 || !strings.Contains(o.out, a.policy[0]) {
			t.Errorf("plan --format %s: %d\n%s%s", format, o.code, o.out, o.err)
		}
	}
}

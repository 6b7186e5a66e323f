package compose

import (
	"os/exec"
	"strings"
	"testing"

	"ataraxis.dev/landfall/shared/pipeline"
)

func TestLeftoverNames(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, replaces, want string }{
		{"0123456789ab_shop-web-1", "web-1", "shop-web-1"},
		{"0123456789ab_ba9876543210_shop-web-1", "web-1", "shop-web-1"},
		{"0123456789ab_shop_web_1", "web_1", "shop_web_1"},
		{"0123456789ab_fixed", "fixed", "fixed"},
		{"0123456789ab_ba9876543210_x", "ba9876543210_x", "ba9876543210_x"},
		{"ba9876543210_x", "ba9876543210_x", ""}, // a container_name, recreated
		{"0123456789ab_shop-web-1", "", ""},      // a container_name, never recreated
		{"0123456789ab_shop-web-1", "api-1", ""},
		{"shop-web-1", "web-1", ""},
		{"0123456789a_shop-web-1", "web-1", ""},
		{"0123456789AB_shop-web-1", "web-1", ""},
		{"0123456789ab_", "web-1", ""},
		{"my_0123456789ab_fixed", "fixed", ""},
		{"other-shop-web-1", "web-1", ""},
	} {
		if got := leftover(c.name, "shop", c.replaces); got != c.want {
			t.Errorf("%s, which replaces %q, stands for %q, want %q", c.name, c.replaces, got, c.want)
		}
	}
}

// docker runs a command of the docker CLI; the test ends when it fails.
func docker(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("docker", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("docker %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// A Compose that died between creating and renaming leaves ID_NAME behind.
func TestLeftoversOfACrashedRecreateAreMended(t *testing.T) {
	t.Parallel()
	files := "services:\n  a: " + sleeper + "  b: " + sleeper
	b := newBench(t, map[string]string{"core.yml": files})
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core"}})
	b.run(pipeline.Step{Recreate: &pipeline.Recreate{Stack: "core"}}) // what a recreate makes has the label
	before := b.ids()
	name := b.project + "-a-1"
	docker(t, "rename", name, "0123456789ab_"+name)
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core"}})
	a := b.services()["a"].Containers
	if len(a) != 1 || a[0].Name != name || a[0].ID != before["a"] || b.ids()["b"] != before["b"] {
		t.Errorf("service a: %+v, before %v", a, before)
	}
	if !strings.Contains(b.said.text(), "which a crashed recreate left behind, to "+name) {
		t.Errorf("it is not told:\n%s", b.said.text())
	}
}

// A container_name that looks like a leftover's is nobody's leftover, recreated or not, and whatever else exists.
func TestContainerNamesThatLookLikeLeftoversStay(t *testing.T) {
	t.Parallel()
	b := newBench(t, map[string]string{"core.yml": ""})
	fixed := b.project + "-x"
	named := func(name string) string { return strings.Replace(sleeper, "{", "{container_name: "+name+", ", 1) }
	b.moved(map[string]string{"core.yml": "services:\n  plain: " + named(fixed) + "  odd: " + named("0123456789ab_"+fixed) + "  other: " + sleeper})
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core"}})
	for range 2 {
		b.run(pipeline.Step{Recreate: &pipeline.Recreate{Stack: "core", Services: []string{"plain", "odd"}}})
		before := b.ids()
		b.run(pipeline.Step{Recreate: &pipeline.Recreate{Stack: "core", Services: []string{"other"}}})
		after := b.ids()
		if after["odd"] != before["odd"] || after["plain"] != before["plain"] || after["odd"] == "" {
			t.Fatalf("containers %v, before %v\n%s", after, before, b.said.text())
		}
		if got := b.services()["odd"].Containers[0].Name; got != "0123456789ab_"+fixed {
			t.Errorf("it is called %s", got)
		}
	}
	if strings.Contains(b.said.text(), "left behind") {
		t.Errorf("somebody's container was taken for a leftover:\n%s", b.said.text())
	}
}

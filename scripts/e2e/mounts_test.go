package e2e

import (
	"strings"
	"testing"
)

// mountedShop is the shop with an action that only brings services up, two of which show files of the checkout.
func mountedShop() map[string]string {
	files := shopFiles()
	files["landfall.yaml"] = strings.NewReplacer(
		"    - recreate: {stack: shop, services: [side], no_deps: true}\n", "    - up: {stack: shop, services: [side, store], no_deps: true}\n",
		`side: {paths: ["side/**"], actions: [side]}`, `side: {paths: ["side/**", "store/**"], actions: [side]}`,
	).Replace(shopConfig)
	files["compose.yml"] = strings.Replace(strings.Replace(shopCompose, `["./side:/side:ro"]`, `["./side/message.txt:/side/message.txt:ro"]`, 1),
		"  store:\n", "  store:\n    volumes: [\"./store:/store:ro\"]\n", 1)
	files["store/goods.txt"] = "one\n"
	return files
}

// An action that only brings services up replaces those whose mounted files the commit changed, and a rollback brings
// the old content back to them.
func TestMountedFilesOfAPlainUp(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.push("mounts", mountedShop())
	s.tree.Git("pull", "-q", "--ff-only", "origin", "main")
	s.compose("", []string{"REVISION=" + s.tree.Head()}, "up", "--detach")
	s.stamp(s.tree.Head())
	s.startAgent()
	shows := func(service, path string) string {
		s.t.Helper()
		return strings.Join(s.docker("exec", s.containers()[service], "cat", path), "\n")
	}
	for _, c := range []struct {
		name    string
		files   map[string]string
		touched []string
	}{
		{"a mounted file", map[string]string{"side/message.txt": "two\n"}, []string{"side"}},
		{"a file beside it, which is not mounted", map[string]string{"side/notes.txt": "two\n"}, nil},
		{"a file in a mounted folder", map[string]string{"store/more/goods.txt": "two\n"}, []string{"store"}},
		{"both", map[string]string{"side/message.txt": "three\n", "store/goods.txt": "three\n"}, []string{"side", "store"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			defer s.in(t)()
			before := s.containers()
			s.deploys(s.push(c.name, c.files), 0, "SUCCEEDED")
			s.kept(before, c.touched...)
			for _, service := range c.touched {
				if s.containers()[service] == before[service] {
					t.Errorf("%s kept its container", service)
				}
			}
			if got, want := shows("side", "/side/message.txt"), strings.TrimSpace(s.tree.Read("side/message.txt")); got != want {
				t.Errorf("side shows %q, the checkout has %q", got, want)
			}
		})
	}
	t.Run("rolled back", func(t *testing.T) {
		defer s.in(t)()
		sha := s.push("bad", map[string]string{
			"side/message.txt": "bad\n", "store/goods.txt": "bad\n",
			"app/run.sh": "exec sleep 1000000\n", "landfall.yaml": strings.Replace(mountedShop()["landfall.yaml"], "deadline: 20s", "deadline: 3s", 1),
		})
		s.fails(sha, "PROBE_DEADLINE", []string{"app", "side", "store"})
		for path, service := range map[string]string{"/side/message.txt": "side", "/store/goods.txt": "store"} {
			if got := shows(service, path); got != "three" {
				t.Errorf("%s shows %q after the rollback", service, got)
			}
		}
	})
}

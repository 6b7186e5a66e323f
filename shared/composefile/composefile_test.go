package composefile

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, text string
		want       File
		problem    string
	}{
		{"services", "name: x\nservices:\n  web: {image: a}\n  db:\n    image: b\nvolumes: {}\n", File{Name: "x", Services: []Service{{Name: "web", Line: 3}, {Name: "db", Line: 4}}}, ""},
		{"alias", "x-s: &s\n  web: {}\nservices: *s\n", File{Services: []Service{{Name: "web", Line: 2}}}, ""},
		{"include", "include: [other.yml, {path: [a.yml, b.yml]}, {path: c.yml}, {env_file: x}]\nservices: {}\n", File{Includes: true, Included: []string{"other.yml", "a.yml", "b.yml", "c.yml"}}, ""},
		{"namespaces of containers", "services:\n  a: {network_mode: 'container:x', pid: 'container:x', ipc: 'container:y'}\n", File{Services: []Service{{Name: "a", Line: 2, Within: []string{"x", "x", "y"}}}}, ""},
		{"a container's name and namespaces", "services:\n  a: {container_name: x, network_mode: 'service:b', pid: host, ipc: 'service:c'}\n", File{Services: []Service{{Name: "a", Line: 2, Container: "x", Shares: []string{"b", "c"}}}}, ""},
		{
			"definitions", "x: &x {driver: bridge, internal: true}\nnetworks:\n  a:\n  b: {internal: true, driver: bridge}\n  c: *x\nvolumes: {v: {external: true}, w: {external: false}}\n",
			File{
				Networks: []Definition{{Key: "a"}, {Key: "b", Text: "driver: bridge\ninternal: true\n"}, {Key: "c", Text: "driver: bridge\ninternal: true\n"}},
				Volumes:  []Definition{{Key: "v", External: true, Text: "external: true\n"}, {Key: "w", Text: "external: false\n"}},
			},
			"",
		},
		{
			"mounts and replicas", "x: &x [/data]\nservices:\n  a: {scale: 2, volumes: *x}\n  b: {deploy: {replicas: 3}, volumes: ['rows:/rows/:ro', './c:/c', {type: tmpfs, target: /t}, '$V:/v', {type: volume, source: 1}, [x]]}\n  c: {scale: $N, volumes: x}\n",
			File{Services: []Service{
				{Name: "a", Line: 3, Mounts: []Mount{{"/data", "volume", ""}}, Replicas: 2},
				{Name: "b", Line: 4, Mounts: []Mount{{"/rows", "volume", "rows"}, {"/c", "bind", "./c"}, {"/t", "tmpfs", ""}}, Replicas: 3},
				{Name: "c", Line: 5},
			}},
			"",
		},
		{"merged", "x: &x\n  a: {}\nservices:\n  <<: *x\n  b: {}\n", File{Services: []Service{{Name: "b", Line: 5}}, Includes: true}, ""},
		{"no services", "volumes: {}\n", File{}, ""},
		{"what is no service", "services:\n  a: [x]\n", File{Services: []Service{{Name: "a", Line: 2}}}, ""},
		{"empty", "", File{}, "c.yml:1:1: the file is empty"},
		{"list", "- a\n", File{}, "c.yml:1:1: a compose file is a mapping"},
		{"services as list", "services:\n  - a\n", File{}, "c.yml:2:3: services is a mapping"},
		{"no YAML", "a: [\n", File{}, "c.yml:1:1: it is not YAML"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := Parse("c.yml", []byte(c.text))
			if c.problem != "" {
				if err == nil || !strings.HasPrefix(err.Error(), c.problem) {
					t.Errorf("got %v, want %s", err, c.problem)
				}
				return
			}
			if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
				t.Errorf("%v %s", err, diff)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add("services: {a: {}}\n")
	f.Add("a: &a [*a]\nservices: *a\n")
	f.Fuzz(func(_ *testing.T, text string) { _, _ = Parse("c.yml", []byte(text)) })
}

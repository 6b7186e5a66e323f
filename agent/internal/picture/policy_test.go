package picture

import (
	"strings"
	"testing"
)

func TestPolicy(t *testing.T) {
	t.Parallel()
	strict := Policy{
		Privileged: Refuse, HostNamespaces: Warn, DockerSocket: Refuse, CapAdd: Refuse, Devices: Warn, MountsOutside: Refuse, MountRoots: []string{"/srv/data"},
		ImagesWithoutDigest: Warn, OtherRegistries: Refuse, Registries: []string{"docker.io", "ghcr.io"}, Never: []string{"/etc/landfall/identity", "/var/lib/landfall"},
		Except: map[string][]string{"core/proxy": {"docker_socket"}},
	}
	mounts := func(sources ...string) Spec { return Spec{Builds: true, Power: Power{Sources: sources}} }
	for name, c := range map[string]struct {
		policy  Policy
		service string
		spec    Spec
		refused string
		warned  string
	}{
		"nothing special":           {strict, "app", Spec{Builds: true}, "", ""},
		"privileged":                {strict, "app", Spec{Builds: true, Power: Power{Privileged: true}}, "is privileged", ""},
		"host network":              {strict, "app", Spec{Builds: true, Power: Power{Namespaces: []string{"network"}}}, "", "namespaces: network"},
		"capability":                {strict, "app", Spec{Builds: true, Power: Power{Caps: []string{"NET_ADMIN"}}}, "NET_ADMIN", ""},
		"device":                    {strict, "app", Spec{Builds: true, Power: Power{Devices: []string{"/dev/ttyUSB0"}}}, "", "ttyUSB0"},
		"docker socket":             {strict, "app", mounts("/var/run/docker.sock"), "rules the host", ""},
		"docker socket, excepted":   {strict, "proxy", mounts("/run/docker.sock"), "", ""},
		"inside the checkout":       {strict, "app", mounts("/srv/shop/conf"), "", ""},
		"inside a root":             {strict, "app", mounts("/srv/data/pg"), "", ""},
		"beside a root":             {strict, "app", mounts("/srv/data2"), "outside the roots", ""},
		"out of the checkout again": {strict, "app", mounts("/srv/shop/../../etc"), "mounts /etc", ""},
		"the time zone":             {strict, "app", mounts("/etc/localtime"), "", ""},
		"state, by default":         {Policy{Never: strict.Never}, "app", mounts("/var/lib/landfall/side"), "Landfall's own", ""},
		"the folder of its own":     {Policy{Never: []string{"/etc/landfall/identity"}}, "app", mounts("/etc/landfall"), "Landfall's own", ""},
		"a monitor, by default":     {Policy{Never: strict.Never}, "app", mounts("/"), "", ""}, // node-exporter and its like need it
		"a monitor":                 {Policy{MountsOutside: Refuse}, "app", mounts("/"), "outside the roots", ""},
		"a folder with the socket":  {Policy{DockerSocket: Refuse}, "app", mounts("/run"), "docker's socket", ""},
		"excepted, its own state":   {Policy{Never: strict.Never, Except: map[string][]string{"core/app": {"mounts"}}}, "app", mounts("/var/lib/landfall"), "Landfall's own", ""},
		"anything, by default":      {Policy{}, "app", Spec{Configured: "x", Power: Power{Privileged: true, Sources: []string{"/etc", "/run/docker.sock"}}}, "", ""},
		"no digest":                 {strict, "app", Spec{Configured: "postgres:16"}, "", "no digest"},
		"digest":                    {strict, "app", Spec{Configured: "ghcr.io/a/b@sha256:0123"}, "", ""},
		"another registry":          {strict, "app", Spec{Configured: "evil.example:5000/a@sha256:0123"}, "evil.example:5000", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := Model{Stack: "core", Project: "p", Services: map[string]Spec{c.service: c.spec}}
			refusals, warnings := c.policy.Check([]Model{m}, []string{"/srv/shop"})
			for what, pair := range map[string]struct {
				found []Finding
				want  string
			}{"refused": {refusals, c.refused}, "warned": {warnings, c.warned}} {
				switch {
				case pair.want == "" && len(pair.found) > 0:
					t.Errorf("%s: %v", what, pair.found)
				case pair.want != "" && (len(pair.found) != 1 || !strings.Contains(pair.found[0].Message, pair.want) || !strings.Contains(pair.found[0].Message, "core/"+c.service)):
					t.Errorf("%s %v, want %q", what, pair.found, pair.want)
				}
			}
		})
	}
}

package picture

import (
	"strings"
	"testing"
)

func TestPolicy(t *testing.T) {
	t.Parallel()
	strict := Policy{
		Answers: map[string]Answer{
			RulePrivileged: Refuse, RuleNamespaces: Warn, RuleSocket: Refuse, RuleCaps: Refuse, RuleDevices: Warn, RuleMounts: Refuse,
			RuleDigest: Warn, RuleRegistries: Refuse,
		},
		MountRoots: []string{"/srv/data"}, Registries: []string{"docker.io", "ghcr.io"}, Never: []string{"/etc/landfall/identity", "/var/lib/landfall"},
		Except: map[string][]string{"core/proxy": {"docker_socket"}},
	}
	only := func(rule string, answer Answer) Policy { return Policy{Answers: map[string]Answer{rule: answer}} }
	mounts := func(sources ...string) Spec { return Spec{Builds: true, Power: Power{Sources: sources}} }
	claims := func(rule, what string) Spec { return Spec{Builds: true, Power: Power{Claims: []Claim{{rule, what}}}} }
	for name, c := range map[string]struct {
		policy  Policy
		service string
		spec    Spec
		refused string
		warned  string
	}{
		"nothing special":           {strict, "app", Spec{Builds: true}, "", ""},
		"privileged":                {strict, "app", claims(RulePrivileged, "is privileged"), "is privileged", ""},
		"host network":              {strict, "app", Spec{Builds: true, Power: Power{Namespaces: []string{"network"}}}, "", "namespaces: network"},
		"host network, by its name": {strict, "app", Spec{Builds: true, Networks: []string{"host"}}, "", "namespaces: network"},
		"capability":                {strict, "app", claims(RuleCaps, "gets NET_ADMIN"), "NET_ADMIN", ""},
		"device":                    {strict, "app", claims(RuleDevices, "gets /dev/ttyUSB0"), "", "ttyUSB0"},
		"docker socket":             {strict, "app", mounts("/var/run/docker.sock"), "rules the host", ""},
		"docker socket, excepted":   {strict, "proxy", mounts("/run/docker.sock"), "", ""},
		"inside the checkout":       {strict, "app", mounts("/srv/shop/conf"), "", ""},
		"inside a root":             {strict, "app", mounts("/srv/data/pg"), "", ""},
		"beside a root":             {strict, "app", mounts("/srv/data2"), "outside the roots", ""},
		"out of the checkout again": {strict, "app", mounts("/srv/shop/../../etc"), "mounts /etc", ""},
		"two of a rule, once":       {strict, "app", mounts("/etc", "/usr"), "mounts /etc, which is outside the roots that are named; mounts /usr", ""},
		"the time zone":             {strict, "app", mounts("/etc/localtime"), "", ""},
		"nobody knows where":        {strict, "app", mounts("${DATA}/x"), "cannot be told", ""},
		"state, by default":         {Policy{Never: strict.Never}, "app", mounts("/var/lib/landfall/side"), "Landfall's own", ""},
		"the folder of its own":     {Policy{Never: []string{"/etc/landfall/identity"}}, "app", mounts("/etc/landfall"), "Landfall's own", ""},
		"a monitor, by default":     {Policy{Never: strict.Never}, "app", mounts("/"), "", ""}, // node-exporter and its like need it
		"a monitor":                 {only(RuleMounts, Refuse), "app", mounts("/"), "outside the roots", ""},
		"a folder with the socket":  {only(RuleSocket, Refuse), "app", mounts("/run"), "docker's socket", ""},
		"excepted, its own state":   {Policy{Never: strict.Never, Except: map[string][]string{"core/app": {"mounts"}}}, "app", mounts("/var/lib/landfall"), "Landfall's own", ""},
		"anything, by default":      {Policy{}, "app", Spec{Configured: "x", Power: Power{Claims: []Claim{{RulePrivileged, "is"}}, Sources: []string{"/etc", "/run/docker.sock"}}}, "", ""},
		"no digest":                 {strict, "app", Spec{Configured: "postgres:16"}, "", "no digest"},
		"digest":                    {strict, "app", Spec{Configured: "ghcr.io/a/b@sha256:0123"}, "", ""},
		"another registry":          {strict, "app", Spec{Configured: "evil.example:5000/a@sha256:0123"}, "evil.example:5000", ""},
		"built here":                {strict, "app", Spec{Builds: true, Configured: "evil.example/a"}, "", ""},
		"built here, or pulled":     {strict, "app", Spec{Builds: true, Pulls: true, Configured: "evil.example/a@sha256:0123"}, "evil.example", ""},
		"made from another":         {strict, "app", Spec{Builds: true, Power: Power{Images: []string{"docker-image://evil.example/a@sha256:01"}}}, "evil.example", ""},
		"a context of git":          {only(RuleDigest, Refuse), "app", Spec{Builds: true, Power: Power{Images: []string{"https://github.com/a/b.git#main"}}}, "no digest", ""},
		"a context with a password": {only(RuleDigest, Refuse), "app", Spec{Builds: true, Power: Power{Images: []string{"https://ada:secret@github.com/a/b.git"}}}, "from https://github.com/a/b.git,", ""},
		"a context of a commit":     {only(RuleDigest, Refuse), "app", Spec{Builds: true, Power: Power{Images: []string{"https://github.com/a/b.git#0123456789012345678901234567890123456789:sub"}}}, "", ""},
		"a key, by default":         {Policy{}, "app", claims(RuleUnknown, "uses key x"), "", ""},
		"a key, warned":             {only(RuleCaps, Warn), "app", claims(RuleUnknown, "uses key x"), "", "uses key x"},
		"a key, as the strictest":   {strict, "app", claims(RuleUnknown, "uses key x"), "uses key x", ""},
		"a key, allowed":            {Policy{Answers: map[string]Answer{RuleCaps: Refuse, RuleUnknown: Allow}}, "app", claims(RuleUnknown, "uses key x"), "", ""},
		"reads what is outside":     {strict, "app", Spec{Builds: true, Power: Power{Reads: []string{"/root/.ssh/id"}}}, "reads /root/.ssh/id", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := Model{Stack: "core", Project: "p", Services: map[string]Spec{c.service: c.spec}}
			refusals, warnings := c.policy.Check([]Model{m}, []string{"/srv/shop"}, Picture{})
			one(t, "refused", refusals, "core/"+c.service, c.refused)
			one(t, "warned", warnings, "core/"+c.service, c.warned)
		})
	}
}

// one wants exactly one finding of a service that says something, or none.
func one(t *testing.T, what string, found []Finding, service, says string) {
	t.Helper()
	switch {
	case says == "" && len(found) > 0:
		t.Errorf("%s: %v", what, found)
	case says != "" && (len(found) != 1 || !strings.Contains(found[0].Message, says) || !strings.HasPrefix(found[0].Message, service+" ")):
		t.Errorf("%s %v, want %q", what, found, says)
	}
}

// TestPowerTravels: what a service shares with another brings it the other's power, as far as what is shared goes, and an exception stays with
// the service that has it.
func TestPowerTravels(t *testing.T) {
	t.Parallel()
	refuse := Policy{
		Answers: map[string]Answer{RulePrivileged: Refuse, RuleNamespaces: Refuse, RuleSocket: Refuse, RuleCaps: Refuse, RuleMounts: Refuse},
		Except:  map[string][]string{"core/strong": {RulePrivileged, RuleNamespaces, RuleSocket, RuleCaps, RuleMounts}},
	}
	strong := Spec{Builds: true, Power: Power{
		Namespaces: []string{"network"}, Claims: []Claim{{RuleCaps, "gets NET_ADMIN"}}, Sources: []string{"/run/docker.sock"},
	}}
	joins := func(joins ...Join) Spec { return Spec{Builds: true, Power: Power{Joins: joins}} }
	for name, c := range map[string]struct {
		joins map[string]Spec
		want  string // rules that app breaks
	}{
		"nothing":                  {map[string]Spec{"app": joins()}, ""},
		"the host's network":       {map[string]Spec{"app": joins(Join{"network", "strong"})}, "host_namespaces"},
		"its memory":               {map[string]Spec{"app": joins(Join{"ipc", "strong"})}, ""},
		"its processes":            {map[string]Spec{"app": joins(Join{"pid", "strong"})}, "host_namespaces cap_add docker_socket"},
		"its volumes":              {map[string]Spec{"app": joins(Join{"volumes", "strong"})}, "docker_socket"},
		"volumes of volumes":       {map[string]Spec{"app": joins(Join{"volumes", "b"}), "b": joins(Join{"volumes", "strong"})}, "docker_socket"},
		"processes, then network":  {map[string]Spec{"app": joins(Join{"pid", "b"}), "b": joins(Join{"network", "strong"})}, "host_namespaces"},
		"network, then processes":  {map[string]Spec{"app": joins(Join{"network", "b"}), "b": joins(Join{"pid", "strong"})}, ""},
		"in a ring":                {map[string]Spec{"app": joins(Join{"pid", "b"}), "b": joins(Join{"pid", "app"})}, ""},
		"with whom nobody knows":   {map[string]Spec{"app": joins(Join{"pid", "gone"})}, "host_namespaces"},
		"of whom nobody knows net": {map[string]Spec{"app": joins(Join{"volumes", "b"}), "b": {Builds: true, Power: Power{Claims: []Claim{{RuleMounts, "has a strange volume"}}}}}, "mounts"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.joins["strong"] = strong
			refusals, _ := refuse.Check([]Model{{Stack: "core", Services: c.joins}}, nil, Picture{})
			var rules []string
			for _, r := range refusals {
				if strings.HasPrefix(r.Message, "core/app ") {
					rule, _, _ := strings.Cut(strings.TrimPrefix(r.Hint, "policy."), " ")
					rules = append(rules, rule)
				}
			}
			if got := strings.Join(rules, " "); got != c.want {
				t.Errorf("app breaks %q, want %q: %v", got, c.want, refusals)
			}
		})
	}
}

// TestTheEngineKnowsWhatIsUnderAName: a volume or a network that is there is judged as it is, whatever the compose files say.
func TestTheEngineKnowsWhatIsUnderAName(t *testing.T) {
	t.Parallel()
	refuse := Policy{Answers: map[string]Answer{RuleNamespaces: Refuse, RuleSocket: Refuse, RuleMounts: Refuse}}
	now := Picture{
		Volumes: []Volume{
			{Name: "bound", VolumeSpec: VolumeSpec{Driver: "local", Options: map[string]string{"type": "none", "o": "bind", "device": "/etc"}}},
			{Name: "linked", VolumeSpec: VolumeSpec{Options: map[string]string{"o": "bind", "device": "/srv/shop/link"}}, Leads: []string{"/run/docker.sock"}},
			{Name: "plain", VolumeSpec: VolumeSpec{Driver: "local"}},
		},
		Networks: []Network{{ID: "0123abcd", Name: "host", NetworkSpec: NetworkSpec{Driver: "host"}}, {ID: "77", Name: "outer", NetworkSpec: NetworkSpec{Driver: "bridge"}}},
	}
	for name, c := range map[string]struct {
		spec Spec
		want string
	}{
		"a volume that binds":     {Spec{Power: Power{Volumes: []string{"bound"}}}, "mounts /etc"},
		"a volume by a link":      {Spec{Power: Power{Volumes: []string{"linked"}}}, "rules the host"},
		"a volume":                {Spec{Power: Power{Volumes: []string{"plain"}}}, ""},
		"a volume that is not":    {Spec{Power: Power{Volumes: []string{"new"}}}, ""},
		"the host's network, ID":  {Spec{Networks: []string{"0123abcd"}}, "namespaces: network"},
		"the host's network, cut": {Spec{Networks: []string{"0123"}}, "namespaces: network"},
		"another network":         {Spec{Networks: []string{"outer"}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			refusals, _ := refuse.Check([]Model{{Stack: "core", Services: map[string]Spec{"app": c.spec}}}, []string{"/srv/shop"}, now)
			one(t, "refused", refusals, "core/app", c.want)
		})
	}
}

func TestBackingOfVolumes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		driver string
		opts   map[string]string
		paths  string
		claims string
	}{
		"plain":            {"", nil, "", ""},
		"of the engine":    {"local", nil, "", ""},
		"bind":             {"local", map[string]string{"type": "none", "o": "bind", "device": "/etc"}, "/etc", ""},
		"bind, no type":    {"", map[string]string{"o": "ro,rbind", "device": "/etc/../usr"}, "/usr", ""},
		"bind by its type": {"", map[string]string{"type": "bind", "device": "/etc"}, "/etc", ""},
		"relative":         {"", map[string]string{"o": "bind", "device": "../etc"}, "/etc", ""},
		"in memory":        {"", map[string]string{"type": "tmpfs", "o": "size=1m,uid=1000", "device": "tmpfs"}, "", ""},
		"of a machine":     {"", map[string]string{"type": "nfs", "o": "addr=10.0.0.1,rw", "device": ":/export"}, "", "mounts"},
		"a disk":           {"", map[string]string{"type": "ext4", "device": "/dev/sda1"}, "", "mounts devices"},
		"layers":           {"", map[string]string{"type": "overlay", "device": "overlay", "o": "lowerdir=/etc:/usr,upperdir=/tmp/u"}, "/etc /tmp/u /usr", "mounts"},
		"processes":        {"", map[string]string{"type": "proc", "device": "proc"}, "", "mounts"},
		"a plugin":         {"rclone", map[string]string{"mountpoint": "/etc"}, "/etc", "mounts"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			paths, claims := VolumeSpec{Driver: c.driver, Options: c.opts}.Backing()
			var rules []string
			for _, claim := range claims {
				rules = append(rules, claim.Rule)
			}
			if strings.Join(paths, " ") != c.paths || strings.Join(rules, " ") != c.claims {
				t.Errorf("%q %q, want %q %q: %v", paths, rules, c.paths, c.claims, claims)
			}
		})
	}
}

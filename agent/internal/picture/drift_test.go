package picture

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// driftWorld is a stack of one service with one container that is as the checkout says.
func driftWorld() Expected {
	k := Key{"shop", "web"}
	return Expected{
		Models: []Model{{Stack: "core", Project: "shop", Services: map[string]Spec{"web": {Image: "shop-web", Replicas: 1, Places: []string{"caddy"}}}}},
		Now: Picture{
			Projects:   []string{"shop"},
			Containers: []Container{{Project: "shop", Service: "web", ID: "c1", ImageID: "i1", ImageRef: "shop-web", Config: "h1", State: "running"}},
			Refs:       map[string]string{"shop-web": "i1"}, Contents: map[string]string{"i1": "d1", "i2": "d2", "i3": "d1"},
		},
		Configs: map[Key][]string{k: {"h1"}}, Changed: map[string]Paths{},
	}
}

func TestDrift(t *testing.T) {
	t.Parallel()
	c := func(e *Expected) *Container { return &e.Now.Containers[0] }
	for name, row := range map[string]struct {
		change  func(e *Expected)
		want    string // kind and verb of each
		unknown string
	}{
		"as it should be":           {nil, "", ""},
		"missing":                   {func(e *Expected) { e.Now.Containers = nil }, "missing start", ""},
		"one of two missing":        {func(e *Expected) { s := e.Models[0].Services["web"]; s.Replicas = 2; e.Models[0].Services["web"] = s }, "missing start", ""},
		"exited":                    {func(e *Expected) { c(e).State, c(e).ExitCode = "exited", 1 }, "exited start", ""},
		"created and never started": {func(e *Expected) { c(e).State = "created" }, "exited start", ""},
		"dead":                      {func(e *Expected) { c(e).State = "dead" }, "exited recreate", ""},
		"a job that ended": {func(e *Expected) {
			s := e.Models[0].Services["web"]
			s.OneShot = true
			e.Models[0].Services["web"] = s
			c(e).State = "exited"
		}, "", ""},
		"a job that failed": {func(e *Expected) {
			s := e.Models[0].Services["web"]
			s.OneShot = true
			e.Models[0].Services["web"] = s
			c(e).State, c(e).ExitCode = "exited", 2
		}, "exited start", ""},
		"starting":                       {func(e *Expected) { c(e).Health = "starting" }, "", ""},
		"unhealthy":                      {func(e *Expected) { c(e).Health = "unhealthy" }, "unhealthy restart", ""},
		"restarted a moment ago":         {func(e *Expected) { c(e).State, c(e).Restarts = "restarting", 1 }, "", ""},
		"a crash loop":                   {func(e *Expected) { c(e).State, c(e).Restarts = "restarting", 5 }, "unhealthy restart", ""},
		"paused":                         {func(e *Expected) { c(e).State = "paused" }, "", "core/web: is paused by hand"},
		"without its namespace":          {func(e *Expected) { c(e).Shares = []Share{{"network", "gone"}} }, "unhealthy recreate", ""},
		"a carrier in its place":         {func(e *Expected) { c(e).State, c(e).Carrier = "created", true }, "exited recreate", ""},
		"another configuration":          {func(e *Expected) { c(e).Config = "h2" }, "config recreate", ""},
		"made with an earlier commit":    {func(e *Expected) { c(e).Config = "h2"; e.Configs[Key{"shop", "web"}] = []string{"h1", "h2"} }, "", ""},
		"nobody knows the configuration": {func(e *Expected) { delete(e.Configs, Key{"shop", "web"}) }, "", "core/web: its configuration cannot be compared"},
		"not made by Compose":            {func(e *Expected) { c(e).Config = "" }, "", "core/web: its configuration cannot be compared"},
		"files that it shows":            {func(e *Expected) { e.Changed["c1"] = Paths{"caddy/Caddyfile"} }, "files recreate", ""},
		"files that it does not show":    {func(e *Expected) { e.Changed["c1"] = Paths{"docs/a.md"} }, "", ""},
		"an image that moved on":         {func(e *Expected) { e.Now.Refs["shop-web"] = "i2" }, "image recreate", ""},
		"another ID, the same content":   {func(e *Expected) { e.Now.Refs["shop-web"] = "i3" }, "", ""},
		"an image nobody can tell of":    {func(e *Expected) { e.Now.Refs["shop-web"] = "i9" }, "", "core/web: its image cannot be compared"},
		"an image that is not here":      {func(e *Expected) { delete(e.Now.Refs, "shop-web") }, "", ""},
		"a pinned image": {func(e *Expected) {
			s := e.Models[0].Services["web"]
			s.Image = "shop-web@sha256:ab"
			e.Models[0].Services["web"] = s
			e.Now.Refs[s.Image] = "i2"
		}, "", ""},
		"an orphan": {func(e *Expected) {
			e.Now.Containers = append(e.Now.Containers, Container{Project: "shop", Service: "old", ID: "c2", State: "exited", ExitCode: 1})
		}, "orphan ", ""},
		"scaled to none": {func(e *Expected) {
			s := e.Models[0].Services["web"]
			s.Replicas = 0
			e.Models[0].Services["web"] = s
			e.Now.Containers = nil
		}, "", ""},
		"two at once": {func(e *Expected) { c(e).State, c(e).ExitCode, c(e).Config = "exited", 1, "h2" }, "exited start, config recreate", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := driftWorld()
			if row.change != nil {
				row.change(&e)
			}
			drift, unknown := e.Drift()
			var got []string
			for _, d := range drift {
				got = append(got, fmt.Sprintf("%s %s", d.Kind, d.Verb))
				if d.Why == "" {
					t.Errorf("%s does not say why", d.Kind)
				}
			}
			if strings.Join(got, ", ") != row.want || strings.Join(unknown, ", ") != row.unknown {
				t.Errorf("%q, unknown %q; want %q, %q", strings.Join(got, ", "), unknown, row.want, row.unknown)
			}
		})
	}
}

// Of several differences of a service the strongest deed counts; each stack has its steps, one after the other.
func TestMendingSteps(t *testing.T) {
	t.Parallel()
	models := []Model{
		{Stack: "core", Project: "shop", Services: map[string]Spec{"web": {}, "db": {}, "proxy": {}}},
		{Stack: "home", Project: "home", Services: map[string]Spec{"bus": {}}},
	}
	drift := []Drift{
		{Key: Key{"shop", "web"}, Kind: DriftExited, Verb: Start},
		{Key: Key{"shop", "web"}, Kind: DriftConfig, Verb: Recreate},
		{Key: Key{"shop", "db"}, Kind: DriftMissing, Verb: Start},
		{Key: Key{"shop", "proxy"}, Kind: DriftUnhealthy, Verb: Restart},
		{Key: Key{"home", "bus"}, Kind: DriftImage, Verb: Recreate},
		{Key: Key{"home", "left"}, Kind: DriftOrphan},
	}
	steps, err := MendingSteps(models, Deeds(drift))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range steps {
		got = append(got, s.ID+" after "+strings.Join(s.After, ",")+": "+s.Title())
	}
	want := []string{
		"apply/mend/1 after : core: up db", "apply/mend/2 after apply/mend/1: core: recreate web", "apply/mend/3 after apply/mend/2: core: restart proxy",
		"apply/mend/4 after : home: recreate bus",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	for _, s := range steps {
		if (s.Up != nil && (!s.Up.NoDeps || !s.Up.NoRecreate)) || (s.Recreate != nil && !s.Recreate.NoDeps) {
			t.Errorf("%s touches what it does not name", s.ID)
		}
	}
	if _, err := MendingSteps(models, []Deed{{Key: Key{"shop", "gone"}, Verb: Start}}); err == nil {
		t.Error("a service that no compose file names is brought up")
	}
	if len(Deeds(nil)) > 0 {
		t.Error("no difference is a deed")
	}
}

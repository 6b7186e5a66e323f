package picture

import (
	"testing"

	"ataraxis.dev/landfall/shared/pipeline"
)

// there adds networks that the engine has.
func there(networks ...string) func(before, now *Picture) {
	return func(_, now *Picture) {
		for _, n := range networks {
			now.Networks = append(now.Networks, Network{Name: n})
		}
	}
}

// TestMoves: what a container is taken off, and what it is connected to. A network that is gone is for Wrong to tell.
func TestMoves(t *testing.T) {
	a := func(network string, aliases ...string) Attachment { return Attachment{network, aliases} }
	for name, c := range map[string]struct {
		was, is []Attachment
		there   []string
		off     []string
		on      []Attachment
	}{
		"the same":         {[]Attachment{a("x", "1")}, []Attachment{a("x", "1")}, []string{"x"}, nil, nil},
		"one more":         {[]Attachment{a("x", "1"), a("y", "2")}, []Attachment{a("x", "1")}, []string{"x", "y"}, nil, []Attachment{a("y", "2")}},
		"one less":         {[]Attachment{a("x", "1")}, []Attachment{a("x", "1"), a("y", "2")}, []string{"x", "y"}, []string{"y"}, nil},
		"other names":      {[]Attachment{a("x", "1", "2")}, []Attachment{a("x", "1")}, []string{"x"}, []string{"x"}, []Attachment{a("x", "1", "2")}},
		"one that is gone": {[]Attachment{a("x", "1"), a("y", "2")}, []Attachment{a("x", "1")}, []string{"x"}, nil, nil},
		"another":          {[]Attachment{a("y", "2")}, []Attachment{a("x", "1")}, []string{"x", "y"}, []string{"x"}, []Attachment{a("y", "2")}},
	} {
		var now Picture
		there(c.there...)(nil, &now)
		off, on := couple{Container{Networks: c.was}, Container{Networks: c.is}}.moves(now)
		equal(t, name+": off", off, c.off)
		equal(t, name+": on", on, c.on)
	}
}

// TestReconnectsWhatIsThere: a network that is gone keeps the verdict from being good.
func TestReconnectsWhatIsThere(t *testing.T) {
	was := host(box("app", "a1", on("shop_default", "tools")))
	r := Restore{Before: was, Began: host(box("app", "a2", image("2"))), Models: core("app")}
	now := host(box("app", "a3", after(9)))
	if deeds := r.Deeds(now); len(deeds) > 0 {
		t.Errorf("deeds %v", deeds)
	}
	says(t, "wrong", r.Wrong(now), []string{"is in other networks: shop_default as app; they were shop_default as app; tools as app"})
}

// TestNetworkByHandIsTold where a container may be replaced.
func TestNetworkByHandIsTold(t *testing.T) {
	models := []Model{stack("core of shop", "app", "db", "alone", "side in:app")}
	alone := models[0].Services["alone"]
	alone.Networks = nil // network_mode: host
	models[0].Services["alone"] = alone
	now := host(box("app", "a1", on("shop_default", "tools")), box("db", "d1", on("shop_default", "tools")), box("alone", "h1", on("host")), box("side", "s1", in("a1")))
	target := []Model{stack("core of shop", "app", "db on:shop_default,tools", "alone", "side in:app")}
	target[0].Services["alone"] = alone
	up := pipeline.Step{Up: &pipeline.Up{Stack: "core"}}
	byHand := "shop/app: container shop-app-a1 is in a network that no compose file gives it: tools as app; one that takes its place is not"
	for name, c := range map[string]struct {
		proof Proof
		want  []string
	}{
		"up":                        {Proof{Now: now, Present: models, Target: models, Steps: []pipeline.Step{up}}, []string{byHand + ", until what fails goes back", "shop/db: container"}},
		"the target names it":       {Proof{Now: now, Present: models, Target: target, Steps: []pipeline.Step{up}}, []string{byHand}},
		"the present names it":      {Proof{Now: now, Present: target, Target: models, Steps: []pipeline.Step{up}}, []string{byHand}},
		"restart":                   {Proof{Now: now, Present: models, Target: models, Steps: []pipeline.Step{{Restart: &pipeline.Restart{Stack: "core"}}}}, nil},
		"another service":           {Proof{Now: now, Present: models, Target: models, Steps: []pipeline.Step{{Recreate: &pipeline.Recreate{Stack: "core", Services: []string{"side"}, NoDeps: true}}}}, nil},
		"nothing but a name known":  {Proof{Now: now, Present: []Model{{Project: "shop", Services: map[string]Spec{"app": {}, "db": {}}}}, Target: models, Steps: []pipeline.Step{up}}, nil},
		"going back by hand to app": {Proof{Now: now, Present: models, Target: models, Back: keys("app")}, []string{byHand}},
	} {
		var got []string
		for _, f := range c.proof.Find().Warnings {
			if f.Reason == NetworkByHand {
				got = append(got, f.Message)
			}
		}
		says(t, name, got, c.want)
	}
	hint := connecting([]Attachment{{"tools", []string{"x", "y"}}}, "shop-app-1")
	if want := "docker network connect --alias x --alias y tools shop-app-1"; hint != want {
		t.Errorf("hint %q", hint)
	}
}

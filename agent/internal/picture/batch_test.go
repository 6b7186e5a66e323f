package picture

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// deed is "VERB SERVICE" or "VERB SERVICE IMAGE"; what replaces without an image is made from one that was built again.
func deed(line string) Deed {
	fields := strings.Fields(line)
	d := Deed{Verb: Verb(fields[0]), Key: key(fields[1]), Scale: 1}
	if len(fields) > 2 && fields[2] == "together" {
		d.Together = true
	} else if len(fields) > 2 {
		d.Image = fields[2]
	}
	return d
}

// told is a batch in one line: "recreate core: app db (shop-app=1)".
func told(b Batch) string {
	var names []string
	for _, d := range b.Deeds {
		names = append(names, strings.TrimPrefix(d.Key.String(), "shop/"))
	}
	text := string(b.Verb)
	if b.Stack != "" {
		text += " " + b.Stack
	}
	text += ": " + strings.Join(names, " ")
	for _, name := range slices.Sorted(maps.Keys(b.Refs)) {
		text += fmt.Sprintf(" %s=%s", name, b.Refs[name])
	}
	return text
}

func TestBatches(t *testing.T) {
	t.Parallel()
	two := []Model{stack("core of shop", "app image:one", "worker image:one", "db"), stack("ops", "vpn")}
	shared := core("app", "side in:app", "log in:side", "db", "worker image:shop-app")
	for name, c := range map[string]struct {
		models []Model
		before []Container
		deeds  []string
		want   []string
	}{
		"none":             {models: two},
		"one call a stack": {two, nil, []string{"recreate app 1", "recreate db 2", "recreate ops/vpn 3"}, []string{"recreate core: app db one=1 shop-db=2", "recreate ops: ops/vpn ops-vpn=3"}},
		"verbs in order": {
			core("a", "b", "c", "d", "e", "f"), nil,
			[]string{"start a", "restart b", "create c 1", "recreate d 1", "stop e", "remove f"},
			[]string{"remove: f", "stop: e", "recreate core: d shop-d=1", "create core: c shop-c=1", "restart: b", "start: a"},
		},
		"one verb for services of several stacks": {two, nil, []string{"start app", "start ops/vpn"}, []string{"start: app ops/vpn"}},
		"shared image name, same image":           {two, nil, []string{"recreate app 1", "recreate worker 1"}, []string{"recreate core: app worker one=1"}},
		"shared image name, different images one after the other": {
			two, nil, []string{"recreate app 1", "recreate db 9", "recreate worker 2"}, []string{"recreate core: app db one=1 shop-db=9", "recreate core: worker one=2"},
		},
		"an image that was built again comes before its name is given away": {
			two, nil, []string{"recreate app 1", "recreate worker"}, []string{"recreate core: worker", "recreate core: app one=1"},
		},
		"two that were built again": {two, nil, []string{"recreate app", "recreate worker"}, []string{"recreate core: app worker"}},
		"a digest is not renamed":   {core("app image:x@sha256:1"), nil, []string{"recreate app sha256:1"}, []string{"recreate core: app"}},
		"owners before sharers":     {shared, nil, []string{"recreate log 3", "recreate side 2", "recreate app 1"}, []string{"recreate core: app side log shop-app=1 shop-log=3 shop-side=2"}},
		"owner is started, then sharer is replaced": {
			shared, nil, []string{"recreate db 4", "recreate side 2", "start app"}, []string{"recreate core: db shop-db=4", "start: app", "recreate core: side shop-side=2"},
		},
		"owner is started, then sharer is restarted": {shared, nil, []string{"restart side", "start app"}, []string{"start: app", "restart: side"}},
		"owner is restarted, then sharer is started": {shared, nil, []string{"restart app", "start side"}, []string{"restart: app", "start: side"}},
		"owner of another verb later than a batch that would do": {
			shared, nil, []string{"restart app", "restart side", "restart db"}, []string{"restart: app db side"},
		},
		"sharer whose image name is given away before its owner comes": {
			core("app image:one", "side in:app image:two", "x image:two"), nil,
			[]string{"recreate x 1", "recreate app 5", "recreate side 2"},
			[]string{"recreate core: x app one=5 two=1", "recreate core: side two=2"},
		},
		"sharer by a container of another stack": {
			[]Model{stack("core of shop", "a"), stack("ops", "vpn")},
			boxes(box("a", "a1", in("v1")), box("ops/vpn", "v1")),
			[]string{"recreate a 1", "recreate ops/vpn 2"},
			[]string{"recreate ops: ops/vpn ops-vpn=2", "recreate core: a shop-a=1"},
		},
		"sharers of each other do not hang": {core("a in:b", "b in:a"), nil, []string{"restart a", "restart b"}, []string{"restart: a b"}},
	} {
		var deeds []Deed
		for _, line := range c.deeds {
			deeds = append(deeds, deed(line))
		}
		r := Restore{Models: c.models, Before: host(c.before...)}
		var got []string
		for _, b := range r.Batches(deeds) {
			got = append(got, told(b))
		}
		equal(t, name, got, c.want)
	}
}

func TestServicesOfABatch(t *testing.T) {
	t.Parallel()
	b := Batch{Deeds: []Deed{deed("start b"), deed("start a"), deed("start b")}}
	equal(t, "each once, in order", b.Services(), []string{"b", "a"})
}

// TestApart: what fails together is tried one after the other, but for what goes together only.
func TestApart(t *testing.T) {
	t.Parallel()
	r := Restore{Models: []Model{stack("core of shop", "a", "b", "c", "side in:c"), stack("ops", "x")}}
	var got []string
	for _, group := range r.Apart([]Deed{deed("recreate a together"), deed("recreate side 1"), deed("recreate b together"), deed("recreate c 1"), deed("recreate ops/x together"), deed("remove a")}) {
		got = append(got, told(Batch{Deeds: group}))
	}
	equal(t, "groups", got, []string{": a", ": a b", ": ops/x", ": c", ": side"})
}

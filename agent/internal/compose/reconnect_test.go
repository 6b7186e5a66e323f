package compose

import (
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/shared/pipeline"
)

// networksOf asks the engine for the networks of a container, with its names there, apart from those made of its ID.
func (b *bench) networksOf(id string) map[string][]string {
	b.t.Helper()
	var all map[string]struct{ Aliases []string }
	if err := json.Unmarshal([]byte(b.engineSays("inspect", "--format", "{{json .NetworkSettings.Networks}}", id)), &all); err != nil {
		b.t.Fatal(err)
	}
	found := map[string][]string{}
	for name, n := range all {
		found[name] = slices.DeleteFunc(n.Aliases, func(a string) bool { return strings.HasPrefix(id, a) })
		slices.Sort(found[name])
		found[name] = slices.Compact(found[name])
	}
	return found
}

// What somebody connected by hand is connected again, under the same names, and what somebody took off a network is off it again: of two replicas
// only that which was.
func TestNetworksByHandAndBack(t *testing.T) {
	t.Parallel()
	files := func(edition string) map[string]string {
		label := strings.Replace(sleeper, "{", "{labels: {edition: "+edition+"}, ", 1)
		return map[string]string{"core.yml": "services:\n  app: " + label + "  off: " + label + "  twice: " + strings.Replace(label, "{", "{scale: 2, ", 1)}
	}
	var tools string
	t.Cleanup(func() { // when the bench has taken its containers away
		if out, err := exec.Command("docker", "network", "rm", tools).CombinedOutput(); err != nil {
			t.Errorf("docker network rm: %v\n%s", err, out)
		}
	})
	b := newBench(t, files("one"))
	tools = b.project + "_tools"
	b.engineSays("network", "create", tools)
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core"}})
	past := b.ids()
	b.engineSays("network", "connect", "--alias", "api", "--alias", "shop", tools, past["app"])
	b.engineSays("network", "connect", "--alias", "second", tools, b.project+"-twice-2")
	b.engineSays("network", "disconnect", b.project+"_default", past["off"])
	before := b.look()
	was := map[string]map[string][]string{}
	for _, name := range []string{"app-1", "off-1", "twice-1", "twice-2"} {
		was[name] = b.networksOf(b.engineSays("inspect", "--format", "{{.Id}}", b.project+"-"+name))
	}

	b.moved(files("two"))
	b.run(pipeline.Step{Up: &pipeline.Up{Stack: "core"}})
	if now := b.networksOf(b.ids()["app"]); now[tools] != nil || b.ids()["app"] == past["app"] {
		t.Fatalf("the deploy has kept %v", now)
	}

	b.moved(files("one"))
	r := b.way(before, "*")
	var done []string
	for range 2 { // as package flow does: what deeds bring about is a reason for others
		some, err := b.restored(r)
		if done = append(done, some...); err == nil {
			break
		}
	}
	if want := []string{"recreate app", "recreate off", "recreate twice", "reconnect app", "reconnect off", "reconnect twice"}; !slices.Equal(done, want) {
		t.Errorf("done: %q, want %q\n%s", done, want, b.said.text())
	}
	same := func() {
		t.Helper()
		for name, want := range was {
			got := b.networksOf(b.engineSays("inspect", "--format", "{{.Id}}", b.project+"-"+name))
			if g, w := asText(got), asText(want); g != w {
				t.Errorf("%s is in %s, it was in %s", name, g, w)
			}
		}
		if wrong := r.Wrong(b.look()); len(wrong) > 0 {
			t.Errorf("wrong: %q", wrong)
		}
	}
	same()

	// Once more, as after a crash: nothing is to be done, and doing it all the same changes nothing.
	id := b.ids()["app"]
	again := picture.Deed{
		Key: picture.Key{Project: b.project, Service: "app"}, Verb: picture.Reconnect, Containers: []string{id, strings.Repeat("f", 64)},
		Off: []string{"nowhere"}, On: []picture.Attachment{{Network: tools, Aliases: []string{"api", "shop"}}},
	}
	if err := b.Carry(t.Context(), b.plan, picture.Batch{Verb: picture.Reconnect, Deeds: []picture.Deed{again}}, b.said.output); err != nil {
		t.Error(err)
	}
	same()
	// Other names on a network that it is in: it keeps that of its number.
	again.Off, again.On = []string{b.project + "_default"}, []picture.Attachment{{Network: b.project + "_default", Aliases: []string{"app", "front"}}}
	if err := b.Carry(t.Context(), b.plan, picture.Batch{Verb: picture.Reconnect, Deeds: []picture.Deed{again}}, b.said.output); err != nil {
		t.Error(err)
	}
	if got, want := b.networksOf(id)[b.project+"_default"], []string{"app", "front", b.project + "-app-1"}; !slices.Equal(got, slices.Sorted(slices.Values(want))) {
		t.Errorf("it is %v, want %v", got, want)
	}
}

func asText(v any) string {
	raw, _ := json.Marshal(v) // maps of strings always go
	return string(raw)
}

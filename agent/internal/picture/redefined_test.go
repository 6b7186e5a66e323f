package picture

import "testing"

// labelled gives the engine's network shop_back a label; the compose files of the tests give it none.
func labelled(p *Picture, label string) {
	n := Network{Name: "shop_back"}
	if label != "" {
		n.Labels = map[string]string{"x": label}
	}
	p.Networks = []Network{n}
}

// changed says that the network was made anew by the commit left.
func changed(before, now *Picture) {
	labelled(before, "")
	labelled(now, "new")
}

func TestNetworksThatAreDefinedOtherwise(t *testing.T) {
	t.Parallel()
	models := core("app on:shop_back", "db on:shop_back", "web")
	were := boxes(box("app", "a1", on("shop_back")), box("db", "d1", on("shop_back")), box("web", "w1"))
	const anew = "network shop_back is defined otherwise than it was: label x goes"
	for name, w := range map[string]way{
		"as it was": {models: models, before: were, now: were, other: func(before, now *Picture) { labelled(before, ""); labelled(now, "") }},
		"everything on it is replaced": {
			models: models, before: were, now: were, other: changed, deeds: []string{"recreate app x1", "recreate db x1"}, wrong: []string{anew},
		},
		"with what is replaced anyhow": {
			models: models, before: were, now: boxes(box("app", "a2", image("2"), on("shop_back")), were[1], were[2]), other: changed,
			deeds: []string{"recreate app x1", "recreate db x1"}, wrong: []string{anew, "shop/app runs image"},
		},
		"nothing recorded it: the compose files decide": {
			models: models, before: were, now: were, other: func(_, now *Picture) { labelled(now, "new") },
			deeds: []string{"recreate app x1", "recreate db x1"}, wrong: []string{anew},
		},
		"it was other than its compose files before": {
			models: models, before: were, now: were, other: func(before, now *Picture) { labelled(before, "old"); labelled(now, "old") },
		},
		"nobody looked":             {models: models, before: were, now: were, other: func(before, _ *Picture) { labelled(before, "") }},
		"nothing that ran is on it": {models: core("app", "new on:shop_back"), before: boxes(box("app", "a1")), now: boxes(box("app", "a1")), other: changed},
		"external": {
			models: func() []Model {
				m := core("app on:shop_back")
				m[0].Networks["shop_back"] = NetworkSpec{External: true}
				return m
			}(),
			before: were[:1], now: were[:1], other: changed,
		},
		"a person's container is on it": {
			models: models, before: were, now: were, wrong: []string{anew + "; it cannot be made anew while these are on it: by-hand"},
			other: func(before, now *Picture) {
				changed(before, now)
				*now = now.elsewhere(Container{ID: "h", Name: "by-hand", State: "running", Networks: []Attachment{{Network: "shop_back"}}})
			},
		},
		"another stack is on it": {
			models: []Model{models[0], stack("ops", "vpn on:shop_back")}, before: append(were, box("ops/vpn", "v1", on("shop_back"))), now: append(were, box("ops/vpn", "v1", on("shop_back"))),
			other: changed, wrong: []string{anew + "; it cannot be made anew while these are on it: ops/vpn"},
		},
		"another stack of the same project is on it": {
			models: []Model{stack("core of shop", "app on:shop_back"), stack("back of shop", "db on:shop_back")}, before: were[:2], now: were[:2], other: changed,
			wrong: []string{anew + "; it cannot be made anew while these are on it: shop/db"},
		},
		"an orphan is on it": {
			models: core("app on:shop_back"), before: were[:2], now: were[:2], other: changed, wrong: []string{anew + "; it cannot be made anew while these are on it: shop/db"},
		},
		"what the commit left brought is gone first": {
			models: core("app on:shop_back"), left: keys("new"), before: were[:1], now: boxes(were[0], box("new", "n1", on("shop_back"))), other: changed,
			deeds: []string{"remove new n1", "recreate app x1"}, wrong: []string{anew, "shop/new has 1 container"},
		},
		"what was stopped stays so": {
			models: models, before: boxes(were[0], box("db", "d1", on("shop_back"), exited(0))), now: boxes(were[0], box("db", "d1", on("shop_back"))), other: changed,
			deeds: []string{"stop db d1", "recreate app x1", "create db x1"}, wrong: []string{anew, "shop/db runs, it was stopped"},
		},
		"they share the name of an image, but not the image": {
			models: core("app on:shop_back image:one", "db on:shop_back image:one"), before: were[:2], now: were[:2], other: changed,
			wrong: []string{anew + "; it cannot be made anew while these are on it: shop/db"},
		},
		"sharers of what is on it go along": {
			models: core("app on:shop_back", "side in:app"), before: boxes(were[0], box("side", "s1", in("a1"))), now: boxes(were[0], box("side", "s1", in("a1"))), other: changed,
			deeds: []string{"recreate app x1", "recreate side x1"}, wrong: []string{anew},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, now := w.restore()
			deeds := r.Deeds(now)
			equal(t, "deeds", lines(deeds), w.deeds)
			says(t, "wrong", r.Wrong(now), w.wrong)
			calls := 0
			for _, b := range r.Batches(deeds) {
				if b.Verb == Recreate {
					calls++
				}
			}
			if calls > 1 {
				t.Errorf("%d calls make what is on the network; the first of them fails", calls)
			}
		})
	}
}

package picture

import (
	"encoding/json"
	"slices"
	"testing"
)

// way is a way back: from what there is now to what there was.
type way struct {
	models  []Model
	before  []Container
	now     []Container
	began   []Container // nil: as now
	left    []Key
	touched []Reach
	changed Paths
	gone    []string
	other   func(before, now *Picture) // what containers do not tell
	deeds   []string
	wrong   []string // parts of what Wrong says of now, one a line
}

func (w way) restore() (r Restore, now Picture) {
	before, now := host(w.before...), host(w.now...)
	if w.other != nil {
		w.other(&before, &now)
	}
	r = Restore{Before: before, Began: now.Brief(), Models: w.models, Left: w.left, Touched: w.touched, Changed: w.changed, Gone: w.gone}
	if w.began != nil {
		r.Began = host(w.began...)
	}
	return r, now
}

var everything = []Reach{{Project: "shop"}, {Project: "ops"}}

func boxes(c ...Container) []Container { return c }

func restores() map[string]way {
	app := core("app")
	return map[string]way{
		"as it was": {models: app, before: boxes(box("app", "a1")), now: boxes(box("app", "a1"))},
		"gone":      {models: app, before: boxes(box("app", "a1")), deeds: []string{"recreate app x1"}, wrong: []string{"shop/app has 0 containers, it had 1"}},
		"an engine that was ended while it removed the container": {
			models: app, before: boxes(box("app", "a1")), now: boxes(box("app", "a1", state("dead"))),
			deeds: []string{"remove app a1", "recreate app x1"}, wrong: []string{"shop/app has 0 containers, it had 1"},
		},
		"and made the other version's before": {
			models: app, before: boxes(box("app", "a1")), now: boxes(box("app", "a1", state("dead")), box("app", "a2", image("2"))),
			deeds: []string{"remove app a1", "recreate app x1"}, wrong: []string{"shop/app runs image sha256:app-2"},
		},
		"left under a name for the time being": { // by a recreate of going back that was cut off before it renamed and started it
			models: app, before: boxes(box("app", "a1", called("shop-app-1"))), now: boxes(box("app", "a2", state("created"), called("0123456789ab_shop-app-1"))),
			began: boxes(box("app", "a9", image("2"))), deeds: []string{"recreate app x1"}, wrong: []string{"is created, it ran"},
		},
		"running under a name for the time being": {
			models: app, before: boxes(box("app", "a1", called("shop-app-1"))), now: boxes(box("app", "a2", called("0123456789ab_shop-app-1"))),
			deeds: []string{"recreate app x1"}, wrong: []string{"has the name 0123456789ab_shop-app-1, it had shop-app-1"},
		},
		"a container_name of its own that looks so": {
			models: app, before: boxes(box("app", "a1", called("0123456789ab_x"))), now: boxes(box("app", "a1", called("0123456789ab_x"))),
		},
		"other image": {
			models: app, before: boxes(box("app", "a1")), now: boxes(box("app", "a2", image("2"))),
			deeds: []string{"recreate app x1"}, wrong: []string{"shop/app runs image sha256:app-2"},
		},
		"other configuration": {
			models: app, before: boxes(box("app", "a1")), now: boxes(box("app", "a2", config("2"))),
			deeds: []string{"recreate app x1"}, wrong: []string{"configured otherwise"},
		},
		"a container that does not tell its configuration is like nothing": {
			models: app, before: boxes(box("app", "a1", func(c *Container) { c.Config = "" })), now: boxes(box("app", "a2", func(c *Container) { c.Config = "" })),
			deeds: []string{"recreate app x1"}, wrong: []string{"is not what it was"},
		},
		"an image that is not known is no image": {
			models: app, before: boxes(box("app", "a1", imageID(""))), now: boxes(box("app", "a2", imageID(""))),
			deeds: []string{"recreate app x1"}, wrong: []string{"runs image"},
		},
		"other networks": {
			models: app, before: boxes(box("app", "a1")), now: boxes(box("app", "a1", on())),
			deeds: []string{"recreate app x1"}, wrong: []string{"is in other networks: none; they were shop_default as app"},
		},
		"other aliases": {
			models: app, before: boxes(box("app", "a1")), now: boxes(box("app", "a1", func(c *Container) { c.Networks[0].Aliases = []string{"api", "app"} })),
			deeds: []string{"recreate app x1"}, wrong: []string{"is in other networks: shop_default as api, app"},
		},
		"equivalent container with another ID": {models: app, before: boxes(box("app", "a1")), now: boxes(box("app", "a2", after(5)))},
		"equivalent container that shows files which go back": {
			models: core("app shows:config"), before: boxes(box("app", "a1")), now: boxes(box("app", "a2", after(5))),
			changed: Paths{"config/x"}, deeds: []string{"recreate app x1"},
		},
		"made again from the image by going back, though Compose names the configuration otherwise": {
			models: app, before: boxes(box("app", "a1")), began: boxes(box("app", "a2", image("2"))), now: boxes(box("app", "a3", config("x"))),
		},
		"made again from another image by going back": {
			models: app, before: boxes(box("app", "a1")), began: boxes(box("app", "a2", image("2"))), now: boxes(box("app", "a3", image("3"))),
			deeds: []string{"recreate app x1"}, wrong: []string{"runs image sha256:app-3"},
		},

		// states
		"ran, is stopped": {
			models: app, before: boxes(box("app", "a1")), now: boxes(box("app", "a1", exited(137))),
			deeds: []string{"start app a1"}, wrong: []string{"is exited (137), it ran"},
		},
		"ran, was made and not started": {
			models: app, before: boxes(box("app", "a1")), now: boxes(box("app", "a2", state("created"))),
			deeds: []string{"start app a2"}, wrong: []string{"is created, it ran"},
		},
		"stopped stays stopped":   {models: app, before: boxes(box("app", "a1", exited(0))), now: boxes(box("app", "a1", exited(0)))},
		"stopped, made otherwise": {models: app, before: boxes(box("app", "a1", exited(0))), now: boxes(box("app", "a2", image("2"))), deeds: []string{"create app x1"}, wrong: []string{"runs image"}},
		"stopped, runs": {
			models: app, before: boxes(box("app", "a1", exited(0))), now: boxes(box("app", "a1", after(5))),
			deeds: []string{"stop app a1"}, wrong: []string{"runs, it was stopped"},
		},
		"stopped, is gone":        {models: app, before: boxes(box("app", "a1", exited(0))), deeds: []string{"create app x1"}, wrong: []string{"has 0 containers"}},
		"frozen is no difference": {models: app, before: boxes(box("app", "a1")), now: boxes(box("app", "a1", state("paused")))},
		"connected by hand, made otherwise": {
			models: app, before: boxes(box("app", "a1", on("shop_default", "tools"))), now: boxes(box("app", "a2", image("2"))),
			deeds: []string{"recreate app x1"}, wrong: []string{"runs image"},
		},
		"connected by hand, made again by going back": {
			models: app, before: boxes(box("app", "a1", on("shop_default", "tools"))), began: boxes(box("app", "a2", image("2"))), now: boxes(box("app", "a3", after(9))),
			other: there("tools"), deeds: []string{"reconnect app a3"}, wrong: []string{"is in other networks: shop_default as app; they were shop_default as app; tools as app"},
		},
		"connected by hand under other names": {
			models: app, before: boxes(box("app", "a1", func(c *Container) { c.Networks[0].Aliases = []string{"api", "app"} })),
			began: boxes(box("app", "a2", image("2"))), now: boxes(box("app", "a3", after(9))), other: there("shop_default"),
			deeds: []string{"reconnect app a3"}, wrong: []string{"they were shop_default as api, app"},
		},
		"taken off by hand, made again by going back": {
			models: app, before: boxes(box("app", "a1", on())), began: boxes(box("app", "a2", image("2"))), now: boxes(box("app", "a3", after(9))),
			deeds: []string{"reconnect app a3"}, wrong: []string{"is in other networks: shop_default as app; they were none"},
		},
		"one of two connected by hand": {
			models: core("app x2"), before: boxes(box("app", "a1"), box("app", "a2", on("shop_default", "tools"))), began: boxes(box("app", "a8", image("2"))),
			now: boxes(box("app", "b1", after(9)), box("app", "b2", after(9))), other: there("tools"), deeds: []string{"reconnect app b2"}, wrong: []string{"is in other networks"},
		},
		"stopped, connected by hand, made again by going back": {
			models: app, before: boxes(box("app", "a1", exited(0), on("shop_default", "tools"))), began: boxes(box("app", "a2", image("2"))),
			now: boxes(box("app", "a3", state("created"))), other: there("tools"), deeds: []string{"reconnect app a3"}, wrong: []string{"is in other networks"},
		},
		"connected by hand, paused, made again by going back": {
			models: app, before: boxes(box("app", "a1", state("paused"), on("shop_default", "tools"))), began: boxes(box("app", "a2", image("2"))),
			now: boxes(box("app", "a3", after(9))), other: there("tools"), deeds: []string{"reconnect app a3", "pause app a3"}, wrong: []string{"runs, it was paused"},
		},
		"paused stays paused": {models: app, before: boxes(box("app", "a1", state("paused"))), now: boxes(box("app", "a1", state("paused")))},
		"paused, was thawed by whoever froze it, and nothing touched it": {
			models: app, before: boxes(box("app", "a1", state("paused"))), now: boxes(box("app", "a1")),
		},
		"paused, runs, and an up has brought it up": {
			models: app, before: boxes(box("app", "a1", state("paused"))), now: boxes(box("app", "a1")), touched: []Reach{{"shop", []string{"app"}}},
			deeds: []string{"pause app a1"}, wrong: []string{"shop/app runs, it was paused"},
		},
		"paused, was restarted": {
			models: app, before: boxes(box("app", "a1", state("paused"))), now: boxes(box("app", "a1", after(5))),
			deeds: []string{"pause app a1"}, wrong: []string{"runs, it was paused"},
		},
		"paused, was restarted with files that go back": { // restarted again first, then paused
			models: core("app shows:config"), before: boxes(box("app", "a1", state("paused"))), now: boxes(box("app", "a1", after(5))), changed: Paths{"config/x"},
			deeds: []string{"restart app a1"}, wrong: []string{"runs, it was paused"},
		},
		"paused, was made otherwise": {
			models: app, before: boxes(box("app", "a1", state("paused"))), now: boxes(box("app", "a2", image("2"))),
			deeds: []string{"recreate app x1"}, wrong: []string{"runs image"},
		},
		"paused, was made again by going back": {
			models: app, before: boxes(box("app", "a1", state("paused"))), began: boxes(box("app", "a2", image("2"))), now: boxes(box("app", "a3", after(9))),
			deeds: []string{"pause app a3"}, wrong: []string{"runs, it was paused"},
		},
		"paused, is stopped": { // started first
			models: app, before: boxes(box("app", "a1", state("paused"))), now: boxes(box("app", "a1", exited(137))),
			deeds: []string{"start app a1"}, wrong: []string{"is exited (137), it ran"},
		},
		"one of two paused": {
			models: core("app x2"), before: boxes(box("app", "a1", state("paused")), box("app", "a2")), began: boxes(box("app", "a8", image("2"))),
			now: boxes(box("app", "b1", after(9)), box("app", "b2", after(9))), deeds: []string{"pause app b1"}, wrong: []string{"runs, it was paused"},
		},
		"stopped, is paused": {
			models: app, before: boxes(box("app", "a1", exited(0))), now: boxes(box("app", "a1", state("paused"))),
			deeds: []string{"stop app a1"}, wrong: []string{"runs, it was stopped"},
		},
		"between two starts by the engine": {models: app, before: boxes(box("app", "a1")), now: boxes(box("app", "a1", state("restarting")))},

		// jobs
		"job that ended well":          {models: core("app job"), before: boxes(box("app", "a1", job, exited(0))), now: boxes(box("app", "a1", job, exited(0)))},
		"job that ran has ended well":  {models: core("app job"), before: boxes(box("app", "a1", job)), now: boxes(box("app", "a1", job, exited(0)))},
		"job that ended well is gone":  {models: core("app job"), before: boxes(box("app", "a1", job, exited(0))), deeds: []string{"recreate app x1"}, wrong: []string{"has 0 containers"}},
		"job that failed is gone":      {models: core("app job"), before: boxes(box("app", "a1", job, exited(1))), deeds: []string{"create app x1"}, wrong: []string{"has 0 containers"}},
		"job that failed still failed": {models: core("app job"), before: boxes(box("app", "a1", job, exited(1))), now: boxes(box("app", "a1", job, exited(1)))},
		"job that ended well runs again": {
			models: core("app job"), before: boxes(box("app", "a1", job, exited(0))), now: boxes(box("app", "a1", job, after(5))),
		},
		"job that ended well has failed since": {
			models: core("app job"), before: boxes(box("app", "a1", job, exited(0))), now: boxes(box("app", "a1", job, exited(1), after(5))),
			deeds: []string{"start app a1"}, wrong: []string{"is exited (1), it had ended well"},
		},
		"job that fails again is not done a third time": {
			models: core("app job"), before: boxes(box("app", "a1", job, exited(0))), began: boxes(box("app", "a1", job, exited(1), after(5))),
			now: boxes(box("app", "a1", job, exited(1), after(9))), wrong: []string{"it had ended well"},
		},
		"job that going back made has failed": {
			models: core("app job"), before: boxes(box("app", "a1", job, exited(0))), began: boxes(box("app", "a2", job, exited(1), image("2"))),
			now: boxes(box("app", "a3", job, exited(1), after(9))), wrong: []string{"it had ended well"},
		},
		"job that going back made was not started": {
			models: core("app job"), before: boxes(box("app", "a1", job, exited(0))), began: boxes(box("app", "a2", job, exited(1), image("2"))),
			now: boxes(box("app", "a3", job, state("created"))), deeds: []string{"start app a3"}, wrong: []string{"is created, it had ended well"},
		},
		"job that wanted memory has not ended well": {
			models: core("app job"), before: boxes(box("app", "a1", job, exited(0))), now: boxes(box("app", "a1", job, exited(0), after(5), func(c *Container) { c.OOMKilled = true })),
			deeds: []string{"start app a1"}, wrong: []string{"it had ended well"},
		},

		// replicas
		"replicas 1 to 3": {
			models: app, before: boxes(box("app", "a1")), now: boxes(box("app", "a1"), box("app", "a2"), box("app", "a3")),
			deeds: []string{"remove app a2 a3"}, wrong: []string{"has 3 containers, it had 1"},
		},
		"replicas 3 to 1": {
			models: core("app x3"), before: boxes(box("app", "a1"), box("app", "a2"), box("app", "a3")), now: boxes(box("app", "a2")),
			deeds: []string{"recreate app x3"}, wrong: []string{"has 1 container, it had 3"},
		},
		"scaled by hand before": {
			models: app, before: boxes(box("app", "a1"), box("app", "a2")), now: boxes(box("app", "b1", image("2"))),
			deeds: []string{"recreate app x2"}, wrong: []string{"has 1 container, it had 2"},
		},
		"replaced and scaled": {
			models: app, before: boxes(box("app", "a1")), now: boxes(box("app", "b1", image("2")), box("app", "b2", image("2")), box("app", "b3", image("2"))),
			deeds: []string{"remove app b2 b3", "recreate app x1"}, wrong: []string{"shop/app runs image sha256:app-2"},
		},
		"one of two replaced": {
			models: core("app x2"), before: boxes(box("app", "a1"), box("app", "a2")), now: boxes(box("app", "a1"), box("app", "b1", image("2"))),
			deeds: []string{"recreate app x2"}, wrong: []string{"runs image sha256:app-2"},
		},
		"one of two stopped": {
			models: core("app x2"), before: boxes(box("app", "a1"), box("app", "a2")), now: boxes(box("app", "a1"), box("app", "a2", exited(1))),
			deeds: []string{"start app a2"}, wrong: []string{"is exited (1), it ran"},
		},
		"of two alike the one too many goes": {
			models: app, before: boxes(box("app", "a1")), now: boxes(box("app", "a0"), box("app", "a1")),
			deeds: []string{"remove app a0"}, wrong: []string{"has 2 containers, it had 1"},
		},

		// what is there and was not
		"service that did not exist": {
			models: core("app", "new"), before: boxes(box("app", "a1")), now: boxes(box("app", "a1"), box("new", "n1")),
			deeds: []string{"remove new n1"}, wrong: []string{"shop/new has 1 container, it had none"},
		},
		"service that only the commit left names": {
			models: app, left: keys("app", "new", "ops/job"), before: boxes(box("app", "a1")), now: boxes(box("app", "a1"), box("new", "n1"), box("ops/job", "j1")),
			deeds: []string{"remove ops/job j1", "remove new n1"}, wrong: []string{"ops/job has 1 container", "shop/new has 1 container"},
		},
		"what a person started is left alone":          {models: app, left: keys("app"), before: boxes(box("app", "a1")), now: boxes(box("app", "a1"), box("hand", "h1"))},
		"orphan that was there stays":                  {models: app, before: boxes(box("app", "a1"), box("hand", "h1")), now: boxes(box("app", "a1"), box("hand", "h1"))},
		"orphan that is gone was removed by its owner": {models: app, before: boxes(box("app", "a1"), box("hand", "h1")), now: boxes(box("app", "a1"))},
		"orphan of which one is gone":                  {models: app, before: boxes(box("hand", "h1"), box("hand", "h2")), now: boxes(box("hand", "h2"))},
		"orphan of which one is gone, and the other was cut off": {
			models: app, before: boxes(box("hand", "h1"), box("hand", "h2")), now: boxes(box("hand", "h2", on("other"))), wrong: []string{"shop/hand is in other networks"},
		},
		"service that left and is gone, of which nobody knows how it is made": {
			models: app, left: keys("late"), before: boxes(box("late", "l1")), wrong: []string{"shop/late has 0 containers, it had 1"},
		},
		"orphan that its owner replaced is not removed": {
			models: app, before: boxes(box("hand", "h1")), now: boxes(box("hand", "h2", image("2"))), wrong: []string{"shop/hand runs image"},
		},
		"orphan that its owner scaled is not removed": {
			models: app, before: boxes(box("hand", "h1")), now: boxes(box("hand", "h1"), box("hand", "h2")),
		},
		"orphan that was stopped runs again": {
			models: app, before: boxes(box("hand", "h1")), now: boxes(box("hand", "h1", exited(143))), deeds: []string{"start hand h1"}, wrong: []string{"it ran"},
		},
		"orphan that the commit left took over is not removed, because nothing can make it": {
			models: app, left: keys("hand"), before: boxes(box("hand", "h1")), now: boxes(box("hand", "h2", image("2"))), wrong: []string{"shop/hand runs image"},
		},
		"service of the same name in another project": {
			models: app, before: boxes(box("app", "a1")), now: boxes(box("ops/app", "o1")), deeds: []string{"recreate app x1"}, wrong: []string{"shop/app has 0 containers"},
		},

		// files
		"restarted since and shows changed files": {
			models: core("app shows:config"), before: boxes(box("app", "a1")), now: boxes(box("app", "a1", after(5))), changed: Paths{"config/x"}, deeds: []string{"restart app a1"},
		},
		"restarted since and touched": {
			models: app, before: boxes(box("app", "a1")), now: boxes(box("app", "a1", after(5))), changed: Paths{"x"}, touched: everything, deeds: []string{"restart app a1"},
		},
		"restarted since, but no file goes back": {
			models: core("app shows:config"), before: boxes(box("app", "a1")), now: boxes(box("app", "a1", after(5))), touched: everything,
		},
		"restarted by the engine and left alone": {
			models: core("app shows:config"), before: boxes(box("app", "a1")), now: boxes(box("app", "a1", after(5))), changed: Paths{"src/x"},
			touched: []Reach{{"shop", []string{"db"}}},
		},
		"restarted by going back already": {
			models: core("app shows:config"), before: boxes(box("app", "a1")), began: boxes(box("app", "a1", after(5))), now: boxes(box("app", "a1", after(9))),
			changed: Paths{"config/x"}, touched: everything,
		},
		"not restarted since": {
			models: core("app shows:config"), before: boxes(box("app", "a1")), now: boxes(box("app", "a1")), changed: Paths{AnyPath}, touched: everything,
		},

		// images
		"image is gone": {
			models: app, before: boxes(box("app", "a1")), now: boxes(box("app", "a2", image("2"))), gone: []string{"sha256:app-1"},
			deeds: []string{"recreate app x1"}, wrong: []string{"runs image sha256:app-2"},
		},
		"image is gone, and was built again": {
			models: app, before: boxes(box("app", "a1")), began: boxes(box("app", "a2", image("2"))), now: boxes(box("app", "a3", image("3"))), gone: []string{"sha256:app-1"},
		},
		"image is gone, but its container runs": {models: app, before: boxes(box("app", "a1")), now: boxes(box("app", "a1")), gone: []string{"sha256:app-1"}},

		// namespaces
		"sharer of what is replaced": {
			models: core("app", "side in:app"), before: boxes(box("app", "a1"), box("side", "s1", in("a1"))),
			now:   boxes(box("app", "a2", image("2"), after(5)), box("side", "s1", in("a1"))),
			deeds: []string{"recreate app x1", "recreate side x1"}, wrong: []string{"shop/app runs image", "shop/side shares the network namespace of container a1, which is gone"},
		},
		"sharer whose owner was replaced by going back": {
			models: core("app", "side in:app"), before: boxes(box("app", "a1"), box("side", "s1", in("a1"))),
			began: boxes(box("app", "a2", image("2")), box("side", "s1", in("a1"))),
			now:   boxes(box("app", "a3", after(9)), box("side", "s1", in("a1"))),
			deeds: []string{"recreate side x1"}, wrong: []string{"shop/side shares"},
		},
		"chain of sharers": {
			models: core("app", "side in:app", "log in:side"), before: boxes(box("app", "a1"), box("side", "s1", in("a1")), box("log", "l1", in("s1"))),
			now:   boxes(box("app", "a2", image("2")), box("side", "s1", in("a1")), box("log", "l1", in("s1"))),
			deeds: []string{"recreate app x1", "recreate log x1", "recreate side x1"}, wrong: []string{"shop/app", "shop/side"},
		},
		"sharer of what is restarted": {
			models: core("app shows:config", "side in:app"), before: boxes(box("app", "a1"), box("side", "s1", in("a1"))),
			now:     boxes(box("app", "a1", after(5)), box("side", "s1", in("a1"), after(5))),
			changed: Paths{"config/x"}, deeds: []string{"restart app a1", "restart side s1"},
		},
		"sharer of what is started": {
			models: core("app", "side in:app"), before: boxes(box("app", "a1"), box("side", "s1", in("a1"))),
			now:   boxes(box("app", "a1", exited(137)), box("side", "s1", in("a1"))),
			deeds: []string{"restart side s1", "start app a1"}, wrong: []string{"shop/app is exited", "shop/side shares the network namespace of app, which does not run"},
		},
		"sharer whose owner was started again, and that was not": {
			models: core("app", "side in:app"), before: boxes(box("app", "a1"), box("side", "s1", in("a1"))),
			now:   boxes(box("app", "a1", after(5)), box("side", "s1", in("a1"))),
			deeds: []string{"restart side s1"}, wrong: []string{"shop/side shares the network namespace of app as it was before that was started again"},
		},
		"sharer of what is replaced and of what is restarted": {
			models: core("app", "db", "side in:db in:app"),
			before: boxes(box("app", "a1"), box("db", "d1"), box("side", "s1", in("d1"))),
			now:    boxes(box("app", "a2", image("2")), box("db", "d1", exited(1)), box("side", "s1", in("d1"))),
			deeds:  []string{"recreate app x1", "recreate side x1", "start db d1"}, wrong: []string{"shop/app", "shop/db", "shop/side"},
		},
		"sharer that was stopped is made and stays so": {
			models: core("app", "side in:app"), before: boxes(box("app", "a1"), box("side", "s1", in("a1"), exited(0))),
			now:   boxes(box("app", "a2", image("2")), box("side", "s1", in("a1"), exited(0))),
			deeds: []string{"recreate app x1", "create side x1"}, wrong: []string{"shop/app"},
		},
		"sharer that was stopped is not restarted with its owner": {
			models: core("app shows:config", "side in:app"), before: boxes(box("app", "a1"), box("side", "s1", in("a1"), exited(0))),
			now:     boxes(box("app", "a1", after(5)), box("side", "s1", in("a1"), exited(0))),
			changed: Paths{"config/x"}, deeds: []string{"restart app a1"},
		},
		"of two sharers the one too many is not restarted": {
			models: core("app shows:config", "side in:app"), before: boxes(box("app", "a1"), box("side", "s1", in("a1"))),
			now:     boxes(box("app", "a1", after(5)), box("side", "s1", in("a1"), after(5)), box("side", "s2", in("a1"), after(5))),
			changed: Paths{"config/x"}, deeds: []string{"remove side s2", "restart app a1", "restart side s1"}, wrong: []string{"has 2 containers"},
		},
		"what was detached before stays so": {
			models: core("app", "side in:app"), before: boxes(box("app", "a1", after(3)), box("side", "s1", in("a1"))),
			now: boxes(box("app", "a1", after(3)), box("side", "s1", in("a1"))),
		},
		"what had lost its owner before stays so": {
			models: core("side"), before: boxes(box("side", "s1", in("x1"))), now: boxes(box("side", "s1", in("x1"))),
		},
		"sharer by the container of another project, which is replaced": {
			models: []Model{stack("core of shop", "side"), stack("ops", "vpn")},
			before: boxes(box("side", "s1", in("v1")), box("ops/vpn", "v1")),
			now:    boxes(box("side", "s1", in("v1")), box("ops/vpn", "v2", image("2"))),
			deeds:  []string{"recreate ops/vpn x1", "recreate side x1"}, wrong: []string{"ops/vpn runs image", "shop/side shares"},
		},
		"sharer by the container of another project, which is restarted": {
			models: []Model{stack("core of shop", "side"), stack("ops", "vpn shows:vpn")},
			before: boxes(box("side", "s1", in("v1")), box("ops/vpn", "v1")),
			now:    boxes(box("side", "s1", in("v1"), after(6)), box("ops/vpn", "v1", after(5))), changed: Paths{"vpn/conf"},
			deeds: []string{"restart ops/vpn v1", "restart side s1"},
		},
		"sharer by the name of a container that nobody looks after, which is gone": {
			models: core("side"), before: boxes(box("side", "s1", in("x1"))), now: boxes(box("side", "s1", in("x1"))),
			other: func(before, _ *Picture) {
				*before = before.elsewhere(Container{ID: "x1", Name: "vpn", State: "running", Started: began})
			},
			deeds: []string{"recreate side x1"}, wrong: []string{"shop/side shares the network namespace of container x1, which is gone"},
		},
		"sharer by the name of a container that nobody looks after, which was started again": {
			models: core("side"), before: boxes(box("side", "s1", in("x1"))), now: boxes(box("side", "s1", in("x1"))),
			other: func(before, now *Picture) {
				*before = before.elsewhere(Container{ID: "x1", Name: "vpn", State: "running", Started: began})
				*now = now.elsewhere(Container{ID: "x1", Name: "vpn", State: "running", Started: began.Add(1)})
			},
			deeds: []string{"restart side s1"}, wrong: []string{"shop/side shares the network namespace of vpn as it was before"},
		},
	}
}

func TestRestore(t *testing.T) {
	t.Parallel()
	for name, w := range restores() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, now := w.restore()
			equal(t, "deeds", lines(r.Deeds(now)), w.deeds)
			says(t, "wrong", r.Wrong(now), w.wrong)
			if len(w.deeds) == 0 && len(w.wrong) == 0 {
				return
			}
			for _, d := range r.Deeds(now) {
				if d.Why == "" {
					t.Errorf("%s does not say why", d)
				}
			}
		})
	}
}

// TestARecordTellsTheSame: what there was is read from the journal after a restart, and by every rollback by hand.
func TestARecordTellsTheSame(t *testing.T) {
	t.Parallel()
	for name, w := range restores() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, now := w.restore()
			text, err := json.Marshal(r.Before)
			if err != nil {
				t.Fatal(err)
			}
			r.Before = Picture{}
			if err := json.Unmarshal(text, &r.Before); err != nil {
				t.Fatal(err)
			}
			equal(t, "deeds", lines(r.Deeds(now)), w.deeds)
			says(t, "wrong", r.Wrong(now), w.wrong)
		})
	}
}

func TestImageOfWhatIsReplaced(t *testing.T) {
	t.Parallel()
	w := restores()["image is gone"]
	r, now := w.restore()
	if d := r.Deeds(now); len(d) != 1 || d[0].Image != "" {
		t.Errorf("an image that is gone is asked for: %+v", d)
	}
	r.Gone = nil
	if d := r.Deeds(now); len(d) != 1 || d[0].Image != "sha256:app-1" {
		t.Errorf("the image that ran is not asked for: %+v", d)
	}
}

// TestDeedsAreInOrder of verb, then of service: what is removed first, what is started last.
func TestDeedsAreInOrder(t *testing.T) {
	t.Parallel()
	w := way{
		models: core("a", "b", "c shows:config", "d", "e", "z"), changed: Paths{"config/x"},
		before: boxes(box("a", "a1"), box("b", "b1"), box("c", "c1"), box("d", "d1", exited(0)), box("e", "e1", exited(0))),
		now:    boxes(box("a", "a1", exited(1)), box("b", "b2", image("2")), box("c", "c1", after(2)), box("d", "d2", image("2")), box("e", "e1"), box("z", "z1")),
	}
	r, now := w.restore()
	equal(t, "deeds", lines(r.Deeds(now)), []string{"remove z z1", "stop e e1", "recreate b x1", "create d x1", "restart c c1", "start a a1"})
}

func TestWrongFailsClosed(t *testing.T) {
	t.Parallel()
	good := host(box("app", "a1"))
	r := Restore{Before: good, Began: good, Models: []Model{stack("core of shop", "app"), stack("new of fresh", "app")}, Left: keys("left/x")}
	seen := good
	seen.Projects = []string{"fresh", "left", "ops", "shop"}
	equal(t, "all was looked at", r.Wrong(seen), []string{})
	for _, project := range seen.Projects {
		now := seen
		now.Projects = slices.DeleteFunc(slices.Clone(seen.Projects), func(p string) bool { return p == project })
		says(t, project+" was not looked at", r.Wrong(now), []string{"project " + project + " was not looked at"})
	}
}

func TestSentence(t *testing.T) {
	t.Parallel()
	models := core("app", "db", "web")
	for name, c := range map[string]struct {
		before, now []Container
		want        string
		ran, right  int
	}{
		"all":                     {boxes(box("app", "1"), box("db", "1")), boxes(box("app", "1"), box("db", "1")), "2 of 2 services run what ran before", 2, 2},
		"one is not right":        {boxes(box("app", "1"), box("db", "1")), boxes(box("app", "2", image("2")), box("db", "1")), "1 of 2 services run what ran before, not app", 2, 1},
		"what was stopped":        {boxes(box("app", "1"), box("db", "1", exited(0))), boxes(box("app", "1"), box("db", "1", exited(0))), "1 of 1 services run what ran before", 1, 1},
		"replicas are a service":  {boxes(box("app", "1"), box("app", "2")), boxes(box("app", "1")), "0 of 1 services run what ran before, not app", 1, 0},
		"what its owner removed":  {boxes(box("app", "1"), box("hand", "1")), boxes(box("app", "1")), "1 of 1 services run what ran before", 1, 1},
		"nothing, and nothing":    {nil, nil, "nothing ran before, nothing runs now", 0, 0},
		"nothing, and a database": {nil, boxes(box("db", "1")), "nothing ran before; now runs shop/db", 0, 0},
		"nothing but a stopped":   {boxes(box("db", "1", exited(0))), boxes(box("db", "1", exited(0))), "nothing ran before, nothing runs now", 0, 0},
	} {
		r := Restore{Before: host(c.before...), Began: host(c.now...), Models: models}
		now := host(c.now...)
		equal(t, name, r.Sentence(now), c.want)
		if ran, right, _ := r.Tally(now); ran != c.ran || right != c.right {
			t.Errorf("%s: %d of %d, want %d of %d", name, right, ran, c.right, c.ran)
		}
	}
}

func TestMeanings(t *testing.T) {
	t.Parallel()
	models := core("app image:shop/app", "db image:postgres:16", "pinned image:postgres@sha256:0")
	before := host(box("app", "a1", ref("shop/app")), box("db", "d1", ref("postgres:16")))
	before.Refs["postgres@sha256:0"], before.Refs["sha256:77"] = "sha256:pg", "sha256:77"
	touchedApp := []Reach{{"shop", []string{"app"}}}
	for name, c := range map[string]struct {
		touched []Reach
		built   []Reach
		gone    []string
		refs    map[string]string // as they are now, where they are not as before
		made    []Container       // that going back has made
		want    map[string]string
	}{
		"as they were":                  {touched: everything},
		"what was built goes back":      {touched: touchedApp, refs: map[string]string{"shop/app": "sha256:new"}, want: map[string]string{"shop/app": "sha256:app-1"}},
		"a name that means nothing now": {touched: touchedApp, refs: map[string]string{"shop/app": ""}, want: map[string]string{"shop/app": "sha256:app-1"}},
		"what was built goes back, though no container was touched": {built: touchedApp, refs: map[string]string{"shop/app": "sha256:new"}, want: map[string]string{"shop/app": "sha256:app-1"}},
		"what a person pulled of another name stays":                {touched: touchedApp, refs: map[string]string{"postgres:16": "sha256:newer"}},
		"nothing was touched":                                       {refs: map[string]string{"shop/app": "sha256:new", "postgres:16": "sha256:newer"}},
		"an image that is gone":                                     {touched: everything, gone: []string{"sha256:app-1"}, refs: map[string]string{"shop/app": "sha256:new"}},
		"a digest is not a name":                                    {touched: everything, refs: map[string]string{"postgres@sha256:0": "sha256:x", "sha256:77": "sha256:x"}},
		"a name that meant nothing keeps its meaning":               {touched: everything, refs: map[string]string{"shop/new": "sha256:new"}},
		"a name that going back moved": {
			refs: map[string]string{"shop/app": "sha256:other"}, made: boxes(box("app", "a9", ref("shop/app"))), want: map[string]string{"shop/app": "sha256:app-1"},
		},
	} {
		now := host(append(boxes(box("app", "a1", ref("shop/app")), box("db", "d1", ref("postgres:16"))), c.made...)...)
		now.Refs = map[string]string{}
		for k, v := range before.Refs {
			now.Refs[k] = v
		}
		for k, v := range c.refs {
			if now.Refs[k] = v; v == "" {
				delete(now.Refs, k)
			}
		}
		r := Restore{Before: before, Began: before, Models: models, Touched: c.touched, Built: c.built, Gone: c.gone}
		equal(t, name, r.Meanings(now), c.want)
	}
	equal(t, "names of models", Refs(models), []string{"postgres:16", "shop/app"})
}

// A container that going back has made of other files than what ran was made of is not what ran, though its image is.
func TestRestoreWantsTheSameSettings(t *testing.T) {
	t.Parallel()
	model := []Model{{Stack: "core", Project: "shop", Services: map[string]Spec{"app": {}}}}
	picture := func(id, settings string) Picture {
		return Picture{Projects: []string{"shop"}, Containers: []Container{{Project: "shop", Service: "app", ID: id, ImageID: "sha256:1", Config: id, State: "running", Settings: settings}}}
	}
	for settings, wrong := range map[string]bool{"one": false, "": false, "another": true} {
		r := Restore{Before: picture("a", "one"), Began: picture("b", "another"), Models: model, Touched: []Reach{{Project: "shop"}}}
		if got := r.Wrong(picture("c", settings)); (len(got) > 0) != wrong {
			t.Errorf("settings %q: %v", settings, got)
		}
		r.Gone = []string{"sha256:1"}
		if got := r.Wrong(picture("c", settings)); len(got) > 0 {
			t.Errorf("settings %q of an image that was built again: %v", settings, got)
		}
	}
}

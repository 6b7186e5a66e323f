package picture

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"ataraxis.dev/landfall/shared/pipeline"
)

// hex is the name of a volume without a name.
func hex(letter string) string { return strings.Repeat(letter, 64) }

// holds has a container show volumes, "PLACE=VOLUME"; a letter stands for one without a name.
func holds(mounts ...string) func(*Container) {
	return func(c *Container) {
		for _, m := range mounts {
			at, volume, _ := strings.Cut(m, "=")
			if len(volume) == 1 {
				volume = hex(volume)
			}
			c.Volumes = append(c.Volumes, Mount{At: at, Volume: volume})
		}
	}
}

func numbered(n int) func(*Container) { return func(c *Container) { c.Number = n } }

func carrier(c *Container) { c.Carrier, c.State, c.Config = true, "created", "carrier" }

// carriage tells a carrier: "a1 as 1: aaaaaaaaaaaa at /data", with " for b1" where one goes for it.
func (c Carrier) carriage() string {
	text := fmt.Sprintf("%s as %d: %s", c.For, c.Number, places(c.Volumes))
	if c.Instead != "" {
		text += " for " + c.Instead
	}
	return text
}

type voyage struct {
	models             []Model
	before, now, began []Container // began nil: as now
	also               []string    // volumes that the engine has besides those that now shows
	stay               bool
	deeds, carriers    []string
	wrong, told        []string
}

func voyages() map[string]voyage {
	db := core("db")
	x := box("db", "a1", numbered(1), holds("/data=a"))
	back := "aaaaaaaaaaaa at /data"
	return map[string]voyage{
		"as it was":            {models: db, before: boxes(x), now: boxes(x)},
		"replaced, and handed": {models: db, before: boxes(x), now: boxes(box("db", "b1", numbered(1), holds("/data=a")))},
		"gone, its volume is there": {
			models: db, before: boxes(x), also: []string{"a"}, deeds: []string{"recreate db x1"}, carriers: []string{"a1 as 1: " + back}, wrong: []string{"has 0 containers"},
		},
		"gone with its volume": {models: db, before: boxes(x), deeds: []string{"recreate db x1"}, wrong: []string{"has 0 containers"}},
		"made again, empty": {
			models: db, before: boxes(x), now: boxes(box("db", "b1", numbered(1), holds("/data=b"))), began: []Container{}, also: []string{"a"},
			deeds: []string{"recreate db x1"}, carriers: []string{"a1 as 1: " + back + " for b1"}, wrong: []string{"shows other volumes than it did; its data are in " + back},
		},
		"made again, empty, for good": {
			models: db, before: boxes(x), now: boxes(box("db", "b1", numbered(1), holds("/data=b"))), began: []Container{}, wrong: []string{"has lost its data at /data"},
		},
		"another version, which has the volume": {
			models: db, before: boxes(x), now: boxes(box("db", "b1", image("2"), numbered(1), holds("/data=a"))), deeds: []string{"recreate db x1"}, wrong: []string{"runs image"},
		},
		"another version, on a volume with a name": {
			models: db, before: boxes(x), now: boxes(box("db", "b1", config("2"), numbered(1), holds("/data=rows"))), also: []string{"a"},
			deeds: []string{"recreate db x1"}, carriers: []string{"a1 as 1: " + back + " for b1"}, wrong: []string{"configured otherwise"},
		},
		"another version, without it": {
			models: db, before: boxes(x), now: boxes(box("db", "b1", config("2"), numbered(1))), also: []string{"a"},
			deeds: []string{"recreate db x1"}, carriers: []string{"a1 as 1: " + back + " for b1"}, wrong: []string{"configured otherwise"},
		},
		"a volume with a name is the compose files'": {
			models: core("db mounts:rows=/data"), before: boxes(box("db", "a1", holds("/data=rows"))), also: []string{"rows"},
			deeds: []string{"recreate db x1"}, wrong: []string{"has 0 containers"},
		},
		"one with a name that no compose file has is handed on": {
			models: db, before: boxes(box("db", "a1", numbered(1), holds("/data=rows"))), also: []string{"rows"},
			deeds: []string{"recreate db x1"}, carriers: []string{"a1 as 1: rows at /data"}, wrong: []string{"has 0 containers"},
		},
		"scaled down": {
			models: core("db x2"), before: boxes(x, box("db", "a2", numbered(2), holds("/data=b"))), now: boxes(x), also: []string{"b"},
			deeds: []string{"recreate db x2"}, carriers: []string{"a2 as 2: bbbbbbbbbbbb at /data"}, wrong: []string{"has 1 container, it had 2"},
		},
		"scaled down to the second, which has the first's number": {
			models: core("db x2"), before: boxes(x, box("db", "a2", numbered(2), holds("/data=b"))), now: boxes(box("db", "b1", numbered(1), holds("/data=b"))), also: []string{"a"},
			deeds: []string{"recreate db x2"}, carriers: []string{"a1 as 2: " + back}, wrong: []string{"has 1 container, it had 2"},
		},
		"scaled up, and the one that has the volume stays": {
			models: db, before: boxes(x), began: boxes(box("db", "y")),
			now:   boxes(box("db", "b1", image("2"), holds("/data=c")), box("db", "b2", image("2"), holds("/data=a")), box("db", "b3", image("2"), holds("/data=b"))),
			deeds: []string{"remove db b1 b3", "recreate db x1"}, wrong: []string{"runs image"},
		},
		"replicas that have changed places are as they were": {
			models: core("db x2"), before: boxes(x, box("db", "a2", holds("/data=b"))), now: boxes(box("db", "b1", holds("/data=b")), box("db", "b2", holds("/data=a"))),
		},
		"replicas that going back has made in other places": {
			models: core("db x2"), before: boxes(x, box("db", "a2", holds("/data=b"))), began: []Container{},
			now: boxes(box("db", "b1", config("x"), holds("/data=b")), box("db", "b2", config("x"), holds("/data=a"))),
		},
		"cut off with one of two carriers": {
			models: core("db x2"), before: boxes(x, box("db", "a2", numbered(2), holds("/data=b"))), began: []Container{},
			now: boxes(box("db", "c1", numbered(1), carrier, holds("/data=a"))), also: []string{"b"},
			deeds: []string{"recreate db x2"}, carriers: []string{"a2 as 2: bbbbbbbbbbbb at /data"}, wrong: []string{"has 1 container, it had 2"},
		},
		"cut off with its carrier": {
			models: db, before: boxes(x), began: []Container{}, now: boxes(box("db", "c1", numbered(1), carrier, holds("/data=a"))),
			deeds: []string{"recreate db x1"}, wrong: []string{"configured otherwise"},
		},
		"nobody takes a carrier for what it stands for, were the image gone": {
			models: db, before: boxes(box("db", "a1", imageID("sha256:gone"), holds("/data=a"))), began: []Container{}, now: boxes(box("db", "c1", carrier, holds("/data=a"))),
			deeds: []string{"recreate db x1"}, wrong: []string{"runs image"},
		},
		"somebody's own, which no compose file names": {
			models: core("app"), before: boxes(box("db", "a1", holds("/data=a"))), now: boxes(box("db", "b1", holds("/data=b"))), also: []string{"a"},
			wrong: []string{"shows other volumes"},
		},

		// other versions have been good since
		"goes on with what it has": {
			models: db, before: boxes(x), now: boxes(box("db", "b1", numbered(1), holds("/data=b"))), also: []string{"a"}, stay: true,
			told: []string{"goes on at /data with the data that it has now, in volume " + hex("b")},
		},
		"goes back from a volume with a name": {
			models: db, before: boxes(x), now: boxes(box("db", "b1", config("2"), numbered(1), holds("/data=rows"))), also: []string{"a"}, stay: true,
			deeds: []string{"recreate db x1"}, carriers: []string{"a1 as 1: " + back + " for b1"}, wrong: []string{"configured otherwise"},
			told: []string{"goes back at /data to volume " + hex("a") + ", which it had then; what it has written since stays in volume rows"},
		},
		"goes on with a volume with a name, because its own is gone": {
			models: db, before: boxes(x), now: boxes(box("db", "b1", config("2"), holds("/data=rows"))), stay: true,
			deeds: []string{"recreate db x1"}, wrong: []string{"configured otherwise"}, told: []string{"goes on at /data with the data that it has now, in volume rows"},
		},
		"comes back after it had left": {
			models: db, before: boxes(x), also: []string{"a"}, stay: true,
			deeds: []string{"recreate db x1"}, carriers: []string{"a1 as 1: " + back}, wrong: []string{"has 0 containers"},
		},
		"comes back without what is gone": {
			models: db, before: boxes(x), stay: true, deeds: []string{"recreate db x1"}, wrong: []string{"has 0 containers"}, told: []string{"starts empty at /data"},
		},
		"came back without what is gone": {models: db, before: boxes(x), began: []Container{}, now: boxes(box("db", "b1", holds("/data=b"))), stay: true, told: []string{"starts empty"}},
		"came back on another, though it is there": {
			models: db, before: boxes(x), began: []Container{}, now: boxes(box("db", "b1", numbered(1), holds("/data=b"))), also: []string{"a"}, stay: true,
			deeds: []string{"recreate db x1"}, carriers: []string{"a1 as 1: " + back + " for b1"}, wrong: []string{"shows other volumes"},
		},
		"the second replica comes back, the first goes on": {
			models: core("db x2"), before: boxes(x, box("db", "a2", numbered(2), holds("/data=b"))), now: boxes(box("db", "c1", numbered(1), holds("/data=c"))),
			also: []string{"a", "b"}, stay: true,
			deeds: []string{"recreate db x2"}, carriers: []string{"a2 as 2: bbbbbbbbbbbb at /data"}, wrong: []string{"has 1 container, it had 2"},
		},
		"one place goes on, the other comes back": {
			models: db, before: boxes(box("db", "a1", numbered(1), holds("/data=a", "/logs=b"))), now: boxes(box("db", "c1", config("2"), numbered(1), holds("/data=c"))),
			also: []string{"a", "b"}, stay: true, told: []string{"goes on at /data"},
			deeds: []string{"recreate db x1"}, carriers: []string{"a1 as 1: cccccccccccc at /data, bbbbbbbbbbbb at /logs for c1"}, wrong: []string{"configured otherwise"},
		},
	}
}

func (v voyage) restore() (r Restore, now Picture) {
	r, now = way{models: v.models, before: v.before, now: v.now, began: v.began}.restore()
	r.DataStay = v.stay
	for _, c := range v.before {
		if c.ImageID == "sha256:gone" {
			r.Gone = append(r.Gone, c.ImageID)
		}
	}
	for _, c := range v.now {
		for _, m := range c.Volumes {
			now.Volumes = append(now.Volumes, Volume{Name: m.Volume})
		}
	}
	for _, name := range v.also {
		if len(name) == 1 {
			name = hex(name)
		}
		now.Volumes = append(now.Volumes, Volume{Name: name})
	}
	return r, now
}

// Each way of losing a volume without a name: what is done about it, and what is said.
func TestVolumesOfARestore(t *testing.T) {
	for name, v := range voyages() {
		t.Run(name, func(t *testing.T) {
			r, now := v.restore()
			deeds := r.Deeds(now)
			equal(t, "deeds", lines(deeds), v.deeds)
			var carriers, told []string
			for _, d := range deeds {
				for _, c := range d.Carriers {
					carriers = append(carriers, c.carriage())
				}
			}
			equal(t, "carriers", carriers, v.carriers)
			says(t, "wrong", r.Wrong(now), v.wrong)
			for _, f := range r.Told(now) {
				told = append(told, f.Message)
			}
			says(t, "told", told, v.told)
		})
	}
}

// A record that has lost the volumes would say that the data are as they were.
func TestVolumesAreRecorded(t *testing.T) {
	was := host(box("db", "a1", numbered(3), holds("/data=a")))
	text, err := json.Marshal(was)
	var recorded Picture
	if err := errors.Join(err, json.Unmarshal(text, &recorded)); err != nil {
		t.Fatal(err)
	}
	if got := recorded.Containers[0]; len(got.Volumes) != 1 || got.Number != 3 || got.Volumes[0].Volume != hex("a") {
		t.Errorf("the record has %+v", got)
	}
	if got := was.Brief().Containers[0].Volumes; len(got) != 1 {
		t.Errorf("the short record has %+v", got)
	}
}

func TestStrays(t *testing.T) {
	before := host(box("db", "a1", holds("/data=a", "/rows=rows")), box("app", "b1", holds("/tmp=b")), box("late", "c1", holds("/data=c")), box("twin", "d1", holds("/data=a")))
	now := host(box("app", "b2", holds("/elsewhere=b")))
	now.Volumes = []Volume{{Name: hex("a")}, {Name: hex("b")}, {Name: "rows"}}
	var got []string
	for _, s := range before.Strays(now) {
		got = append(got, s.Finding().Message)
	}
	says(t, "strays", got, []string{"shop/db: what it had at /data stays behind in volume " + hex("a"), "shop/late: the volume without a name that it had at /data, " + hex("c") + ", is gone"})
}

func TestStraysOfARestore(t *testing.T) {
	r, _ := way{before: boxes(box("db", "a1", holds("/data=a"))), began: boxes(box("db", "b1", holds("/data=b")), box("fresh", "c1", holds("/data=c")))}.restore()
	now := host(box("db", "d1", holds("/data=a")))
	now.Volumes = []Volume{{Name: hex("a")}, {Name: hex("b")}, {Name: hex("c")}}
	if got := r.Strays(now); len(got) != 1 || got[0].Volume != hex("b") || got[0].Gone {
		t.Errorf("strays are %+v", got)
	}
}

// What a commit leaves behind of volumes without names is told before anything is touched.
func TestProofTellsVolumesWithoutNames(t *testing.T) {
	db := func(id string, more ...func(*Container)) Container { return box("db", id, more...) }
	for name, c := range map[string]struct {
		present, target []Model
		now             []Container
		volumes         []string
		want            []string
	}{
		"stays":      {present: core("db"), target: core("db"), now: boxes(db("a1", holds("/data=a")))},
		"leaves":     {present: core("app", "db"), target: core("app"), now: boxes(db("a1", holds("/data=a", "/rows=rows"))), want: []string{"shop/db leaves: what it has at /data stays behind in volume " + hex("a")}},
		"fewer":      {present: core("db x2"), target: core("db"), now: boxes(db("a1", holds("/data=a")), db("a2", holds("/data=b"))), want: []string{"goes from 2 containers to 1"}},
		"more":       {present: core("db"), target: core("db x2"), now: boxes(db("a1", holds("/data=a")))},
		"gets a new": {present: core("db"), target: core("db mounts:rows=/data"), now: boxes(db("a1", holds("/data=a"))), want: []string{"gets the new volume rows at /data, which starts empty; the data stay in volume " + hex("a") + ", which has no name"}},
		"gets another": {
			present: core("db"), target: core("db mounts:rows=/data"), now: boxes(db("a1", holds("/data=a"))), volumes: []string{"rows"},
			want: []string{"gets volume rows at /data; what it had there stays behind in volume " + hex("a")},
		},
		"has it already": {present: core("db"), target: core("db mounts:rows=/data"), now: boxes(db("a1", holds("/data=rows"))), volumes: []string{"rows"}},
	} {
		t.Run(name, func(t *testing.T) {
			now := host(c.now...)
			for _, v := range c.volumes {
				now.Volumes = append(now.Volumes, Volume{Name: v})
			}
			f := Proof{Now: now, Present: c.present, Target: c.target, Steps: []pipeline.Step{up("core")}}.Find()
			var got []string
			for _, w := range f.Warnings {
				if slices.Contains([]string{"ANONYMOUS_VOLUME", "VOLUME_NEW"}, w.Reason) {
					got = append(got, w.Message)
				}
			}
			says(t, "told", got, c.want)
			if f.Err() != nil {
				t.Errorf("refused: %v", f.Err())
			}
		})
	}
}

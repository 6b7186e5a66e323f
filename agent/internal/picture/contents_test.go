package picture

import (
	"maps"
	"testing"
)

func content(digest string) func(*Container) { return func(c *Container) { c.Content = digest } }

// TestSameImage: an ID is no identity, and what nobody can compare is not the same.
func TestSameImage(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		a, b Container
		want bool
	}{
		"the same ID": {box("app", "a1"), box("app", "a2"), true},
		"the same ID, and nobody knows the content": {box("app", "a1", content("")), box("app", "a2", content("manifest:1")), true},
		"another ID, the same content":              {box("app", "a1", content("manifest:1")), box("app", "a2", image("2"), content("manifest:1")), true},
		"another ID, another content":               {box("app", "a1", content("manifest:1")), box("app", "a2", image("2"), content("manifest:2")), false},
		"another ID, one content unknown":           {box("app", "a1", content("manifest:1")), box("app", "a2", image("2")), false},
		"another ID, both contents unknown":         {box("app", "a1"), box("app", "a2", image("2")), false},
		"another ID, digests of different things":   {box("app", "a1", content("manifest:1")), box("app", "a2", image("2"), content("shown:1")), false},
		"no image at all":                           {box("app", "a1", imageID("")), box("app", "a2", imageID("")), false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := sameImage(c.a, c.b); got != c.want {
				t.Errorf("%v", got)
			}
		})
	}
}

func TestFreshness(t *testing.T) {
	t.Parallel()
	const ref = "shop-app"
	for name, c := range map[string]struct {
		ref      string
		made     Container
		refs     map[string]string
		contents map[string]string
		want     Freshness
	}{
		"what the name means":                       {ref, box("app", "a1", imageID("i1")), map[string]string{ref: "i1"}, nil, ImageFresh},
		"another content":                           {ref, box("app", "a1", imageID("i1")), map[string]string{ref: "i2"}, map[string]string{"i1": "manifest:1", "i2": "manifest:2"}, ImageStale},
		"a build of the same, with another ID":      {ref, box("app", "a1", imageID("i1")), map[string]string{ref: "i2"}, map[string]string{"i1": "manifest:1", "i2": "manifest:1"}, ImageFresh},
		"its record is gone, it tells itself":       {ref, box("app", "a1", imageID("i1"), content("manifest:1")), map[string]string{ref: "i2"}, map[string]string{"i2": "manifest:1"}, ImageFresh},
		"its record is gone, it tells another":      {ref, box("app", "a1", imageID("i1"), content("manifest:0")), map[string]string{ref: "i2"}, map[string]string{"i2": "manifest:1"}, ImageStale},
		"what it was made from is not known":        {ref, box("app", "a1", imageID("i1")), map[string]string{ref: "i2"}, map[string]string{"i2": "manifest:2"}, ImageUnknown},
		"what the name means is not known":          {ref, box("app", "a1", imageID("i1")), map[string]string{ref: "i2"}, map[string]string{"i1": "manifest:1"}, ImageUnknown},
		"the engine was updated meanwhile":          {ref, box("app", "a1", imageID("i1"), content("shown:1")), map[string]string{ref: "i2"}, map[string]string{"i2": "manifest:2"}, ImageUnknown},
		"made for another platform":                 {ref, box("app", "a1", imageID("i1"), content("foreign:1")), map[string]string{ref: "i2"}, map[string]string{"i1": "manifest:1", "i2": "manifest:1"}, ImageUnknown},
		"a container that tells no image":           {ref, box("app", "a1", imageID("")), map[string]string{ref: "i2"}, nil, ImageUnknown},
		"a name that means nothing":                 {ref, box("app", "a1", imageID("i1")), nil, nil, ImageNotCompared},
		"pinned by its digest, whatever it is here": {ref + "@sha256:0", box("app", "a1", imageID("i1")), map[string]string{ref + "@sha256:0": "i2"}, map[string]string{"i1": "manifest:1", "i2": "manifest:2"}, ImageNotCompared},
	} {
		t.Run(name, func(t *testing.T) {
			p := Picture{Refs: c.refs, Contents: c.contents}
			if got := p.Freshness(c.made, c.ref); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

// TestRenamed: a name moves back where a build of the same has moved it, and nowhere else.
func TestRenamed(t *testing.T) {
	t.Parallel()
	contents := map[string]string{"i1": "shown:1", "i1b": "shown:1", "i2": "shown:2"}
	for name, c := range map[string]struct {
		containers []Container
		means      string
		want       map[string]string
	}{
		"it means what runs":                      {boxes(box("app", "a1", imageID("i1"))), "i1", map[string]string{}},
		"a build of the same":                     {boxes(box("app", "a1", imageID("i1"))), "i1b", map[string]string{"shop-app": "i1"}},
		"a build of something else":               {boxes(box("app", "a1", imageID("i1"))), "i2", map[string]string{}},
		"what runs is not known":                  {boxes(box("app", "a1", imageID("i3"))), "i1b", map[string]string{}},
		"it means nothing":                        {boxes(box("app", "a1", imageID("i1"))), "", map[string]string{}},
		"of two one was made from what it means":  {boxes(box("app", "a1", imageID("i1")), box("app", "a2", imageID("i1b"))), "i1b", map[string]string{}},
		"of two one holds something else":         {boxes(box("app", "a1", imageID("i2")), box("app", "a2", imageID("i1"))), "i1b", map[string]string{"shop-app": "i1"}},
		"a digest is no name that could be moved": {boxes(box("app", "a1", imageID("i1"), func(c *Container) { c.ImageRef = "x@sha256:1" })), "i1b", map[string]string{}},
	} {
		t.Run(name, func(t *testing.T) {
			p := Picture{Containers: c.containers, Refs: map[string]string{}, Contents: contents}
			if c.means != "" {
				p.Refs["shop-app"], p.Refs["x@sha256:1"] = c.means, c.means
			}
			if got := p.Renamed(); !maps.Equal(got, c.want) {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}

// TestABuildOfTheSameIsNothingToGoBackFrom: going back replaces nothing whose content is as it was, and finds nothing wrong with it.
func TestABuildOfTheSameIsNothingToGoBackFrom(t *testing.T) {
	t.Parallel()
	was := box("app", "a1", imageID("i1"), content("manifest:1"))
	before := Picture{Projects: []string{"shop"}, Containers: boxes(was), Refs: map[string]string{"shop-app": "i1"}}
	for name, c := range map[string]struct {
		is    Container
		deeds int
	}{
		"another ID, the same content": {box("app", "a2", imageID("i2"), content("manifest:1")), 0},
		"another content":              {box("app", "a2", imageID("i2"), content("manifest:2")), 1},
		"nobody knows":                 {box("app", "a2", imageID("i2")), 1},
	} {
		t.Run(name, func(t *testing.T) {
			now := Picture{Projects: []string{"shop"}, Containers: boxes(c.is), Refs: map[string]string{"shop-app": "i2"}}
			r := Restore{Before: before, Began: now, Models: core("app")}
			if deeds := r.Deeds(now); len(deeds) != c.deeds {
				t.Errorf("%v", deeds)
			}
			if wrong := r.Wrong(now); len(wrong) != c.deeds {
				t.Errorf("%v", wrong)
			}
		})
	}
}

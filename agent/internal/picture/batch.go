package picture

import (
	"cmp"
	"slices"
)

// Batch is deeds that are done by one call: of one verb, and for what is replaced of one stack, with what names of images
// must mean meanwhile.
type Batch struct {
	Verb  Verb
	Stack string // of deeds that replace; "" for the others
	Deeds []Deed
	Refs  map[string]string // image by name
}

// Services lists the services of the batch, each once, in its order.
func (b Batch) Services() []string {
	var names []string
	for _, d := range b.Deeds {
		if !slices.Contains(names, d.Service) {
			names = append(names, d.Service)
		}
	}
	return names
}

// Batches puts deeds together into as few calls as go. What goes and what stops comes first. Services that share the name of an image but ran
// different ones come one after the other, and who lives in a namespace does not come before its owner, whatever is done to the two: it
// could not be started.
func (r Restore) Batches(deeds []Deed) []Batch {
	var batches []Batch
	rebuilt := map[int][]string{} // names that must mean what was built again, by batch
	for _, d := range r.ownersFirst(deeds) {
		m, spec, _ := find(r.Models, d.Key)
		b := Batch{Verb: d.Verb}
		if replaces(d) {
			b.Stack = m.Stack
		}
		ref := r.refOf(d, spec)
		again := replaces(d) && d.Image == "" && taggable(spec.Image)
		fits := func(i int, other Batch) bool {
			switch {
			case other.Verb != b.Verb || other.Stack != b.Stack:
				return false
			case again:
				return other.Refs[spec.Image] == ""
			}
			return ref == "" || ((other.Refs[ref] == "" || other.Refs[ref] == d.Image) && !slices.Contains(rebuilt[i], ref))
		}
		at := -1
		for i := r.after(d, batches); i < len(batches) && at < 0; i++ {
			if fits(i, batches[i]) {
				at = i
			}
		}
		if at < 0 {
			at = len(batches)
			batches = append(batches, b)
		}
		batches[at].Deeds = append(batches[at].Deeds, d)
		if again {
			rebuilt[at] = append(rebuilt[at], spec.Image)
		}
		if ref != "" {
			if batches[at].Refs == nil {
				batches[at].Refs = map[string]string{}
			}
			batches[at].Refs[ref] = d.Image
		}
	}
	return batches
}

// Apart lists deeds that can be done apart from one another, each group by itself, owners of namespaces first: what is replaced
// together stays together.
func (r Restore) Apart(deeds []Deed) [][]Deed {
	var groups [][]Deed
	together := map[string]int{} // group by stack
	for _, d := range r.ownersFirst(deeds) {
		if d.Together {
			m, _, _ := find(r.Models, d.Key)
			if at, begun := together[m.Stack]; begun {
				groups[at] = append(groups[at], d)
				continue
			}
			together[m.Stack] = len(groups)
		}
		groups = append(groups, []Deed{d})
	}
	return groups
}

// after is the first batch that a deed may be part of: that of the last of its owners.
func (r Restore) after(d Deed, batches []Batch) int {
	first := 0
	if before(d.Verb) {
		return first
	}
	owners := r.owners(d.Key)
	for i, b := range batches {
		if !before(b.Verb) && slices.ContainsFunc(b.Deeds, func(o Deed) bool { return slices.Contains(owners, o.Key) }) {
			first = i
		}
	}
	return first
}

// before reports whether a verb comes before all that start something.
func before(v Verb) bool { return v == Remove || v == Stop }

// refOf is the name that the image of a deed goes by, "" where none has to be given to it.
func (r Restore) refOf(d Deed, spec Spec) string {
	if d.Image == "" || !taggable(spec.Image) {
		return ""
	}
	return spec.Image
}

// owners are the services in whose namespaces one lives, by the compose files or as it was.
func (r Restore) owners(k Key) []Key {
	return ownersOf(r.Models, k, r.Before)
}

// ownersFirst orders deeds: what goes and what stops, then owners of namespaces before those who live in them, then by verb. What is made from an image
// that was built again comes before its name is given to another.
func (r Restore) ownersFirst(deeds []Deed) []Deed {
	depth := func(d Deed) int {
		n := 0
		if before(d.Verb) {
			return n
		}
		for keys := r.owners(d.Key); len(keys) > 0 && n <= len(deeds); n++ {
			var next []Key
			for _, k := range keys {
				next = append(next, r.owners(k)...)
			}
			slices.SortFunc(next, CompareKeys)
			keys = slices.Compact(next)
		}
		return n
	}
	named := func(d Deed) int {
		if replaces(d) && d.Image == "" {
			return 0
		}
		return 1
	}
	first := func(d Deed) int {
		if before(d.Verb) {
			return 0
		}
		return 1
	}
	sorted := slices.Clone(deeds)
	slices.SortStableFunc(sorted, func(a, b Deed) int {
		return cmp.Or(
			cmp.Compare(first(a), first(b)), cmp.Compare(depth(a), depth(b)), cmp.Compare(named(a), named(b)),
			cmp.Compare(slices.Index(verbs, a.Verb), slices.Index(verbs, b.Verb)),
		)
	})
	return sorted
}

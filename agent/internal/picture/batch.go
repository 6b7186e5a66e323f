package picture

import (
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

// Batches puts deeds together into as few calls as go. Services that share the name of an image but ran
// different ones come one after the other, and who lives in a namespace does not come before its owner.
func (r Restore) Batches(deeds []Deed) []Batch {
	var batches []Batch
	for _, d := range r.ownersFirst(deeds) {
		m, spec, _ := find(r.Models, d.Key)
		replaces := d.Verb == Recreate || d.Verb == Create
		b := Batch{Verb: d.Verb}
		if replaces {
			b.Stack = m.Stack
		}
		ref := r.refOf(d, spec)
		first := 0
		for i, other := range batches {
			if replaces && slices.ContainsFunc(other.Deeds, func(o Deed) bool { return slices.Contains(spec.Shares, o.Service) && o.Project == d.Project }) {
				first = i
			}
		}
		at := -1
		for i := first; i < len(batches) && at < 0; i++ {
			other := batches[i]
			if other.Verb == b.Verb && other.Stack == b.Stack && (ref == "" || other.Refs[ref] == "" || other.Refs[ref] == d.Image) {
				at = i
			}
		}
		if at < 0 {
			at = len(batches)
			batches = append(batches, b)
		}
		batches[at].Deeds = append(batches[at].Deeds, d)
		if ref != "" {
			if batches[at].Refs == nil {
				batches[at].Refs = map[string]string{}
			}
			batches[at].Refs[ref] = d.Image
		}
	}
	return batches
}

// refOf is the name that the image of a deed goes by, "" where none has to be given to it.
func (r Restore) refOf(d Deed, spec Spec) string {
	if d.Image == "" || !taggable(spec.Image) {
		return ""
	}
	return spec.Image
}

// ownersFirst orders deeds of one verb so that owners of namespaces come before those who live in them.
func (r Restore) ownersFirst(deeds []Deed) []Deed {
	depth := func(d Deed) int {
		m, _, _ := find(r.Models, d.Key)
		n := 0
		for names := []string{d.Service}; len(names) > 0 && n <= len(m.Services); n++ {
			var owners []string
			for _, name := range names {
				owners = append(owners, m.Services[name].Shares...)
			}
			names = owners
		}
		return n
	}
	sorted := slices.Clone(deeds)
	slices.SortStableFunc(sorted, func(a, b Deed) int {
		if a.Verb != b.Verb {
			return slices.Index(verbs, a.Verb) - slices.Index(verbs, b.Verb)
		}
		return depth(a) - depth(b)
	})
	return sorted
}

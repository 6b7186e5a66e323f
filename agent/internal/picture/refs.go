package picture

import (
	"maps"
	"slices"
	"strings"
)

// taggable reports whether a name of an image is one that can be given to another: neither a digest nor an ID.
func taggable(ref string) bool {
	return ref != "" && !strings.Contains(ref, "@") && !strings.HasPrefix(ref, "sha256:")
}

// Meanings lists the names of images that mean something else than before, with what they meant: those alone that
// what may have been changed since goes by. A name that meant nothing keeps its meaning, and so does one that a person moved.
func (r Restore) Meanings(now Picture) map[string]string {
	moved := map[string]string{}
	for _, ref := range slices.Sorted(maps.Keys(r.Before.Refs)) {
		id := r.Before.Refs[ref]
		if taggable(ref) && now.Refs[ref] != id && !slices.Contains(r.Gone, id) && (r.goesBy(ref) || r.madeBy(ref, now)) {
			moved[ref] = id
		}
	}
	return moved
}

// goesBy reports whether a service that may have been touched, or built, is made from a name.
func (r Restore) goesBy(ref string) bool {
	reached := slices.Concat(r.Touched, r.Built)
	for _, c := range r.Before.Containers {
		if c.ImageRef == ref && covered(reached, c.Key()) {
			return true
		}
	}
	for _, m := range r.Models {
		for name, spec := range m.Services {
			if spec.Image == ref && covered(reached, m.Key(name)) {
				return true
			}
		}
	}
	return false
}

// madeBy reports whether going back has made a container from a name: then it has moved the name, too.
func (r Restore) madeBy(ref string, now Picture) bool {
	return slices.ContainsFunc(now.Containers, func(c Container) bool { return c.ImageRef == ref && !r.Began.Has(c.ID) })
}

// Refs lists the names of the images that models are made from, each once, sorted.
func Refs(models []Model) []string {
	var refs []string
	for _, m := range models {
		for _, spec := range m.Services {
			if taggable(spec.Image) {
				refs = append(refs, spec.Image)
			}
		}
	}
	slices.Sort(refs)
	return slices.Compact(refs)
}

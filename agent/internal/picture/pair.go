package picture

import (
	"regexp"
	"slices"
)

// couple is a container as it was, with what stands for it now.
type couple struct{ was, is Container }

// pair finds for each container what stands for it: itself, else one that is made alike, else one that going back has made.
// lost have nobody, extra stand for nobody.
func (r Restore) pair(was, is []Container) (pairs []couple, lost, extra []Container) {
	extra = slices.Clone(is)
	lost = slices.Clone(was)
	inherited := func(w, c Container) bool { return sameMaking(w, c) && r.inherits(w, c) }
	made := func(w, c Container) bool { return r.madeAgain(w, c) && r.inherits(w, c) }
	for _, alike := range []func(w, c Container) bool{
		func(w, c Container) bool { return w.ID == c.ID },
		sameNumber(inherited), inherited, sameNumber(sameMaking), sameMaking, sameNumber(made), made, sameNumber(r.madeAgain), r.madeAgain,
	} {
		var rest []Container
		for _, w := range lost {
			i := slices.IndexFunc(extra, func(c Container) bool { return alike(w, c) })
			if i < 0 {
				rest = append(rest, w)
				continue
			}
			pairs = append(pairs, couple{w, extra[i]})
			extra = slices.Delete(extra, i, i+1)
		}
		lost = rest
	}
	return pairs, lost, extra
}

// sameNumber is a likeness of two that have the same number among those of their service, too: one of several that are alike stands for the one whose
// number Compose gave it.
func sameNumber(alike func(w, c Container) bool) func(w, c Container) bool {
	return func(w, c Container) bool { return w.Number != 0 && w.Number == c.Number && alike(w, c) }
}

// madeAgain reports whether going back has made a container in the place of another, as like it as goes.
func (r Restore) madeAgain(w, c Container) bool {
	return !r.Began.Has(c.ID) && !c.Carrier && (sameImage(w, c) && sameSettings(w, c) || slices.Contains(r.Gone, w.ImageID)) // another image brings settings of its own
}

// sameSettings reports whether two containers were made with the same settings, apart from the commit that landfall.yaml may put into them: the
// checkout to which it goes back, and .env, may be others than those that what ran was made from.
func sameSettings(a, b Container) bool {
	return a.Settings == "" || b.Settings == "" || a.Settings == b.Settings
}

// provisional is the name of a container that a recreate was about to put in place of another, ID_NAME: what is cut off before it gives it
// the old one's name leaves it so.
var provisional = regexp.MustCompile(`^[0-9a-f]{12}_.`)

// misnamed reports whether what stands for a container has a name for the time being, which that one did not have.
func (p couple) misnamed() bool {
	return p.is.Name != p.was.Name && provisional.MatchString(p.is.Name)
}

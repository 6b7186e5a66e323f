package picture

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
)

// Mount is a volume that a container shows.
type Mount struct {
	At       string `json:"at"`     // path in the container
	Volume   string `json:"volume"` // name
	ReadOnly bool   `json:"read_only,omitempty"`
}

// unnamed is what the engine calls a volume that nobody gave a name: 64 random hex digits (moby, volume/service).
var unnamed = regexp.MustCompile(`^[0-9a-f]{64}$`)

// Unnamed reports whether nobody gave the volume a name: a compose file says only where it is, or the image does. Its data stay with a
// service only as Compose hands the volume on from the container that it replaces.
func (m Mount) Unnamed() bool { return unnamed.MatchString(m.Volume) }

func (m Mount) String() string { return fmt.Sprintf("%.12s at %s", m.Volume, m.At) }

func places(mounts []Mount) string {
	var all []string
	for _, m := range mounts {
		all = append(all, m.String())
	}
	return strings.Join(all, ", ")
}

// at is the volume that a container shows somewhere, "" for none.
func (c Container) at(place string) string {
	for _, m := range c.Volumes {
		if m.At == place {
			return m.Volume
		}
	}
	return ""
}

// unnamed are the volumes of a container that nobody gave a name.
func (c Container) unnamed() []Mount {
	return slices.DeleteFunc(slices.Clone(c.Volumes), func(m Mount) bool { return !m.Unnamed() })
}

// HasVolume reports whether the engine has a volume. It is known of a picture that was taken whole.
func (p Picture) HasVolume(name string) bool {
	return slices.ContainsFunc(p.Volumes, func(v Volume) bool { return v.Name == name })
}

// Carrier is a container that is made to be replaced at once. Compose hands volumes for which the compose files have no name on from the container
// that it replaces, and from nowhere else (Compose 2.40, pkg/compose/create.go, buildContainerMountOptions): where that one is gone, or shows
// others, a carrier stands in its place. It cannot be started, so that one which is left by a crash does no harm, and the next `up` takes its volumes over.
type Carrier struct {
	For     string // ID of the container whose volumes it carries
	Instead string // ID of the one that goes for it, "" where none is there
	Number  int    // Compose's, among those of the service
	Volumes []Mount
}

// handed are the volumes of a container that the next one has only from it: the compose files to go back to have no name for them.
func (r Restore) handed(w Container) []Mount {
	_, spec, named := find(r.Models, w.Key())
	return slices.DeleteFunc(slices.Clone(w.Volumes), func(m Mount) bool {
		return !m.Unnamed() && (!named || spec.Mounts[m.At] != "")
	})
}

// inherits reports whether a container shows what another handed on.
func (r Restore) inherits(w, c Container) bool {
	return !slices.ContainsFunc(r.handed(w), func(m Mount) bool { return c.at(m.At) != m.Volume })
}

// heirs counts those of some containers whose volumes one shows.
func (r Restore) heirs(of []Container, c Container) int {
	n := 0
	for _, w := range of {
		if len(r.handed(w)) > 0 && r.inherits(w, c) {
			n++
		}
	}
	return n
}

// astray are the volumes of a container that the one which stands for it does not show, and should.
func (r Restore) astray(w, c Container, now Picture) []Mount {
	return slices.DeleteFunc(r.handed(w), func(m Mount) bool {
		is := c.at(m.At)
		return is == m.Volume || (r.DataStay && (r.had(w.Key(), m.At, is) || !now.HasVolume(m.Volume)))
	})
}

// had reports whether a service showed a volume without a name somewhere when going back began. One with a name loses nothing when the service goes
// back to the one that it had: the compose files decide, as they do between two names.
func (r Restore) had(k Key, place, volume string) bool {
	return Mount{Volume: volume}.Unnamed() && slices.ContainsFunc(r.Began.Of(k), func(c Container) bool { return c.at(place) == volume })
}

// alive are those of mounts whose volume the engine has.
func (r Restore) alive(mounts []Mount, now Picture) []Mount {
	return slices.DeleteFunc(slices.Clone(mounts), func(m Mount) bool { return !now.HasVolume(m.Volume) })
}

// whereTo says what became of volumes.
func (r Restore) whereTo(astray []Mount, now Picture) string {
	if m := astray[0]; !now.HasVolume(m.Volume) {
		return fmt.Sprintf("has lost its data at %s: the volume without a name that it had, %.12s, is gone", m.At, m.Volume)
	}
	return "shows other volumes than it did; its data are in " + places(astray)
}

// carriers are those that have to stand in for the containers of a service before it is replaced; none where Compose finds what it hands on. What is to be
// removed before counts as gone.
func (r Restore) carriers(k Key, now Picture, deeds []Deed) []Carrier {
	there := slices.DeleteFunc(now.Of(k), func(c Container) bool {
		return slices.ContainsFunc(deeds, func(d Deed) bool { return d.Verb == Remove && slices.Contains(d.Containers, c.ID) })
	})
	free := slices.Clone(there)
	var orphans []Container // nobody shows what they handed on
	for _, w := range r.Before.Of(k) {
		kept := r.alive(r.handed(w), now)
		i := slices.IndexFunc(free, func(c Container) bool {
			return !slices.ContainsFunc(kept, func(m Mount) bool { return c.at(m.At) != m.Volume })
		})
		switch {
		case len(kept) == 0:
		case i < 0:
			orphans = append(orphans, w)
		default:
			free = slices.Delete(free, i, i+1)
		}
	}
	var list []Carrier
	for _, w := range orphans {
		c := Carrier{For: w.ID, Number: w.Number, Volumes: r.alive(r.handed(w), now)}
		if i := instead(w, free); i >= 0 {
			other := free[i]
			free = slices.Delete(free, i, i+1)
			missing := r.alive(r.astray(w, other, now), now)
			if len(missing) == 0 {
				continue // its data have stayed
			}
			for j, m := range c.Volumes {
				if !slices.Contains(missing, m) {
					c.Volumes[j].Volume = other.at(m.At)
				}
			}
			c.Instead = other.ID
		}
		list = append(list, c)
	}
	number(list, there)
	return list
}

// instead chooses the container whose place another's carrier takes, -1 for none: that of its number before others.
func instead(w Container, free []Container) int {
	if i := slices.IndexFunc(free, func(c Container) bool { return c.Number == w.Number }); i >= 0 {
		return i
	}
	return min(len(free), 1) - 1
}

// number gives each carrier a number that nobody has: its container's own where that is free.
func number(list []Carrier, there []Container) {
	taken := map[int]bool{0: true}
	for _, c := range there {
		if !slices.ContainsFunc(list, func(o Carrier) bool { return o.Instead == c.ID }) {
			taken[c.Number] = true
		}
	}
	for i := range list {
		for n := 1; taken[list[i].Number]; n++ {
			list[i].Number = n
		}
		taken[list[i].Number] = true
	}
}

// Stray is a volume without a name that a service had and that none of its containers shows any more.
type Stray struct {
	Key
	Mount
	Gone bool // the engine does not have it any more
}

// Strays lists the volumes without a name that services showed, and that no container of the later picture shows.
func (p Picture) Strays(now Picture) []Stray {
	var found []Stray
	for _, w := range p.Containers {
		for _, m := range w.unnamed() {
			shown := slices.ContainsFunc(now.Containers, func(c Container) bool {
				return slices.ContainsFunc(c.Volumes, func(o Mount) bool { return o.Volume == m.Volume })
			})
			if !shown && !slices.ContainsFunc(found, func(s Stray) bool { return s.Volume == m.Volume }) {
				found = append(found, Stray{w.Key(), m, !now.HasVolume(m.Volume)})
			}
		}
	}
	return found
}

// Strays lists the volumes without a name that services which run again showed when going back began, and do not show any more: what they wrote
// there since. What the version that is left had for itself alone is nobody's loss.
func (r Restore) Strays(now Picture) []Stray {
	return slices.DeleteFunc(r.Began.Strays(now), func(s Stray) bool { return len(r.Before.Of(s.Key)) == 0 || s.Gone })
}

// Finding tells of the stray, with what became of it.
func (s Stray) Finding() Finding {
	if s.Gone {
		return Finding{fault.Failed, anonymous, fmt.Sprintf("%s: the volume without a name that it had at %s, %s, is gone with its data", s.Key, s.At, s.Volume), nameIt}
	}
	return Finding{fault.Failed, anonymous, fmt.Sprintf("%s: what it had at %s stays behind in volume %s, which has no name and which nothing shows any more", s.Key, s.At, s.Volume), keepIt}
}

// anonymous is the reason of what is told about volumes without a name.
const anonymous = "ANONYMOUS_VOLUME"

const nameIt = "give the volume a name in the compose file, so that its data do not depend on its container"

const keepIt = "docker volume prune deletes it; to save it: docker run --rm -v VOLUME:/from -v NAME:/to IMAGE cp -a /from/. /to/"

// nameless finds volumes without a name that the target leaves behind: of services that leave, and of replicas that are too many. What a service
// shows elsewhere from then on is told by startsEmpty.
func (p Proof) nameless(leaving []Key) []Finding {
	var found []Finding
	for _, k := range leaving {
		for _, c := range p.Now.Of(k) {
			for _, m := range c.unnamed() {
				found = append(found, Finding{
					fault.Failed, anonymous,
					fmt.Sprintf("%s leaves: what it has at %s stays behind in volume %s, which has no name; a later commit that brings the service back starts empty", k, m.At, m.Volume), keepIt,
				})
			}
		}
	}
	for _, m := range p.Target {
		for _, name := range m.Names() {
			if list := p.Now.Of(m.Key(name)); len(list) > m.Services[name].Replicas && p.reached(m, name) {
				found = append(found, fewer(m.Key(name), list, m.Services[name].Replicas)...)
			}
		}
	}
	return found
}

// fewer tells of the volumes without a name of a service that gets fewer containers: which of them go is Compose's choice.
func fewer(k Key, list []Container, replicas int) []Finding {
	by := map[string][]string{}
	for _, c := range list {
		for _, m := range c.unnamed() {
			by[m.At] = append(by[m.At], m.Volume)
		}
	}
	var found []Finding
	for _, at := range slices.Sorted(maps.Keys(by)) {
		if len(by[at]) > replicas {
			found = append(found, Finding{
				fault.Failed, anonymous,
				fmt.Sprintf("%s goes from %d containers to %d: what is too many of what they have at %s stays behind in its volume, which has no name: of %s", k, len(list), replicas, at, strings.Join(by[at], ", ")), keepIt,
			})
		}
	}
	return found
}

// reached reports whether a step brings a service up.
func (p Proof) reached(m Model, name string) bool {
	return slices.ContainsFunc(p.Steps, func(s pipeline.Step) bool {
		return (s.Up != nil || s.Recreate != nil) && s.Stack() == m.Stack && covers(s.Services(), name)
	})
}

// Told tells what going back does not bring back of volumes without a name, because other versions have been good since.
func (r Restore) Told(now Picture) []Finding {
	if !r.DataStay {
		return nil
	}
	var found []Finding
	for _, w := range r.Before.Containers {
		for _, m := range r.handed(w) {
			is := r.Began.Of(w.Key())
			shown := slices.ContainsFunc(is, func(c Container) bool { return c.at(m.At) == m.Volume })
			other := ""
			for _, c := range is {
				other = cmp.Or(other, c.at(m.At))
			}
			text, hint := "", "data do not go back with the code"
			switch there := now.HasVolume(m.Volume); {
			case shown:
				continue
			case there && other != "" && !(Mount{Volume: other}).Unnamed():
				text = fmt.Sprintf("%s goes back at %s to volume %s, which it had then; what it has written since stays in volume %s", w.Key(), m.At, m.Volume, other)
			case other != "" && len(is) >= len(r.Before.Of(w.Key())):
				text = fmt.Sprintf("%s goes on at %s with the data that it has now, in volume %s; then it was %s", w.Key(), m.At, other, m.Volume)
			case !there:
				text, hint = fmt.Sprintf("%s starts empty at %s: the volume without a name that it had there, %s, is gone", w.Key(), m.At, m.Volume), nameIt
			default:
				continue // it gets it back
			}
			found = append(found, Finding{fault.Failed, anonymous, text, hint})
		}
	}
	return found
}

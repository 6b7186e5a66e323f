package picture

import (
	"fmt"
	"slices"
	"strings"
)

// Restore is what going back is decided from: to what there was at a moment, with the compose files of then.
type Restore struct {
	Before Picture // what there was
	Began  Picture // what there was when going back first began: a container that is younger was made by it
	Models []Model // of the commit to go back to, which is checked out
	// Left are the services that the commit names from which it goes back: what of them was not there before goes.
	Left []Key
	// Touched is what may have been changed since. A container that kept its ID but not its start is restarted only where it is
	// touched, or shows what changed; others may have been restarted by the engine. Image names move back only where it is.
	Touched []Reach
	Built   []Reach  // what may have been built since: image names move back there as well, containers are not concerned
	Changed Paths    // paths of the checkout that may differ between what is left and where it goes
	Gone    []string // images of Before that the engine does not have any more
	// DataStay says that other versions have been good since: a service goes on with the volumes without a name that it has, because they may hold
	// what is newer, and only what has none gets those of then.
	DataStay bool
}

// Verb is what is done to a service.
type Verb string

// The verbs, in the order in which they are done.
const (
	Remove   Verb = "remove"   // its containers go; volumes stay
	Stop     Verb = "stop"     // it was stopped
	Recreate Verb = "recreate" // its containers are replaced, and run
	Create   Verb = "create"   // its containers are replaced, and do not run
	// Reconnect puts it into networks that somebody had connected it to, and takes it off others.
	Reconnect Verb = "reconnect"
	Restart   Verb = "restart"
	Start     Verb = "start"
	Pause     Verb = "pause" // it was paused, and runs
)

var verbs = []Verb{Remove, Stop, Recreate, Create, Reconnect, Restart, Start, Pause}

// Deed is what one service needs, and why.
type Deed struct {
	Key
	Verb       Verb
	Containers []string // IDs of those that it is done to; none for what is replaced
	Scale      int      // number of containers, of what is replaced
	Image      string   // what the name of its image must mean while it is replaced; "" leaves it as it is
	// Together says that a network is made anew with it, which goes only where all services of its stack that say so
	// are replaced by one call.
	Together bool
	Carriers []Carrier    // that are put in place right before, of what is replaced
	Off      []string     // networks that the container is taken off, of what is reconnected
	On       []Attachment // and those that it is connected to; one that is in both gets other names
	Why      string
}

func (d Deed) String() string { return fmt.Sprintf("%s %s: %s", d.Verb, d.Key, d.Why) }

// Deeds lists what is left to do, in order of verb and service. Nothing stands for: it is as it was. What an earlier attempt has
// done is not done again.
func (r Restore) Deeds(now Picture) []Deed {
	var deeds []Deed
	for _, k := range unionKeys(r.Before, now) {
		deeds = append(deeds, r.deedsOf(k, now)...)
	}
	deeds = r.withNetworks(deeds, now)
	deeds = r.withSharers(deeds, now)
	for i, d := range deeds {
		if replaces(d) {
			deeds[i].Carriers = r.carriers(d.Key, now, deeds)
		}
	}
	slices.SortStableFunc(deeds, func(a, b Deed) int {
		if a.Verb != b.Verb {
			return slices.Index(verbs, a.Verb) - slices.Index(verbs, b.Verb)
		}
		return CompareKeys(a.Key, b.Key)
	})
	return deeds
}

// Further lists what deeds that were done have brought about: one of two replicas was stopped and runs now, because they are replaced
// together. What was done once is not done again: it would do no better.
func (r Restore) Further(now Picture, done []Deed) []Deed {
	return slices.DeleteFunc(r.Deeds(now), func(d Deed) bool {
		if replaces(d) {
			return has(done, d.Key, Recreate, Create)
		}
		return has(done, d.Key, d.Verb)
	})
}

// KeysOf lists the services that deeds are done to, in order; empty, never nil.
func KeysOf(deeds []Deed) []Key {
	keys := []Key{}
	for _, d := range deeds {
		keys = append(keys, d.Key)
	}
	slices.SortFunc(keys, CompareKeys)
	return slices.Compact(keys)
}

func replaces(d Deed) bool { return d.Verb == Recreate || d.Verb == Create }

func unionKeys(a, b Picture) []Key {
	keys := append(a.Keys(), b.Keys()...)
	slices.SortFunc(keys, CompareKeys)
	return slices.Compact(keys)
}

// deedsOf decides about one service.
func (r Restore) deedsOf(k Key, now Picture) []Deed {
	was, is := r.Before.living(k), now.living(k)
	_, spec, named := find(r.Models, k)
	var deeds []Deed
	if dead := slices.DeleteFunc(now.Of(k), func(c Container) bool { return !c.Dead() }); len(dead) > 0 && r.knows(k) {
		deeds = append(deeds, Deed{Key: k, Verb: Remove, Containers: ids(dead), Why: "the engine began to remove it, and did not come to an end"})
	}
	if len(was) == 0 {
		if r.knows(k) && len(is) > 0 {
			deeds = append(deeds, Deed{Key: k, Verb: Remove, Containers: ids(is), Why: "it did not exist"})
		}
		return deeds // else somebody started it, and it is nobody's but theirs
	}
	pairs, lost, extra := r.pair(was, is)
	why := r.different(pairs, lost, spec, now)
	if beyond := len(is) - len(was); beyond > 0 && len(extra) > 0 && r.knows(k) {
		// Compose would choose by itself which of too many containers go. What stands in the place of others is not too many, and what
		// shows the volumes of others goes last.
		slices.SortStableFunc(extra, func(a, b Container) int { return r.heirs(lost, b) - r.heirs(lost, a) })
		extra = extra[len(extra)-min(len(extra), beyond):]
		deeds = append(deeds, Deed{Key: k, Verb: Remove, Containers: ids(extra), Why: fmt.Sprintf("there were %d containers", len(was))})
	}
	if why != "" && named { // else nothing can make it again; Wrong says so
		return append(deeds, r.replace(k, was, why))
	}
	return slices.Concat(deeds, r.reconnects(k, pairs, now), r.states(k, pairs, spec, now))
}

// knows reports whether a service is one of the commits': what neither of them names was started by somebody, and is theirs.
func (r Restore) knows(k Key) bool {
	_, _, named := find(r.Models, k)
	return named || slices.Contains(r.Left, k)
}

func ids(list []Container) []string {
	var found []string
	for _, c := range list {
		found = append(found, c.ID)
	}
	return found
}

// different says why the containers of a service have to be replaced, "" when they need not be.
func (r Restore) different(pairs []couple, lost []Container, spec Spec, now Picture) string {
	if len(lost) > 0 {
		return r.whyLost(lost[0], now)
	}
	for _, p := range pairs {
		orphaned := now.orphaned(p.is)
		if r.Before.orphaned(p.was) != "" {
			orphaned = "" // it was so
		}
		switch {
		case !sameNetworks(p.was, p.is) && r.Began.Has(p.is.ID): // what was made by going back is reconnected
			return "its networks are others: " + networksOf(p.is) + ", they were " + networksOf(p.was)
		case p.is.ID != p.was.ID && r.Began.Has(p.is.ID) && spec.Shows(r.Changed):
			return "it shows files that go back"
		case orphaned != "":
			return orphaned
		case len(r.alive(r.astray(p.was, p.is, now), now)) > 0:
			return "it shows other volumes than it did: " + places(r.alive(r.astray(p.was, p.is, now), now))
		case p.misnamed():
			return "a recreate that was cut off left it under the name " + p.is.Name
		}
	}
	return ""
}

// whyLost says what became of a container that nothing stands for.
func (r Restore) whyLost(w Container, now Picture) string {
	for _, c := range now.Of(w.Key()) {
		switch {
		case c.Carrier:
		case !sameImage(w, c):
			return "another image"
		case w.Config != c.Config:
			return "another configuration"
		}
	}
	return "its container is gone"
}

func networksOf(c Container) string {
	var names []string
	for _, n := range c.Networks {
		name := n.Network
		if len(n.Aliases) > 0 {
			name += " as " + strings.Join(n.Aliases, ", ")
		}
		names = append(names, name)
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, "; ")
}

// replace is the deed that makes a service's containers again. A job that had ended well is done again by the old version; what
// was stopped is made and stays so.
func (r Restore) replace(k Key, was []Container, why string) Deed {
	d := Deed{Key: k, Verb: Create, Scale: len(was), Why: why}
	for _, w := range was {
		if w.Running() || w.Succeeded() {
			d.Verb = Recreate
		}
	}
	if !slices.Contains(r.Gone, was[0].ImageID) {
		d.Image = was[0].ImageID
	}
	return d
}

// Anew lists the deeds that make services again as they are, with those who live in their namespaces, of whatever stack.
func (r Restore) Anew(services []Key, why string) []Deed {
	var deeds []Deed
	for _, k := range SharersOf(r.Models, r.Before, services) {
		if list := r.Before.Of(k); len(list) > 0 {
			d := r.replace(k, list, why)
			d.Image = "" // its name means what it is to be made from
			deeds = append(deeds, d)
		}
	}
	return deeds
}

// states brings containers that need not be replaced to the state that they had.
func (r Restore) states(k Key, pairs []couple, spec Spec, now Picture) []Deed {
	by := map[Verb][]string{}
	why := map[Verb]string{}
	for _, p := range pairs {
		verb, because := r.stateOf(k, p, spec, now)
		if verb != "" {
			by[verb], why[verb] = append(by[verb], p.is.ID), because
		}
	}
	var deeds []Deed
	for _, verb := range verbs {
		if len(by[verb]) > 0 {
			deeds = append(deeds, Deed{Key: k, Verb: verb, Containers: by[verb], Why: why[verb]})
		}
	}
	return deeds
}

func (r Restore) stateOf(k Key, p couple, spec Spec, now Picture) (verb Verb, why string) {
	made := !r.Began.Has(p.is.ID)
	switch {
	case p.is.Succeeded() && (p.was.Running() || p.was.Succeeded()):
		return "", "" // a job that has ended by itself
	case p.was.Running() && !p.is.Running():
		return Start, "it ran"
	case p.was.Succeeded() && p.is.State == "created":
		return Start, "it had ended well, and was made again"
	case p.was.Succeeded() && !p.is.Running() && !made && !r.restartedSince(p.is):
		return Start, "it had ended well" // once: a job that fails again does not get better
	case !p.was.Running() && p.is.Running() && !p.was.Succeeded():
		return Stop, "it was stopped"
	case p.was.Running() && !made && r.startedSince(p) && len(r.Changed) > 0 && (spec.Shows(r.Changed) || covered(r.Touched, k)):
		return Restart, "it was started with the other version's files"
	case p.was.Running() && p.is.Running() && now.outlived(p.is) && !r.Before.outlived(p.was):
		return Restart, now.detached(p.is)
	case r.thawed(k, p):
		return Pause, "it was paused"
	}
	return "", ""
}

// startedSince reports whether a container, or one that is made alike, was started after the moment to go back to, and not yet by
// going back.
func (r Restore) startedSince(p couple) bool {
	if p.is.ID == p.was.ID && p.is.Started.Equal(p.was.Started) {
		return false
	}
	return !r.restartedSince(p.is)
}

// restartedSince reports whether going back has started the container again already.
func (r Restore) restartedSince(c Container) bool {
	i := slices.IndexFunc(r.Began.Containers, func(b Container) bool { return b.ID == c.ID })
	return i >= 0 && !r.Began.Containers[i].Started.Equal(c.Started)
}

// withSharers adds what namespaces ask for: who lives in one of a container that is replaced is replaced with it, who lives
// in one that is started again is started again.
func (r Restore) withSharers(deeds []Deed, now Picture) []Deed {
	for grown := true; grown; {
		grown = false
		for _, k := range r.Before.Keys() {
			owner, verb := r.ownerDeed(k, now.Of(k), deeds)
			_, _, named := find(r.Models, k)
			switch {
			case verb == "" || has(deeds, k, Recreate, Create):
			case verb == Recreate && named:
				deeds = slices.DeleteFunc(deeds, func(d Deed) bool { return d.Key == k && d.Verb != Remove })
				deeds, grown = append(deeds, r.replace(k, r.Before.Of(k), "it lives in a namespace of "+owner+", which is replaced")), true
			case verb == Restart:
				if running := r.running(k, now, deeds); len(running) > 0 {
					deeds, grown = append(deeds, Deed{Key: k, Verb: Restart, Containers: running, Why: "it lives in a namespace of " + owner}), true
				}
			}
		}
	}
	return deeds
}

// running lists the containers of a service that ran and run, and that nothing is done to yet.
func (r Restore) running(k Key, now Picture, deeds []Deed) []string {
	pairs, _, _ := r.pair(r.Before.living(k), now.living(k))
	var found []string
	for _, p := range pairs {
		done := slices.ContainsFunc(deeds, func(d Deed) bool { return slices.Contains(d.Containers, p.is.ID) })
		if p.was.Running() && p.is.Running() && !done {
			found = append(found, p.is.ID)
		}
	}
	return found
}

// ownerDeed is what is done to the services in whose namespaces another lives, by the compose files or as it is: Recreate where one is
// replaced, else Restart where one is started again.
func (r Restore) ownerDeed(k Key, is []Container, deeds []Deed) (owner string, verb Verb) {
	owners := ownersBy(r.Models, k)
	for _, d := range deeds {
		lives := slices.Contains(owners, d.Key)
		for _, c := range is {
			lives = lives || slices.ContainsFunc(c.Shares, func(s Share) bool { return r.Began.ownedBy(s.Container, d.Key) })
		}
		switch {
		case !lives || d.Key == k:
		case replaces(d):
			return d.Service, Recreate
		case d.Verb == Restart || d.Verb == Start:
			owner, verb = d.Service, Restart
		}
	}
	return owner, verb
}

func (p Picture) ownedBy(id string, k Key) bool {
	c, there := p.Container(id)
	return there && c.Key() == k
}

func has(deeds []Deed, k Key, verbs ...Verb) bool {
	return slices.ContainsFunc(deeds, func(d Deed) bool { return d.Key == k && slices.Contains(verbs, d.Verb) })
}

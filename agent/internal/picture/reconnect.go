package picture

import (
	"fmt"
	"slices"
	"strings"

	"ataraxis.dev/landfall/shared/fault"
)

// reconnects puts what going back has made into the networks that it was in. Compose knows those of its files alone: what somebody connected by hand
// (`docker network connect`), or took off, is lost with the container. A network that is gone is for Wrong to tell.
func (r Restore) reconnects(k Key, pairs []couple, now Picture) []Deed {
	var deeds []Deed
	for _, p := range pairs {
		if r.Began.Has(p.is.ID) || sameNetworks(p.was, p.is) {
			continue
		}
		off, on := p.moves(now)
		if len(off)+len(on) > 0 {
			deeds = append(deeds, Deed{Key: k, Verb: Reconnect, Containers: []string{p.is.ID}, Off: off, On: on, Why: "it was in the networks " + networksOf(p.was)})
		}
	}
	return deeds
}

// moves is what has to be done for a container to be in the networks of another, under its names, as far as they are there: what it is taken off
// first, and what it is connected to.
func (p couple) moves(now Picture) (off []string, on []Attachment) {
	for _, n := range p.is.Networks {
		if !slices.ContainsFunc(p.was.Networks, n.same) {
			off = append(off, n.Network)
		}
	}
	for _, n := range p.was.Networks {
		if slices.ContainsFunc(p.is.Networks, n.same) {
			continue
		}
		if _, there := now.network(n.Network); there {
			on = append(on, n)
		} else {
			off = slices.DeleteFunc(off, func(name string) bool { return name == n.Network })
		}
	}
	return off, on
}

func (a Attachment) same(b Attachment) bool {
	return a.Network == b.Network && slices.Equal(a.Aliases, b.Aliases)
}

// NetworkByHand is the reason of the warning that somebody's connection to a network ends with a container.
const NetworkByHand = "NETWORK_BY_HAND"

// byHand finds containers that somebody connected to networks which no compose file gives them, and that steps, or going back, may replace.
func (p Proof) byHand() []Finding {
	var found []Finding
	for _, k := range p.replaceable() {
		_, wanted, ours := find(p.Target, k)
		_, had, known := find(p.Present, k)
		if !ours || !known || had.Image == "" || len(had.Networks) == 0 {
			continue // it leaves, nothing but its name is known, or it has a mode of its own
		}
		for _, c := range p.Now.Of(k) {
			var more []Attachment
			for _, n := range c.Networks {
				if !slices.Contains(had.Networks, n.Network) && !slices.Contains(wanted.Networks, n.Network) {
					more = append(more, n)
				}
			}
			if len(more) == 0 {
				continue
			}
			message := fmt.Sprintf("%s: container %s is in a network that no compose file gives it: %s; one that takes its place is not", k, c.Name, networksOf(Container{Networks: more}))
			if p.Back == nil {
				message += ", until what fails goes back"
			}
			found = append(found, Finding{fault.Failed, NetworkByHand, message, "name the network in the compose file, or connect it again afterwards: " + connecting(more, c.Name)})
		}
	}
	return found
}

func connecting(networks []Attachment, container string) string {
	var commands []string
	for _, n := range networks {
		command := "docker network connect "
		for _, alias := range n.Aliases {
			command += "--alias " + alias + " "
		}
		commands = append(commands, command+n.Network+" "+container)
	}
	return strings.Join(commands, "; ")
}

// replaceable lists the services whose containers the steps may replace, or going back touches.
func (p Proof) replaceable() []Key {
	if p.Back != nil {
		return p.Back
	}
	var keys []Key
	for _, m := range p.Target {
		for _, s := range p.Steps {
			if s.Restart != nil {
				continue // the same containers go on
			}
			for _, name := range m.changedBy(s) {
				keys = append(keys, m.Key(name))
			}
		}
	}
	slices.SortFunc(keys, CompareKeys)
	return slices.Compact(keys)
}

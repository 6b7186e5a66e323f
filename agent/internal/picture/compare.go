package picture

import (
	"fmt"
	"slices"
	"strings"
)

// Wrong lists where what runs is not what ran, one line a service; empty means that it is. It fails closed: what was
// not looked at, and what nobody can compare, is wrong. Health is for probes to judge.
func (r Restore) Wrong(now Picture) []string {
	var wrong []string
	for _, project := range r.projects() {
		if !now.Looked(project) {
			wrong = append(wrong, fmt.Sprintf("project %s was not looked at", project))
		}
	}
	for _, n := range r.redefined(now) {
		wrong = append(wrong, n.String())
	}
	for _, k := range unionKeys(r.Before, now) {
		if why := r.wrong(k, now); why != "" {
			wrong = append(wrong, k.String()+" "+why)
		}
	}
	return wrong
}

// projects are all that going back has to do with.
func (r Restore) projects() []string {
	projects := append(Projects(r.Models), r.Before.Projects...)
	for _, k := range r.Left {
		projects = append(projects, k.Project)
	}
	slices.Sort(projects)
	return slices.Compact(projects)
}

func (r Restore) wrong(k Key, now Picture) string {
	was, is := r.Before.living(k), now.living(k)
	if len(was) == 0 {
		if len(is) > 0 && r.knows(k) {
			return fmt.Sprintf("has %s, it had none", containers(len(is)))
		}
		return ""
	}
	pairs, lost, extra := r.pair(was, is)
	switch {
	case !r.knows(k) && len(extra) == 0: // whoever started it has removed what is lost
	case len(is) < len(was):
		return fmt.Sprintf("has %s, it had %d", containers(len(is)), len(was))
	case len(lost) > 0:
		return r.runsInstead(lost[0], extra)
	case len(extra) > 0 && r.knows(k):
		return fmt.Sprintf("has %s, it had %d", containers(len(is)), len(was))
	}
	for _, p := range pairs {
		if why := r.wrongPair(k, p, now); why != "" {
			return why
		}
	}
	return ""
}

func containers(n int) string {
	if n == 1 {
		return "1 container"
	}
	return fmt.Sprintf("%d containers", n)
}

func (r Restore) runsInstead(was Container, extra []Container) string {
	for _, c := range extra {
		switch {
		case !sameImage(was, c):
			return fmt.Sprintf("runs image %.19s, it ran %.19s", c.ImageID, was.ImageID)
		case c.Config != was.Config || !sameSettings(was, c):
			return "is configured otherwise than it was: the checkout, or .env, was changed since it was made"
		}
	}
	return "is not what it was"
}

func (r Restore) wrongPair(k Key, p couple, now Picture) string {
	lost := now.detached(p.is)
	switch {
	case p.was.Running() && !p.is.Running() && !p.is.Succeeded():
		return fmt.Sprintf("is %s, it ran", stateWords(p.is))
	case p.was.Succeeded() && !p.is.Succeeded() && !p.is.Running():
		return fmt.Sprintf("is %s, it had ended well", stateWords(p.is))
	case !p.was.Running() && !p.was.Succeeded() && p.is.Running():
		return "runs, it was stopped"
	case r.thawed(k, p):
		return "runs, it was paused"
	case !sameNetworks(p.was, p.is):
		return "is in other networks: " + networksOf(p.is) + "; they were " + networksOf(p.was)
	case p.was.Running() && lost != "" && r.Before.detached(p.was) == "":
		return lost
	case len(r.astray(p.was, p.is, now)) > 0:
		return r.whereTo(r.astray(p.was, p.is, now), now)
	case p.misnamed():
		return "has the name " + p.is.Name + ", it had " + p.was.Name
	}
	return ""
}

func stateWords(c Container) string {
	if c.State == "exited" {
		return fmt.Sprintf("exited (%d)", c.ExitCode)
	}
	return c.State
}

// Tally counts what runs against what ran: services that had a running container, and how many of them are as they were. wrong names
// those that are not.
func (r Restore) Tally(now Picture) (ran, right int, wrong []string) {
	for _, k := range r.Before.Keys() {
		if !slices.ContainsFunc(r.Before.Of(k), Container.Running) {
			continue
		}
		if !r.knows(k) && len(now.Of(k)) == 0 { // whoever started it has removed it
			continue
		}
		if ran++; r.wrong(k, now) == "" {
			right++
		} else {
			wrong = append(wrong, k.Service)
		}
	}
	return ran, right, wrong
}

// Sentence says what the tally found.
func (r Restore) Sentence(now Picture) string {
	ran, right, wrong := r.Tally(now)
	switch {
	case ran == 0:
		if running := runningIn(now); len(running) > 0 {
			return "nothing ran before; now runs " + strings.Join(running, ", ")
		}
		return "nothing ran before, nothing runs now"
	case right == ran:
		return fmt.Sprintf("%d of %d services run what ran before", right, ran)
	}
	return fmt.Sprintf("%d of %d services run what ran before, not %s", right, ran, strings.Join(wrong, ", "))
}

// runningIn lists the services of a picture that have a running container.
func runningIn(p Picture) []string {
	var names []string
	for _, k := range p.Keys() {
		if slices.ContainsFunc(p.Of(k), Container.Running) {
			names = append(names, k.String())
		}
	}
	return names
}

package picture

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// engine is a small simulator of what an engine and Compose do, independent of the decisions under test. It refuses what they refuse.
type engine struct {
	models     []Model
	containers []Container
	refs       map[string]string
	made       int
	clock      time.Time
}

func (e *engine) now() time.Time {
	e.clock = e.clock.Add(time.Second)
	return e.clock
}

func (e *engine) picture() Picture {
	p := Picture{Projects: []string{"ops", "shop"}, Refs: maps.Clone(e.refs)}
	for _, c := range e.containers {
		c.Networks, c.Shares = slices.Clone(c.Networks), slices.Clone(c.Shares)
		p.Containers = append(p.Containers, c)
	}
	p.Sort()
	return p
}

func (e *engine) find(id string) *Container {
	for i := range e.containers {
		if e.containers[i].ID == id {
			return &e.containers[i]
		}
	}
	return nil
}

func (e *engine) start(c *Container) error {
	for _, s := range c.Shares {
		if o := e.find(s.Container); o == nil || !o.Running() {
			return fmt.Errorf("%s: cannot join the namespace of container %s: it does not run", c.Service, s.Container)
		}
	}
	c.State, c.ExitCode, c.Started = "running", 0, e.now()
	if c.OneShot {
		c.State = "exited"
	}
	return nil
}

// do does one deed.
func (e *engine) do(d Deed) error {
	for _, id := range d.Containers {
		c := e.find(id)
		if c == nil {
			return fmt.Errorf("%s: no container %s", d, id)
		}
		switch d.Verb {
		case Remove:
			e.containers = slices.DeleteFunc(e.containers, func(o Container) bool { return o.ID == id })
		case Stop:
			c.State, c.ExitCode = "exited", 143
		case Reconnect:
			c.Networks = slices.DeleteFunc(c.Networks, func(a Attachment) bool { return slices.Contains(d.Off, a.Network) })
			c.Networks = append(c.Networks, d.On...)
			slices.SortFunc(c.Networks, func(a, b Attachment) int { return strings.Compare(a.Network, b.Network) })
		case Pause:
			c.State = "paused"
		case Start, Restart:
			if err := e.start(c); err != nil {
				return err
			}
		default:
			return fmt.Errorf("%s names containers", d)
		}
	}
	if d.Verb != Recreate && d.Verb != Create {
		return nil
	}
	e.containers = slices.DeleteFunc(e.containers, func(o Container) bool { return o.Key() == d.Key })
	for range d.Scale {
		if err := e.make(d.Key, d.Verb == Recreate); err != nil {
			return err
		}
	}
	return nil
}

func (e *engine) make(k Key, start bool) error {
	for _, m := range e.models {
		s, ours := m.Services[k.Service]
		if !ours || m.Project != k.Project {
			continue
		}
		e.made++
		c := Container{
			Project: k.Project, Service: k.Service, ID: fmt.Sprintf("m%d", e.made), ImageID: e.refs[s.Image], ImageRef: s.Image, Config: k.Service + "-1",
			State: "created", OneShot: s.OneShot,
		}
		for _, n := range s.Networks {
			c.Networks = append(c.Networks, Attachment{Network: n, Aliases: []string{k.Service}})
		}
		for _, owner := range s.Shares {
			i := slices.IndexFunc(e.containers, func(o Container) bool { return o.Project == k.Project && o.Service == owner })
			if i < 0 {
				return fmt.Errorf("%s: no container of %s to live in", k, owner)
			}
			c.Shares = append(c.Shares, Share{"network", e.containers[i].ID})
		}
		e.containers = append(e.containers, c)
		if start {
			return e.start(&e.containers[len(e.containers)-1])
		}
		return nil
	}
	return fmt.Errorf("no compose file names %s", k)
}

// carry does batches, up to a number of deeds; negative is all.
func (e *engine) carry(batches []Batch, most int) (done []Deed, err error) {
	for _, b := range batches {
		for _, d := range b.Deeds {
			if most >= 0 && len(done) == most {
				return done, nil
			}
			maps.Copy(e.refs, b.Refs)
			if err := e.do(d); err != nil {
				return done, err
			}
			done = append(done, d)
		}
	}
	return done, nil
}

// fleet is a random host that runs, with the compose files that made it.
func fleet(rng *rand.Rand) *engine {
	e := &engine{refs: map[string]string{}, clock: began}
	m := stack("core of shop")
	names := []string{"a", "b", "c", "d", "e", "f"}[:2+rng.IntN(5)]
	for i, name := range names {
		line := name
		switch {
		case i > 0 && rng.IntN(3) == 0:
			line += " in:" + names[rng.IntN(i)]
		case rng.IntN(6) == 0:
			line += " job"
		case rng.IntN(4) == 0:
			line += " on:shop_default,shop_back"
		}
		if rng.IntN(3) == 0 {
			line += " shows:config"
		}
		if i > 0 && rng.IntN(3) == 0 {
			line += " image:shop-" + names[0]
		}
		service, s := spec("shop", line)
		if s.Shares != nil && m.Services[s.Shares[0]].OneShot {
			s.Shares, s.Networks = nil, []string{"shop_default"} // nothing lives in the namespace of what has ended
		}
		if s.Shares == nil && !s.OneShot && rng.IntN(4) == 0 {
			s.Replicas = 1 + rng.IntN(3)
		}
		m.Services[service] = s
	}
	// An owner of namespaces has one container: of several the decisions do not tell in which one somebody lives.
	for _, s := range m.Services {
		for _, owner := range s.Shares {
			o := m.Services[owner]
			o.Replicas = 1
			m.Services[owner] = o
		}
	}
	e.models = []Model{m}
	for _, name := range names {
		e.refs[m.Services[name].Image] = fmt.Sprintf("sha256:%s-%d", name, rng.IntN(2))
		for range m.Services[name].Replicas {
			if err := e.make(m.Key(name), true); err != nil {
				panic(err)
			}
		}
	}
	// What nobody lives in may be stopped, one of several as well.
	for i := range e.containers {
		c := &e.containers[i]
		lived := slices.ContainsFunc(e.containers, func(o Container) bool { return len(o.Shares) > 0 && o.Shares[0].Container == c.ID })
		if !lived && rng.IntN(6) == 0 && !c.OneShot {
			c.State, c.ExitCode = "exited", 143
		}
	}
	if rng.IntN(2) == 0 {
		e.containers = append(e.containers, box("hand", "hand1", after(0)))
		e.refs["shop-hand"] = "sha256:hand-1"
	}
	return e
}

// meddle changes something, as a commit or a person does.
func (e *engine) meddle(rng *rand.Rand) string {
	e.made++
	names := e.models[0].Names()
	name := names[rng.IntN(len(names))]
	of := slices.Collect(func(yield func(int) bool) {
		for i, c := range e.containers {
			if c.Service == name && !yield(i) {
				return
			}
		}
	})
	if len(of) == 0 {
		return "nothing to " + name
	}
	c := &e.containers[of[rng.IntN(len(of))]]
	switch what := rng.IntN(9); what {
	case 0, 1: // replaced by another version
		old := c.ID
		*c = Container{
			Project: "shop", Service: name, ID: fmt.Sprintf("n%d", e.made), ImageID: "sha256:new-" + name, ImageRef: c.ImageRef, Config: name + "-2",
			State: "running", OneShot: c.OneShot, Started: e.now(), Networks: c.Networks, Shares: c.Shares,
		}
		e.refs[c.ImageRef] = c.ImageID
		return "replace " + name + " " + old
	case 2: // made again as it was
		c.ID, c.Started = fmt.Sprintf("n%d", e.made), e.now()
		return "make again " + name
	case 3:
		id := c.ID
		e.containers = slices.DeleteFunc(e.containers, func(o Container) bool { return o.ID == id })
		return "remove " + name
	case 4:
		c.State, c.ExitCode = "exited", 1
		return "stop " + name
	case 5:
		c.State, c.ExitCode, c.Started = "running", 0, e.now()
		return "start " + name
	case 6:
		c.Networks = nil
		return "disconnect " + name
	case 7:
		extra := *c
		extra.ID = fmt.Sprintf("n%d", e.made)
		e.containers = append(e.containers, extra)
		return "scale " + name
	default:
		e.containers = append(e.containers, box("new", fmt.Sprintf("n%d", e.made)))
		e.refs["shop-new"] = "sha256:new"
		return "add new"
	}
}

// inhabitants tells what runs, in words of the test's own.
func inhabitants(p Picture) []string {
	var list []string
	for _, c := range p.Containers {
		word := "stopped"
		switch {
		case c.OneShot && (c.State == "running" || (c.State == "exited" && c.ExitCode == 0)):
			word = "good"
		case c.State == "running":
			word = "runs"
		}
		var networks, owners []string
		for _, n := range c.Networks {
			networks = append(networks, n.Network+"="+strings.Join(n.Aliases, ","))
		}
		for _, s := range c.Shares {
			owner := "nobody"
			for _, o := range p.Containers {
				if o.ID == s.Container {
					owner = o.Service
					if word == "runs" && (o.State != "running" || o.Started.After(c.Started)) {
						owner += ", but in a namespace that is gone"
					}
				}
			}
			owners = append(owners, owner)
		}
		list = append(list, fmt.Sprint(c.Project, "/", c.Service, " ", c.ImageID, " ", word, " ", networks, owners))
	}
	slices.Sort(list)
	return list
}

// clone is another engine in the same state.
func (e *engine) clone() *engine {
	c := *e
	c.containers, c.refs = e.picture().Containers, maps.Clone(e.refs)
	return &c
}

// journey is a random host, what it was, and how one goes back.
type journey struct {
	*engine
	restore Restore
	story   []string
}

func setOut(seed uint64) journey {
	rng := rand.New(rand.NewPCG(seed, 7))
	e := fleet(rng)
	j := journey{engine: e, restore: Restore{Before: e.picture(), Models: e.models, Left: keys("new"), Touched: everything, Changed: Paths{"config/x"}}}
	for range rng.IntN(5) {
		j.story = append(j.story, e.meddle(rng))
	}
	j.restore.Began = e.picture().Brief()
	return j
}

// journeys is how many are tried.
const journeys = 4000

// TestGoingBackEndsWhereItBegan over random hosts: deeds that an independent engine does bring back what ran, by a comparison that
// is independent of Wrong, and Wrong agrees; where nothing was changed nothing is done.
func TestGoingBackEndsWhereItBegan(t *testing.T) {
	t.Parallel()
	for seed := range uint64(journeys) {
		j := setOut(seed)
		if err := j.goBack(); err != nil {
			t.Fatalf("seed %d, %q: %v", seed, j.story, err)
		}
		if len(j.story) == 0 && len(j.restore.Deeds(j.restore.Before)) > 0 {
			t.Fatalf("seed %d: nothing was changed, but %q", seed, lines(j.restore.Deeds(j.restore.Before)))
		}
		end := j.picture()
		if wrong := j.restore.Wrong(end); len(wrong) > 0 {
			t.Fatalf("seed %d, %q: wrong: %q", seed, j.story, wrong)
		}
		equal(t, fmt.Sprintf("seed %d, %q", seed, j.story), inhabitants(end), inhabitants(j.restore.Before))
		for name, id := range j.restore.Before.Refs {
			if j.refs[name] != id {
				t.Fatalf("seed %d, %q: name %s means %s, it meant %s", seed, j.story, name, j.refs[name], id)
			}
		}
		if t.Failed() {
			return
		}
	}
}

// goBack does what the flow does.
func (j *journey) goBack() error {
	var done []Deed
	for more := j.restore.Deeds(j.picture()); len(more) > 0; more = j.restore.Further(j.picture(), done) {
		if _, err := j.carry(j.restore.Batches(more), -1); err != nil {
			return err
		}
		done = append(done, more...)
	}
	maps.Copy(j.refs, j.restore.Meanings(j.picture()))
	return nil
}

// TestGoingBackIsTakenUp: wherever it is cut off, what is left to do is what was left, and it ends the same.
func TestGoingBackIsTakenUp(t *testing.T) {
	t.Parallel()
	for seed := range uint64(journeys / 4) {
		start := setOut(seed)
		all := start.restore.Deeds(start.picture())
		for cut := range len(all) + 1 {
			j := journey{start.clone(), start.restore, start.story}
			done, err := j.carry(j.restore.Batches(all), cut)
			if err != nil {
				t.Fatal(err)
			}
			var rest, got []string
			for _, d := range all {
				if !slices.ContainsFunc(done, func(o Deed) bool { return o.line() == d.line() }) {
					rest = append(rest, d.line())
				}
			}
			for _, d := range j.restore.Further(j.picture(), done) {
				// What was replaced with several containers may have one too many that runs.
				if !slices.ContainsFunc(done, func(o Deed) bool { return o.Key == d.Key && replaces(o) && d.Verb == Stop }) {
					got = append(got, d.line())
				}
			}
			equal(t, fmt.Sprintf("seed %d, %q, done %q", seed, start.story, lines(done)), got, rest)
			if err := j.goBack(); err != nil {
				t.Fatalf("seed %d, %q, done %q: %v", seed, start.story, lines(done), err)
			}
			equal(t, fmt.Sprintf("seed %d, %q, done %q, end", seed, start.story, lines(done)), inhabitants(j.picture()), inhabitants(start.restore.Before))
			if t.Failed() {
				return
			}
		}
	}
}

// TestWrongFindsEverything that is changed at a good end, one thing at a time.
func TestWrongFindsEverything(t *testing.T) {
	t.Parallel()
	for seed := range uint64(journeys / 4) {
		j := setOut(seed)
		if err := j.goBack(); err != nil {
			t.Fatal(err)
		}
		end := j.picture()
		for i, c := range end.Containers {
			for what, spoil := range map[string]func(p *Picture, c *Container) bool{
				"image":  func(_ *Picture, c *Container) bool { c.ID, c.ImageID = "x", "sha256:x"; return true },
				"config": func(_ *Picture, c *Container) bool { c.ID, c.Config = "x", "x"; return true },
				"gone":   func(p *Picture, _ *Container) bool { p.Containers = slices.Delete(p.Containers, i, i+1); return true },
				"another": func(p *Picture, c *Container) bool {
					extra := *c
					extra.ID = "x"
					p.Containers = append(p.Containers, extra)
					return c.Service != "hand"
				},
				"down": func(_ *Picture, c *Container) bool {
					ran := c.Running() || c.Succeeded()
					c.State, c.ExitCode = "exited", 1
					return ran
				},
				"up": func(_ *Picture, c *Container) bool {
					ran := c.Running() || c.Succeeded()
					c.State = "running"
					return !ran
				},
				"network": func(_ *Picture, c *Container) bool {
					c.Networks = append(c.Networks, Attachment{Network: "zz"})
					return true
				},
				"alias": func(_ *Picture, c *Container) bool {
					if len(c.Networks) == 0 {
						return false
					}
					c.Networks[0].Aliases = []string{"zz"}
					return true
				},
				"owner": func(p *Picture, c *Container) bool {
					if !c.Running() || len(c.Shares) == 0 {
						return false
					}
					for k := range p.Containers {
						if p.Containers[k].ID == c.Shares[0].Container {
							p.Containers[k].Started = p.Containers[k].Started.Add(time.Hour)
						}
					}
					return true
				},
			} {
				bad := j.clone().picture()
				if !spoil(&bad, &bad.Containers[i]) {
					continue
				}
				bad.Sort()
				r := j.restore
				r.Began = bad // nothing of it was made by going back
				ownersDeed := what == "gone" && !r.knows(c.Key())
				if (len(r.Wrong(bad)) == 0) != ownersDeed {
					t.Fatalf("seed %d, %q: %s of %s is not found", seed, j.story, what, c.Key())
				}
			}
		}
	}
}

package picture

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// began is when the containers of the tests were started, if nothing else is said.
var began = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// box is a container of a service "app", or "project/app", as a good deploy leaves it; "shop" is the project where none is given.
func box(service, id string, change ...func(*Container)) Container {
	project, name, other := strings.Cut(service, "/")
	if !other {
		project, name = "shop", service
	}
	c := Container{
		Project: project, Service: name, ID: id, Name: project + "-" + name + "-" + id,
		ImageID: "sha256:" + name + "-1", ImageRef: project + "-" + name, Config: name + "-1", State: "running", Started: began,
		Networks: []Attachment{{Network: project + "_default", Aliases: []string{name}}},
	}
	for _, do := range change {
		do(&c)
	}
	return c
}

func image(version string) func(*Container) {
	return func(c *Container) { c.ImageID = "sha256:" + c.Service + "-" + version }
}

func imageID(id string) func(*Container) { return func(c *Container) { c.ImageID = id } }

func config(version string) func(*Container) {
	return func(c *Container) { c.Config = c.Service + "-" + version }
}

func exited(code int) func(*Container) {
	return func(c *Container) { c.State, c.ExitCode = "exited", code }
}

func state(s string) func(*Container) { return func(c *Container) { c.State = s } }

func job(c *Container) { c.OneShot = true }

// after starts a container that many minutes after the others.
func after(minutes int) func(*Container) {
	return func(c *Container) { c.Started = began.Add(time.Duration(minutes) * time.Minute) }
}

func on(networks ...string) func(*Container) {
	return func(c *Container) {
		c.Networks = nil
		for _, n := range networks {
			c.Networks = append(c.Networks, Attachment{Network: n, Aliases: []string{c.Service}})
		}
	}
}

// in puts a container into the network namespace of another, and out of all networks.
func in(id string) func(*Container) {
	return func(c *Container) { c.Networks, c.Shares = nil, []Share{{"network", id}} }
}

func ref(name string) func(*Container) { return func(c *Container) { c.ImageRef = name } }

func called(name string) func(*Container) { return func(c *Container) { c.Name = name } }

// host is a picture of the projects shop and ops, of what containers say.
func host(containers ...Container) Picture {
	p := Picture{Projects: []string{"ops", "shop"}, Containers: containers, Refs: map[string]string{}}
	for _, c := range containers {
		p.Refs[c.ImageRef] = c.ImageID
	}
	p.Sort()
	return p
}

// elsewhere adds containers of other projects, or of none, to a picture.
func (p Picture) elsewhere(others ...Container) Picture {
	p.Elsewhere = others
	p.Sort()
	return p
}

// spec is a service of the tests' models: "app", "app x3", "side in:app", "side within:CONTAINER", "app on:shop_back", "app shows:config", "app image:NAME",
// "app fixed:NAME", "app needs:db", "app job", "app mounts:VOLUME=/data".
func spec(project, line string) (string, Spec) {
	fields := strings.Fields(line)
	s := Spec{Image: project + "-" + fields[0], Builds: true, Replicas: 1, Networks: []string{project + "_default"}}
	for _, f := range fields[1:] {
		key, value, _ := strings.Cut(f, ":")
		switch key {
		case "in":
			s.Shares, s.DependsOn, s.Networks = append(s.Shares, value), append(s.DependsOn, value), nil
		case "within":
			s.Within, s.Networks = append(s.Within, value), nil
		case "needs":
			s.DependsOn = append(s.DependsOn, value)
		case "on":
			s.Networks = strings.Split(value, ",")
		case "shows":
			s.Places = append(s.Places, value)
		case "image":
			s.Image = value
		case "fixed":
			s.ContainerName = value
		case "job":
			s.OneShot = true
		case "mounts":
			volume, at, _ := strings.Cut(value, "=")
			s.Mounts = map[string]string{at: volume}
		case "missing":
			s.Missing = append(s.Missing, value)
		default:
			if _, err := fmt.Sscanf(f, "x%d", &s.Replicas); err != nil {
				panic("not a word of a service: " + f)
			}
		}
	}
	return fields[0], s
}

// stack is a model; its name is "core", or "core of shop" for one whose project has another name.
func stack(name string, services ...string) Model {
	name, project, other := strings.Cut(name, " of ")
	if !other {
		project = name
	}
	m := Model{Stack: name, Project: project, Services: map[string]Spec{}, Networks: map[string]NetworkSpec{}, Volumes: map[string]VolumeSpec{}}
	for _, line := range services {
		service, s := spec(project, line)
		m.Services[service] = s
		for _, n := range s.Networks {
			m.Networks[n] = NetworkSpec{}
		}
		for _, v := range s.Mounts {
			if v != "" {
				m.Volumes[v] = VolumeSpec{}
			}
		}
	}
	return m
}

func core(services ...string) []Model { return []Model{stack("core of shop", services...)} }

func key(s string) Key {
	project, name, other := strings.Cut(s, "/")
	if !other {
		return Key{"shop", s}
	}
	return Key{project, name}
}

func keys(names ...string) []Key {
	var list []Key
	for _, n := range names {
		list = append(list, key(n))
	}
	return list
}

// line tells a deed: "recreate app x1", "stop app a1 a2"; what is not of the project shop has it before its name.
func (d Deed) line() string {
	name := strings.TrimPrefix(d.Key.String(), "shop/")
	if replaces := d.Verb == Recreate || d.Verb == Create; replaces {
		return fmt.Sprintf("%s %s x%d", d.Verb, name, d.Scale)
	}
	return fmt.Sprintf("%s %s %s", d.Verb, name, strings.Join(d.Containers, " "))
}

func lines(deeds []Deed) []string {
	var list []string
	for _, d := range deeds {
		list = append(list, d.line())
	}
	return list
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

// says holds lines to those that are wanted: as many, each containing its part.
func says(t *testing.T, what string, got, want []string) {
	t.Helper()
	if len(got) == len(want) && !slices.ContainsFunc(want, func(part string) bool {
		return !slices.ContainsFunc(got, func(line string) bool { return strings.Contains(line, part) })
	}) {
		return
	}
	t.Errorf("%s:\n  %s\nwant\n  %s", what, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
}

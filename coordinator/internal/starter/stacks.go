package starter

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

// stack is a set of compose files that are run as one.
type stack struct {
	name     string
	files    []*composeFile
	services map[string]*service // of all files; parts of overlays added up
}

// names is the services' names, sorted.
func (s *stack) serviceNames() []string {
	f := composeFile{services: s.services}
	return f.names()
}

// developer are variants that a person uses on the own machine, not a host.
var developer = regexp.MustCompile(`^(dev|devel|development|local|debug|test|tests|testing|ci|example|sample|template)$`)

// stacks groups the compose files of every folder: a variant is an overlay of a file
// beside it when it only changes services that the other has, or holds a service that
// cannot stand alone; else it is a stack of its own.
func stacks(files []*composeFile) (list []*stack, notes []string) {
	slices.SortFunc(files, func(a, b *composeFile) int { return strings.Compare(order(a), order(b)) })
	for _, f := range files {
		base := baseOf(f, list)
		switch {
		case developer.MatchString(f.variant):
			notes = append(notes, f.path+" is left out: its name says that it is for development; add it to its stack's files if the host uses it")
		case base != nil:
			base.files = append(base.files, f)
			base.add(f)
		case f.variant == "" && slices.ContainsFunc(list, func(s *stack) bool { return s.files[0].dir() == f.dir() && s.files[0].variant == "" }):
			notes = append(notes, f.path+" is left out: Compose takes the other file of its folder first")
		case !slices.ContainsFunc(f.names(), func(n string) bool { return f.services[n].whole() }):
			notes = append(notes, f.path+" is left out: none of its services has an image or a build, and no file beside it has them")
		default:
			s := &stack{name: stackName(f, list), files: []*composeFile{f}, services: map[string]*service{}}
			s.add(f)
			list = append(list, s)
		}
	}
	return list, notes
}

// order puts the root first, files before their variants, and of two equal ones that
// first which Compose itself prefers: compose.yaml, compose.yml, docker-compose.yml.
// Source: https://docs.docker.com/compose/intro/compose-application-model/
func order(f *composeFile) string {
	folder := f.dir()
	if folder == "." {
		folder = ""
	}
	return fmt.Sprintf("%s\x00%s\x00%s\x00%s", folder, f.variant, f.kind, f.path)
}

// baseOf is the stack that a file is an overlay of, nil when it is none's.
func baseOf(f *composeFile, list []*stack) *stack {
	if f.variant == "" {
		return nil
	}
	for _, s := range list {
		if s.files[0].dir() != f.dir() {
			continue
		}
		known := func(name string) bool { return s.services[name] != nil }
		part := func(name string) bool { return known(name) && !f.services[name].whole() }
		unknown := slices.ContainsFunc(f.names(), func(n string) bool { return !known(n) })
		if !unknown || slices.ContainsFunc(f.names(), part) {
			return s
		}
	}
	return nil
}

func (s *stack) add(f *composeFile) {
	for name, part := range f.services {
		have := s.services[name]
		if have == nil {
			copied := *part
			s.services[name] = &copied
			continue
		}
		if part.image != "" {
			have.image = part.image
		}
		if part.built {
			have.built, have.context = true, part.context
		}
		have.mounts = append(slices.Clone(have.mounts), part.mounts...)
	}
}

var noName = regexp.MustCompile(`[^a-z0-9_-]+`)

// plain makes a name that landfall.yaml accepts for a stack, a flag or a project.
func plain(name string) string {
	name = strings.Trim(noName.ReplaceAllString(strings.ToLower(name), "_"), "_-")
	if name == "" || name[0] >= '0' && name[0] <= '9' {
		name = "x" + name
	}
	return name
}

// stackName is the variant, else the folder, else core.
func stackName(f *composeFile, list []*stack) string {
	name := "core"
	switch {
	case f.variant != "":
		name = plain(f.variant)
	case f.dir() != ".":
		name = plain(path.Base(f.dir()))
	}
	return free(name, func(n string) bool { return slices.ContainsFunc(list, func(s *stack) bool { return s.name == n }) })
}

// free is name, with a number behind it when it is taken.
func free(name string, taken func(string) bool) string {
	try := name
	for n := 2; taken(try); n++ {
		try = fmt.Sprintf("%s_%d", name, n)
	}
	return try
}

// Package foretell says what a commit means for what runs, as far as its compose files tell without Compose and without
// the host: services that leave, projects that get another name, definitions that change.
//
// The agent's proof decides; what stands here is told earlier. A file that this package cannot follow is left to the proof.
// Start reading at [Read] and [Changes].
package foretell

import (
	"maps"
	"path"
	"slices"
	"strings"

	"ataraxis.dev/landfall/shared/composefile"
	"ataraxis.dev/landfall/shared/pipeline"
)

// project is one compose project: what stacks of the same name have together.
type project struct {
	name     string   // "" is the name of the checkout's folder, which only the host knows
	stacks   []string // in name order
	services []service
	networks []composefile.Definition
	volumes  []composefile.Definition
	whole    bool // every file of it was followed
}

// service is one service, and the file that it stands in.
type service struct {
	composefile.Service
	file string
}

// Projects are the compose projects of a commit or a working tree.
type Projects struct {
	list  []*project
	names map[string]string // of the stacks' projects, by the stack; those that are known
}

// most is how many files of a stack are followed, and how many layers of includes.
const most = 100

// Read reads the compose files of every stack. What cannot be read is left out, and its project counts as known in part.
func Read(config *pipeline.Config, read func(path string) ([]byte, error)) Projects {
	ps := Projects{names: map[string]string{}}
	for _, stack := range slices.Sorted(maps.Keys(config.Stacks)) {
		ps.add(stack, config.Stacks[stack], read)
	}
	return ps
}

func (ps *Projects) add(stack string, config pipeline.StackConfig, read func(string) ([]byte, error)) {
	files, whole := config.Files, true
	if len(files) == 0 {
		files = usual(read)
	}
	r := reader{read: read, whole: &whole}
	for _, file := range files {
		r.file(file, true)
	}
	name, known := nameOf(config.Project, files, r.named)
	if !known {
		return // another name may be in force: nothing can be said of it
	}
	ps.names[stack] = name
	p := ps.find(name)
	if p == nil {
		p = &project{name: name, whole: true}
		ps.list = append(ps.list, p)
	}
	p.stacks = append(p.stacks, stack)
	p.whole = p.whole && whole && len(files) > 0
	for _, s := range r.services {
		if !slices.ContainsFunc(p.services, func(had service) bool { return had.Name == s.Name && had.file == s.file }) {
			p.services = append(p.services, s) // two stacks may have a file together
		}
	}
	p.networks = merge(p.networks, r.networks)
	p.volumes = merge(p.volumes, r.volumes)
}

func (ps Projects) find(name string) *project {
	i := slices.IndexFunc(ps.list, func(p *project) bool { return p.name == name })
	if i < 0 {
		return nil
	}
	return ps.list[i]
}

// usual are the files that Compose takes where none is named.
// Source: https://docs.docker.com/compose/intro/compose-application-model/
func usual(read func(string) ([]byte, error)) []string {
	first := func(names ...string) []string {
		for _, name := range names {
			if _, err := read(name); err == nil {
				return []string{name}
			}
		}
		return nil
	}
	files := first("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
	if files == nil {
		return nil
	}
	return append(files, first("compose.override.yml", "compose.override.yaml", "docker-compose.override.yml", "docker-compose.override.yaml")...)
}

// nameOf is a project's name by Compose's order: -p, the last file that says it, the folder of the first file. Names that an
// environment gives are not known here.
// Source: https://docs.docker.com/compose/how-tos/project-name/
func nameOf(configured string, files []string, said string) (name string, known bool) {
	name = configured
	if name == "" {
		name = said
	}
	if name != "" {
		return name, !strings.Contains(name, "$")
	}
	if len(files) == 0 {
		return "", true
	}
	folder := path.Dir(path.Clean(files[0]))
	if folder == "." {
		return "", true
	}
	return normal(path.Base(folder)), true
}

// normal is a folder's name as Compose makes a project's name of it.
func normal(name string) string {
	name = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_' || r == '-' {
			return r
		}
		return -1
	}, strings.ToLower(name))
	return strings.TrimLeft(name, "_-")
}

// reader follows the files of one stack.
type reader struct {
	read     func(string) ([]byte, error)
	whole    *bool
	seen     []string
	named    string
	services []service
	networks []composefile.Definition
	volumes  []composefile.Definition
}

// file takes up a file and what it includes. An included file's name is not the project's.
func (r *reader) file(name string, own bool) {
	name = path.Clean(name)
	if slices.Contains(r.seen, name) {
		return
	}
	r.seen = append(r.seen, name)
	raw, err := r.read(name)
	if err != nil || len(r.seen) > most {
		*r.whole = false
		return
	}
	parsed, err := composefile.Parse(name, raw)
	if err != nil {
		*r.whole = false
		return
	}
	if own && parsed.Name != "" {
		r.named = parsed.Name
	}
	for _, s := range parsed.Services {
		r.services = append(r.services, service{s, name})
	}
	r.networks = merge(r.networks, parsed.Networks)
	r.volumes = merge(r.volumes, parsed.Volumes)
	if parsed.Includes && len(parsed.Included) == 0 {
		*r.whole = false // merged from an anchor, or in a form that is not followed
	}
	for _, included := range parsed.Included {
		if strings.Contains(included, "$") || strings.Contains(included, "://") || path.IsAbs(included) {
			*r.whole = false
			continue
		}
		r.file(path.Join(path.Dir(name), included), false)
	}
}

// merge adds definitions; one that is there already counts as said anew.
func merge(list, more []composefile.Definition) []composefile.Definition {
	for _, d := range more {
		i := slices.IndexFunc(list, func(have composefile.Definition) bool { return have.Key == d.Key })
		switch {
		case i < 0:
			list = append(list, d)
		case d.Text != "":
			list[i].Text += d.Text
			list[i].External = list[i].External || d.External
		}
	}
	return list
}

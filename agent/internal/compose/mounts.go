package compose

import (
	"maps"
	"os"
	"path/filepath"
	"slices"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/shared/pipeline"
)

// stale splits the services that an up names: those whose containers show files of the checkout that
// changed since they were made, and the rest. It goes by what ran when the step began for the first time, so that
// a repetition splits them as the first time.
func (w *work) stale(patterns []string) (stale, rest []string, err error) {
	if w.Before.Projects == nil || len(w.Changed) == 0 {
		return nil, nil, nil
	}
	names, err := w.services(patterns)
	if err != nil {
		return nil, nil, err
	}
	m, err := w.model(w.ctx, w.plan, w.stack)
	if err != nil {
		return nil, nil, err
	}
	if len(names) == 0 {
		names = slices.Sorted(maps.Keys(m.Services))
	}
	for _, name := range names {
		old := slices.ContainsFunc(w.Before.Containers, func(p operation.Past) bool { return p.Service == name && w.Past.Has(p.Container) })
		if old && w.shows(m, name, w.Changed) {
			stale = append(stale, name)
		} else {
			rest = append(rest, name)
		}
	}
	return stale, rest, nil
}

// shows reports whether the mounts of a service show something that changed.
func (c *Compose) shows(m model, service string, changed operation.Paths) bool {
	return slices.ContainsFunc(m.sources(service), func(source string) bool {
		return slices.ContainsFunc(c.places(source), changed.Touch)
	})
}

// sources lists the files and folders of the host that a service's containers show, as absolute paths.
func (m model) sources(service string) []string {
	var found []string
	s := m.Services[service]
	for _, v := range s.Volumes {
		if v.Type == "bind" {
			found = append(found, v.Source)
		}
	}
	for _, of := range []struct {
		grants []modelGrant
		files  map[string]modelFile
	}{{s.Configs, m.Configs}, {s.Secrets, m.Secrets}} {
		for _, g := range of.grants {
			if file := of.files[g.Source].File; file != "" {
				found = append(found, file)
			}
		}
	}
	return found
}

// mostLinks bounds a chain of symbolic links, as the kernel does (path_resolution(7)).
const mostLinks = 40

// places lists where a source lies in the checkout, relative to it: the path as it is
// written, and what it leads to by each symbolic link on its way. A source outside the checkout has no place.
func (c *Compose) places(source string) []string {
	roots := []string{c.dir}
	if resolved, err := filepath.EvalSymlinks(c.dir); err == nil && resolved != c.dir {
		roots = append(roots, resolved)
	}
	var places []string
	for range mostLinks {
		for _, root := range roots {
			if rel, err := filepath.Rel(root, source); err == nil && (rel == "." || filepath.IsLocal(rel)) {
				places = append(places, filepath.ToSlash(rel))
			}
		}
		next, linked := followOne(source)
		if !linked {
			break
		}
		source = next
	}
	return places
}

// followOne replaces the first symbolic link of an absolute path by what it says.
func followOne(path string) (next string, linked bool) {
	path = filepath.Clean(path)
	for end := 1; end <= len(path); end++ {
		if end < len(path) && path[end] != filepath.Separator {
			continue
		}
		target, err := os.Readlink(path[:end])
		if err != nil {
			continue // no link, or nothing there
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(path[:end]), target)
		}
		return filepath.Join(target, path[end:]), true
	}
	return path, false
}

// closure adds everything that services depend on.
func (m model) closure(names []string) map[string]bool {
	found := map[string]bool{}
	for queue := slices.Clone(names); len(queue) > 0; queue = queue[1:] {
		if name := queue[0]; !found[name] {
			found[name] = true
			queue = slices.AppendSeq(queue, maps.Keys(m.Services[name].DependsOn))
		}
	}
	return found
}

// matching lists the services that patterns name, all where there is no pattern.
func (m model) matching(patterns []string) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(m.Services)), func(name string) bool {
		return len(patterns) > 0 && !slices.ContainsFunc(patterns, func(p string) bool { return pipeline.MatchService(p, name) })
	})
}

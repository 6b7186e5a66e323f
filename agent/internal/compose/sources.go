package compose

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"ataraxis.dev/landfall/shared/boundedfile"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
)

const (
	// maxComposeFile bounds one compose file, in bytes.
	maxComposeFile = 4 << 20
	// maxSources bounds how many files the compose files of a stack name.
	maxSources = 500
)

// sources are the files that the compose files of a stack lead to. They are found without Compose, because Compose opens every one of
// them before it tells their names, and its errors quote what they hold.
type sources struct {
	envFiles    []string // absolute; some may not exist
	secretFiles []string // likewise
	outside     []string // compose files that lie outside the tree, or on another machine, as they are written
	read        []string // files that services and includes read in: absolute, or as they are written where that cannot be told
	labelled    []string // services that read labels from files
}

// defaultFiles are those that Compose takes when none is named (compose-go, cli.DefaultFileNames and cli.DefaultOverrideFileNames).
var defaultFiles = []string{
	"compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml",
	"compose.override.yml", "compose.override.yaml", "docker-compose.override.yml", "docker-compose.override.yaml",
}

// readSources follows the compose files of a stack in a tree. env is what their names may be written with.
func readSources(t tree, stack pipeline.Stack, env map[string]string) sources {
	r := &sourceReader{tree: t, env: env, seen: map[string]bool{}}
	files := stack.Files
	if len(files) == 0 {
		files = defaultFiles
	}
	project := filepath.Join(t.dir, filepath.Dir(files[0]))
	r.found.envFiles = append(r.found.envFiles, filepath.Join(t.dir, ".env"), filepath.Join(project, ".env"))
	for _, f := range stack.EnvFiles {
		r.found.envFiles = append(r.found.envFiles, absolute(t.dir, f))
	}
	for _, f := range files {
		r.follow(f, []string{t.dir}, project)
	}
	slices.Sort(r.found.envFiles)
	r.found.envFiles = slices.Compact(r.found.envFiles)
	return r.found
}

type sourceReader struct {
	tree  tree
	env   map[string]string
	seen  map[string]bool
	found sources
}

func absolute(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

// follow reads a compose file, which may lie below one of several folders.
func (r *sourceReader) follow(written string, dirs []string, project string) {
	name := os.Expand(written, r.expand)
	if strings.Contains(name, "://") || strings.HasPrefix(name, "git@") {
		r.found.outside = append(r.found.outside, written)
		return
	}
	for _, dir := range dirs {
		path := filepath.Clean(absolute(dir, name))
		if r.seen[path] || len(r.seen) > maxSources {
			continue
		}
		r.seen[path] = true
		if !r.inside(path) {
			r.found.outside = append(r.found.outside, written)
			continue
		}
		raw, err := boundedfile.Read(path, maxComposeFile)
		if err != nil {
			continue // Compose says what is missing
		}
		var doc yaml.Node
		if yaml.Unmarshal(raw, &doc) == nil && len(doc.Content) > 0 {
			r.document(doc.Content[0], filepath.Dir(path), project)
		}
	}
}

// inside reports whether a path stays in the tree, by its name and by where its links lead.
func (r *sourceReader) inside(path string) bool {
	roots := []string{r.tree.dir, r.tree.checkout}
	if !slices.ContainsFunc(roots, func(root string) bool { return below(root, path) }) {
		return false
	}
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return true // nothing is there
	}
	return slices.ContainsFunc(roots, func(root string) bool {
		resolved, err := filepath.EvalSymlinks(root)
		return err == nil && below(resolved, target)
	})
}

func below(root, path string) bool {
	rel, err := filepath.Rel(root, path)
	return err == nil && filepath.IsLocal(rel)
}

// expand gives a variable of a file's name. What has a default is written NAME:-default or NAME-default.
func (r *sourceReader) expand(expression string) string {
	name, fallback, _ := strings.Cut(expression, "-")
	name = strings.TrimSuffix(name, ":")
	if value := r.env[name]; value != "" {
		return value
	}
	return fallback
}

func (r *sourceReader) document(root *yaml.Node, dir, project string) {
	for _, include := range listOf(value(root, "include")) {
		paths, base := textsOf(include), project
		if include.Kind == yaml.MappingNode {
			paths = textsOf(value(include, "path"))
			for _, p := range textsOf(value(include, "project_directory")) {
				base = absolute(project, os.Expand(p, r.expand))
			}
			r.envFile(textsOf(value(include, "env_file")), dir, project, base)
			r.reads(textsOf(value(include, "env_file")), dir, project, base)
		}
		for _, p := range paths {
			if base == project {
				base = filepath.Dir(absolute(dir, p))
			}
			r.envFile([]string{".env"}, base)
			r.follow(p, []string{dir, project}, base)
		}
	}
	for _, f := range filesOfSecrets(root) {
		for _, base := range []string{dir, project} {
			if len(r.found.secretFiles) < maxSources {
				r.found.secretFiles = append(r.found.secretFiles, filepath.Clean(absolute(base, os.Expand(f, r.expand))))
			}
		}
	}
	services := resolve(value(root, "services"))
	if services == nil || services.Kind != yaml.MappingNode {
		return
	}
	for i := 1; i < len(services.Content); i += 2 {
		service := resolve(services.Content[i])
		for _, f := range listOf(value(service, "env_file")) {
			if f.Kind == yaml.MappingNode {
				f = value(f, "path")
			}
			r.envFile(textsOf(f), dir, project)
			r.reads(textsOf(f), dir, project)
		}
		if files := textsOf(value(service, "label_file")); len(files) > 0 {
			r.reads(files, dir, project)
			r.found.labelled = append(r.found.labelled, services.Content[i-1].Value)
		}
		for _, f := range textsOf(value(value(service, "extends"), "file")) {
			r.follow(f, []string{dir, project}, project)
		}
	}
}

// filesOfSecrets lists the files of a compose file's secrets, as they are written.
func filesOfSecrets(root *yaml.Node) []string {
	secrets := resolve(value(root, "secrets"))
	if secrets == nil || secrets.Kind != yaml.MappingNode {
		return nil
	}
	var files []string
	for i := 1; i < len(secrets.Content); i += 2 {
		files = append(files, textsOf(value(secrets.Content[i], "file"))...)
	}
	return files
}

func (r *sourceReader) envFile(names []string, dirs ...string) {
	for _, name := range names {
		for _, dir := range dirs {
			if len(r.found.envFiles) < maxSources {
				r.found.envFiles = append(r.found.envFiles, filepath.Clean(absolute(dir, os.Expand(name, r.expand))))
			}
		}
	}
}

// reads notes files whose content becomes part of the model, in every folder that they may lie in. Compose tells of none of them.
func (r *sourceReader) reads(names []string, dirs ...string) {
	for _, name := range names {
		if len(r.found.read) >= maxSources {
			return
		}
		expanded, known := r.expandKnown(name)
		if !known {
			r.found.read = append(r.found.read, name)
			continue
		}
		for _, dir := range dirs {
			r.found.read = append(r.found.read, absolute(dir, expanded))
		}
	}
}

// expandKnown is a name with its variables, and whether we know them all.
func (r *sourceReader) expandKnown(written string) (name string, known bool) {
	known = true
	name = os.Expand(written, func(expression string) string {
		plain, _, fallback := strings.Cut(expression, "-")
		_, set := r.env[strings.TrimSuffix(plain, ":")]
		known = known && (set || fallback) && !strings.ContainsAny(expression, "?+${}")
		return r.expand(expression)
	})
	return name, known
}

// reads lists the files that a stack's compose files have read into them, as the host has them. Those that are nowhere are left out.
func (t tree) reads(stack pipeline.Stack, env map[string]string) []string {
	known := t.interpolation(stack, env)
	var found []string
	for _, file := range readSources(t, stack, known).read {
		if !filepath.IsAbs(file) {
			found = append(found, file)
			continue
		}
		for _, at := range t.onHost(file) {
			if _, err := os.Lstat(at); err == nil {
				found = append(found, at)
			}
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// interpolation are the variables that names in a stack's compose files may be written with, as far as they are plain and everywhere the same.
func (t tree) interpolation(stack pipeline.Stack, env map[string]string) map[string]string {
	files := []string{".env"}
	if len(stack.EnvFiles) > 0 {
		files = stack.EnvFiles
	} else if len(stack.Files) > 0 {
		files = append(files, filepath.Join(filepath.Dir(stack.Files[0]), ".env"))
	}
	known, differ := map[string]string{}, map[string]bool{}
	for _, f := range files {
		for key, value := range assignments(filepath.Join(t.dir, f)) {
			old, set := known[key]
			differ[key] = differ[key] || set && old != value || strings.ContainsAny(value, "$#\"'\\")
			known[key] = value
		}
	}
	maps.DeleteFunc(known, func(key, _ string) bool { return differ[key] })
	maps.Copy(known, env)
	known["PWD"] = t.checkout
	return known
}

// resolve follows an alias.
func resolve(n *yaml.Node) *yaml.Node {
	for n != nil && n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// value is what a mapping holds for a key, also by a merge (<<); nil for nothing.
func value(n *yaml.Node, key string) *yaml.Node {
	n = resolve(n)
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return resolve(n.Content[i+1])
		}
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Tag != "!!merge" {
			continue
		}
		for _, merged := range listOf(n.Content[i+1]) {
			if found := value(merged, key); found != nil {
				return found
			}
		}
	}
	return nil
}

// listOf is a list, or the one thing that stands in its place.
func listOf(n *yaml.Node) []*yaml.Node {
	n = resolve(n)
	switch {
	case n == nil:
		return nil
	case n.Kind != yaml.SequenceNode:
		return []*yaml.Node{n}
	}
	var list []*yaml.Node
	for _, item := range n.Content {
		list = append(list, resolve(item))
	}
	return list
}

// textsOf is a text, or a list of them.
func textsOf(n *yaml.Node) []string {
	var texts []string
	for _, item := range listOf(n) {
		if item.Kind == yaml.ScalarNode && item.Value != "" {
			texts = append(texts, item.Value)
		}
	}
	return texts
}

// checkSources refuses compose files that are not part of the commit: what was proven would not be what runs.
func checkSources(stack string, s sources) error {
	if len(s.outside) == 0 {
		return nil
	}
	return fault.New(fault.Refused, "COMPOSE_OUTSIDE", "the compose files of stack %s include %s, which is not a file of this repository", stack, strings.Join(s.outside, ", ")).
		WithHint("copy it into the repository; what lies elsewhere can change after it was checked")
}

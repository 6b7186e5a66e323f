package pipeline

import (
	"maps"
	"slices"
	"strings"
	"time"

	"ataraxis.dev/landfall/shared/strictyaml"
)

// Parse reads landfall.yaml, checks it and fills in the defaults. file is only named in
// messages. The error, of kind Invalid and reason CONFIG_INVALID, lists every problem
// with its place; errors.As finds the [strictyaml.Problems] in it.
func Parse(file string, data []byte) (*Config, error) {
	config := new(Config)
	doc, problems := strictyaml.Decode(file, data, config)
	c := newChecker(doc, config, problems)
	if doc.Has() {
		if config.Version != ConfigVersion && !c.isBroken("version") {
			// The rest of a file of another version would only give misleading problems.
			c.problems = nil
			c.fail(at("version"), "", "%d is not known: this build reads version %d", config.Version, ConfigVersion)
			return nil, c.problems.Err()
		}
		c.all()
	}
	if err := c.problems.Err(); err != nil {
		return nil, err
	}
	config.doc = doc
	config.fillDefaults()
	return config, nil
}

// The defaults of what landfall.yaml leaves out.
const (
	defaultBranch       = "main"
	defaultPoll         = 15 * time.Second
	defaultGateTimeout  = 45 * time.Minute
	defaultDeadline     = 2 * time.Minute
	defaultSoak         = 10 * time.Second
	defaultProbeTimeout = 5 * time.Second
	defaultPostgresPort = 5432
	defaultPostgresUser = "postgres"
)

func (c *Config) fillDefaults() {
	orElse(&c.Branch, defaultBranch)
	orElse(&c.CI.Poll, defaultPoll)
	orElse(&c.CI.Timeout, defaultGateTimeout)
	orElse(&c.Verify.Deadline, defaultDeadline)
	if !c.doc.Has("verify", "soak") {
		c.Verify.Soak = defaultSoak
	}
	for _, probe := range c.Verify.Probes {
		if p := probe.Postgres; p != nil {
			orElse(&p.User, defaultPostgresUser)
			orElse(&p.Port, defaultPostgresPort)
		}
		if p := probe.HTTP; p != nil {
			orElse(&p.Timeout, defaultProbeTimeout)
		}
		if p := probe.TCP; p != nil {
			orElse(&p.Timeout, defaultProbeTimeout)
		}
	}
	if !c.doc.Has("rollback", "probes") {
		c.Rollback.Probes = sortedKeys(c.Verify.Probes)
	}
	c.GitOps.fillDefaults()
	if c.Workflows != nil {
		c.Workflows.fillDefaults()
	}
}

// orElse sets what was left out; the checks have refused zeros that were written.
func orElse[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// UnmarshalStrict implements strictyaml.Unmarshaler: a list of steps, or a mapping.
func (a *ActionConfig) UnmarshalStrict(v strictyaml.Value) {
	type mapping ActionConfig // without this method
	switch {
	case v.IsList():
		v.Decode(&a.Steps)
	case v.IsMapping():
		a.mapped = true
		v.Decode((*mapping)(a))
	default:
		v.WrongType("a list of steps, or a mapping of after and steps")
	}
}

// UnmarshalStrict implements strictyaml.Unmarshaler: a path, or a mapping.
func (s *ScriptConfig) UnmarshalStrict(v strictyaml.Value) {
	type mapping ScriptConfig // without this method
	switch {
	case v.IsScalar():
		v.Decode(&s.Path)
	case v.IsMapping():
		s.mapped = true
		v.Decode((*mapping)(s))
	default:
		v.WrongType("the path of a script, or a mapping of path and args")
	}
}

// checker looks for mistakes of meaning in a file whose form has been decoded.
type checker struct {
	doc      *strictyaml.Document
	config   *Config
	problems strictyaml.Problems
	broken   map[string]bool // paths with a problem of form; what follows from it is not reported
	seen     map[strictyaml.Problem]bool

	stackNames, flagNames, actionNames, probeNames []string // sorted
}

func newChecker(doc *strictyaml.Document, config *Config, problems strictyaml.Problems) *checker {
	c := &checker{
		doc: doc, config: config, problems: problems,
		broken: map[string]bool{}, seen: map[strictyaml.Problem]bool{},
		stackNames: sortedKeys(config.Stacks), flagNames: sortedKeys(config.Flags),
		actionNames: sortedKeys(config.Actions), probeNames: sortedKeys(config.Verify.Probes),
	}
	for _, p := range problems {
		c.broken[p.Path] = true
	}
	return c
}

// place is a path into the document.
type place []string

func at(path ...string) place { return path }

// in is the place of something below p.
func (p place) in(path ...string) place { return slices.Concat(p, path) }

func (c *checker) fail(p place, suggestion, format string, args ...any) {
	if !c.isBroken(p...) {
		c.add(c.doc.Problem(p, suggestion, format, args...))
	}
}

// failKey is fail at the key itself instead of its value.
func (c *checker) failKey(p place, format string, args ...any) {
	if !c.isBroken(p...) {
		c.add(c.doc.KeyProblem(p, "", format, args...))
	}
}

func (c *checker) add(p strictyaml.Problem) {
	if p.Path != "" {
		p.Message = p.Path + ": " + p.Message
	}
	if !c.seen[p] {
		c.seen[p] = true
		c.problems = append(c.problems, p)
	}
}

// isBroken reports whether the value at the path, or one that holds it, has a problem
// of form already.
func (c *checker) isBroken(path ...string) bool {
	for n := range len(path) + 1 {
		if c.broken[c.doc.Path(path[:n]...)] {
			return true
		}
	}
	return false
}

// refer checks that a name exists among known; what says what it names: "stack".
func (c *checker) refer(p place, what, name string, known []string) {
	if slices.Contains(known, name) {
		return
	}
	suggestion := ""
	if len(c.problems) < 100 { // nobody reads that many, and every search costs
		suggestion = strictyaml.Suggest(name, known)
	}
	if suggestion == "" && 0 < len(known) && len(known) < 20 {
		c.fail(p, "", "unknown %s %q (known: %s)", what, name, strings.Join(known, ", "))
		return
	}
	c.fail(p, suggestion, "unknown %s %q", what, name)
}

// referAll is refer for a list, which may not name a thing twice.
func (c *checker) referAll(p place, what string, names, known []string) {
	for i, name := range names {
		c.refer(p.in(index(i)), what, name, known)
		if slices.Contains(names[:i], name) {
			c.fail(p.in(index(i)), "", "%s %q is named twice", what, name)
		}
	}
}

// Nearest is the known name that is nearest to one that is not known, "" where none is near.
func Nearest(name string, known []string) string { return strictyaml.Suggest(name, known) }

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

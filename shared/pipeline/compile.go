package pipeline

import (
	"encoding/json"
	"path"
	"regexp"
	"slices"

	"ataraxis.dev/landfall/shared/fault"
)

// Change is one path that differs between base and target. A rename is a deletion of
// the old path with an addition of the new one.
type Change struct {
	Status byte   // 'A' added, 'M' modified, 'D' deleted, 'T' type changed
	Path   string // from the root of the repository, bytes as git has them (need not be UTF-8)
}

// Input is what a plan depends on besides the configuration.
type Input struct {
	Base       string // full commit SHA, or "" when there is none
	Target     string // full commit SHA
	Changes    []Change
	Everything string // not empty: why every flag is to be set ("the base is not in the history")
}

// fullSHA is a commit's name in a SHA-1 or a SHA-256 repository.
var fullSHA = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)

// Compile makes the plan for a change set: pure, and the same for every order of the
// changes. Errors are of kind Invalid: commits that are no full SHAs, or a Config that
// did not come from [Parse] and does not hold together.
func Compile(c *Config, in Input) (*Plan, error) {
	if !fullSHA.MatchString(in.Target) {
		return nil, fault.New(fault.Invalid, "TARGET_INVALID", "target %q is not a full commit SHA", in.Target)
	}
	if in.Base != "" && !fullSHA.MatchString(in.Base) {
		return nil, fault.New(fault.Invalid, "BASE_INVALID", "base %q is not a full commit SHA", in.Base)
	}
	k := &compiler{config: c, in: in, expander: expander{lookup: variables(c, in)}}
	p := &Plan{
		Version: PlanVersion, Project: c.Project, Branch: c.Branch,
		Base: in.Base, Target: in.Target, Everything: in.Everything,
		Environment: k.stringMap(c.Environment),
		Prepare:     Prepare{Reset: slices.Clone(c.Prepare.Reset), Own: c.Prepare.Own},
	}
	if err := k.detect(p); err != nil {
		return nil, err
	}
	k.stacks(p)
	k.probes(p)
	if err := k.steps(p); err != nil {
		return nil, err
	}
	if err := k.failure(); err != nil {
		return nil, err
	}
	return p, nil
}

// compiler holds what the parts of one compilation share.
type compiler struct {
	expander
	config *Config
	in     Input
}

func (k *compiler) stacks(p *Plan) {
	for _, name := range sortedKeys(k.config.Stacks) {
		s := k.config.Stacks[name]
		p.Stacks = append(p.Stacks, Stack{
			Name: name, Files: cleanPaths(s.Files), Project: s.Project,
			EnvFiles: cleanPaths(s.EnvFiles), Profiles: slices.Clone(s.Profiles),
		})
	}
}

func cleanPaths(paths []string) []string {
	var clean []string
	for _, p := range paths {
		clean = append(clean, path.Clean(p))
	}
	return clean
}

func (k *compiler) probes(p *Plan) {
	v := k.config.Verify
	p.Verify = Verify{Deadline: v.Deadline, Soak: v.Soak}
	set := p.SetFlags()
	for _, name := range sortedKeys(v.Probes) {
		when := v.Probes[name].When
		if len(when) > 0 && !slices.ContainsFunc(when, func(flag string) bool { return slices.Contains(set, flag) }) {
			continue
		}
		p.Verify.Probes = append(p.Verify.Probes, k.probe(name, v.Probes[name]))
	}
	p.Rollback.Probes = slices.DeleteFunc(slices.Sorted(slices.Values(k.config.Rollback.Probes)), func(name string) bool {
		_, there := p.Probe(name)
		return !there
	})
}

func (k *compiler) probe(name string, from ProbeConfig) Probe {
	to := Probe{Name: name, When: slices.Sorted(slices.Values(from.When))}
	if q := from.Containers; q != nil {
		stacks := slices.Sorted(slices.Values(q.Stacks))
		if len(stacks) == 0 {
			stacks = sortedKeys(k.config.Stacks)
		}
		to.Containers = &ContainersProbe{Stacks: stacks}
	}
	if q := from.Postgres; q != nil {
		to.Postgres = &PostgresProbe{Stack: q.Stack, Service: q.Service, User: q.User, Database: q.Database, Port: q.Port}
	}
	if q := from.HTTP; q != nil {
		to.HTTP = &HTTPProbe{
			URL: k.text(q.URL), Status: q.Status, JSON: k.json(q.JSON),
			Headers: k.stringMap(q.Headers), Timeout: q.Timeout,
		}
	}
	if q := from.TCP; q != nil {
		to.TCP = &TCPProbe{Address: q.Address, Timeout: q.Timeout}
	}
	return to
}

// expander expands variables and remembers the first error, which a configuration that
// passed [Parse] cannot have.
type expander struct {
	lookup func(string) (string, bool)
	err    error
}

func (e *expander) keep(err error) {
	if e.err == nil {
		e.err = err
	}
}

func (e *expander) failure() error {
	if e.err == nil {
		return nil
	}
	return fault.Wrap(e.err, fault.Invalid, "CONFIG_INVALID", "the configuration cannot be compiled")
}

func (e *expander) text(s string) string {
	out, err := expand(s, e.lookup)
	e.keep(err)
	return out
}

func (e *expander) list(texts []string) []string {
	if len(texts) == 0 {
		return nil
	}
	out, err := expandAll(texts, e.lookup)
	e.keep(err)
	return out
}

func (e *expander) stringMap(m map[string]string) map[string]string {
	if len(m) == 0 {
		return nil
	}
	out, err := expandMap(m, e.lookup)
	e.keep(err)
	return out
}

func (e *expander) json(value any) json.RawMessage {
	if value == nil {
		return nil
	}
	expanded, err := expandJSON(value, e.lookup)
	e.keep(err)
	text, err := json.Marshal(expanded)
	e.keep(err)
	return text
}

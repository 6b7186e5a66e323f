package pipeline

import (
	"maps"
	"slices"
	"strings"

	"ataraxis.dev/landfall/shared/strictyaml"
)

// CheckServices reports the services that landfall.yaml names but a stack's compose files do not have, all
// at once with their place in landfall.yaml. services answers for a stack; known is false when its
// files do not tell all of them. The error is like that of [Parse].
func CheckServices(c *Config, services func(stack string) (names []string, known bool)) error {
	s := newServiceCheck(c, services)
	for _, name := range slices.Sorted(maps.Keys(c.Actions)) {
		action := c.Actions[name]
		for i, step := range action.Steps {
			s.step(stepPlace(name, action, i), step)
		}
	}
	if c.Migrate != nil && c.Migrate.Needs != nil {
		s.patterns(at("migrate", "needs", "services"), c.Migrate.Needs.Stack, c.Migrate.Needs.Services)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Verify.Probes)) {
		if p := c.Verify.Probes[name].Postgres; p != nil {
			s.pattern(at("verify", "probes", name, "postgres", "service"), p.Stack, p.Service)
		}
	}
	s.gitops(c.GitOps)
	return s.problems.Err()
}

// CheckGitOpsServices is CheckServices of section gitops alone: by a name that nothing has, nothing would be left out.
func CheckGitOpsServices(c *Config, services func(stack string) (names []string, known bool)) error {
	s := newServiceCheck(c, services)
	s.gitops(c.GitOps)
	return s.problems.Err()
}

func newServiceCheck(c *Config, services func(string) ([]string, bool)) *serviceCheck {
	s := &serviceCheck{doc: c.doc, services: services}
	if s.doc == nil {
		s.doc = &strictyaml.Document{File: "landfall.yaml"}
	}
	return s
}

func (s *serviceCheck) gitops(c GitOpsConfig) {
	s.references(at("gitops", "leave_out"), c.LeaveOut)
	if c.Images != nil {
		s.references(at("gitops", "images", "services"), c.Images.Services)
	}
}

type serviceCheck struct {
	doc      *strictyaml.Document
	services func(string) ([]string, bool)
	problems strictyaml.Problems
}

func (s *serviceCheck) step(p place, step StepConfig) {
	switch {
	case step.Build != nil:
		s.patterns(p.in("build", "services"), step.Build.Stack, step.Build.Services)
	case step.Up != nil:
		s.patterns(p.in("up", "services"), step.Up.Stack, step.Up.Services)
	case step.Recreate != nil:
		s.patterns(p.in("recreate", "services"), step.Recreate.Stack, step.Recreate.Services)
	case step.Restart != nil:
		s.patterns(p.in("restart", "services"), step.Restart.Stack, step.Restart.Services)
	case step.Exec != nil:
		s.pattern(p.in("exec", "service"), step.Exec.Stack, step.Exec.Service)
	}
}

func (s *serviceCheck) patterns(p place, stack string, patterns []string) {
	for i, pattern := range patterns {
		s.pattern(p.in(index(i)), stack, pattern)
	}
}

// references checks a list of STACK/SERVICE.
func (s *serviceCheck) references(p place, refs []string) {
	for i, ref := range refs {
		if stack, service, ok := strings.Cut(ref, "/"); ok {
			s.pattern(p.in(index(i)), stack, service)
		}
	}
}

func (s *serviceCheck) pattern(p place, stack, pattern string) {
	names, known := s.services(stack)
	if !known || slices.ContainsFunc(names, func(name string) bool { return MatchService(pattern, name) }) {
		return
	}
	s.problems = append(s.problems, s.doc.Problem(p, strictyaml.Suggest(pattern, names), "%s: the compose files of stack %s have no service %s",
		s.doc.Path(p...), stack, pattern))
}

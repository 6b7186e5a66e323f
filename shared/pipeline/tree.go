package pipeline

import (
	"path"

	"ataraxis.dev/landfall/shared/strictyaml"
)

// CheckTree reports the compose files and scripts that landfall.yaml names but the
// commit does not have, all at once with their place in landfall.yaml. exists answers
// for a path relative to the root of the commit. Env files are not looked for: they
// often hold secrets and are not tracked. The error is like that of [Parse].
func CheckTree(c *Config, exists func(path string) bool) error {
	doc := c.doc
	if doc == nil {
		doc = &strictyaml.Document{File: "landfall.yaml"}
	}
	var problems strictyaml.Problems
	check := func(p place, what, file string) {
		if !exists(path.Clean(file)) {
			problems = append(problems, doc.Problem(p, "", "%s: the %s %s does not exist at this commit", doc.Path(p...), what, file))
		}
	}
	for name, stack := range c.Stacks {
		for i, file := range stack.Files {
			check(at("stacks", name, "files", index(i)), "compose file", file)
		}
	}
	if c.Migrate != nil {
		check(at("migrate", "script"), "script", c.Migrate.Script)
	}
	for name, action := range c.Actions {
		for i, step := range action.Steps {
			if step.Script != nil {
				check(scriptPlace(stepPlace(name, action, i), step.Script), "script", step.Script.Path)
			}
		}
	}
	return problems.Err()
}

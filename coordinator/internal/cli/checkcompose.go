package cli

import (
	"errors"
	"io/fs"
	"os"

	"ataraxis.dev/landfall/coordinator/internal/foretell"
	"ataraxis.dev/landfall/shared/composefile"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
)

// checkCompose reads the compose files of every stack, and holds landfall.yaml to the services that they have. What
// Compose itself would say of them is the agent's to find out, before it touches anything.
func checkCompose(w tree) ([]finding, error) {
	type stack struct {
		services []string
		known    bool
	}
	root, err := os.OpenRoot(w.root)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "COMPOSE_READ", "open the repository")
	}
	defer func() { _ = root.Close() }() // it was only read
	stacks := map[string]stack{}
	var findings []finding
	for name, config := range w.config.Stacks {
		s := stack{known: len(config.Files) > 0}
		for _, file := range config.Files {
			parsed, err := readCompose(root, file)
			if err != nil {
				s.known = false
				found := problems(err, "compose")
				if found == nil && !errors.Is(err, fs.ErrNotExist) { // a missing one was found before
					return nil, fault.Wrap(err, fault.Invalid, "COMPOSE_READ", "read the compose files of stack %s", name)
				}
				findings = append(findings, found...)
				continue
			}
			s.known = s.known && !parsed.Includes
			for _, service := range parsed.Services {
				s.services = append(s.services, service.Name)
			}
		}
		stacks[name] = s
	}
	err = pipeline.CheckServices(w.config, func(name string) ([]string, bool) { return stacks[name].services, stacks[name].known })
	found := problems(err, "landfall.yaml")
	if err != nil && found == nil {
		return nil, err
	}
	findings = append(findings, found...)
	projects := foretell.Read(w.config, func(path string) ([]byte, error) { return readText(root, path) })
	for _, c := range projects.Clashes() {
		findings = append(findings, finding{path: c.File, line: c.Line, column: 1, rule: "compose", message: c.Message})
	}
	return findings, nil
}

// readCompose reads a compose file of a tree. It may be a link within the tree, as Compose would follow it; of one that leads
// out the host has another file than the one that is looked at here.
func readCompose(root *os.Root, file string) (composefile.File, error) {
	raw, err := readText(root, file)
	if err != nil {
		return composefile.File{}, err
	}
	return composefile.Parse(file, raw)
}

package cli

import (
	"os"
	"path/filepath"

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
	stacks := map[string]stack{}
	var findings []finding
	for name, config := range w.config.Stacks {
		s := stack{known: len(config.Files) > 0}
		for _, file := range config.Files {
			parsed, err := readCompose(w.root, file)
			if err != nil {
				s.known = false
				found := problems(err, "compose")
				if found == nil && !os.IsNotExist(err) { // a missing one was found before
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
	err := pipeline.CheckServices(w.config, func(name string) ([]string, bool) { return stacks[name].services, stacks[name].known })
	found := problems(err, "landfall.yaml")
	if err != nil && found == nil {
		return nil, err
	}
	return append(findings, found...), nil
}

func readCompose(root, file string) (composefile.File, error) {
	raw, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(file)))
	if err != nil {
		return composefile.File{}, err
	}
	return composefile.Parse(file, raw)
}

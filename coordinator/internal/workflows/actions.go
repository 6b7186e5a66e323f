package workflows

import (
	"path"
	"slices"

	"ataraxis.dev/landfall/shared/workflow"
)

// Actions lists the folders of the repository's own actions that files use and that are not among them: [Check] looks into an
// action only when its action.yml, or action.yaml, is given too. An action may use others, so ask again with what was found.
func Actions(files []File) []string {
	given := map[string]bool{}
	var folders []string
	for _, file := range files {
		var steps []workflow.Step
		if isAction(file.Path) {
			given[path.Dir(file.Path)] = true
			if action, err := workflow.ParseAction(file.Path, file.Content); err == nil {
				steps = action.Steps
			}
		} else if parsed, err := workflow.Parse(file.Path, file.Content); err == nil {
			for _, job := range parsed.Jobs {
				steps = append(steps, job.Steps...)
			}
		}
		for _, step := range steps {
			if folder := actionFolder(step.Uses.Value); folder != "" {
				folders = append(folders, folder)
			}
		}
	}
	slices.Sort(folders)
	return slices.DeleteFunc(slices.Compact(folders), func(folder string) bool { return given[folder] })
}

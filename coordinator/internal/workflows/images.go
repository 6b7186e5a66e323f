package workflows

import (
	"regexp"
	"strings"

	"ataraxis.dev/landfall/shared/workflow"
)

var (
	pinnedAction = regexp.MustCompile(`^[^@\s]+@[0-9a-f]{40}$`)
	pinnedImage  = regexp.MustCompile(`^docker://[^@\s]+@sha256:[0-9a-f]{64}$`)
	withDigest   = regexp.MustCompile(`^[^@\s]+@sha256:[0-9a-f]{64}$`)
)

const imageHint = "name its digest, image:tag@sha256:..., which `docker buildx imagetools inspect` prints"

// pins looks for actions that somebody else may change.
func (c *checker) pins(file *workflow.File) {
	seen := map[string]bool{}
	for i := range file.Jobs {
		job := &file.Jobs[i]
		c.pin(file.Path, job.Uses)
		for _, step := range job.Steps {
			c.pin(file.Path, step.Uses)
			c.flow.inside(step.Uses.Value, seen, func(p place) { c.pin(p.path, p.step().Uses) })
			if action := c.flow.actions[actionFolder(step.Uses.Value)]; action != nil && strings.HasPrefix(action.Image.Value, "docker://") {
				c.pin(action.Path, action.Image)
			}
		}
	}
}

func (c *checker) pin(path string, uses workflow.Text) {
	if !uses.Written() || strings.HasPrefix(uses.Value, "./") || pinnedAction.MatchString(uses.Value) || pinnedImage.MatchString(uses.Value) {
		return
	}
	c.findAt(path, uses, RulePin, "name the 40 digits of its commit, and the release in a comment", "%s may become something else tomorrow", uses.Value)
}

// images looks for containers of jobs whose image somebody else may change.
func (c *checker) images(file *workflow.File) {
	for i := range file.Jobs {
		job := &file.Jobs[i]
		for _, image := range append([]workflow.Text{job.Container}, job.Services...) {
			if name := c.movable(job, image); name != "" {
				c.find(file, image, RuleImage, imageHint, "job %s runs in %s, which may become something else tomorrow", job.Key.Value, name)
			}
		}
	}
}

// movable is the name of an image that is not certainly the same tomorrow, "" when it is, or when there is none.
func (c *checker) movable(job *workflow.Job, image workflow.Text) string {
	names := []string{image.Value}
	if m := matrixKey.FindStringSubmatch(image.Value); m != nil {
		if values, known := job.Matrix.Key(m[1]); known {
			names = values
		}
	}
	for _, name := range names {
		if name != "" && !withDigest.MatchString(strings.TrimPrefix(name, "docker://")) {
			return name
		}
	}
	return ""
}

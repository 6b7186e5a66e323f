package pipeline

import (
	"slices"
	"strings"
	"time"

	"ataraxis.dev/landfall/shared/strictyaml"
)

// GitOpsConfig steers the agent's own convergence.
type GitOpsConfig struct {
	Drift    DriftConfig   `yaml:"drift"`
	LeaveOut []string      `yaml:"leave_out"` // STACK/SERVICE patterns that convergence never touches
	Images   *ImagesConfig `yaml:"images"`    // nil: registries are not asked for newer images
}

// DriftConfig says what is done about each kind of difference between what runs and what the checkout says.
type DriftConfig struct {
	Missing      DriftAnswer `yaml:"missing"`       // containers are missing; default repair
	Exited       DriftAnswer `yaml:"exited"`        // a container does not run that should; default repair
	Unhealthy    DriftAnswer `yaml:"unhealthy"`     // a container runs and is not well; default repair
	Config       DriftAnswer `yaml:"config"`        // a container was made from another configuration; default repair
	Files        DriftAnswer `yaml:"files"`         // files that a container shows changed after it started; default repair
	PulledImages DriftAnswer `yaml:"pulled_images"` // the name of a pulled image has moved on; default report
}

// ImagesConfig has registries asked for newer images of the same names.
type ImagesConfig struct {
	Every    time.Duration `yaml:"every,required"`    // at least an hour: registries count requests
	Services []string      `yaml:"services,required"` // STACK/SERVICE patterns
}

// DriftAnswer is what is done about a kind of difference.
type DriftAnswer string

// The answers.
const (
	DriftRepair DriftAnswer = "repair" // brought back by the next tick that finds it again
	DriftReport DriftAnswer = "report" // told, and left as it is
	DriftIgnore DriftAnswer = "ignore" // not even told
)

// UnmarshalStrict implements strictyaml.Unmarshaler: a word, or true for repair and false for report.
func (a *DriftAnswer) UnmarshalStrict(v strictyaml.Value) {
	type word DriftAnswer // without this method
	var text word
	var on bool
	switch v.Text() {
	case "true", "false":
		v.Decode(&on)
		*a = DriftReport
		if on {
			*a = DriftRepair
		}
	default:
		v.Decode(&text)
		*a = DriftAnswer(text)
	}
}

// minImagesEvery is how often registries may be asked at most: Docker Hub lets a host fetch 100 manifests in six hours
// (https://docs.docker.com/docker-hub/usage/).
const minImagesEvery = time.Hour

// answers lists the kinds of differences with what is done about them.
func (d *DriftConfig) answers() map[string]*DriftAnswer {
	return map[string]*DriftAnswer{
		"missing": &d.Missing, "exited": &d.Exited, "unhealthy": &d.Unhealthy, "config": &d.Config, "files": &d.Files, "pulled_images": &d.PulledImages,
	}
}

func (g *GitOpsConfig) fillDefaults() {
	for kind, answer := range g.Drift.answers() {
		if kind == "pulled_images" {
			orElse(answer, DriftReport)
		}
		orElse(answer, DriftRepair)
	}
}

func (c *checker) gitops() {
	known := []string{string(DriftIgnore), string(DriftRepair), string(DriftReport)}
	answers := c.config.GitOps.Drift.answers()
	for _, kind := range sortedKeys(answers) {
		if c.doc.Has("gitops", "drift", kind) {
			c.refer(at("gitops", "drift", kind), "answer", string(*answers[kind]), known)
		}
	}
	c.references(at("gitops", "leave_out"), c.config.GitOps.LeaveOut)
	images := c.config.GitOps.Images
	if images == nil {
		return
	}
	p := at("gitops", "images")
	c.references(p.in("services"), images.Services)
	if images.Every < minImagesEvery {
		c.fail(p.in("every"), "", "must be at least %s, not %s: registries count requests", minImagesEvery, images.Every)
	}
	if len(images.Services) == 0 {
		c.fail(p.in("services"), "", "no service is named: name them as STACK/SERVICE, or leave images out")
	}
}

// references checks a list of STACK/SERVICE patterns.
func (c *checker) references(p place, refs []string) {
	for i, ref := range refs {
		at := p.in(index(i))
		stack, service, ok := strings.Cut(ref, "/")
		switch {
		case !ok || !servicesGlob.MatchString(service):
			c.fail(at, "", "%q is no STACK/SERVICE; * stands for any characters of a service", ref)
		case slices.Contains(refs[:i], ref):
			c.fail(at, "", "%q is named twice", ref)
		default:
			c.refer(at, "stack", stack, c.stackNames)
		}
	}
}

// Names reports whether a list of STACK/SERVICE patterns names a service.
func Names(refs []string, stack, service string) bool {
	return slices.ContainsFunc(refs, func(ref string) bool {
		s, pattern, ok := strings.Cut(ref, "/")
		return ok && s == stack && MatchService(pattern, service)
	})
}

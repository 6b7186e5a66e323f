package starter

import (
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"ataraxis.dev/landfall/shared/fault"
)

// composeFile is what a compose file says that matters here. Compose itself reads the rest.
type composeFile struct {
	path     string
	kind     string // compose or docker-compose
	variant  string // between the name and the ending: "" or pi, dashboard, override
	project  string // name:
	text     string
	services map[string]*service
}

func (f *composeFile) dir() string { return path.Dir(f.path) }

func (f *composeFile) names() []string { return slices.Sorted(maps.Keys(f.services)) }

// service is one service of a file; of an overlay it may be a part only.
type service struct {
	image       string
	built       bool
	context     string // as written
	mounts      []string
	environment map[string]string
}

// whole reports whether the service could stand alone.
func (s *service) whole() bool { return s.image != "" || s.built }

func parseCompose(name string, raw []byte) (*composeFile, error) {
	var document struct {
		Name     any                       `yaml:"name"`
		Services map[string]map[string]any `yaml:"services"`
	}
	if err := yaml.Unmarshal(raw, &document); err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "COMPOSE_INVALID", "%s is not a compose file", name)
	}
	m := composeName.FindStringSubmatch(path.Base(name))
	project, _ := document.Name.(string)
	f := &composeFile{path: name, kind: m[1], variant: m[2], project: project, text: string(raw), services: map[string]*service{}}
	for key, body := range document.Services {
		f.services[key] = readService(body)
	}
	return f, nil
}

func readService(body map[string]any) *service {
	s := &service{environment: map[string]string{}}
	s.image, _ = body["image"].(string)
	switch build := body["build"].(type) {
	case string:
		s.built, s.context = true, build
	case map[string]any:
		s.built, s.context = true, "."
		if context, ok := build["context"].(string); ok {
			s.context = context
		}
		if _, inline := build["dockerfile_inline"]; inline && build["context"] == nil {
			s.context = ""
		}
	}
	volumes, _ := body["volumes"].([]any)
	for _, volume := range volumes {
		switch v := volume.(type) {
		case string:
			if source, _, ok := strings.Cut(v, ":"); ok && strings.HasPrefix(source, ".") {
				s.mounts = append(s.mounts, source)
			}
		case map[string]any:
			if source, ok := v["source"].(string); ok && v["type"] == "bind" {
				s.mounts = append(s.mounts, source)
			}
		}
	}
	switch environment := body["environment"].(type) {
	case map[string]any:
		for key, v := range environment {
			if text, ok := v.(string); ok {
				s.environment[key] = text
			}
		}
	case []any:
		for _, entry := range environment {
			if text, ok := entry.(string); ok {
				key, v, _ := strings.Cut(text, "=")
				s.environment[key] = v
			}
		}
	}
	return s
}

// postgresImage is a PostgreSQL server by the name of its image, or of the variable that
// names it; not one of the programs that go with one.
var (
	postgresImage = regexp.MustCompile(`(?i)(^|/|\$\{?)(postgres|postgresql|postgis|timescaledb|pgvector)([:@_}-]|$)`)
	besidePG      = regexp.MustCompile(`(?i)export|backup|admin|bouncer|rest|pool`)
)

func (s *service) postgres() bool {
	return postgresImage.MatchString(s.image) && !besidePG.MatchString(s.image)
}

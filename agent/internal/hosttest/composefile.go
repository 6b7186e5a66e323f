package hosttest

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
)

// composed is one stack of this model's compose files, as they are at a commit.
type composed struct {
	picture.Model
	grace map[string]time.Duration // how long a service takes to stop
	shows map[string][]string      // by service, where its image has volumes without a name
	lines map[string]string        // what makes the configuration of a service
	by    string                   // the version of Compose
}

// composed reads the services of a stack at a commit; h.mu is held. A line is one of
//
//	name PROJECT           the compose project; without it the stack's own name
//	network NAME WORD...   a network and its definition; "external" says that it is not ours
//	volume NAME WORD...    likewise
//	invalid                makes the file one that Compose refuses
//	SERVICE WORD...        a service
//
// Words of a service: oneshot, mount:PATH, source:PATH, image:REF, pulled:REF, replicas:N, shares:SERVICE, within:CONTAINER, net:NAME, grace:DURATION, fixed:NAME, dep:SERVICE, vol:PATH for
// a volume without a name, vol:PATH=NAME for one with, declares:PATH for one without a name that the image declares, env:NAME for a variable
// of landfall.yaml's environment. Any other word is a part of its configuration.
func (h *Host) composed(sha string, stack pipeline.Stack) (composed, error) {
	m := composed{
		Model: picture.Model{
			Stack: stack.Name, Project: stack.Name,
			Services: map[string]picture.Spec{}, Networks: map[string]picture.NetworkSpec{}, Volumes: map[string]picture.VolumeSpec{},
		},
		grace: map[string]time.Duration{}, shows: map[string][]string{}, lines: map[string]string{},
	}
	if stack.Project != "" {
		m.Project = stack.Project
	}
	var services []string
	for _, path := range stack.Files {
		text, ok := h.repository.commits[sha].files[path]
		if !ok {
			return m, fault.New(fault.Invalid, "COMPOSE_INVALID", "stack %s: no file %s", stack.Name, path)
		}
		for line := range strings.Lines(text) {
			fields := strings.Fields(line)
			switch {
			case len(fields) == 0:
			case fields[0] == "invalid":
				return m, fault.New(fault.Invalid, "COMPOSE_INVALID", "stack %s: %s is invalid", stack.Name, path)
			case fields[0] == "name" && len(fields) == 2:
				m.Project = fields[1]
			case fields[0] == "network":
				m.Networks[fields[1]] = picture.NetworkSpec{External: slices.Contains(fields[2:], "external"), Labels: words(fields[2:])}
			case fields[0] == "volume":
				m.Volumes[fields[1]] = picture.VolumeSpec{External: slices.Contains(fields[2:], "external"), Labels: words(fields[2:])}
			default:
				services = append(services, line)
			}
		}
	}
	for _, line := range services {
		m.add(strings.Fields(line))
	}
	return m, nil
}

func words(fields []string) map[string]string {
	var labels map[string]string
	for _, f := range fields {
		if key, value, ok := strings.Cut(f, "="); ok {
			if labels == nil {
				labels = map[string]string{}
			}
			labels[key] = value
		}
	}
	return labels
}

// add reads one service.
func (m *composed) add(fields []string) {
	name := fields[0]
	spec := picture.Spec{Image: m.Project + "/" + name, Builds: true, Replicas: 1, Networks: []string{m.Project + "_default"}}
	if _, defined := m.Networks[m.Project+"_default"]; !defined {
		m.Networks[m.Project+"_default"] = picture.NetworkSpec{}
	}
	grace := time.Duration(0)
	for _, f := range fields[1:] {
		key, value, _ := strings.Cut(f, ":")
		switch key {
		case "oneshot":
			spec.OneShot = true
		case "mount":
			spec.Places = append(spec.Places, value)
		case "source":
			spec.Power.Sources = append(spec.Power.Sources, value)
		case "image":
			spec.Image = value
		case "pulled": // from a registry; see Host.Publish
			spec.Image, spec.Configured, spec.Builds = value, value, false
		case "replicas":
			spec.Replicas, _ = strconv.Atoi(value)
		case "shares":
			spec.Shares, spec.DependsOn = append(spec.Shares, value), append(spec.DependsOn, value)
			spec.Networks = nil
		case "within":
			spec.Within, spec.Networks = append(spec.Within, value), nil
		case "dep":
			spec.DependsOn = append(spec.DependsOn, value)
		case "net":
			spec.Networks = append(spec.Networks, value)
			if _, defined := m.Networks[value]; !defined {
				m.Networks[value] = picture.NetworkSpec{}
			}
		case "grace":
			grace, _ = time.ParseDuration(value)
		case "fixed":
			spec.ContainerName = value
		case "vol":
			at, volume, _ := strings.Cut(value, "=")
			if spec.Mounts == nil {
				spec.Mounts = map[string]string{}
			}
			spec.Mounts[at] = volume
		case "declares":
			m.shows[name] = append(m.shows[name], value)
		}
	}
	m.Services[name], m.grace[name], m.lines[name] = spec, grace, strings.Join(fields, " ")
}

// resolve puts the environment of a plan in the place of its variables.
func (m *composed) resolve(plan *pipeline.Plan) {
	for name, line := range m.lines {
		for _, word := range strings.Fields(line) {
			if variable, is := strings.CutPrefix(word, "env:"); is {
				m.lines[name] += " " + variable + "=" + plan.Environment[variable]
			}
		}
	}
}

// madeBy has a version of Compose hash it, each in its own way.
func (m *composed) madeBy(version string) {
	m.by = version
	for name := range m.lines {
		if version != "" {
			m.lines[name] += " by " + version
		}
	}
}

// composedNow reads the services of a stack as checked out.
func (h *Host) composedNow(stack pipeline.Stack) (composed, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.composed(h.repository.head, stack)
}

// models reads all stacks of a plan at a commit; h.mu is held.
func (h *Host) models(sha string, plan *pipeline.Plan) ([]picture.Model, error) {
	var models []picture.Model
	for _, stack := range plan.Stacks {
		m, err := h.composed(sha, stack)
		if err != nil {
			return models, err
		}
		models = append(models, m.Model)
	}
	return models, nil
}

// Package composefile reads what a compose file says by itself, without asking Compose.
//
// It promises no more than what stands there: values may be interpolated, files may be merged, and
// only `docker compose config` knows the result. Start reading at [Parse].
package composefile

import (
	"path"
	"strings"

	"go.yaml.in/yaml/v3"

	"ataraxis.dev/landfall/shared/strictyaml"
)

// File is one compose file.
type File struct {
	Name     string    // of the project; "" when the file does not say
	Services []Service // in the file's order
	Networks []Definition
	Volumes  []Definition
	Includes bool     // other files are pulled in, so there may be more services
	Included []string // those that are named here, from the file's folder
}

// Service is one service of a file.
type Service struct {
	Name      string
	Line      int      // from 1
	Container string   // container_name
	Shares    []string // services whose namespaces it lives in: network_mode, pid or ipc "service:NAME"
	Within    []string // containers whose namespaces it lives in: likewise "container:NAME"
	Mounts    []Mount  // of those that no variable decides
	Replicas  int      // scale, or deploy.replicas; 0 where the file does not say, or a variable does
}

// Mount is what a service shows somewhere.
type Mount struct {
	At   string // path in the container
	Type string // "volume", "bind", "tmpfs", ...
	From string // the volume's key, or a path; "" for a volume without a name
}

// Definition is a network or a volume of a file.
type Definition struct {
	Key      string
	External bool
	// Text is all the definition says, in one form: two that say the same have the same text.
	Text string
}

// body is what is read of a service.
type body struct {
	Container   string `yaml:"container_name"`
	NetworkMode string `yaml:"network_mode"`
	PID         string `yaml:"pid"`
	IPC         string `yaml:"ipc"`

	Volumes yaml.Node `yaml:"volumes"`
	Scale   yaml.Node `yaml:"scale"`
	Deploy  yaml.Node `yaml:"deploy"`
}

func (b body) replicas() (n int) {
	var deploy struct {
		Replicas yaml.Node `yaml:"replicas"`
	}
	if b.Scale.Decode(&n) == nil && n > 0 {
		return n
	}
	if resolve(&b.Deploy).Decode(&deploy) != nil || deploy.Replicas.Decode(&n) != nil {
		return 0
	}
	return n
}

// mounts reads both forms, "SOURCE:TARGET:MODE" and the mapping.
func (b body) mounts() []Mount {
	var list []Mount
	for _, item := range resolve(&b.Volumes).Content {
		var says struct{ Type, Source, Target string }
		switch item = resolve(item); {
		case strings.Contains(item.Value, "$"):
			continue
		case item.Kind == yaml.ScalarNode:
			parts := strings.SplitN(item.Value, ":", 3)
			says.Type, says.Target = "volume", parts[0]
			if len(parts) > 1 {
				says.Source, says.Target = parts[0], parts[1]
			}
			if strings.HasPrefix(says.Source, "/") || strings.HasPrefix(says.Source, ".") || strings.HasPrefix(says.Source, "~") {
				says.Type = "bind"
			}
		case item.Decode(&says) != nil || strings.Contains(says.Type+says.Source+says.Target, "$"):
			continue
		}
		if path.IsAbs(says.Target) {
			list = append(list, Mount{path.Clean(says.Target), says.Type, says.Source})
		}
	}
	return list
}

// Parse reads a file; name is what it is called in problems. The error, of kind Invalid and reason CONFIG_INVALID,
// holds [strictyaml.Problems]. What Compose knows and this does not is left alone.
func Parse(name string, raw []byte) (File, error) {
	doc := &strictyaml.Document{File: name}
	problem := func(line, column int, format string, args ...any) (File, error) {
		p := doc.Problem(nil, "", format, args...)
		p.Line, p.Column = max(1, line), max(1, column)
		return File{}, strictyaml.Problems{p}.Err()
	}
	var root yaml.Node
	if err := yaml.Unmarshal(raw, &root); err != nil {
		return problem(1, 1, "it is not YAML: %s", err)
	}
	if len(root.Content) == 0 {
		return problem(1, 1, "the file is empty")
	}
	top := root.Content[0]
	if top.Kind != yaml.MappingNode {
		return problem(top.Line, top.Column, "a compose file is a mapping with services")
	}
	var f File
	for i := 0; i+1 < len(top.Content); i += 2 {
		key, value := top.Content[i], resolve(top.Content[i+1])
		switch key.Value {
		case "name":
			f.Name = value.Value
		case "include":
			f.Includes, f.Included = true, included(value)
		case "networks":
			f.Networks = definitions(value)
		case "volumes":
			f.Volumes = definitions(value)
		case "services":
			if value.Kind != yaml.MappingNode {
				return problem(value.Line, value.Column, "services is a mapping of names")
			}
			f.Services, f.Includes = services(value, f.Includes)
		}
	}
	return f, nil
}

func services(node *yaml.Node, includes bool) ([]Service, bool) {
	var list []Service
	for i := 0; i+1 < len(node.Content); i += 2 {
		key := node.Content[i]
		if key.Value == "<<" { // merged from an anchor that we do not follow
			includes = true
			continue
		}
		s := Service{Name: key.Value, Line: key.Line}
		var b body
		if err := node.Content[i+1].Decode(&b); err == nil { // what is none is Compose's to find fault with
			s.Container, s.Mounts, s.Replicas = b.Container, b.mounts(), b.replicas()
			for _, mode := range []string{b.NetworkMode, b.PID, b.IPC} {
				if owner, ok := strings.CutPrefix(mode, "service:"); ok {
					s.Shares = append(s.Shares, owner)
				}
				if owner, ok := strings.CutPrefix(mode, "container:"); ok {
					s.Within = append(s.Within, owner)
				}
			}
		}
		list = append(list, s)
	}
	return list, includes
}

// included are the files of `include`: texts, or mappings with a path that is a text or a list.
func included(node *yaml.Node) []string {
	var list []string
	for _, item := range node.Content {
		item = resolve(item)
		if item.Kind == yaml.ScalarNode {
			list = append(list, item.Value)
			continue
		}
		var entry struct {
			Path yaml.Node `yaml:"path"`
		}
		if item.Decode(&entry) != nil {
			continue
		}
		var one string
		var several []string
		switch path := resolve(&entry.Path); {
		case path.Kind == yaml.ScalarNode && path.Decode(&one) == nil:
			list = append(list, one)
		case path.Decode(&several) == nil:
			list = append(list, several...)
		}
	}
	return list
}

func definitions(node *yaml.Node) []Definition {
	if node.Kind != yaml.MappingNode {
		return nil
	}
	var list []Definition
	for i := 0; i+1 < len(node.Content); i += 2 {
		d := Definition{Key: node.Content[i].Value}
		var says map[string]any
		if node.Content[i+1].Decode(&says) == nil && len(says) > 0 {
			external, isExternal := says["external"]
			d.External = isExternal && external != false
			text, err := yaml.Marshal(says) // keys come sorted
			if err == nil {
				d.Text = string(text)
			}
		}
		list = append(list, d)
	}
	return list
}

func resolve(node *yaml.Node) *yaml.Node {
	if node.Kind == yaml.AliasNode {
		return node.Alias
	}
	return node
}

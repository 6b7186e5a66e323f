package compose

import (
	"encoding/json"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/distribution/reference"

	"ataraxis.dev/landfall/agent/internal/redact"
	"ataraxis.dev/landfall/shared/boundedfile"
	"ataraxis.dev/landfall/shared/pipeline"
	"ataraxis.dev/landfall/shared/process"
)

// Secrets is told what must not leave the agent, before anybody can print it; see package redact.
type Secrets interface {
	// Learn says what the secrets of a source are now.
	Learn(source string, values []string)
	// Publish says what everybody may read, whatever else holds it.
	Publish(names []string)
}

// maxSecretFile bounds what is read of an environment file or a secret's file, in bytes.
const maxSecretFile = 1 << 20

// Teach has whatever this package reads told to somebody.
func (c *Compose) Teach(s Secrets) { c.secrets = s }

// knownFile is a file of secrets as it was read last.
type knownFile struct {
	size    int64
	changed time.Time
}

// learnStack tells the secrets that a child on a stack may print, before it starts.
func (c *Compose) learnStack(stack pipeline.Stack, env map[string]string, dir string) {
	if c.secrets == nil {
		return
	}
	trees := []tree{{c.dir, c.dir}}
	if dir != c.dir {
		trees = append(trees, tree{c.dir, dir})
	}
	known := maps.Clone(env)
	if known == nil {
		known = map[string]string{}
	}
	for _, t := range trees {
		first := readSources(t, stack, known)
		for _, f := range first.envFiles {
			c.learnEnvFile(f)
			set := assignments(f)
			c.hide(set)
			maps.Copy(known, set)
		}
		for _, f := range readSources(t, stack, known).envFiles { // names that are written with variables
			c.learnEnvFile(f)
		}
	}
	c.learnProxies()
}

// hide remembers values of variables that are secrets by their name: no name that holds one is published, whatever it names.
func (c *Compose) hide(set map[string]string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, value := range set {
		if redact.Sounds(key) && redact.Secret(key, value) {
			c.hidden[value] = true
		}
	}
}

// shared is the length of a part, in bytes, that a name and a secret may not share.
const shared = 8

// harmless leaves out names that hold a part of a secret: images, projects and containers may be named by variables. services are not.
func (c *Compose) harmless(names, services []string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.DeleteFunc(names, func(name string) bool {
		for value := range c.hidden {
			if slices.Contains(services, value) {
				continue // everybody can read it in the repository
			}
			for i := 0; i+shared <= len(value); i++ {
				if strings.Contains(name, value[i:i+shared]) {
					return true
				}
			}
		}
		return false
	})
}

// publishPlan says that what landfall.yaml says is no secret: it is in the repository.
func (c *Compose) publishPlan(plan *pipeline.Plan) {
	if c.secrets == nil {
		return
	}
	if raw, err := json.Marshal(plan); err == nil {
		c.secrets.Publish([]string{string(raw)})
	}
}

// assignments are the plain NAME=value lines of an environment file: names of files may be written with them.
func assignments(path string) map[string]string {
	raw, err := boundedfile.Read(path, maxSecretFile)
	if err != nil {
		return nil
	}
	found := map[string]string{}
	for line := range strings.Lines(string(raw)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			found[strings.TrimPrefix(key, "export ")] = strings.Trim(value, `"'`)
		}
	}
	return found
}

func (c *Compose) learnEnvFile(path string) {
	if raw, changed := c.readChanged(path); changed {
		c.secrets.Learn("file "+path, redact.EnvFile(string(raw)))
	}
}

// readChanged reads a file when it is not what it was.
func (c *Compose) readChanged(path string) ([]byte, bool) {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return nil, false
	}
	now := knownFile{info.Size(), info.ModTime()}
	c.mu.Lock()
	same := c.secretFiles[path] == now
	c.secretFiles[path] = now
	c.mu.Unlock()
	if same {
		return nil, false
	}
	resolved, err := filepath.EvalSymlinks(path) // the side tree links what only the host has
	if err != nil {
		return nil, false
	}
	raw, err := boundedfile.Read(resolved, maxSecretFile)
	return raw, err == nil
}

// learnProxies tells the passwords of proxies, which every child gets.
func (c *Compose) learnProxies() {
	var values []string
	for _, entry := range process.PassedOn() {
		_, value, _ := strings.Cut(entry, "=")
		values = append(values, userInfo(value)...)
	}
	c.secrets.Learn("proxies", values)
}

// userInfo is what of a URL says who asks.
func userInfo(raw string) []string {
	u, err := url.Parse(raw)
	if err != nil || u.User == nil {
		return nil
	}
	password, _ := u.User.Password()
	return []string{u.User.String(), u.User.Username(), password}
}

// valuesOf are the environment variables of a service, or the arguments of its build.
type valuesOf map[string]string

// UnmarshalJSON takes values of every kind: Compose prints numbers as such.
func (v *valuesOf) UnmarshalJSON(raw []byte) error {
	var texts map[string]json.RawMessage
	*v = valuesOf{}
	if json.Unmarshal(raw, &texts) != nil {
		return nil //nolint:nilerr // another form than we know holds nothing that we could name
	}
	for key, value := range texts {
		text := string(value)
		var s string
		if json.Unmarshal(value, &s) == nil {
			text = s
		}
		(*v)[key] = text
	}
	return nil
}

// renderedSecrets is what of a rendered configuration is read to be taken out of every text, and never kept.
type renderedSecrets struct {
	Services map[string]struct {
		Environment valuesOf `json:"environment"`
		Build       struct {
			Args valuesOf `json:"args"`
		} `json:"build"`
	} `json:"services"`
}

// values lists them.
func (r renderedSecrets) values() []string {
	var values []string
	for _, s := range r.Services {
		for _, all := range []valuesOf{s.Environment, s.Build.Args} {
			for key, v := range all {
				if redact.Secret(key, v) {
					values = append(append(values, v), userInfo(v)...)
				}
			}
		}
	}
	return values
}

// learnRendered tells what a rendered configuration holds: values of environments and builds, files of secrets. Names that people need
// stay readable.
func (c *Compose) learnRendered(r rendered, raw []byte, stack, dir string) {
	if c.secrets == nil {
		return
	}
	public := []string{r.Name}
	services := slices.Collect(maps.Keys(r.Services))
	for name, s := range r.Services {
		public = append(public, s.ContainerName, r.Name+"-"+name)
		if _, err := reference.ParseNormalizedNamed(s.Image); err == nil {
			public = append(public, s.Image)
		}
	}
	for _, n := range r.Networks {
		public = append(public, n.Name)
	}
	for _, v := range r.Volumes {
		public = append(public, v.Name)
	}
	c.secrets.Publish(append(c.harmless(public, services), services...))
	var secrets renderedSecrets
	if json.Unmarshal(raw, &secrets) == nil {
		c.secrets.Learn("stack "+stack+" in "+dir, secrets.values())
	}
	for _, s := range r.Secrets {
		if s.File == "" {
			continue
		}
		if raw, changed := c.readChanged(s.File); changed {
			c.secrets.Learn("file "+s.File, []string{strings.TrimSpace(string(raw))})
		}
	}
}

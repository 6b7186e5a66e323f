package compose

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/distribution/reference"

	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/agent/internal/redact"
	"ataraxis.dev/landfall/shared/boundedfile"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
	"ataraxis.dev/landfall/shared/process"
)

// Secrets is told what must not leave the agent, before anybody can print it; see package redact.
type Secrets interface {
	// Learn says what the secrets of a source are now. After an error nobody may print them.
	Learn(source string, values []string) error
	// Publish says what everybody may read, whatever else holds it.
	Publish(names []string)
}

// maxSecretFile bounds what is read of an environment file or a secret's file, in bytes.
const maxSecretFile = 1 << 20

// Teach has whatever this package reads told to somebody. commits lists those of some hashes that the repository knows: they are no
// secrets, wherever they stand; nil knows none.
func (c *Compose) Teach(s Secrets, commits func(ctx context.Context, hashes []string) []string) {
	c.secrets, c.commits = s, commits
}

var _ ports.Teacher = (*Compose)(nil)

// Learn implements ports.Teacher. It starts no child of Compose, and asks no engine.
func (c *Compose) Learn(ctx context.Context, plan *pipeline.Plan) error {
	c.publishPlan(plan)
	var errs []error
	for _, stack := range plan.Stacks {
		errs = append(errs, c.learnStack(ctx, stack, plan.Environment, c.dir))
	}
	return errors.Join(errs...)
}

// knownFile is a file of secrets as it was read last.
type knownFile struct {
	size    int64
	changed time.Time
}

// learnStack tells the secrets that a child on a stack may print, before it starts. A file that cannot be learned is an error: the child
// would print what nobody can take out.
func (c *Compose) learnStack(ctx context.Context, stack pipeline.Stack, env map[string]string, dir string) error {
	if c.secrets == nil {
		return nil
	}
	c.teaching.Lock() // no child starts before what another has found is known
	defer c.teaching.Unlock()
	trees := []tree{{c.dir, c.dir}}
	if dir != c.dir {
		trees = append(trees, tree{c.dir, dir})
	}
	known := maps.Clone(env)
	if known == nil {
		known = map[string]string{}
	}
	var errs []error
	for _, t := range trees {
		first := readSources(t, stack, known)
		for _, f := range first.envFiles {
			errs = append(errs, c.learnEnvFile(ctx, f))
			set := assignments(f)
			c.hide(set)
			maps.Copy(known, set)
		}
		again := readSources(t, stack, known) // names that are written with variables
		for _, f := range again.envFiles {
			errs = append(errs, c.learnEnvFile(ctx, f))
		}
		for _, f := range again.secretFiles {
			errs = append(errs, c.learnSecretFile(f))
		}
	}
	return errors.Join(append(errs, c.learnProxies())...)
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
	hidden := slices.Collect(maps.Keys(c.hidden))
	c.mu.Unlock()
	parts := map[string]bool{}
	for _, value := range hidden {
		if slices.Contains(services, value) {
			continue // everybody can read it in the repository
		}
		for i := 0; i+shared <= len(value); i++ {
			parts[value[i:i+shared]] = true
		}
	}
	return slices.DeleteFunc(names, func(name string) bool {
		for i := 0; i+shared <= len(name); i++ {
			if parts[name[i:i+shared]] {
				return true
			}
		}
		return false
	})
}

// publishPlan says that what landfall.yaml says is no secret: it is in the repository. Text by text: most are the same in every deploy.
func (c *Compose) publishPlan(plan *pipeline.Plan) {
	if c.secrets == nil {
		return
	}
	raw, err := json.Marshal(plan)
	if err != nil {
		return
	}
	var said any
	if json.Unmarshal(raw, &said) == nil {
		c.secrets.Publish(textsIn(said, nil))
	}
}

// textsIn appends every text of a value that was JSON.
func textsIn(value any, found []string) []string {
	switch v := value.(type) {
	case string:
		return append(found, v)
	case []any:
		for _, item := range v {
			found = textsIn(item, found)
		}
	case map[string]any:
		for key, item := range v {
			found = textsIn(item, append(found, key))
		}
	}
	return found
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

func (c *Compose) learnEnvFile(ctx context.Context, path string) error {
	return c.learnFile(path, func(text string) []string {
		values := redact.EnvFile(text)
		if hashes := redact.Commits(values); c.commits != nil && len(hashes) > 0 {
			c.secrets.Publish(c.commits(ctx, hashes))
		}
		return values
	})
}

func (c *Compose) learnSecretFile(path string) error {
	return c.learnFile(path, func(text string) []string { return []string{strings.TrimSpace(text)} })
}

// learnFile tells the secrets of a file when it is not what it was when they were told. One that is not there has none; one that Compose may read
// and we may not is Refused, SECRETS_NOT_READ.
func (c *Compose) learnFile(path string, secrets func(text string) []string) error {
	now, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR), err == nil && now.IsDir():
		return nil // Compose says what is missing
	case err != nil:
		return notRead(err, path)
	}
	state := knownFile{now.Size(), now.ModTime()}
	c.mu.Lock()
	same := c.secretFiles[path] == state
	c.mu.Unlock()
	if same {
		return nil
	}
	resolved, err := filepath.EvalSymlinks(path) // the side tree links what only the host has
	if err != nil {
		return notRead(err, path)
	}
	raw, err := boundedfile.Read(resolved, maxSecretFile)
	if err != nil {
		return notRead(err, path)
	}
	if err := c.secrets.Learn("file "+path, secrets(string(raw))); err != nil {
		return err
	}
	c.mu.Lock()
	c.secretFiles[path] = state
	c.mu.Unlock()
	return nil
}

func notRead(err error, path string) error {
	return fault.Wrap(err, fault.Refused, "SECRETS_NOT_READ", "what %s holds cannot be kept out of logs", path).
		WithHint("make it a regular file of at most %d bytes that the agent may read", maxSecretFile)
}

// learnProxies tells the passwords of proxies, which every child gets.
func (c *Compose) learnProxies() error {
	var values []string
	for _, entry := range process.PassedOn() {
		_, value, _ := strings.Cut(entry, "=")
		values = append(values, userInfo(value)...)
	}
	return c.secrets.Learn("proxies", values)
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
func (c *Compose) learnRendered(r rendered, raw []byte, stack, dir string) error {
	if c.secrets == nil {
		return nil
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
	if json.Unmarshal(raw, &secrets) != nil {
		return nil // another form than we know holds nothing that we could name
	}
	errs := []error{c.secrets.Learn("stack "+stack+" in "+dir, secrets.values())}
	for _, s := range r.Secrets {
		if s.File != "" {
			errs = append(errs, c.learnSecretFile(s.File))
		}
	}
	return errors.Join(errs...)
}

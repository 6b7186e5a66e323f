package compose

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
)

// rendered is what we read of a rendered configuration (docker compose config --format json). Only what is named here is kept:
// the rest may hold secrets.
type rendered struct {
	Name     string                     `json:"name"`
	Services map[string]renderedService `json:"services"`
	Configs  map[string]renderedFile    `json:"configs"`
	Secrets  map[string]renderedFile    `json:"secrets"`
	Networks map[string]renderedNetwork `json:"networks"`
	Volumes  map[string]renderedVolume  `json:"volumes"`
}

type renderedService struct {
	Image         string          `json:"image"`
	Build         json.RawMessage `json:"build"`
	Restart       string          `json:"restart"`
	ContainerName string          `json:"container_name"`
	Scale         *int            `json:"scale"`
	Deploy        struct {
		Replicas  *int `json:"replicas"`
		Resources struct {
			Reservations struct {
				Devices []json.RawMessage `json:"devices"`
			} `json:"reservations"`
		} `json:"resources"`
	} `json:"deploy"`
	DependsOn   map[string]struct{} `json:"depends_on"` // with what links, volumes_from and shared namespaces imply
	NetworkMode string              `json:"network_mode"`
	Pid         string              `json:"pid"`
	Ipc         string              `json:"ipc"`
	Networks    map[string]struct{} `json:"networks"`
	Volumes     []renderedMount     `json:"volumes"`
	Configs     []renderedGrant     `json:"configs"`
	Secrets     []renderedGrant     `json:"secrets"`

	renderedPower
	unknown []string // keys that this version does not know
}

// UnmarshalJSON also notes the keys that it does not know.
func (s *renderedService) UnmarshalJSON(raw []byte) error {
	type plain renderedService
	if err := json.Unmarshal(raw, (*plain)(s)); err != nil {
		return err
	}
	s.unknown = unknownKeys(raw, serviceKeys)
	return nil
}

// renderedMount is an entry of volumes.
type renderedMount struct {
	Type   string `json:"type"`
	Source string `json:"source"` // absolute for type bind, the volume's key for type volume, "" for one without a name
	Target string `json:"target"` // where its container has it

	unknown []string
}

// UnmarshalJSON also notes the keys that it does not know.
func (m *renderedMount) UnmarshalJSON(raw []byte) error {
	type plain renderedMount
	if err := json.Unmarshal(raw, (*plain)(m)); err != nil {
		return err
	}
	m.unknown = unknownKeys(raw, mountKeys)
	return nil
}

// renderedFile is where a config or a secret comes from.
type renderedFile struct {
	File string `json:"file"` // absolute; "" for one that is no file
}

// renderedGrant is the use of a config or a secret by a service.
type renderedGrant struct {
	Source string `json:"source"` // its name
}

type renderedNetwork struct {
	Name       string            `json:"name"`
	External   bool              `json:"external"`
	Driver     string            `json:"driver"`
	DriverOpts map[string]string `json:"driver_opts"`
	Labels     map[string]string `json:"labels"`
	Internal   bool              `json:"internal"`
	Attachable bool              `json:"attachable"`
	IPv6       *bool             `json:"enable_ipv6"`
	IPAM       struct {
		Config []struct {
			Subnet string `json:"subnet"`
		} `json:"config"`
	} `json:"ipam"`

	hash string
}

// UnmarshalJSON also makes the hash by which Compose tells whether a network has to be made anew: of the definition as it prints it, apart
// from white space (Compose 2.40.3, pkg/compose/hash.go, NetworkHash).
func (n *renderedNetwork) UnmarshalJSON(raw []byte) error {
	type plain renderedNetwork
	if err := json.Unmarshal(raw, (*plain)(n)); err != nil {
		return err
	}
	var compact, escaped bytes.Buffer
	if err := json.Compact(&compact, raw); err != nil {
		return err
	}
	json.HTMLEscape(&escaped, compact.Bytes())
	n.hash = fmt.Sprintf("%x", sha256.Sum256(escaped.Bytes()))
	return nil
}

type renderedVolume struct {
	Name       string            `json:"name"`
	External   bool              `json:"external"`
	Driver     string            `json:"driver"`
	DriverOpts map[string]string `json:"driver_opts"`
	Labels     map[string]string `json:"labels"`

	unknown []string
}

// UnmarshalJSON also notes the keys that it does not know.
func (v *renderedVolume) UnmarshalJSON(raw []byte) error {
	type plain renderedVolume
	if err := json.Unmarshal(raw, (*plain)(v)); err != nil {
		return err
	}
	v.unknown = unknownKeys(raw, volumeKeys)
	return nil
}

// spec is the definition in the words of a picture.
func (v renderedVolume) spec() picture.VolumeSpec {
	return picture.VolumeSpec{External: v.External, Driver: v.Driver, Options: v.DriverOpts, Labels: v.Labels}
}

// renderIn renders the configuration of a stack in a directory, "" being the checkout.
func (c *Compose) renderIn(ctx context.Context, plan *pipeline.Plan, stack pipeline.Stack, dir string) (picture.Model, error) {
	c.publishPlan(plan) // before the configuration is read: it holds the commit, which everybody must go on naming
	raw, err := c.run(ctx, command{
		stack: stack, env: plan.Environment, dir: dir, deadline: c.deadlines.Config, capture: true,
		args: []string{"config", "--format", "json", "--no-env-resolution"},
	})
	if err != nil {
		return picture.Model{}, fault.Wrap(err, fault.Failed, "COMPOSE_CONFIG", "stack %s", stack.Name)
	}
	var r rendered
	if err := json.Unmarshal(raw, &r); err != nil {
		return picture.Model{}, fault.New(fault.Internal, "COMPOSE_CONFIG", "docker compose config of stack %s printed no JSON that we understand", stack.Name)
	}
	if err := c.learnRendered(r, raw, stack.Name, cmp.Or(dir, c.dir)); err != nil {
		return picture.Model{}, err
	}
	t := tree{c.dir, cmp.Or(dir, c.dir)}
	m := r.model(stack.Name, t)
	m.Files, m.Reads = stack.Files, t.reads(stack, plan.Environment)
	return m, nil
}

// model keeps what the picture of the host needs.
func (r rendered) model(stack string, t tree) picture.Model {
	m := picture.Model{
		Stack: stack, Project: r.Name,
		Services: map[string]picture.Spec{}, Networks: map[string]picture.NetworkSpec{}, Volumes: map[string]picture.VolumeSpec{},
	}
	for _, raw := range r.Networks {
		name, spec := networkOf(raw)
		m.Networks[name] = spec
	}
	for _, v := range r.Volumes {
		m.Volumes[v.Name] = v.spec()
	}
	for name, s := range r.Services {
		m.Services[name] = r.spec(name, s, t)
	}
	return m
}

// networkOf reads the definition of a network.
func networkOf(raw renderedNetwork) (name string, spec picture.NetworkSpec) {
	spec = picture.NetworkSpec{
		External: raw.External, Driver: raw.Driver, Options: raw.DriverOpts, Labels: raw.Labels,
		Internal: raw.Internal, Attachable: raw.Attachable, IPv6: raw.IPv6 != nil && *raw.IPv6, Hash: raw.hash,
	}
	for _, c := range raw.IPAM.Config {
		if c.Subnet != "" {
			spec.Subnets = append(spec.Subnets, c.Subnet)
		}
	}
	slices.Sort(spec.Subnets)
	return raw.Name, spec
}

func (r rendered) spec(name string, s renderedService, t tree) picture.Spec {
	spec := picture.Spec{
		Image: s.Image, Configured: s.Image, Builds: len(s.Build) > 0, Replicas: s.replicas(), ContainerName: s.ContainerName,
		OneShot: oneShot(s.Restart), DependsOn: slices.Sorted(maps.Keys(s.DependsOn)),
	}
	if spec.Image == "" {
		spec.Image = r.Name + "-" + name // the name that Compose gives what it builds
	}
	for _, mode := range []string{s.NetworkMode, s.Pid, s.Ipc} {
		if owner, shared := strings.CutPrefix(mode, "service:"); shared && !slices.Contains(spec.Shares, owner) {
			spec.Shares = append(spec.Shares, owner)
		}
		if owner, shared := strings.CutPrefix(mode, "container:"); shared && !slices.Contains(spec.Within, owner) {
			spec.Within = append(spec.Within, owner)
		}
	}
	for key := range s.Networks {
		spec.Networks = append(spec.Networks, r.Networks[key].Name)
	}
	slices.Sort(spec.Networks)
	for _, source := range r.sources(s) {
		spec.Places = append(spec.Places, t.places(source)...)
	}
	for _, v := range s.Volumes {
		if v.Type == "volume" {
			if spec.Mounts == nil {
				spec.Mounts = map[string]string{}
			}
			spec.Mounts[v.Target] = r.Volumes[v.Source].Name
		}
	}
	spec.Missing = r.missing(s, t)
	spec.Power, spec.Pulls = r.powerOf(s, t), s.pulls()
	return spec
}

func oneShot(restart string) bool {
	return restart == "" || restart == "no" || strings.HasPrefix(restart, "on-failure")
}

// replicas is the number of containers the service wants.
func (s renderedService) replicas() int {
	switch {
	case s.Scale != nil:
		return *s.Scale
	case s.Deploy.Replicas != nil:
		return *s.Deploy.Replicas
	}
	return 1
}

// sources lists the files and folders of the host that a service's containers show, as absolute paths.
func (r rendered) sources(s renderedService) []string {
	var found []string
	for _, v := range s.Volumes {
		switch v.Type {
		case "bind":
			found = append(found, v.Source)
		case "volume": // one that its driver's options bind to a folder of the host
			paths, _ := r.Volumes[v.Source].spec().Backing()
			found = append(found, paths...)
		}
	}
	return append(found, r.files(s)...)
}

// files lists the files of a service's configs and secrets.
func (r rendered) files(s renderedService) []string {
	var found []string
	for _, of := range []struct {
		grants []renderedGrant
		files  map[string]renderedFile
	}{{s.Configs, r.Configs}, {s.Secrets, r.Secrets}} {
		for _, g := range of.grants {
			if file := of.files[g.Source].File; file != "" {
				found = append(found, file)
			}
		}
	}
	return found
}

// missing lists files of configs and secrets that neither the tree nor the checkout has.
func (r rendered) missing(s renderedService, t tree) []string {
	var found []string
	for _, file := range r.files(s) {
		if _, err := os.Stat(file); err == nil {
			continue
		}
		if rel, inside := t.relative(file); inside {
			if t.has(rel) {
				continue
			}
			file = rel
		}
		found = append(found, file)
	}
	return found
}

// modelAge is how long a rendered configuration is used again. A deploy asks for the
// same one a dozen times within seconds, and each rendering costs a child.
const modelAge = 10 * time.Second

type cachedModel struct {
	model picture.Model
	read  time.Time
}

// forgetModels has every configuration rendered again.
func (c *Compose) forgetModels() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.models)
}

// model renders the configuration of a stack in the checkout.
func (c *Compose) model(ctx context.Context, plan *pipeline.Plan, stack pipeline.Stack) (picture.Model, error) {
	key := plan.Digest() + "/" + stack.Name
	c.mu.Lock()
	cached, ok := c.models[key]
	c.mu.Unlock()
	if ok && time.Since(cached.read) < modelAge {
		return cached.model, nil
	}
	m, err := c.renderIn(ctx, plan, stack, "")
	if err != nil {
		return m, err
	}
	c.rendered(stack.Name).Put(m)
	c.mu.Lock()
	defer c.mu.Unlock()
	maps.DeleteFunc(c.models, func(_ string, old cachedModel) bool { return time.Since(old.read) >= modelAge })
	c.models[key] = cachedModel{m, time.Now()}
	return m, nil
}

// Models implements ports.Runtime. Those that render are returned beside the error of those that do not.
func (c *Compose) Models(ctx context.Context, plan *pipeline.Plan) ([]picture.Model, error) {
	c.publishPlan(plan)
	var models []picture.Model
	var errs []error
	for _, stack := range plan.Stacks {
		m, err := c.model(ctx, plan, stack)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		models = append(models, m)
	}
	return models, errors.Join(errs...)
}

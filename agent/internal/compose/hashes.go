package compose

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"

	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
)

// Hashes implements ports.Configs. Compose hashes what it is about to make: with environment files read, and with the containers
// whose namespaces are shared in place of their services (Compose 2.40.3, pkg/compose/hash.go and convergence.go; `config --hash` alone does
// neither). So the configuration is rendered once, given those, and hashed from standard input.
func (c *Compose) Hashes(ctx context.Context, plan *pipeline.Plan, stack pipeline.Stack, now picture.Picture) (map[picture.Key]string, error) {
	raw, err := c.run(ctx, command{
		stack: stack, env: plan.Environment, deadline: c.deadlines.Config, capture: true, args: []string{"config", "--format", "json"},
	})
	if err != nil {
		return nil, fault.Wrap(err, fault.Failed, "COMPOSE_CONFIG", "stack %s", stack.Name)
	}
	var r rendered
	project, err := resolved(raw, &r, now)
	if err != nil {
		return nil, fault.New(fault.Internal, "COMPOSE_CONFIG", "docker compose config of stack %s printed no JSON that we understand", stack.Name)
	}
	version, err := c.Composer(ctx)
	if err != nil {
		return nil, err
	}
	key := sha256.Sum256(append(project, version...)) // another Compose may hash otherwise
	if known, ok := c.hashed.of(stack.Name, key); ok {
		return known, nil
	}
	printed, err := c.run(ctx, command{
		stack: stack, env: plan.Environment, deadline: c.deadlines.Config, capture: true, args: []string{"config", "--hash", "*"}, stdin: project,
	})
	if err != nil {
		return nil, fault.Wrap(err, fault.Failed, "COMPOSE_CONFIG", "hash the configuration of stack %s", stack.Name)
	}
	labelled := readSources(tree{c.dir, c.dir}, stack, plan.Environment).labelled
	hashes := map[picture.Key]string{}
	for line := range strings.Lines(string(printed)) {
		if name, hash, ok := strings.Cut(strings.TrimSpace(line), " "); ok && hashable(r.Services[name]) && !slices.Contains(labelled, name) {
			hashes[picture.Key{Project: r.Name, Service: name}] = hash
		}
	}
	c.hashed.keep(stack.Name, key, hashes)
	return hashes, nil
}

// hashed remembers the hashes of each stack's last few configurations: most ticks find the same, and a child costs more than all the rest.
type hashed struct {
	mu sync.Mutex
	by map[string][]hashedAs
}

type hashedAs struct {
	project [sha256.Size]byte // of the configuration, and the Compose that hashed it
	hashes  map[picture.Key]string
}

// keptHashes is how many configurations of a stack are remembered: that of now, and those of earlier commits.
const keptHashes = 8

func (h *hashed) of(stack string, project [sha256.Size]byte) (map[picture.Key]string, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	i := slices.IndexFunc(h.by[stack], func(a hashedAs) bool { return a.project == project })
	if i < 0 {
		return nil, false
	}
	return h.by[stack][i].hashes, true
}

func (h *hashed) keep(stack string, project [sha256.Size]byte, hashes map[picture.Key]string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.by == nil {
		h.by = map[string][]hashedAs{}
	}
	h.by[stack] = append(h.by[stack], hashedAs{project, hashes})
	h.by[stack] = h.by[stack][max(0, len(h.by[stack])-keptHashes):]
}

// Composer implements ports.Configs.
func (c *Compose) Composer(ctx context.Context) (string, error) {
	_, version, err := c.Version(ctx)
	return version, err
}

// hashable reports whether the hash of a service can be told: of volumes_from it holds containers, and not always the same. Nor can that of one
// with a label_file, whose name is hashed by `up` and lost by `config`.
func hashable(s renderedService) bool { return len(s.VolumesFrom) == 0 }

// resolved is a rendered project with the containers in place of services whose namespaces are shared, as they are now.
func resolved(raw []byte, into *rendered, now picture.Picture) ([]byte, error) {
	if err := json.Unmarshal(raw, into); err != nil {
		return nil, err
	}
	var project map[string]json.RawMessage
	var services map[string]map[string]json.RawMessage
	if err := errors.Join(json.Unmarshal(raw, &project), json.Unmarshal(project["services"], &services)); err != nil {
		return nil, err
	}
	for name, service := range services {
		for _, c := range now.Of(picture.Key{Project: into.Name, Service: name}) {
			for _, share := range c.Shares {
				key := shareKeys[share.Namespace]
				if strings.HasPrefix(string(service[key]), `"service:`) {
					service[key], _ = json.Marshal("container:" + share.Container) // a string has a form in JSON
				}
			}
		}
	}
	var err error
	if project["services"], err = json.Marshal(services); err != nil {
		return nil, err
	}
	return json.Marshal(project)
}

// shareKeys are the keys of a service that share namespaces.
var shareKeys = map[string]string{"network": "network_mode", "pid": "pid", "ipc": "ipc"}

package hosttest

import (
	"context"
	"fmt"
	"maps"

	"ataraxis.dev/landfall/agent/internal/flow"
	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/shared/pipeline"
)

// ConfigPath is where a commit has its landfall.yaml.
const ConfigPath = "landfall.yaml"

// Files is the sample fleet: two stacks with two services each, a migration, four flags.
// A compose file of this model names one service a line; "SERVICE oneshot" is one that
// may end, and a line "invalid" makes the file one that Compose refuses.
func Files() map[string]string {
	return map[string]string{
		ConfigPath: `version: 1
project: sample
stacks:
  core: {files: [compose.yml]}
  extra: {files: [compose.extra.yml]}
prepare: {reset: ["runtime/**"]}
migrate: {script: migrate.sh}
flags:
  app:     {paths: ["app/**"], actions: [app]}
  worker:  {paths: ["worker/**"], actions: [worker]}
  compose: {paths: ["compose*.yml"], actions: [everything]}
  docs:    {paths: ["docs/**"]}
actions:
  app:
    - build: {stack: core, services: [app]}
    - recreate: {stack: core, services: [app]}
  worker:
    - build: {stack: extra, services: [worker]}
    - recreate: {stack: extra, services: [worker]}
  everything:
    - up: {stack: core}
    - up: {stack: extra}
verify:
  deadline: 30s
  soak: 3s
  probes:
    containers: {containers: {stacks: [core, extra]}}
    web: {http: {url: "http://127.0.0.1:8080/"}}
`,
		"compose.yml":               "app\ndatabase\n",
		"compose.extra.yml":         "mailer\nworker\n",
		"app/main.go":               "one",
		"worker/main.go":            "one",
		"runtime/dashboard.json":    "{}",
		"migrations/001_first.sql":  "create table t ();",
		"migrations/002_second.sql": "create index i on t ();",
	}
}

// Request is what a coordinator would send to have target deployed: measured from the
// stamp, everything when there is none, with the digest of the plan it compiled.
func (h *Host) Request(commandID, target string) (flow.DeployRequest, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	req := flow.DeployRequest{CommandID: commandID, Requester: "deployer/test", Target: target, Base: h.files.stamp}
	in := pipeline.Input{Base: req.Base, Target: target}
	if req.Base == "" {
		req.Everything = "nothing was deployed yet"
		in.Everything = req.Everything
	} else {
		in.Changes = h.repository.changes(req.Base, target)
	}
	c := h.repository.commits[target]
	if c == nil {
		req.PlanDigest = "sha256:unknown"
		return req, nil
	}
	config, err := pipeline.Parse(ConfigPath, []byte(c.files[ConfigPath]))
	if err != nil {
		req.PlanDigest = "sha256:invalid"
		return req, nil //nolint:nilerr // the caller wants the agent's answer to a broken file
	}
	plan, err := pipeline.Compile(config, in)
	if err != nil {
		return req, err
	}
	req.PlanDigest = plan.Digest()
	return req, nil
}

// Engine makes an engine over the host with the policy of an ordinary one.
func (h *Host) Engine(change ...func(*flow.Policy)) *flow.Flows {
	return flow.New(h.Ports(), Policy(change...), discard())
}

// Deployed deploys target on an engine of its own, waits for the end and returns it.
// It is how a test gets a host on which something runs already.
func (h *Host) Deployed(target string) (operation.Operation, error) {
	e := h.Engine()
	defer e.Close()
	req, err := h.Request("deployed-"+target, target)
	if err != nil {
		return operation.Operation{}, err
	}
	op, _, err := e.Deploy(req)
	if err != nil {
		return op, err
	}
	verify := func(s operation.State) bool {
		if s == operation.AwaitingVerify {
			_, err = e.Verify(op.ID)
		}
		return err == nil
	}
	if watchErr := e.Watch(context.Background(), op.ID, 0, func([]operation.Event) error { return nil }, verify); watchErr != nil {
		return op, watchErr
	}
	if err != nil {
		return op, err
	}
	if op, err = e.Operation(op.ID); err != nil || op.State != operation.Succeeded {
		return op, fmt.Errorf("the deploy of %s ended in %s: %w", target, op.State, err)
	}
	_, err = e.Finish(op.ID)
	return op, err
}

// with is a copy of files with some replaced; an empty content removes the file.
func with(files, changes map[string]string) map[string]string {
	out := maps.Clone(files)
	for path, content := range changes {
		if content == "" {
			delete(out, path)
			continue
		}
		out[path] = content
	}
	return out
}

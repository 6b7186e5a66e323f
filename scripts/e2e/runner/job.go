package runner

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rhysd/actionlint"
)

// jobRun is one job while it runs.
type jobRun struct {
	run      *Run
	workflow *actionlint.Workflow
	job      *actionlint.Job
	done     Result

	workspace string
	temp      string
	env       map[string]string // from GITHUB_ENV
	path      []string          // from GITHUB_PATH
	steps     map[string]any    // the context of that name
	failed    bool
}

func (j *jobRun) execute(ctx context.Context) (Job, error) {
	out := Job{Result: "skipped", Outputs: map[string]string{}}
	if j.job.RunsOn != nil {
		for _, label := range j.job.RunsOn.Labels {
			out.Labels = append(out.Labels, label.Value)
		}
	}
	condition := ""
	if j.job.If != nil {
		condition = j.job.If.Value
	}
	if runs, err := j.contexts(j.needsStatus()).condition(condition); err != nil || !runs {
		return out, err
	}
	if j.run.Before != nil {
		j.run.Before(j.job.ID.Value)
	}
	j.workspace = filepath.Join(j.run.Work, j.job.ID.Value, "workspace")
	j.temp = filepath.Join(j.run.Work, j.job.ID.Value, "temp")
	j.env, j.steps = map[string]string{}, map[string]any{}
	if err := errors.Join(os.MkdirAll(j.workspace, 0o750), os.MkdirAll(j.temp, 0o750)); err != nil {
		return out, err
	}
	for i, s := range j.job.Steps {
		step, err := j.step(ctx, i, s)
		if err != nil {
			return out, fmt.Errorf("step %d: %w", i+1, err)
		}
		out.Steps = append(out.Steps, step)
		j.failed = j.failed || step.Outcome == "failure"
		if step.ID != "" {
			j.steps[step.ID] = map[string]any{"outcome": step.Outcome, "conclusion": step.Outcome, "outputs": texts(step.Outputs)}
		}
	}
	out.Result = "success"
	if j.failed {
		out.Result = "failure"
	}
	for name, output := range j.job.Outputs {
		value, err := j.contexts(j.status()).interpolate(output.Value.Value)
		if err != nil {
			return out, err
		}
		out.Outputs[name] = value
	}
	return out, nil
}

// needsStatus is what the conditions of a job ask for: of all jobs that it comes after.
func (j *jobRun) needsStatus() status {
	s := status{success: true}
	seen := map[string]bool{}
	var visit func(needs []*actionlint.String)
	visit = func(needs []*actionlint.String) {
		for _, need := range needs {
			if seen[need.Value] {
				continue
			}
			seen[need.Value] = true
			switch j.done.Jobs[need.Value].Result {
			case "failure":
				s.success, s.failure = false, true
			case "skipped":
				s.success = false
			}
			visit(j.workflow.Jobs[need.Value].Needs)
		}
	}
	visit(j.job.Needs)
	return s
}

func (j *jobRun) status() status { return status{success: !j.failed, failure: j.failed} }

func (j *jobRun) contexts(s status) contexts {
	needs := map[string]any{}
	for _, need := range j.job.Needs {
		ended := j.done.Jobs[need.Value]
		needs[need.Value] = map[string]any{"result": ended.Result, "outputs": texts(ended.Outputs)}
	}
	job := "success"
	if j.failed {
		job = "failure"
	}
	return contexts{status: s, values: map[string]any{
		"github": j.run.github(j.job.ID.Value, j.workspace), "needs": needs, "steps": j.steps, "inputs": j.run.Inputs, "vars": texts(j.run.Vars), "secrets": texts(j.run.Secrets),
		"env": texts(j.env), "job": map[string]any{"status": job}, "runner": map[string]any{"os": "Linux", "arch": "X64", "temp": j.temp, "environment": j.environment()},
	}}
}

// environment is what RUNNER_ENVIRONMENT says: GitHub's own labels are those of hosted runners.
func (j *jobRun) environment() string {
	if j.job.RunsOn != nil && len(j.job.RunsOn.Labels) == 1 && strings.HasPrefix(j.job.RunsOn.Labels[0].Value, "ubuntu-") {
		return "github-hosted"
	}
	return "self-hosted"
}

func (j *jobRun) step(ctx context.Context, index int, s *actionlint.Step) (Step, error) {
	out := Step{Outcome: "skipped", Outputs: map[string]string{}}
	if s.ID != nil {
		out.ID = s.ID.Value
	}
	if s.Name != nil {
		out.Name = s.Name.Value
	}
	env, err := j.environ(s)
	if err != nil {
		return out, err
	}
	c := j.contexts(j.status())
	c.values["env"] = texts(env)
	condition := ""
	if s.If != nil {
		condition = s.If.Value
	}
	if runs, err := c.condition(condition); err != nil || !runs {
		return out, err
	}
	switch e := s.Exec.(type) {
	case *actionlint.ExecAction:
		out.Uses, out.Outcome = e.Uses.Value, "success"
		if !strings.HasPrefix(out.Uses, "actions/checkout@") {
			return out, nil
		}
		with := map[string]string{}
		for name, input := range e.Inputs {
			if with[name], err = c.interpolate(input.Value.Value); err != nil {
				return out, err
			}
		}
		return out, j.run.Checkout(ctx, j.workspace, with)
	case *actionlint.ExecRun:
		script, err := c.interpolate(e.Run.Value)
		if err != nil {
			return out, err
		}
		return out, j.shell(ctx, index, script, e.Shell, env, &out)
	}
	return out, fmt.Errorf("%T is not supported", s.Exec)
}

// environ is the step's own environment: of the workflow, the job, what earlier steps set, the step.
func (j *jobRun) environ(s *actionlint.Step) (map[string]string, error) {
	env := map[string]string{}
	add := func(from *actionlint.Env) error {
		if from == nil {
			return nil
		}
		c := j.contexts(j.status())
		c.values["env"] = texts(env)
		for _, v := range from.Vars {
			value, err := c.interpolate(v.Value.Value)
			if err != nil {
				return err
			}
			env[v.Name.Value] = value
		}
		return nil
	}
	err := errors.Join(add(j.workflow.Env), add(j.job.Env))
	for name, value := range j.env {
		env[name] = value
	}
	return env, errors.Join(err, add(s.Env))
}

// shell runs a script with the options that GitHub gives to the shell
// (https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#jobsjob_idstepsshell).
func (j *jobRun) shell(ctx context.Context, index int, script string, shell *actionlint.String, env map[string]string, out *Step) error {
	args := []string{"bash", "-e"}
	if shell != nil && shell.Value == "bash" {
		args = []string{"bash", "--noprofile", "--norc", "-eo", "pipefail"}
	} else if shell != nil && shell.Value != "" {
		return fmt.Errorf("shell %q is not supported", shell.Value)
	}
	base := filepath.Join(j.temp, fmt.Sprintf("step-%d-", index+1))
	files := map[string]string{"GITHUB_OUTPUT": base + "output", "GITHUB_ENV": base + "env", "GITHUB_PATH": base + "path", "GITHUB_STEP_SUMMARY": base + "summary"}
	for _, name := range files {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			return err
		}
	}
	event := filepath.Join(j.temp, "event.json")
	payload, err := json.Marshal(j.run.Payload)
	if err := errors.Join(err, os.WriteFile(event, payload, 0o600), os.WriteFile(base+"script.sh", []byte(script), 0o600)); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, args[0], append(args[1:], base+"script.sh")...)
	cmd.Dir = j.workspace
	cmd.Env = j.variables(env, files, event)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	var exit *exec.ExitError
	err = cmd.Run()
	switch {
	case err == nil:
		out.Outcome = "success"
	case errors.As(err, &exit):
		out.Outcome = "failure"
	default:
		return err
	}
	out.Log = log.String()
	return j.collect(files, out)
}

// variables is the environment of a step's shell.
func (j *jobRun) variables(env, files map[string]string, event string) []string {
	all := slices.Clone(j.run.Environ(j.environment()))
	if len(j.path) > 0 {
		for i, v := range all {
			if old, ok := strings.CutPrefix(v, "PATH="); ok {
				all[i] = "PATH=" + strings.Join(j.path, ":") + ":" + old
			}
		}
	}
	for name, value := range env {
		all = append(all, name+"="+value)
	}
	all = append(all, "CI=true", "GITHUB_ACTIONS=true", "GITHUB_EVENT_PATH="+event, "RUNNER_TEMP="+j.temp, "RUNNER_OS=Linux", "RUNNER_ARCH=X64", "RUNNER_ENVIRONMENT="+j.environment())
	for name, value := range j.run.github(j.job.ID.Value, j.workspace) {
		if text, ok := value.(string); ok && name != "token" { // the token is given by env: only
			all = append(all, "GITHUB_"+strings.ToUpper(name)+"="+text)
		}
	}
	for name, file := range files {
		all = append(all, name+"="+file)
	}
	return all
}

// collect reads what the step left in the runner's files.
func (j *jobRun) collect(files map[string]string, out *Step) error {
	content := map[string]string{}
	for name, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		content[name] = string(raw)
	}
	out.Summary = content["GITHUB_STEP_SUMMARY"]
	if len(out.Summary) > 1<<20 {
		return errors.New("the summary is longer than 1 MiB, GitHub drops it")
	}
	outputs, err := ParseFile(content["GITHUB_OUTPUT"])
	if err != nil {
		return err
	}
	out.Outputs = outputs
	set, err := ParseFile(content["GITHUB_ENV"])
	if err != nil {
		return err
	}
	for name, value := range set {
		j.env[name] = value
	}
	for _, line := range slices.Backward(strings.Split(strings.TrimSpace(content["GITHUB_PATH"]), "\n")) {
		if line != "" {
			j.path = append([]string{line}, j.path...)
		}
	}
	return nil
}

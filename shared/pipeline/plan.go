package pipeline

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// PlanVersion is the version of the plan's shape. It is part of the digest, so that
// two builds that understand plans differently never believe they agree.
const PlanVersion = 1

// Plan is everything one deployment will do, compiled from landfall.yaml at the target
// commit and a change set. It is plain data: it travels as JSON or protobuf unchanged.
type Plan struct {
	Version    int    `json:"version"`
	Project    string `json:"project"`
	Branch     string `json:"branch"`
	Base       string `json:"base,omitempty"`       // full commit SHA the changes are measured from; "" when there is none
	Target     string `json:"target"`               // full commit SHA to deploy
	Everything string `json:"everything,omitempty"` // why every flag is set; "" when the changes alone decide

	AnyDeploy      bool        `json:"any_deploy"`                // some changed path lies outside `skip`
	Flags          []FlagState `json:"flags,omitempty"`           // every flag of the configuration, by name
	Unclaimed      []string    `json:"unclaimed,omitempty"`       // changed paths of no flag and outside `skip`, sorted, at most 100
	UnclaimedCount int         `json:"unclaimed_count,omitempty"` // how many there are in all

	Environment map[string]string `json:"environment,omitempty"` // for every compose and script child, variables expanded
	Stacks      []Stack           `json:"stacks,omitempty"`      // every stack of the configuration, by name
	Prepare     Prepare           `json:"prepare"`
	Steps       []Step            `json:"steps,omitempty"` // topologically ordered: build, then migrate, then apply
	Verify      Verify            `json:"verify"`
	Rollback    Rollback          `json:"rollback"`
}

// FlagState says whether a flag is set, with the changed paths that set it.
type FlagState struct {
	Name  string   `json:"name"`
	Set   bool     `json:"set"`
	Count int      `json:"count,omitempty"` // changed paths that match
	Paths []string `json:"paths,omitempty"` // the first 20 of them, sorted; unprintable names are quoted as git does
}

// Stack is one set of compose files run as one compose project. Empty fields mean
// Compose's own defaults (COMPOSE_FILE, COMPOSE_PROJECT_NAME, .env).
type Stack struct {
	Name     string   `json:"name"`
	Files    []string `json:"files,omitempty"`     // relative to the checkout; later files override earlier ones
	Project  string   `json:"project,omitempty"`   // compose project name
	EnvFiles []string `json:"env_files,omitempty"` // relative to the checkout
	Profiles []string `json:"profiles,omitempty"`
}

// Prepare is the cleaning of the checkout before it is reset to the target.
type Prepare struct {
	Reset []string `json:"reset,omitempty"` // path patterns of tracked files that change at run time
	Own   bool     `json:"own,omitempty"`   // give files back to the checkout's owner
}

// Verify is how the deployed fleet is judged.
type Verify struct {
	Deadline time.Duration `json:"deadline"` // nanoseconds; all probes must pass within it
	Soak     time.Duration `json:"soak"`     // nanoseconds; how long they must then stay good
	Probes   []Probe       `json:"probes,omitempty"`
}

// Rollback names the probes that judge the old version after a rollback.
type Rollback struct {
	Probes []string `json:"probes,omitempty"`
}

// Phase is one of the three parts of a plan; every step of one ends before the next begins.
type Phase string

// The phases in the order they run.
const (
	PhaseBuild   Phase = "build"   // no container is touched yet
	PhaseMigrate Phase = "migrate" // the database moves
	PhaseApply   Phase = "apply"   // containers change
)

// Phases lists the phases in the order they run.
func Phases() []Phase { return []Phase{PhaseBuild, PhaseMigrate, PhaseApply} }

// Step is the unit that is run, recorded and, after a crash, run again. Exactly one of
// the verb pointers is set.
type Step struct {
	ID     string   `json:"id"` // phase/action/index, "build/dashboard/1"; index counts from 1 within the action
	Phase  Phase    `json:"phase"`
	Action string   `json:"action,omitempty"` // "needs" and "script" in the migrate phase
	After  []string `json:"after,omitempty"`  // IDs of steps of the same phase that must have finished
	Flags  []string `json:"flags,omitempty"`  // the set flags that caused it; empty for migrations, which always run

	Script   *Script   `json:"script,omitempty"`
	Build    *Build    `json:"build,omitempty"`
	Up       *Up       `json:"up,omitempty"`
	Recreate *Recreate `json:"recreate,omitempty"`
	Restart  *Restart  `json:"restart,omitempty"`
	Exec     *Exec     `json:"exec,omitempty"`
	Wait     *Wait     `json:"wait,omitempty"`
	Migrate  *Migrate  `json:"migrate,omitempty"`
}

// Script runs an executable of the checkout.
type Script struct {
	Path string   `json:"path"` // relative to the checkout
	Args []string `json:"args,omitempty"`
}

// Build builds images of a stack.
type Build struct {
	Stack    string            `json:"stack"`
	Services []string          `json:"services,omitempty"` // patterns ([MatchService]); empty is every service with a build section
	NoCache  bool              `json:"no_cache,omitempty"`
	Pull     bool              `json:"pull,omitempty"` // look for newer base images
	Args     map[string]string `json:"args,omitempty"` // build arguments, variables expanded
}

// Up brings services to the state their compose files describe.
type Up struct {
	Stack         string   `json:"stack"`
	Services      []string `json:"services,omitempty"` // patterns; empty is the whole stack
	NoDeps        bool     `json:"no_deps,omitempty"`
	ForceRecreate bool     `json:"force_recreate,omitempty"`
	NoRecreate    bool     `json:"no_recreate,omitempty"` // start what is missing, leave what runs alone
}

// Recreate replaces containers even when neither their configuration nor what they show changed.
type Recreate struct {
	Stack    string   `json:"stack"`
	Services []string `json:"services,omitempty"` // patterns; empty is the whole stack
	NoDeps   bool     `json:"no_deps,omitempty"`
}

// Restart stops and starts the same containers.
type Restart struct {
	Stack    string   `json:"stack"`
	Services []string `json:"services,omitempty"` // patterns; empty is the whole stack
}

// Exec runs a command inside the running container of a service.
type Exec struct {
	Stack   string   `json:"stack"`
	Service string   `json:"service"` // a name, not a pattern
	Command []string `json:"command"` // argv; no shell reads it
	User    string   `json:"user,omitempty"`
}

// Wait holds the action until a probe of `verify.probes` passes.
type Wait struct {
	Probe   string        `json:"probe"`
	Timeout time.Duration `json:"timeout"` // nanoseconds
}

// Migrate runs the repository's migration script.
type Migrate struct {
	Script string   `json:"script"` // relative to the checkout
	Args   []string `json:"args,omitempty"`
}

// Probe is one question asked of the running fleet. Exactly one kind is set.
type Probe struct {
	Name       string           `json:"name"`
	When       []string         `json:"when,omitempty"` // flags that it depends on, sorted; one of them is set
	Containers *ContainersProbe `json:"containers,omitempty"`
	Postgres   *PostgresProbe   `json:"postgres,omitempty"`
	HTTP       *HTTPProbe       `json:"http,omitempty"`
	TCP        *TCPProbe        `json:"tcp,omitempty"`
}

// ContainersProbe asks that every expected service of the stacks is up, healthy and not restarting.
type ContainersProbe struct {
	Stacks []string `json:"stacks,omitempty"` // sorted, never empty in a compiled plan
}

// PostgresProbe runs pg_isready inside the service's container, over TCP: the unix
// socket answers already while the database initialises for the first time.
type PostgresProbe struct {
	Stack    string `json:"stack"`
	Service  string `json:"service"`
	User     string `json:"user"`
	Database string `json:"database,omitempty"` // "" is pg_isready's own default
	Port     int    `json:"port"`
}

// HTTPProbe asks for a document with GET.
type HTTPProbe struct {
	URL     string            `json:"url"`
	Status  int               `json:"status,omitempty"` // expected status; 0 accepts 200 to 299
	JSON    json.RawMessage   `json:"json,omitempty"`   // what the body must contain: objects match as nested subsets, all else exactly
	Headers map[string]string `json:"headers,omitempty"`
	Timeout time.Duration     `json:"timeout"` // nanoseconds, for one attempt
}

// TCPProbe opens a connection and closes it.
type TCPProbe struct {
	Address string        `json:"address"` // host:port
	Timeout time.Duration `json:"timeout"` // nanoseconds, for one attempt
}

// Kind is the verb of the step: "script", "build", "up", "recreate", "restart", "exec",
// "wait" or "migrate"; "" for a step without a verb.
func (s Step) Kind() string {
	switch {
	case s.Script != nil:
		return "script"
	case s.Build != nil:
		return "build"
	case s.Up != nil:
		return "up"
	case s.Recreate != nil:
		return "recreate"
	case s.Restart != nil:
		return "restart"
	case s.Exec != nil:
		return "exec"
	case s.Wait != nil:
		return "wait"
	case s.Migrate != nil:
		return "migrate"
	}
	return ""
}

// Stack is the name of the stack the step works on, "" when it works on none.
func (s Step) Stack() string {
	switch {
	case s.Build != nil:
		return s.Build.Stack
	case s.Up != nil:
		return s.Up.Stack
	case s.Recreate != nil:
		return s.Recreate.Stack
	case s.Restart != nil:
		return s.Restart.Stack
	case s.Exec != nil:
		return s.Exec.Stack
	}
	return ""
}

// Services are the service patterns of the step; empty is the whole stack, or no stack at all.
func (s Step) Services() []string {
	switch {
	case s.Build != nil:
		return s.Build.Services
	case s.Up != nil:
		return s.Up.Services
	case s.Recreate != nil:
		return s.Recreate.Services
	case s.Restart != nil:
		return s.Restart.Services
	case s.Exec != nil:
		return []string{s.Exec.Service}
	}
	return nil
}

// Title is the step as one line for a person: "core: recreate authelia".
func (s Step) Title() string {
	onStack := func(verb, all string) string {
		what := all
		if names := s.Services(); len(names) > 0 {
			what = strings.Join(names, ", ")
		}
		return s.Stack() + ": " + verb + " " + what
	}
	switch {
	case s.Script != nil:
		return "run " + strings.Join(append([]string{s.Script.Path}, s.Script.Args...), " ")
	case s.Build != nil:
		return onStack("build", "every image")
	case s.Up != nil:
		return onStack("up", "every service")
	case s.Recreate != nil:
		return onStack("recreate", "every service")
	case s.Restart != nil:
		return onStack("restart", "every service")
	case s.Exec != nil:
		return fmt.Sprintf("%s: exec in %s: %s", s.Exec.Stack, s.Exec.Service, strings.Join(s.Exec.Command, " "))
	case s.Wait != nil:
		return "wait for probe " + s.Wait.Probe
	case s.Migrate != nil:
		return "migrate: " + strings.Join(append([]string{s.Migrate.Script}, s.Migrate.Args...), " ")
	}
	return s.ID
}

// Kind is the kind of the probe: "containers", "postgres", "http" or "tcp"; "" when none is set.
func (p Probe) Kind() string {
	switch {
	case p.Containers != nil:
		return "containers"
	case p.Postgres != nil:
		return "postgres"
	case p.HTTP != nil:
		return "http"
	case p.TCP != nil:
		return "tcp"
	}
	return ""
}

// Stack returns the named stack of the plan.
func (p *Plan) Stack(name string) (Stack, bool) {
	i := slices.IndexFunc(p.Stacks, func(s Stack) bool { return s.Name == name })
	if i < 0 {
		return Stack{}, false
	}
	return p.Stacks[i], true
}

// Probe returns the named probe of the plan.
func (p *Plan) Probe(name string) (Probe, bool) {
	i := slices.IndexFunc(p.Verify.Probes, func(q Probe) bool { return q.Name == name })
	if i < 0 {
		return Probe{}, false
	}
	return p.Verify.Probes[i], true
}

// StepsIn returns the steps of one phase, in order.
func (p *Plan) StepsIn(phase Phase) []Step {
	var steps []Step
	for _, s := range p.Steps {
		if s.Phase == phase {
			steps = append(steps, s)
		}
	}
	return steps
}

// SetFlags returns the names of the flags that are set, sorted.
func (p *Plan) SetFlags() []string {
	var names []string
	for _, f := range p.Flags {
		if f.Set {
			names = append(names, f.Name)
		}
	}
	return names
}

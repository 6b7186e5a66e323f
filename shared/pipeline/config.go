package pipeline

import (
	"time"

	"ataraxis.dev/landfall/shared/strictyaml"
)

// ConfigVersion is the one version of landfall.yaml that this build reads.
const ConfigVersion = 1

// Config is landfall.yaml: checked, with defaults filled in. Maps are keyed by name.
// The reference configuration beside this package documents every key.
type Config struct {
	Version     int                     `yaml:"version,required"`
	Project     string                  `yaml:"project,required"`
	Branch      string                  `yaml:"branch"` // default main
	Stacks      map[string]StackConfig  `yaml:"stacks,required"`
	Environment map[string]string       `yaml:"environment"`
	CI          CIConfig                `yaml:"ci"`
	Prepare     PrepareConfig           `yaml:"prepare"`
	Migrate     *MigrateConfig          `yaml:"migrate"` // nil: the project has no migrations
	Flags       map[string]FlagConfig   `yaml:"flags"`
	Skip        []string                `yaml:"skip"` // path patterns that alone do not deploy
	Actions     map[string]ActionConfig `yaml:"actions"`
	Verify      VerifyConfig            `yaml:"verify"`
	Rollback    RollbackConfig          `yaml:"rollback"`
	GitOps      GitOpsConfig            `yaml:"gitops"`
	Notify      NotifyConfig            `yaml:"notify"`
	Workflows   *WorkflowsConfig        `yaml:"workflows"` // nil: workflow files are not rendered

	doc *strictyaml.Document // positions, for CheckTree
}

// StackConfig is one stack; everything left out is Compose's own default.
type StackConfig struct {
	Files    []string `yaml:"files"`
	Project  string   `yaml:"project"`
	EnvFiles []string `yaml:"env_files"`
	Profiles []string `yaml:"profiles"`
}

// CIConfig is what must be green before a deployment.
type CIConfig struct {
	Required []string      `yaml:"required"` // workflow file names
	Poll     time.Duration `yaml:"poll"`     // default 15s
	Timeout  time.Duration `yaml:"timeout"`  // default 45m
}

// PrepareConfig is the cleaning before the reset.
type PrepareConfig struct {
	Reset []string `yaml:"reset"`
	Own   bool     `yaml:"own"`
}

// MigrateConfig is the migration script with what must be up before it runs.
type MigrateConfig struct {
	Script string       `yaml:"script,required"`
	Args   []string     `yaml:"args"`
	Needs  *NeedsConfig `yaml:"needs"`
}

// NeedsConfig names services that must be up before migrating; they are started when
// missing, never recreated. Probe, when given, is waited for.
type NeedsConfig struct {
	Stack    string   `yaml:"stack,required"`
	Services []string `yaml:"services,required"`
	Probe    string   `yaml:"probe"`
}

// FlagConfig is one boolean: set when a changed path matches, and what follows from it.
type FlagConfig struct {
	Paths   []string `yaml:"paths,required"`
	Actions []string `yaml:"actions"`
}

// ActionConfig is a list of steps, optionally after other actions. In the file it is
// either the list itself or a mapping of both.
type ActionConfig struct {
	After []string     `yaml:"after"`
	Steps []StepConfig `yaml:"steps,required"`

	mapped bool // written as a mapping; needed to find positions
}

// StepConfig has exactly one verb set.
type StepConfig struct {
	Script   *ScriptConfig   `yaml:"script"`
	Build    *BuildConfig    `yaml:"build"`
	Up       *UpConfig       `yaml:"up"`
	Recreate *RecreateConfig `yaml:"recreate"`
	Restart  *RestartConfig  `yaml:"restart"`
	Exec     *ExecConfig     `yaml:"exec"`
	Wait     *WaitConfig     `yaml:"wait"`
}

// ScriptConfig runs an executable of the checkout; in the file a bare string is its path.
type ScriptConfig struct {
	Path string   `yaml:"path,required"`
	Args []string `yaml:"args"`

	mapped bool // written as a mapping; needed to find positions
}

// BuildConfig builds images.
type BuildConfig struct {
	Stack    string            `yaml:"stack,required"`
	Services []string          `yaml:"services"`
	NoCache  bool              `yaml:"no_cache"`
	Pull     bool              `yaml:"pull"`
	Args     map[string]string `yaml:"args"`
}

// UpConfig brings services to the state their compose files describe.
type UpConfig struct {
	Stack         string   `yaml:"stack,required"`
	Services      []string `yaml:"services"`
	NoDeps        bool     `yaml:"no_deps"`
	ForceRecreate bool     `yaml:"force_recreate"`
}

// RecreateConfig replaces containers.
type RecreateConfig struct {
	Stack    string   `yaml:"stack,required"`
	Services []string `yaml:"services"`
	NoDeps   bool     `yaml:"no_deps"`
}

// RestartConfig restarts containers.
type RestartConfig struct {
	Stack    string   `yaml:"stack,required"`
	Services []string `yaml:"services"`
}

// ExecConfig runs a command inside a running container.
type ExecConfig struct {
	Stack   string   `yaml:"stack,required"`
	Service string   `yaml:"service,required"`
	Command []string `yaml:"command,required"`
	User    string   `yaml:"user"`
}

// WaitConfig waits for a probe.
type WaitConfig struct {
	Probe   string        `yaml:"probe,required"`
	Timeout time.Duration `yaml:"timeout"` // default verify.deadline
}

// VerifyConfig is how the deployed fleet is judged.
type VerifyConfig struct {
	Deadline time.Duration          `yaml:"deadline"` // default 2m
	Soak     time.Duration          `yaml:"soak"`     // default 10s; 0s for none
	Probes   map[string]ProbeConfig `yaml:"probes"`
}

// ProbeConfig has exactly one kind set.
type ProbeConfig struct {
	// When names flags; the probe is asked only after a deploy that set one of them. An
	// answer that must name the target's commit is true only where the deploy built it.
	When       []string          `yaml:"when"`
	Containers *ContainersConfig `yaml:"containers"`
	Postgres   *PostgresConfig   `yaml:"postgres"`
	HTTP       *HTTPConfig       `yaml:"http"`
	TCP        *TCPConfig        `yaml:"tcp"`
}

// ContainersConfig lists the stacks to look at; none means all.
type ContainersConfig struct {
	Stacks []string `yaml:"stacks"`
}

// PostgresConfig finds a database inside a service.
type PostgresConfig struct {
	Stack    string `yaml:"stack,required"`
	Service  string `yaml:"service,required"`
	User     string `yaml:"user"` // default postgres
	Database string `yaml:"database"`
	Port     int    `yaml:"port"` // default 5432
}

// HTTPConfig is a document to GET.
type HTTPConfig struct {
	URL     string            `yaml:"url,required"`
	Status  int               `yaml:"status"` // default: any of 200 to 299
	JSON    any               `yaml:"json"`
	Headers map[string]string `yaml:"headers"`
	Timeout time.Duration     `yaml:"timeout"` // default 5s
}

// TCPConfig is an address to connect to.
type TCPConfig struct {
	Address string        `yaml:"address,required"`
	Timeout time.Duration `yaml:"timeout"` // default 5s
}

// RollbackConfig names the probes that judge the old version; default all.
type RollbackConfig struct {
	Probes []string `yaml:"probes"`
}

// NotifyConfig steers the state of the notification by flags.
type NotifyConfig struct {
	FullWhen         []string `yaml:"full_when"`
	SuppressWhenOnly []string `yaml:"suppress_when_only"`
}

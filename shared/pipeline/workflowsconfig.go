package pipeline

// WorkflowsConfig is what the rendered workflow files must know besides the rest of
// landfall.yaml. It decides nothing about a deployment: neither the plan nor its digest
// depends on it. A file whose part is left out is not rendered.
type WorkflowsConfig struct {
	Runner      []string              `yaml:"runner"`      // labels of the self-hosted runner; default [self-hosted]
	Agent       string                `yaml:"agent"`       // host:port or unix:///PATH; default: the repository's variable LANDFALL_AGENT
	Identity    string                `yaml:"identity"`    // folder on the runner; default: the variable LANDFALL_IDENTITY
	Environment string                `yaml:"environment"` // GitHub environment of the jobs that deploy and notify; "" for none
	Coordinator CoordinatorConfig     `yaml:"coordinator,required"`
	Lint        map[string]LintConfig `yaml:"lint"`        // jobs of lint.yml by name
	Test        map[string]TestConfig `yaml:"test"`        // jobs of test.yml by name
	Audit       *AuditConfig          `yaml:"audit"`       // nil: no audit.yml
	SecretScan  *SecretScanConfig     `yaml:"secret_scan"` // nil: no secret-scan.yml
	Sites       map[string]SiteConfig `yaml:"sites"`       // a workflow file each
}

// CoordinatorConfig is where jobs find the coordinator: self-hosted ones as Command, hosted
// ones, which start empty, from URL (checked against SHA256) or as Version of the Go Module.
type CoordinatorConfig struct {
	Command string `yaml:"command"` // default landfall-coordinator
	URL     string `yaml:"url"`
	SHA256  string `yaml:"sha256"` // 64 hexadecimal digits
	Module  string `yaml:"module"`
	Version string `yaml:"version"`
}

// LintConfig is one linter. It is given the tracked files that Paths match.
type LintConfig struct {
	Paths   []string `yaml:"paths,required"` // with * and ** only; a leading ! takes out
	Command []string `yaml:"command,required"`
	Hosted  bool     `yaml:"hosted"` // on a runner of GitHub's instead of the own one
}

// TestConfig is one suite, run in every folder. It is started by Paths and by the paths
// of Flags.
type TestConfig struct {
	Paths    []string   `yaml:"paths"`
	Flags    []string   `yaml:"flags"`
	Folders  []string   `yaml:"folders"` // default: the repository's root
	Commands [][]string `yaml:"commands,required"`
	Hosted   bool       `yaml:"hosted"`
}

// AuditConfig is the regular audit.
type AuditConfig struct {
	Cron     string     `yaml:"cron"`  // in UTC; default Sunday 09:00
	Paths    []string   `yaml:"paths"` // of pull requests; default: all
	Commands [][]string `yaml:"commands,required"`
	Report   string     `yaml:"report"` // folder to publish on GitHub Pages; "" for none
	Hosted   bool       `yaml:"hosted"`
}

// SecretScanConfig is the search for secrets in the whole history.
type SecretScanConfig struct {
	Cron    string   `yaml:"cron"`    // in UTC; default Monday 04:00
	Command []string `yaml:"command"` // default: Gitleaks by `go run`
	Hosted  bool     `yaml:"hosted"`
}

// SiteConfig is a static site on Cloudflare Pages.
type SiteConfig struct {
	Workflow string     `yaml:"workflow,required"` // name of its workflow file
	Paths    []string   `yaml:"paths,required"`
	In       string     `yaml:"in"`    // folder to build in; default: the repository's root
	Build    [][]string `yaml:"build"` // none: the folder is published as it is
	Folder   string     `yaml:"folder,required"`
	Project  string     `yaml:"project,required"` // of Cloudflare Pages
}

// The defaults of the workflows section.
const (
	defaultRunner      = "self-hosted"
	defaultCoordinator = "landfall-coordinator"
	defaultAuditCron   = "0 9 * * 0"
	defaultScanCron    = "0 4 * * 1"
)

// defaultScan runs Gitleaks as a Go module, pinned by the module's checksum, because
// its action needs a licence for organisations. Source:
// https://github.com/gitleaks/gitleaks-action#environment-variables
var defaultScan = []string{"go", "run", "github.com/zricethezav/gitleaks/v8@v8.30.1", "git", "--redact", "--no-banner", "."}

func (w *WorkflowsConfig) fillDefaults() {
	if len(w.Runner) == 0 {
		w.Runner = []string{defaultRunner}
	}
	orElse(&w.Coordinator.Command, defaultCoordinator)
	if w.Audit != nil {
		orElse(&w.Audit.Cron, defaultAuditCron)
	}
	if scan := w.SecretScan; scan != nil {
		orElse(&scan.Cron, defaultScanCron)
		if len(scan.Command) == 0 {
			scan.Command = append([]string(nil), defaultScan...)
		}
	}
}

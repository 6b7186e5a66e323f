// Package hostconfig reads agent.yaml: what this host allows.
//
// It promises that everything wrong with the file is reported at once with line and
// column, that no value is out of range afterwards. It reads no other file but those that
// agent.yaml names, to see that they are there. Start reading at [Load].
package hostconfig

import (
	"net"
	"path/filepath"
	"strings"
	"time"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/git"
	"ataraxis.dev/landfall/shared/strictyaml"
	"ataraxis.dev/landfall/shared/trust"
)

// DefaultPath is where the agent looks for its configuration.
const DefaultPath = "/etc/landfall/agent.yaml"

// Config is agent.yaml with every default filled in.
type Config struct {
	Listen          string        `yaml:"listen"`
	Socket          string        `yaml:"socket"`
	Identity        string        `yaml:"identity"`
	StateDir        string        `yaml:"state_dir"`
	Checkout        string        `yaml:"checkout,required"`
	Remote          string        `yaml:"remote"`
	Branch          string        `yaml:"branch"`
	Config          string        `yaml:"config"`
	VerifyWithin    time.Duration `yaml:"verify_within"`
	PauseTTL        time.Duration `yaml:"pause_ttl"`
	RequireAncestry bool          `yaml:"require_ancestry"`
	GitHub          *GitHub       `yaml:"github"`
	Converge        Converge      `yaml:"converge"`
	Limits          Limits        `yaml:"limits"`
	Deadlines       Deadlines     `yaml:"deadlines"`
	Metrics         string        `yaml:"metrics"`
	Renewal         *Renewal      `yaml:"renewal"`
	Notify          *Notify       `yaml:"notify"`

	Policy        ComposePolicy  `yaml:"policy"`
	RequireSigned *RequireSigned `yaml:"require_signed"`
}

// Renewal has the agent sign certificates for callers who renew theirs over the wire, with an authority of its own.
type Renewal struct {
	ValidFor time.Duration `yaml:"valid_for,required"` // how long a renewed certificate is valid
}

// The bounds of renewal.valid_for: shorter than a working day would end before somebody renews, longer than a year is
// what the CA issues.
const (
	minRenewal = 8 * time.Hour
	maxRenewal = 366 * 24 * time.Hour
)

// GitHub is where convergence asks for the CI status.
type GitHub struct {
	Repository string     `yaml:"repository,required"` // owner/name
	TokenFile  SecretFile `yaml:"token_file,required"`
	APIURL     string     `yaml:"api_url"` // of an Enterprise server; "" is github.com's
}

// Converge says how the host's timer makes ticks of convergence.
type Converge struct {
	Every time.Duration `yaml:"every"` // between two ticks; a timer that is later by more than as much again counts as dead
}

// Limits bound what an operation may take.
type Limits struct {
	BuildParallelism   int                 `yaml:"build_parallelism"` // steps side by side
	MinFreeDisk        strictyaml.ByteSize `yaml:"min_free_disk"`
	MinAvailableMemory strictyaml.ByteSize `yaml:"min_available_memory"`
	JournalKeep        int                 `yaml:"journal_keep"`  // ended operations
	KeepVersions       int                 `yaml:"keep_versions"` // successful operations whose images are kept for a rollback
}

// Deadlines bound children.
type Deadlines struct {
	Fetch      time.Duration `yaml:"fetch"`
	Build      time.Duration `yaml:"build"`
	Migrate    time.Duration `yaml:"migrate"`
	Up         time.Duration `yaml:"up"`
	Probe      time.Duration `yaml:"probe"`
	NoProgress time.Duration `yaml:"no_progress"` // silence after which a child counts as hung
}

// Default is what holds where agent.yaml says nothing.
func Default() Config {
	return Config{
		Listen:          "0.0.0.0:7443",
		Socket:          "/run/landfall/agent.sock",
		Identity:        "/etc/landfall/identity",
		StateDir:        "/var/lib/landfall",
		Remote:          "origin",
		Branch:          "main",
		Config:          "landfall.yaml",
		VerifyWithin:    15 * time.Minute,
		PauseTTL:        4 * time.Hour,
		RequireAncestry: true,
		Converge:        Converge{Every: 15 * time.Minute},
		Limits:          Limits{BuildParallelism: 2, MinFreeDisk: 2 << 30, MinAvailableMemory: 512 << 20, JournalKeep: 200, KeepVersions: 3},
		Deadlines: Deadlines{
			Fetch: 2 * time.Minute, Build: 30 * time.Minute, Migrate: 10 * time.Minute, Up: 5 * time.Minute,
			Probe: 2 * time.Minute, NoProgress: 5 * time.Minute,
		},
	}
}

// maxConfig bounds what is read of the file, in bytes.
const maxConfig = 1 << 20

// Load reads and checks the file, which only root or we can have written: it says whom the
// agent believes and what it runs. The error is Invalid and lists every problem.
func Load(path string) (Config, error) { return load(path, Parse) }

// LoadPublic is Load for programs that ask the agent rather than being it: the files of secrets that agent.yaml names are not looked at, since
// credentials are given to the agent's unit alone.
func LoadPublic(path string) (Config, error) {
	return load(path, func(file string, raw []byte) (Config, error) { return parse(file, raw, false) })
}

func load(path string, parse func(file string, raw []byte) (Config, error)) (Config, error) {
	err := trust.Us().File(path)
	var raw []byte
	if err == nil {
		raw, _, err = trust.Us().Read(path, maxConfig)
	}
	if trust.Untrusted(err) {
		return Config{}, err
	}
	if err != nil {
		return Config{}, fault.Wrap(err, fault.Invalid, "CONFIG_MISSING", "read the configuration").
			WithHint("write one, or name it with --config")
	}
	return parse(path, raw)
}

// Parse is Load on content; file names it in problems.
func Parse(file string, raw []byte) (Config, error) { return parse(file, raw, true) }

func parse(file string, raw []byte, secrets bool) (Config, error) {
	c := Default()
	doc, problems := strictyaml.Decode(file, raw, &c)
	k := &checker{doc: doc, problems: problems, secrets: secrets}
	k.addresses(c)
	k.folders(c)
	k.names(c)
	k.numbers(c)
	k.policy(c)
	k.notify(c)
	if err := k.problems.Err(); err != nil {
		return Config{}, err
	}
	return c, nil
}

type checker struct {
	doc      *strictyaml.Document
	problems strictyaml.Problems
	secrets  bool // files of secrets are read, to see that they can be
}

// bad reports a problem at a key, unless decoding has already found one there.
func (k *checker) bad(format string, path []string, args ...any) {
	p := k.doc.Problem(path, "", strings.Join(path, ".")+": "+format, args...)
	for _, known := range k.problems {
		if known.Line == p.Line && known.Column == p.Column {
			return
		}
	}
	k.problems = append(k.problems, p)
	k.problems.Sort()
}

func (k *checker) addresses(c Config) {
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		k.bad("%q is no HOST:PORT", []string{"listen"}, c.Listen)
	}
	if c.Metrics == "" {
		return
	}
	host, _, err := net.SplitHostPort(c.Metrics)
	ip := net.ParseIP(host)
	switch {
	case err != nil:
		k.bad("%q is no HOST:PORT", []string{"metrics"}, c.Metrics)
	case host != "localhost" && (ip == nil || !ip.IsLoopback()):
		k.bad("metrics are served without authentication, so %s must be a loopback address", []string{"metrics"}, host)
	}
}

func (k *checker) folders(c Config) {
	for key, dir := range map[string]string{"socket": c.Socket, "identity": c.Identity, "state_dir": c.StateDir, "checkout": c.Checkout} {
		if dir != "" && (!filepath.IsAbs(dir) || dir != filepath.Clean(dir)) {
			k.bad("%q is not a clean absolute path", []string{key}, dir)
		}
	}
	k.socket(c)
	if c.Config != "" && !filepath.IsLocal(c.Config) {
		k.bad("%q is not a path inside the checkout", []string{"config"}, c.Config)
	}
	if c.Checkout != "" && inside(c.StateDir, c.Checkout) {
		k.bad("state_dir must not lie inside the checkout", []string{"state_dir"})
	}
	if c.GitHub != nil && c.GitHub.TokenFile != "" {
		k.secret(c.GitHub.TokenFile, "github", "token_file")
	}
}

// maxSocket bounds the path of a socket, in bytes: sun_path has 108 with its end (unix(7)), and the socket is made under a name
// that is longer by ".new".
const maxSocket = 103

// socket checks where the local socket is to be; "" is none.
func (k *checker) socket(c Config) {
	switch {
	case c.Socket == "":
	case len(c.Socket) > maxSocket:
		k.bad("the path of a socket has at most %d bytes, and this one %d", []string{"socket"}, maxSocket, len(c.Socket))
	case c.Checkout != "" && inside(c.Socket, c.Checkout):
		k.bad("socket must not lie inside the checkout", []string{"socket"})
	case inside(c.Socket, c.Identity):
		k.bad("socket must not lie inside identity, which nobody else may enter", []string{"socket"})
	case c.Socket == c.StateDir || inside(c.StateDir, c.Socket) || inside(c.Identity, c.Socket):
		k.bad("%q is a folder of the agent", []string{"socket"}, c.Socket)
	}
}

func inside(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(rel)
}

func (k *checker) names(c Config) {
	if err := git.CheckBranch(c.Branch); err != nil {
		k.bad("%v", []string{"branch"}, err)
	}
	if c.Remote == "" || strings.HasPrefix(c.Remote, "-") || strings.ContainsAny(c.Remote, " \t\n:") {
		k.bad("%q is not the name of a remote", []string{"remote"}, c.Remote)
	}
	if c.GitHub != nil && strings.Count(c.GitHub.Repository, "/") != 1 {
		k.bad("%q is not OWNER/NAME", []string{"github", "repository"}, c.GitHub.Repository)
	}
}

func (k *checker) numbers(c Config) {
	for _, d := range []struct {
		value time.Duration
		path  []string
	}{
		{c.VerifyWithin, []string{"verify_within"}},
		{c.PauseTTL, []string{"pause_ttl"}},
		{c.Converge.Every, []string{"converge", "every"}},
		{c.Deadlines.Fetch, []string{"deadlines", "fetch"}},
		{c.Deadlines.Build, []string{"deadlines", "build"}},
		{c.Deadlines.Migrate, []string{"deadlines", "migrate"}},
		{c.Deadlines.Up, []string{"deadlines", "up"}},
		{c.Deadlines.Probe, []string{"deadlines", "probe"}},
		{c.Deadlines.NoProgress, []string{"deadlines", "no_progress"}},
	} {
		if d.value <= 0 {
			k.bad("must be more than nothing", d.path)
		}
	}
	if r := c.Renewal; r != nil && (r.ValidFor < minRenewal || r.ValidFor > maxRenewal) {
		k.bad("must be %s to %s, not %s", []string{"renewal", "valid_for"}, minRenewal, maxRenewal, r.ValidFor)
	}
	if c.Limits.BuildParallelism < 1 || c.Limits.BuildParallelism > 64 {
		k.bad("must be 1 to 64, not %d", []string{"limits", "build_parallelism"}, c.Limits.BuildParallelism)
	}
	if c.Limits.KeepVersions < 1 || c.Limits.KeepVersions > 50 {
		k.bad("must be 1 to 50, not %d", []string{"limits", "keep_versions"}, c.Limits.KeepVersions)
	}
	if c.Limits.JournalKeep < 1 {
		k.bad("must be at least 1, not %d", []string{"limits", "journal_keep"}, c.Limits.JournalKeep)
	}
}

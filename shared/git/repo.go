// Package git drives the git binary on repositories whose content nobody vouches for.
//
// It promises: no hook, file system monitor, external diff, text conversion, submodule
// or background process of a repository ever runs; only the transports file, https and
// ssh are spoken; nothing prompts; revisions, branches and paths cannot pass for
// options; git never wanders off into a repository above [Repo].Dir; credentials in URLs
// do not reach errors or output. Failures are faults whose reasons are listed in
// errors.go. It needs git 2.30 or newer. Start reading at [Repo].
package git

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/process"
)

// Defaults of [Options] fields that are left zero.
const (
	DefaultDeadline      = 5 * time.Minute
	DefaultFetchDeadline = 10 * time.Minute
)

// answerLimit bounds answers that are one name or number, in bytes.
const answerLimit = 64 << 10

// Repo is the top folder of a working tree, or a bare repository. It holds no state, so
// it may be copied and used from several goroutines; git's own index lock keeps
// two changes of one working tree apart (the second fails with INDEX_LOCKED).
type Repo struct {
	Dir string
	Options
}

// Options say how git is run. The zero value runs git as ourselves.
type Options struct {
	Program    string              // the git program; "" finds git in PATH
	Credential *process.Credential // user to run as; nil is ourselves. See [AsOwner].
	// Env is the child's environment; nil passes on the variables git and ssh need to
	// reach a remote (HOME, PATH, agent sockets, proxies) and no GIT_ variable but
	// GIT_SSH_COMMAND and the places of configuration files.
	Env []string
	// NoUserConfig ignores the user's and the system's git configuration. They are read
	// by default because credentials, safe.directory and LFS filters live there.
	NoUserConfig bool

	Deadline      time.Duration // longest run of a local command; 0 is DefaultDeadline
	FetchDeadline time.Duration // longest run of a fetch; 0 is DefaultFetchDeadline
	NoProgress    time.Duration // longest silence of a fetch; 0 is no limit
}

// AsOwner is the Options that run git as the owner of dir. Git refuses a working tree
// of another user, and files it wrote as root would lock the owner out.
func AsOwner(dir string) (Options, error) {
	owner, err := process.LookupOwner(dir)
	if err != nil {
		return Options{}, err
	}
	credential := owner.Credential()
	if credential == nil {
		return Options{}, nil
	}
	return Options{Credential: credential, Env: owner.Environ()}, nil
}

// Find is the repository whose working tree holds dir, an absolute path. The error is
// Invalid, NOT_A_REPOSITORY when there is none.
func Find(ctx context.Context, dir string, options Options) (Repo, error) {
	r := Repo{Dir: dir, Options: options}
	out, err := r.do(ctx, run{
		args: []string{"rev-parse", "--show-toplevel"}, env: []string{"GIT_CEILING_DIRECTORIES="}, limit: answerLimit,
	})
	r.Dir = strings.TrimSuffix(out, "\n")
	return r, err
}

// passedOn are the variables that a nil Options.Env takes from our environment.
var passedOn = [...]string{
	"PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "SSH_AUTH_SOCK",
	"GIT_SSH_COMMAND", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM", "SSL_CERT_FILE", "SSL_CERT_DIR",
	"http_proxy", "https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY",
}

// environment is the child's complete environment. The fixed part comes last because
// the last value of a variable wins.
func (r Repo) environment(extra ...string) []string {
	env := append([]string{}, r.Env...)
	if r.Env == nil {
		for _, name := range passedOn {
			if value, ok := os.LookupEnv(name); ok {
				env = append(env, name+"="+value)
			}
		}
	}
	if r.NoUserConfig {
		env = append(env, "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1")
	}
	env = append(env,
		"LC_ALL=C", // errors are told apart by their English text
		"GIT_TERMINAL_PROMPT=0",
		// OpenSSH asks for passwords and host keys through this program, which says no.
		"SSH_ASKPASS=false", "SSH_ASKPASS_REQUIRE=force",
		"GIT_OPTIONAL_LOCKS=0",
		// Unlike protocol.* below, which every configuration file may add to, this is a bound (git(1), GIT_ALLOW_PROTOCOL).
		"GIT_ALLOW_PROTOCOL=file:https:ssh",
		// A checkout that lost its .git must not be taken for a part of what is above it.
		"GIT_CEILING_DIRECTORIES="+filepath.Dir(r.Dir))
	return append(env, extra...)
}

// settings override whatever any configuration file says.
var settings = [...]string{
	"core.hooksPath=/dev/null",
	"core.fsmonitor=false",
	"submodule.recurse=false",
	"fetch.recurseSubmodules=false",
	"gc.auto=0", // no background process behind a step's back; see Repo.Maintain
	"maintenance.auto=false",
	// What a command wrote outlives a power cut once the command has ended, working tree
	// files excepted. Known from git 2.36 on; older ones ignore a setting they do not know.
	"core.fsync=all",
	"color.ui=false",
	"advice.detachedHead=false",
	"protocol.allow=never",
	"protocol.file.allow=always",
	"protocol.https.allow=always",
	"protocol.ssh.allow=always",
}

// run is one git command.
type run struct {
	args   []string
	env    []string // added to Repo.environment
	fetch  bool     // the fetch limits apply instead of the local deadline
	limit  int      // bytes of standard output to capture; 0 gives it to onLine
	stdin  string
	input  io.Reader                 // standard input instead of stdin; may be nil
	stdout func([]byte) (int, error) // receives standard output instead; may be nil
	onLine func(process.Line)        // may be nil
}

// answer runs a local command and returns its short answer.
func (r Repo) answer(ctx context.Context, args ...string) (string, error) {
	out, err := r.do(ctx, run{args: args, limit: answerLimit})
	return strings.TrimSuffix(out, "\n"), err
}

// do runs one command and returns its captured output. The error is classified.
func (r Repo) do(ctx context.Context, c run) (string, error) {
	if !filepath.IsAbs(r.Dir) {
		return "", fault.New(fault.Invalid, "PATH_NOT_ABSOLUTE", "the repository folder %q is not an absolute path", r.Dir)
	}
	cmd := process.Cmd{
		Path: "git", Dir: r.Dir, Env: r.environment(c.env...), Credential: r.Credential,
		Label: "git " + c.args[0], Redact: redact, CaptureLimit: c.limit, Deadline: r.Deadline,
	}
	if r.Program != "" {
		cmd.Path = r.Program
	}
	for _, s := range settings {
		cmd.Args = append(cmd.Args, "-c", s)
	}
	cmd.Args = append(cmd.Args, c.args...)
	if cmd.Deadline <= 0 {
		cmd.Deadline = DefaultDeadline
	}
	if c.fetch {
		cmd.NoProgress, cmd.Deadline = r.NoProgress, r.FetchDeadline
		if cmd.Deadline <= 0 {
			cmd.Deadline = DefaultFetchDeadline
		}
	}
	if c.stdin != "" {
		cmd.Stdin = strings.NewReader(c.stdin)
	}
	if c.input != nil {
		cmd.Stdin = c.input
	}
	if c.stdout != nil {
		cmd.Stdout, cmd.CaptureLimit = writer(c.stdout), 0
	}
	if c.onLine != nil {
		cmd.OnLine = func(l process.Line) {
			l.Text = redact(l.Text)
			c.onLine(l)
		}
	}
	result, err := process.Run(ctx, cmd)
	if err != nil {
		return string(result.Stdout), classify(err, c.args[0], r.Dir)
	}
	return string(result.Stdout), nil
}

// writer makes an io.Writer of a function.
type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

// exitCode is the exit code inside err, or -1.
func exitCode(err error) int {
	var e *process.Error
	if errors.As(err, &e) && e.Cause == process.CauseExit {
		return e.ExitCode
	}
	return -1
}

// Version is git's version number, "2.39.5" say.
func (r Repo) Version(ctx context.Context) (string, error) {
	text, err := r.answer(ctx, "version")
	if err != nil {
		return "", err
	}
	fields := strings.Fields(text) // git version 2.39.5 (Apple Git-154)
	if len(fields) < 3 {
		return "", fault.New(fault.Failed, "GIT_FAILED", "git version answered %q", text)
	}
	return fields[2], nil
}

// Maintain packs loose objects when git finds it worthwhile, in the foreground. Nothing
// else does, since fetches start no background process.
func (r Repo) Maintain(ctx context.Context) error {
	_, err := r.do(ctx, run{args: []string{
		"-c", "gc.auto=6700", // git's own default
		"-c", "gc.autoDetach=false", "gc", "--auto", "--quiet",
	}})
	return err
}

// Package script runs executables of the checkout, migrations among them.
//
// It promises that a script is a regular executable file inside the checkout, that it
// runs as the checkout's owner with an argv, never through a shell of ours, and that its
// environment is exactly the owner's, the way to engine and network, and what landfall.yaml gives. Start reading at [New].
package script

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
	"ataraxis.dev/landfall/shared/process"
)

// Deadlines bound the children.
type Deadlines struct {
	Script     time.Duration
	Migrate    time.Duration
	NoProgress time.Duration // silence after which a script counts as hung; a migration may be silent
}

// Scripts runs the scripts of one checkout.
type Scripts struct {
	dir       string
	owner     *process.Owner
	deadlines Deadlines
	log       hclog.Logger
}

var _ ports.Scripts = (*Scripts)(nil)

// New makes the scripts of the checkout at dir, run by its owner.
func New(dir string, owner *process.Owner, deadlines Deadlines, log hclog.Logger) *Scripts {
	return &Scripts{dir: dir, owner: owner, deadlines: deadlines, log: log.Named("script")}
}

// RunScript implements ports.Scripts.
func (s *Scripts) RunScript(ctx context.Context, plan *pipeline.Plan, script pipeline.Script, out ports.Output) error {
	err := s.run(ctx, plan, script.Path, script.Args, limits{s.deadlines.Script, s.deadlines.NoProgress}, func(l process.Line) {
		out(operation.Stream(l.Stream), l.Text, l.Truncated)
	})
	return because(err, "SCRIPT_FAILED", script.Path)
}

// appliedLine is how a migration script reports a migration: "applied 012_add_index (34 ms)".
// What scripts/migrate.sh prints; another script may print the same.
var appliedLine = regexp.MustCompile(`^applied (\S+)(?: \([^)]*\))?$`)

// Migrate implements ports.Scripts. Silence is no sign of a hang: a database says nothing while it builds an index or rewrites a table.
func (s *Scripts) Migrate(ctx context.Context, plan *pipeline.Plan, migrate pipeline.Migrate, out ports.Output, applied func(string)) error {
	err := s.run(ctx, plan, migrate.Script, migrate.Args, limits{deadline: s.deadlines.Migrate}, func(l process.Line) {
		out(operation.Stream(l.Stream), l.Text, l.Truncated)
		if m := appliedLine.FindStringSubmatch(l.Text); m != nil && l.Stream == process.Stdout {
			applied(m[1])
		}
	})
	return because(err, "MIGRATION_FAILED", migrate.Script)
}

// because names the script in front of what its run says. A child that ran and failed gets the
// step's own reason; what kept it from running, or ended it, keeps its.
func because(err error, reason, path string) error {
	if err == nil {
		return nil
	}
	if own := fault.ReasonOf(err); own != "CHILD_FAILED" {
		reason = own
	}
	return fault.Wrap(err, fault.KindOf(err), reason, "%s", path)
}

// limits bound one child; no silence is none.
type limits struct{ deadline, silence time.Duration }

func (s *Scripts) run(ctx context.Context, plan *pipeline.Plan, path string, args []string, l limits, onLine func(process.Line)) error {
	full, err := s.find(path)
	if err != nil {
		return err
	}
	s.log.Debug("run", "script", path, "args", args)
	_, err = process.Run(ctx, process.Cmd{
		Path: full, Args: args, Dir: s.dir, Env: s.environ(plan), Credential: s.owner.Credential(),
		Deadline: l.deadline, NoProgress: l.silence, OnLine: onLine, Label: path,
	})
	return err
}

// find checks that path is an executable file inside the checkout, whatever symbolic
// links the tree holds.
func (s *Scripts) find(path string) (string, error) {
	full := filepath.Join(s.dir, path)
	found, err := filepath.EvalSymlinks(full)
	if err != nil {
		return "", fault.Wrap(err, fault.Invalid, "SCRIPT_MISSING", "find the script")
	}
	top, err := filepath.EvalSymlinks(s.dir)
	if err != nil {
		return "", fault.Wrap(err, fault.Invalid, "CHECKOUT_MISSING", "find the checkout")
	}
	if !strings.HasPrefix(found, top+string(filepath.Separator)) {
		return "", fault.New(fault.Refused, "SCRIPT_OUTSIDE", "%s leads out of the checkout, to %s", path, found)
	}
	info, err := os.Stat(found)
	if err != nil {
		return "", fault.Wrap(err, fault.Invalid, "SCRIPT_MISSING", "find the script")
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0 {
		return "", fault.New(fault.Invalid, "SCRIPT_NOT_EXECUTABLE", "%s is not an executable file", path).
			WithHint("git update-index --chmod=+x %s, and commit", path)
	}
	return found, nil
}

// environ is the whole environment of a script.
func (s *Scripts) environ(plan *pipeline.Plan) []string {
	env := append(s.owner.Environ(), "LC_ALL=C.UTF-8")
	env = append(env, process.PassedOn()...)
	for key, value := range plan.Environment {
		env = append(env, key+"="+value)
	}
	return env
}

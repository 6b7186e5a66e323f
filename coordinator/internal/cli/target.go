package cli

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"ataraxis.dev/landfall/coordinator/internal/changes"
	"ataraxis.dev/landfall/coordinator/internal/foretell"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/git"
	"ataraxis.dev/landfall/shared/pipeline"
)

const (
	configName = "landfall.yaml"
	// remote is what a clone calls the repository it came from, git's own default.
	remote = "origin"
)

// source is the clone that landfall.yaml lies in.
type source struct {
	repo git.Repo
	path string // of landfall.yaml inside the clone, slash-separated
}

// openSource finds the clone around landfall.yaml.
func (g *globals) openSource(ctx context.Context) (source, error) {
	file, err := g.findConfig()
	if err != nil {
		return source{}, err
	}
	repo, err := git.Find(ctx, filepath.Dir(file), git.Options{})
	if err != nil {
		if fault.ReasonOf(err) == "NOT_A_REPOSITORY" {
			return source{}, fault.New(fault.Invalid, "NOT_A_REPOSITORY", "%s does not lie in a git clone", file).
				WithHint("run this in a clone of the deployed repository")
		}
		return source{}, err
	}
	rel, err := filepath.Rel(repo.Dir, file)
	if err != nil {
		return source{}, fault.Wrap(err, fault.Internal, "CONFIG_PATH", "place %s in %s", file, repo.Dir)
	}
	s := source{repo: repo, path: filepath.ToSlash(rel)}
	_, err = s.repo.Head(ctx)
	return s, err
}

// findConfig is --config, else the nearest landfall.yaml upwards.
func (g *globals) findConfig() (string, error) {
	if g.config != "" {
		file, err := filepath.Abs(g.config)
		if err == nil {
			file, err = filepath.EvalSymlinks(file)
		}
		if err != nil {
			return "", fault.Wrap(err, fault.Invalid, "CONFIG_MISSING", "find the configuration")
		}
		return file, nil
	}
	dir, err := os.Getwd()
	if err != nil {
		return "", fault.Wrap(err, fault.Invalid, "CONFIG_MISSING", "find the working directory")
	}
	top, err := findUpwards(dir, configName)
	if err != nil {
		return "", fault.New(fault.Invalid, "CONFIG_MISSING", "there is no %s in %s or above", configName, dir).
			WithHint("run this in a clone of the deployed repository, or name the file with --config")
	}
	return filepath.Join(top, configName), nil
}

// findUpwards is the nearest folder, from dir upwards, that has an entry called name.
func findUpwards(dir, name string) (string, error) {
	for {
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			return dir, nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", fs.ErrNotExist
		}
		dir = parent
	}
}

// resolve turns what a person wrote into a full commit SHA; "" is GITHUB_SHA, else HEAD.
func (s source) resolve(ctx context.Context, rev string) (string, error) {
	rev = orElse(rev, orElse(os.Getenv("GITHUB_SHA"), "HEAD"))
	sha, err := s.repo.Resolve(ctx, rev)
	if fault.ReasonOf(err) == "UNKNOWN_COMMIT" && git.IsSHA(rev) {
		if fetchErr := s.repo.FetchCommit(ctx, remote, rev, nil); fetchErr == nil {
			return rev, nil
		}
	}
	return sha, err
}

// config reads landfall.yaml as it is at a commit: what is deployed is what is committed.
func (s source) config(ctx context.Context, sha string) (*pipeline.Config, error) {
	raw, err := s.repo.ReadFile(ctx, sha, s.path)
	if err != nil {
		if fault.ReasonOf(err) == "NO_SUCH_FILE" {
			return nil, fault.Wrap(err, fault.Invalid, "NO_CONFIG", "commit %.12s has no %s", sha, s.path).WithHint("commit it first")
		}
		return nil, err
	}
	config, err := pipeline.Parse(s.path, raw)
	if err != nil {
		return nil, err
	}
	entries, err := s.repo.ListTree(ctx, sha)
	if err != nil {
		return nil, err
	}
	paths := make(map[string]bool, len(entries))
	for _, e := range entries {
		paths[e.Path] = true
	}
	return config, pipeline.CheckTree(config, func(path string) bool { return paths[path] })
}

// compiled is a plan with the change set behind it.
type compiled struct {
	plan *pipeline.Plan
	set  changes.Set
	// because says why it is deployed where no changed path asks for it; "" elsewhere.
	because string
	// foretold is what the compose files say will happen besides the steps.
	foretold []string
}

// deploys reports whether there is anything to deploy.
func (c compiled) deploys() bool { return c.plan.AnyDeploy || c.because != "" }

// compile makes the plan that brings a host from where it stands to the target.
func (s source) compile(ctx context.Context, g ground, target string) (compiled, error) {
	config, err := s.config(ctx, target)
	if err != nil {
		return compiled{}, err
	}
	set, err := changes.Detect(ctx, s.repo, remote, g.base, target)
	if err != nil {
		return compiled{}, err
	}
	if set.Everything == "" {
		set.Everything = g.everything
	}
	if set, err = changes.AddMoved(ctx, s.repo, remote, set, g.moved); err != nil {
		return compiled{}, err
	}
	plan, err := pipeline.Compile(config, set.Input())
	if err != nil {
		return compiled{}, err
	}
	c := compiled{plan: plan, set: set}
	switch {
	case g.base == target:
	case set.Empty():
		c.because = g.noChange()
	case !plan.AnyDeploy:
		c.because = s.lifts(ctx, g, target)
	}
	return c, nil
}

// notes say what the flags and counts alone do not tell.
func (c compiled) notes() []string {
	var notes []string
	if c.set.Moved != "" && c.set.Everything == "" {
		notes = append(notes, "somebody moved the checkout to "+short(c.set.Moved)+": what differs from that commit, too, sets flags")
	}
	if c.because != "" {
		notes = append(notes, c.because)
	}
	return append(notes, c.foretold...)
}

// foretell adds to a compiled plan what the compose files of both commits tell. What cannot be read is left to the
// agent's proof.
func (s source) foretell(ctx context.Context, c compiled) compiled {
	if c.set.Base == "" || !c.set.Counted {
		return c
	}
	base, ok := s.projects(ctx, c.set.Base)
	if !ok {
		return c
	}
	if target, ok := s.projects(ctx, c.set.Head); ok {
		c.foretold = foretell.Changes(base, target, c.plan)
	}
	return c
}

// projects are the compose projects of a commit; not ok where its landfall.yaml cannot be read.
func (s source) projects(ctx context.Context, sha string) (projects foretell.Projects, ok bool) {
	config, err := s.config(ctx, sha)
	if err != nil {
		return foretell.Projects{}, false
	}
	return foretell.Read(config, func(path string) ([]byte, error) { return s.repo.ReadFile(ctx, sha, path) }), true
}

func joined(list []string) string { return strings.Join(list, ", ") }

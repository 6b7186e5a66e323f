package operation

import (
	"context"
	"path"
	"slices"
	"strings"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
)

// Work is a step for the runtime, with what it must know to do it once and to touch nothing else.
type Work struct {
	Step pipeline.Step
	// Before is what ran in the step's stack when it began for the first time: what is younger was made by
	// it, before a crash. Projects is nil for steps that change no container.
	Before Snapshot
	Ground
	// Warn records something that a person should know.
	Warn func(reason, message string)
}

// Ground is how the checkout moved beneath the containers.
type Ground struct {
	Past    Snapshot // what ran before it moved; Projects is nil when it did not
	Changed Paths    // what may have another content since
}

// Paths are sorted paths of the checkout, relative to it, with slashes. [AnyPath] among them stands for all.
type Paths []string

// AnyPath is the checkout itself.
const AnyPath = "."

// Touch reports whether what is at a path, a file or a folder, may have changed: the path itself,
// something below it, or a folder or link that it goes through.
func (p Paths) Touch(at string) bool {
	if len(p) == 0 {
		return false
	}
	if at == AnyPath || p.has(AnyPath) || p.has(at) {
		return true
	}
	if i, _ := slices.BinarySearch(p, at+"/"); i < len(p) && strings.HasPrefix(p[i], at+"/") {
		return true
	}
	for at = path.Dir(at); at != "." && at != "/"; at = path.Dir(at) {
		if p.has(at) {
			return true
		}
	}
	return false
}

func (p Paths) has(at string) bool {
	_, found := slices.BinarySearch(p, at)
	return found
}

// differing lists the paths that differ between a commit and any of those that containers may have
// been started on; all of them where one is not known any more.
func (e *Engine) differing(ctx context.Context, to string, from ...string) (Paths, error) {
	slices.Sort(from)
	var paths Paths
	for _, sha := range slices.Compact(from) {
		if sha == "" || sha == to {
			continue
		}
		changes, err := e.ports.Commits.Changes(ctx, sha, to)
		if fault.KindOf(err) == fault.NotFound && err != nil {
			return Paths{AnyPath}, nil
		}
		if err != nil {
			return nil, err
		}
		for _, c := range changes {
			paths = append(paths, c.Path)
		}
	}
	slices.Sort(paths)
	return slices.Compact(paths), nil
}

// ground is how a deploy moved the checkout: from where it stood, from what the stamp says, and from
// what degraded operations since may have left running.
func (d *deployment) ground(ctx context.Context) (Ground, error) {
	op := d.snapshot()
	recent, err := d.engine.ports.Records.Operations(0, unsettledLook)
	if err != nil {
		return Ground{}, err
	}
	from := append(left(recent), op.PreDeploy, op.Base)
	changed, err := d.engine.differing(ctx, op.Target, from...)
	return Ground{Past: d.past, Changed: changed}, err
}

// left lists the commits that operations without a good end, since the last good one, had checked out.
func left(recent []Operation) []string {
	var commits []string
	for _, op := range recent {
		switch op.State {
		case Succeeded:
			return commits
		case RollbackFailed, Failed:
			commits = append(commits, op.PreDeploy, op.Target)
		}
	}
	return commits
}

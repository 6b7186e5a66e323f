package workflow

import (
	"fmt"
	"slices"
	"strings"

	"ataraxis.dev/landfall/shared/pipeline"
)

// Outcome is what a push does to a workflow file.
type Outcome int

// The outcomes.
const (
	NoPushTrigger Outcome = iota // the file does not name push
	DoesNot                      // a filter keeps this push from starting it
	Starts
)

func (o Outcome) String() string {
	switch o {
	case NoPushTrigger:
		return "no push trigger"
	case DoesNot:
		return "does not start"
	case Starts:
		return "starts"
	}
	return fmt.Sprintf("outcome(%d)", int(o))
}

// Answer is an outcome with the filter and pattern, or the lack of them, that decides it.
type Answer struct {
	Outcome Outcome
	Reason  string // a sentence's end: `paths: "go.mod" matches go.mod`
}

// StartsOnPush evaluates the file's own filters for a push to a branch that changed
// paths, which are those of the two-dot diff from before to after. A pattern that cannot
// be read counts as matching, because an answer that a file does not start must be certain.
//
// Three rules of GitHub are not here but the caller's, who knows the push: only the
// first 300 changed files are looked at, a push of more than 1,000 commits always
// starts, and the head commit's message may forbid ([SkipsCI]). Source:
// https://docs.github.com/actions/reference/workflows-and-actions/workflow-syntax
func (f *File) StartsOnPush(branch string, paths []string) Answer {
	push := f.Event("push")
	if push == nil {
		return Answer{NoPushTrigger, "on: does not name push"}
	}
	if answer, decided := push.branch(branch); decided {
		return answer
	}
	switch {
	case push.Paths.Written:
		return push.paths(paths)
	case push.PathsIgnore.Written:
		return push.pathsIgnore(paths)
	}
	return Answer{Starts, "no path filter"}
}

// branch is decided when the branch keeps the push from starting anything.
func (e *Event) branch(branch string) (Answer, bool) {
	switch {
	case e.Branches.Written:
		matches, err := match(e.Branches, branch)
		if err == nil && !matches {
			return Answer{DoesNot, fmt.Sprintf("branches: %s does not match %s", list(e.Branches), branch)}, true
		}
	case e.BranchesIgnore.Written:
		matches, err := match(e.BranchesIgnore, branch)
		if err == nil && matches {
			return Answer{DoesNot, fmt.Sprintf("branches-ignore: %s matches %s", list(e.BranchesIgnore), branch)}, true
		}
	case e.Tags.Written || e.TagsIgnore.Written:
		return Answer{DoesNot, "only tags start it"}, true
	}
	return Answer{}, false
}

func (e *Event) paths(paths []string) Answer {
	patterns, err := pipeline.CompilePatterns(e.Paths.texts())
	if err != nil {
		return Answer{Starts, fmt.Sprintf("paths cannot be judged: %s", err)}
	}
	for _, path := range paths {
		if patterns.Match(path) {
			return Answer{Starts, fmt.Sprintf("paths: %s matches %s", e.Paths.decider(path), shown(path))}
		}
	}
	return Answer{DoesNot, fmt.Sprintf("paths: none of %s matches", count(len(paths)))}
}

func (e *Event) pathsIgnore(paths []string) Answer {
	patterns, err := pipeline.CompilePatterns(e.PathsIgnore.texts())
	if err != nil {
		return Answer{Starts, fmt.Sprintf("paths-ignore cannot be judged: %s", err)}
	}
	for _, path := range paths {
		if !patterns.Match(path) {
			return Answer{Starts, "paths-ignore: no pattern matches " + shown(path)}
		}
	}
	return Answer{DoesNot, fmt.Sprintf("paths-ignore: matches all of %s", count(len(paths)))}
}

// decider is the last pattern that matches path, quoted.
func (f Filter) decider(path string) string {
	for _, p := range slices.Backward(f.Patterns) {
		if one, err := pipeline.CompilePatterns([]string{p.Value}); err == nil && one.Match(path) {
			return fmt.Sprintf("%q", p.Value)
		}
	}
	return list(f)
}

func match(f Filter, name string) (bool, error) {
	patterns, err := pipeline.CompilePatterns(f.texts())
	if err != nil {
		return false, err
	}
	return patterns.Match(name), nil
}

func list(f Filter) string {
	quoted := make([]string, len(f.Patterns))
	for i, p := range f.Patterns {
		quoted[i] = fmt.Sprintf("%q", p.Value)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

func count(paths int) string {
	if paths == 1 {
		return "1 changed path"
	}
	return fmt.Sprintf("%d changed paths", paths)
}

// shown quotes a path that would not stand on one line of a terminal as it is.
func shown(path string) string {
	if quoted := fmt.Sprintf("%q", path); quoted != `"`+path+`"` {
		return quoted
	}
	return path
}

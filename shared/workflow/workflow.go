// Package workflow reads GitHub Actions workflow files: what starts them, where their jobs run.
//
// It promises to take every file that GitHub takes, to keep the place of everything it
// reads, and to leave out only what decides neither question. It judges nothing but
// whether a push starts a file. Start reading at [Parse], then [File.StartsOnPush];
// [ParseAction] reads the actions of the repository itself, whose steps run in the same jobs.
package workflow

import (
	"path"
	"slices"
	"strings"
)

// File is one workflow file.
type File struct {
	Path        string // as given to Parse
	Name        string // name:, or "" for GitHub to use the path
	On          []Event
	OnAt        Text         // the key on:, without a value
	Permissions *Permissions // nil: not written, the repository's default counts
	Concurrency *Concurrency // nil: not written
	Env         []Pair       // of every job
	Defaults    Defaults     // of every job
	Jobs        []Job        // in the order of the file
	// Scalars is every value of env: and defaults:, in the order of the file.
	Scalars []Text

	index map[string]int // of a job by its key in lower case
}

// Base is the file's name without folders, by which the API knows it: lint.yml.
func (f *File) Base() string { return path.Base(f.Path) }

// Event is the trigger of a name, nil when the file does not name it.
func (f *File) Event(name string) *Event {
	for i := range f.On {
		if f.On[i].Name == name {
			return &f.On[i]
		}
	}
	return nil
}

// Job is the job of a key, whatever its case, nil when there is none.
func (f *File) Job(key string) *Job {
	if i, ok := f.index[strings.ToLower(key)]; ok {
		return &f.Jobs[i]
	}
	return nil
}

// Text is a scalar with its place; expressions in it are as written. A Text that the
// file does not have has line 0.
type Text struct {
	Value        string
	Line, Column int // both count from 1
}

// Written reports whether the file has the value, be it an empty one.
func (t Text) Written() bool { return t.Line > 0 }

// Event is one entry of on:.
type Event struct {
	Name         string // push, pull_request, schedule, ...
	Line, Column int
	// The filters. GitHub looks at those of branches and tags for push, at those of
	// branches for pull_request, pull_request_target and workflow_run.
	Branches, BranchesIgnore, Tags, TagsIgnore, Paths, PathsIgnore Filter
	Types                                                          []string // activity types; none: GitHub's default
	Crons                                                          []Text   // of schedule
	Inputs                                                         []Input  // of workflow_dispatch or workflow_call, in order
	Outputs                                                        []Pair   // of workflow_call: names and what they are made of
}

// Input is an input of a workflow or an action.
type Input struct {
	Name    string
	Type    string // string, boolean, number, choice, environment; "" is a string
	Default Text
}

// Defaults are the defaults: of run steps.
type Defaults struct{ Shell, WorkingDirectory Text }

// Filter is a list of patterns. Written with no patterns it matches nothing.
type Filter struct {
	Written  bool
	Patterns []Text
}

func (f Filter) texts() []string {
	list := make([]string, len(f.Patterns))
	for i, p := range f.Patterns {
		list[i] = p.Value
	}
	return list
}

// Permissions is what GITHUB_TOKEN may do: either All ("read-all", "write-all") or a
// level for every scope that is named; with none named it may do nothing.
type Permissions struct {
	All          string
	Scopes       map[string]string // scope to read, write or none
	Line, Column int
}

// Concurrency is a concurrency: key. Cancel is cancel-in-progress as written, an
// expression too.
type Concurrency struct {
	Group, Cancel Text
}

// Job is one entry of jobs:.
type Job struct {
	Key             Text
	Name            Text
	If              Text // as written, with or without ${{ }}
	Needs           []Text
	RunsOn          RunsOn
	Permissions     *Permissions
	Concurrency     *Concurrency
	Environment     Text // its name
	Timeout         Text // timeout-minutes
	ContinueOnError Text
	Uses            Text   // a reusable workflow; such a job has neither runs-on nor steps
	With            []Pair // inputs of the reusable workflow
	Secrets         Text   // "inherit", or where a list of them begins
	Matrix          Matrix
	Env             []Pair
	Defaults        Defaults
	Container       Text   // its image
	Services        []Text // their images
	Outputs         []Pair
	Steps           []Step
	// Scalars is every value below the job, in the order of the file: where expressions
	// may stand.
	Scalars []Text
}

// RunsOn is where a job runs. It may name both a group and labels.
type RunsOn struct {
	Labels []Text // a runner has all of them; may be expressions
	Group  Text
}

// Matrix is the strategy: matrix: of a job.
type Matrix struct {
	Written bool
	// Values are those that the file spells out, include: added, by key. What is no plain
	// scalar, or is made by an expression, makes its key Open: it may have any value.
	Values  map[string][]string
	Open    map[string]bool
	Dynamic bool // the whole matrix or its include comes from an expression
	// Expressions are the values that hold one.
	Expressions []Text
}

// Key is what matrix.key may be; known is false when the file does not tell.
func (m Matrix) Key(key string) (values []string, known bool) {
	if m.Dynamic || m.Open[key] || len(m.Values[key]) == 0 {
		return nil, false
	}
	return slices.Clone(m.Values[key]), true
}

// Step is one entry of steps:.
type Step struct {
	ID, Name, If, Uses, Run, Shell    Text
	WorkingDirectory, ContinueOnError Text
	With, Env                         []Pair // in the order of the file
	Line, Column                      int
}

// Input is the value of a key of with:, not written when it has none.
func (s *Step) Input(key string) Text {
	for _, p := range s.With {
		if p.Key == key {
			return p.Value
		}
	}
	return Text{}
}

// Pair is a key with its value. A key of "" stands for all of them: an expression makes the mapping.
type Pair struct {
	Key   string
	Value Text
}

package workflows

import (
	"path"
	"slices"
	"strings"

	"ataraxis.dev/landfall/shared/workflow"
)

// flow follows values from where outsiders set them to where they are used: through env of every level, what steps write for
// later ones, outputs, inputs of called workflows and of the repository's own actions. It does not look at conditions, so it
// finds more rather than less. What it found out it remembers; nothing is followed twice.
type flow struct {
	check     *checker
	actions   map[string]*workflow.Action // by folder
	uses      map[string][]place          // of actions: the steps that use them, by folder
	known     map[flowKey]taint
	following map[flowKey]bool
	timelines map[*workflow.Step]*timeline // by the first step of a list
}

// place is where an expression stands: in a workflow file or an action, in a job, before the step n of steps.
type place struct {
	path   string
	file   *workflow.File   // nil in an action
	action *workflow.Action // nil in a workflow file
	folder string           // of the action
	job    *workflow.Job    // nil at a file's top, and in an action
	steps  []workflow.Step
	n      int
	outer  bool // the env: of the step itself does not count
}

func (p place) step() *workflow.Step {
	if p.n < len(p.steps) {
		return &p.steps[p.n]
	}
	return nil
}

type flowKey struct {
	file   *workflow.File
	folder string
	job    *workflow.Job
	kind   string
	name   string
}

func newFlow(c *checker, actions map[string]*workflow.Action) *flow {
	f := &flow{
		check: c, actions: actions, uses: map[string][]place{},
		known: map[flowKey]taint{}, following: map[flowKey]bool{}, timelines: map[*workflow.Step]*timeline{},
	}
	note := func(p place) {
		for n := range p.steps {
			if folder := actionFolder(p.steps[n].Uses.Value); folder != "" {
				p.n = n
				f.uses[folder] = append(f.uses[folder], p)
			}
		}
	}
	for _, file := range c.order {
		for i := range file.Jobs {
			note(inJob(file, &file.Jobs[i]))
		}
	}
	for folder := range actions {
		note(f.inAction(folder))
	}
	return f
}

func inJob(file *workflow.File, job *workflow.Job) place {
	return place{path: file.Path, file: file, job: job, steps: job.Steps}
}

func (f *flow) inAction(folder string) place {
	action := f.actions[folder]
	return place{path: action.Path, action: action, folder: folder, steps: action.Steps}
}

// actionFolder is the folder of the repository's own action that uses: names, "" for any other.
func actionFolder(uses string) string {
	if (!strings.HasPrefix(uses, "./") && uses != ".") || calledFile(uses) != "" {
		return ""
	}
	return path.Clean(uses)
}

// remember answers once; a question that comes up while it is answered is in a circle, which GitHub refuses.
func (f *flow) remember(key flowKey, ask func() taint) taint {
	if t, ok := f.known[key]; ok {
		return t
	}
	if f.following[key] {
		return anything
	}
	f.following[key] = true
	t := ask()
	delete(f.following, key)
	f.known[key] = t
	return t
}

// text is the taint of a value as it stands in the file, with expressions in it.
func (f *flow) text(p place, text string) taint {
	var t taint
	for _, e := range embeds(text) {
		t |= f.expression(p, e.source)
	}
	if strings.Contains(text, "refs/pull/") {
		t |= headCode
	}
	return t
}

func (f *flow) expression(p place, source string) taint {
	e, err := f.check.expressions.condition(source)
	if err != nil {
		return f.unread(source)
	}
	return f.result(p, e)
}

// unread is the taint of an expression that cannot be read: every name of a source in it counts.
func (f *flow) unread(source string) taint {
	t := uncertain
	lower := strings.ToLower(source)
	for _, s := range sources {
		if strings.Contains(lower, strings.Trim(strings.Join(s.elements, "."), ".*")) {
			t |= s.taint
		}
	}
	return t
}

// result is the taint of what an expression can give: of a && b that is b, since an a that is given counts as false.
func (f *flow) result(p place, e expression) taint {
	switch e := e.(type) {
	case contextPath:
		return f.context(p, e.elements)
	case binary:
		switch e.operator {
		case "&&":
			return f.result(p, e.right)
		case "||":
			return f.result(p, e.left) | f.result(p, e.right)
		}
	case call:
		switch e.name {
		case "contains", "startswith", "endswith", "hashfiles", "always", "success", "failure", "cancelled":
			return 0
		}
		return f.all(p, e.args)
	case opaque:
		return f.all(p, e.parts)
	}
	return 0
}

func (f *flow) all(p place, list []expression) taint {
	var t taint
	for _, e := range list {
		t |= f.result(p, e)
	}
	return t
}

// context is the taint of a context with what is dereferenced.
func (f *flow) context(p place, elements []string) taint {
	rest := elements[1:]
	switch elements[0] {
	case "github":
		return f.github(p, rest)
	case "env":
		return f.environment(p, first(rest))
	case "inputs":
		return f.input(p, first(rest))
	case "steps":
		return f.stepOutput(p, rest)
	case "needs":
		return f.needOutput(p, rest)
	case "jobs": // in the outputs of a called workflow
		if p.file == nil || len(rest) < 3 {
			return uncertain
		}
		return f.jobOutput(p.file, p.file.Job(rest[0]), rest[2])
	case "matrix":
		return f.matrix(p)
	case "vars", "secrets", "runner", "job", "strategy", "true", "false", "null":
		return 0
	}
	return uncertain
}

func first(elements []string) string {
	if len(elements) == 0 {
		return ""
	}
	return elements[0]
}

func (f *flow) github(p place, rest []string) taint {
	t := ofEvent(rest)
	switch strings.Join(rest, ".") {
	case "ref_name": // of an outsider's event it is not a branch that somebody with rights has named
		if f.fromOutside(p) {
			t |= freeText
		}
	case "event.after", "event.before": // of a pull request that was pushed to
		if f.pulls(p) {
			t |= headCode
		}
	}
	return t
}

// pulls reports whether a file may be started by something that happens to a pull request.
func (f *flow) pulls(p place) bool {
	return p.file != nil && slices.ContainsFunc(f.check.reach(p.file, outsiders), func(sc scenario) bool { return strings.HasPrefix(sc.event, "pull_request") })
}

func (f *flow) fromOutside(p place) bool {
	return p.file != nil && (len(f.check.reach(p.file, outsiders)) > 0 || f.check.alone(p.file))
}

// matrix is the taint of any value of the job's matrix that is computed.
func (f *flow) matrix(p place) taint {
	if p.job == nil {
		return uncertain
	}
	return f.remember(flowKey{file: p.file, job: p.job, kind: "matrix"}, func() taint {
		var t taint
		at := place{path: p.path, file: p.file, job: p.job}
		for _, text := range p.job.Matrix.Expressions {
			t |= f.text(at, text.Value)
		}
		return t
	})
}

// input is the taint of an input: what those who call hand over.
func (f *flow) input(p place, name string) taint {
	key := flowKey{file: p.file, folder: p.folder, kind: "input", name: name}
	if p.action != nil {
		return f.remember(key, func() taint { return f.actionInput(p, name) })
	}
	call := p.file.Event("workflow_call")
	if call == nil {
		return 0 // of workflow_dispatch: somebody who may write
	}
	return f.remember(key, func() taint {
		declared, ok := declaration(call.Inputs, name)
		if ok && (declared.Type == "boolean" || declared.Type == "number") {
			return 0
		}
		if f.check.alone(p.file) {
			if !ok && name != "" {
				return 0 // an input of workflow_dispatch alone, or none
			}
			return anything
		}
		var t taint
		for _, from := range f.check.callers[p.file.Base()] {
			t |= f.given(place{path: from.file.Path, file: from.file, job: from.job}, from.job.With, name, declared.Default.Value)
		}
		return t
	})
}

func (f *flow) actionInput(p place, name string) taint {
	declared, _ := declaration(p.action.Inputs, name)
	users := f.uses[p.folder]
	if len(users) == 0 {
		return anything
	}
	var t taint
	for _, user := range users {
		t |= f.given(user, user.step().With, name, declared.Default.Value)
	}
	return t
}

// given is what one caller hands over for an input; name "" is any of them.
func (f *flow) given(at place, with []workflow.Pair, name, otherwise string) taint {
	var t taint
	found := false
	for _, pair := range with {
		if name == "" || pair.Key == "" || strings.EqualFold(pair.Key, name) {
			t, found = t|f.text(at, pair.Value.Value), true
		}
	}
	if !found {
		t = f.text(at, otherwise)
	}
	return t
}

func declaration(inputs []workflow.Input, name string) (workflow.Input, bool) {
	for _, input := range inputs {
		if strings.EqualFold(input.Name, name) {
			return input, true
		}
	}
	return workflow.Input{}, false
}

func (f *flow) needOutput(p place, rest []string) taint {
	switch {
	case p.file == nil || p.job == nil:
		return uncertain
	case len(rest) < 2 || rest[0] == "": // all of them, as JSON
		var t taint
		for _, need := range p.job.Needs {
			t |= f.jobOutput(p.file, p.file.Job(need.Value), "")
		}
		return t
	case rest[1] == "result":
		return 0
	}
	return f.jobOutput(p.file, p.file.Job(rest[0]), first(rest[2:]))
}

// jobOutput is the taint of an output of a job, "" any of them.
func (f *flow) jobOutput(file *workflow.File, job *workflow.Job, name string) taint {
	if job == nil {
		return 0
	}
	return f.remember(flowKey{file: file, job: job, kind: "output", name: name}, func() taint {
		pairs, at := job.Outputs, place{path: file.Path, file: file, job: job, steps: job.Steps, n: len(job.Steps)}
		if job.Uses.Written() {
			called := f.check.files[calledFile(job.Uses.Value)]
			if called == nil || called.Event("workflow_call") == nil {
				return uncertain
			}
			pairs, at = called.Event("workflow_call").Outputs, place{path: called.Path, file: called}
		}
		var t taint
		for _, pair := range pairs {
			if name == "" || pair.Key == "" || strings.EqualFold(pair.Key, name) {
				t |= f.text(at, pair.Value.Value)
			}
		}
		return t
	})
}

func (f *flow) stepOutput(p place, rest []string) taint {
	if len(p.steps) == 0 {
		return uncertain
	}
	p.outer = false
	if len(rest) < 2 || rest[0] == "" {
		var t taint
		for p.n--; p.n >= 0; p.n-- {
			t |= f.outputOf(p, "")
		}
		return t
	}
	if rest[1] == "outcome" || rest[1] == "conclusion" {
		return 0
	}
	n, ok := f.timeline(p).ids[rest[0]]
	if !ok || n >= p.n {
		return 0 // empty
	}
	p.n = n
	return f.outputOf(p, first(rest[2:]))
}

// isAction reports whether a path is that of an action of the repository.
func isAction(name string) bool {
	base := path.Base(name)
	return (base == "action.yml" || base == "action.yaml") && path.Dir(name) != Folder
}

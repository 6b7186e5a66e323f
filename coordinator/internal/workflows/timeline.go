package workflows

import (
	"regexp"
	"slices"
	"sort"
	"strings"

	"ataraxis.dev/landfall/shared/workflow"
)

// timeline is what the steps of a job, or of an action, leave for those after them.
type timeline struct {
	ids      map[string]int // of a step by its id
	scripts  []*runScript   // of run steps that were looked at
	done     int            // steps whose writes are in
	writes   map[string][]noted
	files    map[string][]noted  // as writes, of files
	download int                 // the first step that fetches an artifact, of this run too
	fetches  []int               // the steps that fetch what an outsider's run left behind
	left     map[int]*leftBehind // by the number of those before a step
}

// noted is what a step, and those before it, gave a variable. The name "" stands for any variable.
type noted struct {
	step  int
	taint taint
}

func (f *flow) timeline(p place) *timeline {
	if len(p.steps) == 0 {
		return &timeline{}
	}
	line := f.timelines[&p.steps[0]]
	if line == nil {
		line = &timeline{ids: map[string]int{}, scripts: make([]*runScript, len(p.steps)), writes: map[string][]noted{}, files: map[string][]noted{}, left: map[int]*leftBehind{}, download: len(p.steps)}
		for n := range p.steps {
			if id := p.steps[n].ID.Value; id != "" {
				line.ids[strings.ToLower(id)] = n
			}
			if line.download == len(p.steps) && fetchAction.MatchString(p.steps[n].Uses.Value) {
				line.download = n
			}
			if fetchesArtifact(&p.steps[n]) {
				line.fetches = append(line.fetches, n)
			}
		}
		f.timelines[&p.steps[0]] = line
	}
	return line
}

// leftBefore is what the steps before one fetched; nil when they fetched nothing.
func (line *timeline) leftBefore(p place) *leftBehind {
	count := sort.SearchInts(line.fetches, p.n)
	if count == 0 {
		return nil
	}
	if line.left[count] == nil {
		left := &leftBehind{}
		for _, n := range line.fetches[:count] {
			left.add(&p.steps[n])
		}
		line.left[count] = left
	}
	return line.left[count]
}

// script is what is known of a run step, remembered. Only what stands before the step is asked for.
func (f *flow) script(p place) *runScript {
	line := f.timeline(p)
	if line.scripts[p.n] == nil {
		line.scripts[p.n] = f.readStep(p)
	}
	return line.scripts[p.n]
}

// before is what the steps before one wrote into a variable of the environment.
func (f *flow) before(p place, name string) (taint, bool) {
	line := f.timeline(p)
	for line.done < p.n && line.done < len(p.steps) {
		at := p
		at.n = line.done
		line.done++ // first: what the step itself asks for stands before it
		for written, t := range f.writtenBy(at) {
			add(line.writes, strings.ToLower(written), noted{at.n, t})
		}
		if at.step().Run.Written() {
			for name, t := range f.script(at).files {
				add(line.files, name, noted{at.n, t})
			}
		}
	}
	t, found := upTo(line.writes[strings.ToLower(name)], p.n)
	unnamed, others := upTo(line.writes[""], p.n)
	return t | unnamed, found || others && unnamed&^uncertain != 0
}

func add(to map[string][]noted, name string, w noted) {
	if list := to[name]; len(list) > 0 {
		w.taint |= list[len(list)-1].taint
	}
	to[name] = append(to[name], w)
}

// upTo is what the steps before n wrote.
func upTo(list []noted, n int) (taint, bool) {
	i := sort.Search(len(list), func(i int) bool { return list[i].step >= n })
	if i == 0 {
		return 0, false
	}
	return list[i-1].taint, true
}

// fileBefore is the taint of a file by the steps before one, and of one that comes from another job as an artifact of this run.
func (f *flow) fileBefore(p place, name string) taint {
	f.before(p, "")
	line := f.timeline(p)
	t, _ := upTo(line.files[name], p.n)
	if p.job != nil && line.download < p.n {
		t |= f.uploaded(p.file, name)
	}
	return t
}

// uploaded is the taint of a file that the jobs of a workflow may keep as an artifact.
func (f *flow) uploaded(file *workflow.File, name string) taint {
	key := flowKey{file: file, kind: "file", name: name}
	if f.following[key] {
		return 0 // jobs that hand a file on and on: the first of them is looked at already
	}
	return f.remember(key, func() taint {
		var t taint
		for i := range file.Jobs {
			other := inJob(file, &file.Jobs[i])
			if !slices.ContainsFunc(other.steps, func(s workflow.Step) bool { return strings.Contains(s.Uses.Value, "upload-artifact") }) {
				continue
			}
			other.n = len(other.steps)
			f.before(other, "")
			written, _ := upTo(f.timeline(other).files[name], other.n)
			t |= written
		}
		return t
	})
}

// writtenBy is what a step writes into the environment of later ones.
func (f *flow) writtenBy(p place) map[string]taint {
	step := p.step()
	if step.Run.Written() {
		return f.script(p).env
	}
	folder := actionFolder(step.Uses.Value)
	if f.actions[folder] == nil {
		return nil
	}
	inner := f.inAction(folder)
	inner.n = len(inner.steps)
	all := map[string]taint{}
	for name := range f.namesWritten(inner) {
		all[name], _ = f.before(inner, name)
	}
	return all
}

// namesWritten lists the variables that the steps of an action write.
func (f *flow) namesWritten(p place) map[string][]noted {
	f.before(p, "")
	return f.timeline(p).writes
}

// reporters are actions whose outputs are an outsider's text or commit, whatever they are given.
var reporters = regexp.MustCompile(`(?i)changed-files|paths-filter|pull-request-comment|find-comment|get-pr-info|pr-info|find-current-pull-request|slash-command|` +
	`comment-trigger|read-file|file-changes|get-current-pr|pull-request-branch|action-get-pr|issue-body|issue-forms`)

// outputOf is the taint of an output of a step, "" any of them.
func (f *flow) outputOf(p place, name string) taint {
	step := p.step()
	folder := actionFolder(step.Uses.Value)
	switch {
	case step.Run.Written():
		outputs := f.script(p).outputs
		if t, found := outputs[name]; found && name != "" {
			return t | outputs[""]
		}
		var t taint
		if name == "" {
			for _, one := range outputs {
				t |= one
			}
		}
		return t | outputs[""] | uncertain
	case f.actions[folder] != nil:
		inner := f.inAction(folder)
		inner.n = len(inner.steps)
		return f.remember(flowKey{folder: folder, kind: "output", name: name}, func() taint {
			return f.given(inner, inner.action.Outputs, name, "") | uncertain
		})
	case reporters.MatchString(step.Uses.Value):
		return anything
	}
	t := uncertain
	for _, pair := range step.With {
		t |= f.text(p, pair.Value.Value)
		if isScript(pair.Key) {
			t |= saidToAPI(pair.Value.Value)
		}
	}
	return t
}

// environment is the taint of a variable where a step, or what stands at n, sees it. The nearest one that sets it counts.
func (f *flow) environment(p place, name string) taint {
	t, _ := f.variable(p, name)
	return t
}

func (f *flow) variable(p place, name string) (t taint, found bool) {
	if name == "" {
		return f.everyVariable(p), true
	}
	if step := p.step(); step != nil && !p.outer {
		within := p
		within.outer = true
		if t, found := f.declared(within, step.Env, name); found {
			return t, true
		}
	}
	if len(p.steps) > 0 {
		if t, found := f.before(p, name); found {
			return t, true
		}
	}
	if p.action != nil {
		return f.remembered(p, name, func() (taint, bool) {
			var t taint
			found := false
			for _, user := range f.uses[p.folder] {
				u, ok := f.variable(user, name)
				t, found = t|u, found || ok
			}
			return t, found
		})
	}
	if p.job != nil {
		within := place{path: p.path, file: p.file, job: p.job}
		if t, found := f.remembered(within, name, func() (taint, bool) { return f.declared(within, p.job.Env, name) }); found {
			return t, true
		}
	}
	if p.file != nil {
		within := place{path: p.path, file: p.file}
		return f.remembered(within, name, func() (taint, bool) { return f.declared(within, p.file.Env, name) })
	}
	return 0, false
}

// everyVariable is the taint of all that an environment holds.
func (f *flow) everyVariable(p place) taint {
	return f.remember(flowKey{file: p.file, folder: p.folder, job: p.job, kind: "every"}, func() taint {
		var t taint
		if p.action != nil {
			for _, user := range f.uses[p.folder] {
				t |= f.everyVariable(user)
			}
		}
		for _, level := range environments(p) {
			for _, pair := range level {
				t |= f.text(place{path: p.path, file: p.file, action: p.action, folder: p.folder, job: p.job}, pair.Value.Value)
			}
		}
		whole := p
		whole.n = len(p.steps)
		f.before(whole, "-")
		for _, list := range f.timeline(p).writes {
			t |= list[len(list)-1].taint
		}
		for i := range p.steps {
			whole.n, whole.outer = i, true
			for _, pair := range p.steps[i].Env {
				t |= f.text(whole, pair.Value.Value)
			}
		}
		return t
	})
}

func (f *flow) remembered(p place, name string, ask func() (taint, bool)) (taint, bool) {
	const set = taint(1 << 7)
	t := f.remember(flowKey{file: p.file, folder: p.folder, job: p.job, kind: "env", name: strings.ToLower(name)}, func() taint {
		t, found := ask()
		if found {
			t |= set
		}
		return t
	})
	return t &^ set, t&set != 0
}

// declared is a variable of an env: mapping, "" any of them.
func (f *flow) declared(p place, env []workflow.Pair, name string) (t taint, found bool) {
	for _, pair := range env {
		if pair.Key == "" || name == "" || strings.EqualFold(pair.Key, name) {
			t, found = t|f.text(p, pair.Value.Value), true
		}
	}
	return t, found
}

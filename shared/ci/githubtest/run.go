package githubtest

import (
	"time"
)

// Run is one run of a workflow: one id, one number, one or more attempts.
type Run struct {
	w      *Workflow
	id     int64
	number int
	make   NewRun
	name   string
	// versions is what the run was when; the last one is what it is. The index shows older ones.
	versions []version
	hidden   bool
	jobs     []*Job
}

// version is what changes in a run's life.
type version struct {
	at         time.Time
	attempt    int
	status     string
	conclusion string
	started    time.Time
}

// NewRun says how a run begins. Only SHA is needed.
type NewRun struct {
	SHA    string
	Branch string // "main" when empty
	// NoBranch makes head_branch null, as for runs of tags or deleted branches.
	NoBranch bool
	Event    string // "push" when empty
	// HeadRepository is where the commit came from: a fork's owner/name. The repository itself when empty.
	HeadRepository string
	// HeadRepositoryDeleted makes head_repository null.
	HeadRepositoryDeleted bool
	Status                string    // "queued" when empty
	Conclusion            string    // when given, Status is "completed"
	Created               time.Time // now when zero
	ID                    int64     // the next one when zero
}

// Start begins a run.
func (w *Workflow) Start(n NewRun) *Run {
	s := w.r.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if n.Branch == "" && !n.NoBranch {
		n.Branch = "main"
	}
	if n.Event == "" {
		n.Event = "push"
	}
	if n.Created.IsZero() {
		n.Created = s.seconds()
	}
	if n.ID == 0 {
		n.ID = s.id()
	}
	if n.Status == "" {
		n.Status = "queued"
	}
	if n.Conclusion != "" {
		n.Status = "completed"
	}
	w.number++
	run := &Run{w: w, id: n.ID, number: w.number, make: n, name: w.name}
	if n.Conclusion == "startup_failure" {
		run.name = w.path() // recorded so: GitHub could not read the file's name
	}
	run.versions = []version{{at: n.Created, attempt: 1, status: n.Status, conclusion: n.Conclusion, started: n.Created}}
	w.r.runs = append(w.r.runs, run)
	return run
}

// Push begins a push run of each workflow, in the same second, as one push does.
func (r *Repository) Push(sha string, workflows ...*Workflow) []*Run {
	runs := make([]*Run, len(workflows))
	for i, w := range workflows {
		runs[i] = w.Start(NewRun{SHA: sha})
	}
	return runs
}

// ID is the run's id; every attempt has it.
func (r *Run) ID() int64 { return r.id }

// Number is the run's number within its workflow.
func (r *Run) Number() int { return r.number }

// Set moves the run on: queued, pending, waiting, in_progress, ...
func (r *Run) Set(status string) { r.become(func(v *version) { v.status, v.conclusion = status, "" }) }

// Complete ends the run: success, failure, cancelled, ...
func (r *Run) Complete(conclusion string) {
	r.become(func(v *version) { v.status, v.conclusion = "completed", conclusion })
}

// Rerun begins the next attempt, queued. Id, number and time of creation stay; the jobs of the
// attempt before are gone from the list of the latest ones.
func (r *Run) Rerun() {
	r.become(func(v *version) {
		v.attempt++
		v.status, v.conclusion = "queued", ""
		v.started = r.w.r.s.seconds()
	})
}

func (r *Run) become(change func(*version)) {
	s := r.w.r.s
	s.mu.Lock()
	defer s.mu.Unlock()
	v := r.latest()
	change(&v)
	v.at = s.seconds()
	r.versions = append(r.versions, v)
}

// Hide leaves the run out of the index, whatever [Index] says; unfiltered lists have it.
func (r *Run) Hide(hidden bool) {
	r.w.r.s.mu.Lock()
	defer r.w.r.s.mu.Unlock()
	r.hidden = hidden
}

func (r *Run) latest() version { return r.versions[len(r.versions)-1] }

// asOf is what the run was at a moment; false when it did not exist.
func (r *Run) asOf(t time.Time) (version, bool) {
	for i := len(r.versions) - 1; i >= 0; i-- {
		if !r.versions[i].at.After(t) {
			return r.versions[i], true
		}
	}
	return version{}, false
}

// Job is one job of one attempt of a run.
type Job struct {
	r          *Run
	id         int64
	name       string
	attempt    int
	status     string
	conclusion string
	created    time.Time
	started    time.Time
	completed  time.Time
}

// AddJob adds a queued job to the run's latest attempt.
func (r *Run) AddJob(name string) *Job {
	s := r.w.r.s
	s.mu.Lock()
	defer s.mu.Unlock()
	j := &Job{r: r, id: s.id(), name: name, attempt: r.latest().attempt, status: "queued", created: s.seconds()}
	r.jobs = append(r.jobs, j)
	return j
}

// Set moves the job on: waiting, in_progress, ...
func (j *Job) Set(status string) {
	s := j.r.w.r.s
	s.mu.Lock()
	defer s.mu.Unlock()
	j.status, j.conclusion = status, ""
	if status == "in_progress" {
		j.started = s.seconds()
	}
}

// Complete ends the job: success, failure, skipped, ...
func (j *Job) Complete(conclusion string) {
	s := j.r.w.r.s
	s.mu.Lock()
	defer s.mu.Unlock()
	j.status, j.conclusion = "completed", conclusion
	j.completed = s.seconds()
	if j.started.IsZero() {
		j.started = j.completed
	}
}

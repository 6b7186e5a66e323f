package githubtest

import (
	"strings"
	"time"
)

// Repository is one repository with its workflows.
type Repository struct {
	s       *Server
	id      int64
	name    string   // owner/name
	former  []string // names it had before
	private bool

	workflows []*Workflow
	runs      []*Run
}

// AddRepository makes a public repository: "owner/name".
func (s *Server) AddRepository(name string) *Repository {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &Repository{s: s, id: s.id(), name: name}
	s.repositories = append(s.repositories, r)
	return r
}

// SetPrivate hides the repository from whoever has no grant for it: 404, not 403.
func (r *Repository) SetPrivate(private bool) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	r.private = private
}

// Rename gives another name; the old one answers with 301 to /repositories/ID.
func (r *Repository) Rename(name string) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	r.former = append(r.former, r.name)
	r.name = name
}

// Workflow is one workflow file of a repository.
type Workflow struct {
	r        *Repository
	id       int64
	file     string // base name
	name     string
	state    string
	created  time.Time
	number   int // of the newest run
	unlisted bool
}

// AddWorkflow registers .github/workflows/FILE. Its name is the file's without the extension.
func (r *Repository) AddWorkflow(file string) *Workflow {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	name := strings.TrimSuffix(strings.TrimSuffix(file, ".yml"), ".yaml")
	w := &Workflow{r: r, id: r.s.id(), file: file, name: name, state: "active", created: r.s.seconds()}
	r.workflows = append(r.workflows, w)
	return w
}

// ID is the workflow's id.
func (w *Workflow) ID() int64 { return w.id }

// SetState makes the workflow active, disabled_manually, disabled_inactivity, disabled_fork or deleted.
func (w *Workflow) SetState(state string) {
	w.r.s.mu.Lock()
	defer w.r.s.mu.Unlock()
	w.state = state
}

// SetName gives the `name:` of the file.
func (w *Workflow) SetName(name string) {
	w.r.s.mu.Lock()
	defer w.r.s.mu.Unlock()
	w.name = name
}

// Unregister lets the file be unknown to GitHub: 404. Its runs stay in the lists.
func (w *Workflow) Unregister() {
	w.r.s.mu.Lock()
	defer w.r.s.mu.Unlock()
	w.unlisted = true
}

func (w *Workflow) path() string { return ".github/workflows/" + w.file }

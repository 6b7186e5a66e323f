package githubtest

import (
	"net/url"
	"slices"
	"time"
)

// Index is how far the search index behind filtered lists can be trusted. The zero value is
// an index that knows everything at once. Unfiltered lists and single objects never come from it.
type Index struct {
	Lag    time.Duration // it knows what was true so long ago
	Frozen time.Time     // it knows nothing later than this; zero: not frozen
	Empty  bool          // it finds nothing
	// Flicker makes every so-manieth filtered answer empty: 2 is every other one, beginning with
	// the second. 0 is none.
	Flicker int
}

// SetIndex changes the index from now on.
func (s *Server) SetIndex(index Index) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.index = index
}

// view is a run as a list shows it.
type view struct {
	*Run
	version
}

// filters are the parameters that make a list a search (docs.github.com, list workflow runs for
// a repository: "up to 1,000 results for each search when using the following parameters").
var filters = []string{"actor", "branch", "check_suite_id", "created", "event", "head_sha", "status"}

func isSearch(q url.Values) bool {
	return slices.ContainsFunc(filters, func(f string) bool { return q.Get(f) != "" })
}

// current shows the runs as they are.
func current(runs []*Run) []view {
	views := make([]view, len(runs))
	for i, r := range runs {
		views[i] = view{r, r.latest()}
	}
	return views
}

// search shows the runs as the index knows them, filtered by what it knows. The lock is held.
func (s *Server) search(runs []*Run, q url.Values) []view {
	s.filtered++
	if s.index.Empty || (s.index.Flicker > 0 && s.filtered%s.index.Flicker == 0) {
		return nil
	}
	known := s.now().Add(-s.index.Lag)
	if !s.index.Frozen.IsZero() && s.index.Frozen.Before(known) {
		known = s.index.Frozen
	}
	var views []view
	for _, r := range runs {
		v, ok := r.asOf(known)
		if !ok || r.hidden {
			continue
		}
		if wanted(q, "head_sha", r.make.SHA) && wanted(q, "branch", r.make.Branch) && wanted(q, "event", r.make.Event) &&
			(wanted(q, "status", v.status) || wanted(q, "status", v.conclusion)) {
			views = append(views, view{r, v})
		}
	}
	return views
}

func wanted(q url.Values, parameter, have string) bool {
	want := q.Get(parameter)
	return want == "" || want == have
}

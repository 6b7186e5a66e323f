package githubtest

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// route finds what a path means. The lock is held.
func (s *Server) route(grant Grant, authenticated bool, r *http.Request) answer {
	parts := strings.Split(strings.Trim(strings.TrimPrefix(r.URL.Path, "/api/v3"), "/"), "/") // an Enterprise server's API lies there
	switch {
	case r.Method != http.MethodGet:
		return s.unknown(r)
	case len(parts) == 1 && parts[0] == "rate_limit":
		return s.rateLimit(r)
	case len(parts) >= 3 && parts[0] == "repos":
		return s.repository(grant, authenticated, parts[1]+"/"+parts[2], parts[3:], r)
	case len(parts) >= 2 && parts[0] == "repositories":
		return s.repository(grant, authenticated, parts[1], parts[2:], r)
	}
	return s.unknown(r)
}

// unknown fails the test: the client asks for something this GitHub was never taught, so what it
// would do with the answer is not known either.
func (s *Server) unknown(r *http.Request) answer {
	s.tb.Errorf("githubtest: no such endpoint: %s %s", r.Method, r.URL)
	return fail(http.StatusNotFound, "Not Found")
}

// repository answers for one repository, found by name or id, if the token may see it.
func (s *Server) repository(grant Grant, authenticated bool, key string, rest []string, r *http.Request) answer {
	for _, repo := range s.repositories {
		byName := strings.EqualFold(repo.name, key)
		former := slices.ContainsFunc(repo.former, func(n string) bool { return strings.EqualFold(n, key) })
		if !byName && !former && strconv.FormatInt(repo.id, 10) != key {
			continue
		}
		if repo.private && (!authenticated || (grant.Repositories != nil && !slices.Contains(grant.Repositories, repo.name))) {
			break
		}
		if former {
			return s.moved(repo, rest, r)
		}
		if len(rest) == 0 {
			return answer{body: s.wholeRepository(repo)}
		}
		if rest[0] == "actions" {
			return s.actions(grant, repo, rest[1:], r)
		}
		return s.unknown(r)
	}
	return fail(http.StatusNotFound, "Not Found")
}

func (s *Server) moved(repo *Repository, rest []string, r *http.Request) answer {
	to := fmt.Sprintf("%s/repositories/%d", s.URL(), repo.id)
	if len(rest) > 0 {
		to += "/" + strings.Join(rest, "/")
	}
	if r.URL.RawQuery != "" {
		to += "?" + r.URL.RawQuery
	}
	return answer{status: http.StatusMovedPermanently, header: http.Header{"Location": {to}}, body: object{
		"message": "Moved Permanently", "url": to, "documentation_url": "https://docs.github.com/v3/#http-redirects",
	}}
}

// actions answers for workflows, runs and jobs of a repository that the token sees.
func (s *Server) actions(grant Grant, repo *Repository, rest []string, r *http.Request) answer {
	if grant.NoActions {
		a := fail(http.StatusForbidden, "Resource not accessible by integration")
		a.header = http.Header{"X-Accepted-Github-Permissions": {"actions=read"}}
		return a
	}
	switch {
	case len(rest) == 1 && rest[0] == "workflows":
		return s.workflows(repo, r)
	case len(rest) >= 2 && rest[0] == "workflows":
		return s.workflow(repo, rest[1], rest[2:], r)
	case len(rest) == 1 && rest[0] == "runs":
		return s.runs(repo, repo.runs, r)
	case len(rest) >= 2 && rest[0] == "runs":
		return s.run(repo, rest[1], rest[2:], r)
	}
	return s.unknown(r)
}

func (s *Server) workflows(repo *Repository, r *http.Request) answer {
	var all []any
	for _, w := range repo.workflows {
		if !w.unlisted {
			all = append(all, s.workflowObject(w))
		}
	}
	return s.page(repo, "workflows", all, 0, r)
}

func (s *Server) workflow(repo *Repository, key string, rest []string, r *http.Request) answer {
	for _, w := range repo.workflows {
		if w.unlisted || (w.file != key && strconv.FormatInt(w.id, 10) != key) {
			continue
		}
		switch {
		case len(rest) == 0:
			return answer{body: s.workflowObject(w)}
		case len(rest) == 1 && rest[0] == "runs":
			runs := slices.DeleteFunc(slices.Clone(repo.runs), func(r *Run) bool { return r.w != w })
			return s.runs(repo, runs, r)
		}
		return s.unknown(r)
	}
	return fail(http.StatusNotFound, "Not Found")
}

// runs lists runs: as they are, or as the index knows them when anything is filtered.
func (s *Server) runs(repo *Repository, runs []*Run, r *http.Request) answer {
	q := r.URL.Query()
	s.checkParameters(q, r)
	var views []view
	most := 40_000 // beyond: "pagination is limited for this resource"
	if isSearch(q) {
		views, most = s.search(runs, q), 1000
	} else {
		views = current(runs)
	}
	// Newest first; runs of one second come in no order that means anything, recorded so.
	slices.SortStableFunc(views, func(a, b view) int {
		return cmp.Or(b.make.Created.Compare(a.make.Created), cmp.Compare(scatter(a.id), scatter(b.id)))
	})
	all := make([]any, len(views))
	for i, v := range views {
		all[i] = s.runObject(v)
	}
	return s.page(repo, "workflow_runs", all, most, r)
}

// checkParameters fails the test for parameters that this GitHub would not obey.
func (s *Server) checkParameters(q url.Values, r *http.Request) {
	for name := range q {
		if !slices.Contains([]string{"head_sha", "branch", "event", "status", "exclude_pull_requests", "page", "per_page"}, name) {
			s.tb.Errorf("githubtest: parameter %s of %s is not known here", name, r.URL)
		}
	}
	if q.Get("status") == "startup_failure" {
		s.tb.Errorf("githubtest: %s: startup_failure is no status to filter by", r.URL)
	}
}

func scatter(id int64) uint32 {
	h := fnv.New32a()
	_, _ = fmt.Fprint(h, id) // a hash never fails
	return h.Sum32()
}

func (s *Server) run(repo *Repository, key string, rest []string, r *http.Request) answer {
	for _, run := range repo.runs {
		if strconv.FormatInt(run.id, 10) != key {
			continue
		}
		switch {
		case len(rest) == 0:
			return answer{body: s.runObject(view{run, run.latest()})}
		case len(rest) == 1 && rest[0] == "jobs":
			return s.jobs(repo, run, r)
		case len(rest) == 2 && rest[0] == "attempts":
			return s.attempt(run, rest[1])
		}
		return s.unknown(r)
	}
	return fail(http.StatusNotFound, "Not Found")
}

func (s *Server) attempt(run *Run, number string) answer {
	for _, v := range slices.Backward(run.versions) {
		if strconv.Itoa(v.attempt) == number {
			return answer{body: s.runObject(view{run, v})}
		}
	}
	return fail(http.StatusNotFound, "Not Found")
}

func (s *Server) jobs(repo *Repository, run *Run, r *http.Request) answer {
	var all []any
	for _, j := range run.jobs {
		if r.URL.Query().Get("filter") == "all" || j.attempt == run.latest().attempt {
			all = append(all, s.jobObject(j))
		}
	}
	return s.page(repo, "jobs", all, 0, r)
}

// page cuts a page of a list, with links as GitHub writes them. most is how much of the list can
// be reached, 0 for all.
func (s *Server) page(repo *Repository, name string, all []any, most int, r *http.Request) answer {
	q := r.URL.Query()
	per, err := strconv.Atoi(q.Get("per_page"))
	if err != nil || per < 1 {
		per = 30
	}
	per = min(per, 100)
	number, err := strconv.Atoi(q.Get("page"))
	if err != nil || number < 1 {
		number = 1
	}
	reach := len(all)
	if most > 0 {
		reach = min(reach, most)
		if most == 40_000 && number*per > most {
			return fail(http.StatusUnprocessableEntity, "In order to keep the API fast for everyone, pagination is limited for this resource.")
		}
	}
	from, to := min((number-1)*per, reach), min(number*per, reach)
	a := answer{header: http.Header{}, body: object{"total_count": len(all), name: append([]any{}, all[from:to]...)}}
	last := max(1, (reach+per-1)/per)
	if links := s.links(repo, r.URL, number, last); links != "" {
		a.header.Set("Link", links)
	}
	return a
}

// links name the repository by its id, recorded so.
func (s *Server) links(repo *Repository, u *url.URL, number, last int) string {
	path := strings.Split(strings.Trim(u.Path, "/"), "/")
	if path[0] == "repos" {
		path = append([]string{"repositories", strconv.FormatInt(repo.id, 10)}, path[3:]...)
	}
	var links []string
	link := func(page int, rel string) {
		q := u.Query()
		q.Set("page", strconv.Itoa(page))
		links = append(links, fmt.Sprintf(`<%s/%s?%s>; rel=%q`, s.URL(), strings.Join(path, "/"), q.Encode(), rel))
	}
	if number > 1 {
		link(number-1, "prev")
	}
	if number < last {
		link(number+1, "next")
		link(last, "last")
	}
	if number > 1 {
		link(1, "first")
	}
	return strings.Join(links, ", ")
}

func (s *Server) rateLimit(r *http.Request) answer {
	w := s.window(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
	core := object{"limit": w.most, "used": w.used, "remaining": w.most - w.used, "reset": w.reset.Unix()}
	return answer{body: object{"resources": object{"core": core}, "rate": core}}
}

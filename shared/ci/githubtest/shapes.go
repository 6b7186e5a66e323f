package githubtest

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// object is a JSON object as GitHub answers it. Its keys are those of the recorded answers in
// testdata; a test compares them.
type object map[string]any

// zone is an offset: workflows tell their times with one, recorded so.
var zone = time.FixedZone("", int(time.Hour/time.Second))

func (s *Server) repositoryURL(r *Repository) string { return s.URL() + "/repos/" + r.name }

func site(name string) string { return "https://github.com/" + name }

func (s *Server) repositoryObject(id int64, name string, private, fork bool) object {
	owner, base, _ := strings.Cut(name, "/")
	return object{
		"id": id, "name": base, "full_name": name, "private": private, "fork": fork,
		"owner":    object{"login": owner, "id": int64(len(owner)), "type": "Organization"},
		"html_url": site(name), "url": s.URL() + "/repos/" + name,
	}
}

// wholeRepository is what GET /repos answers; embedded ones are shorter.
func (s *Server) wholeRepository(r *Repository) object {
	o := s.repositoryObject(r.id, r.name, r.private, false)
	o["default_branch"] = "main"
	o["archived"], o["disabled"] = false, false
	o["visibility"] = "public"
	if r.private {
		o["visibility"] = "private"
	}
	return o
}

func (s *Server) workflowObject(w *Workflow) object {
	created := w.created.In(zone).Format("2006-01-02T15:04:05.000-07:00")
	return object{
		"id": w.id, "node_id": "W_" + strconv.FormatInt(w.id, 36), "name": w.name, "path": w.path(), "state": w.state,
		"created_at": created, "updated_at": created,
		"url":       fmt.Sprintf("%s/actions/workflows/%d", s.repositoryURL(w.r), w.id),
		"html_url":  site(w.r.name) + "/blob/main/" + w.path(),
		"badge_url": site(w.r.name) + "/workflows/" + w.name + "/badge.svg",
	}
}

func (s *Server) runObject(v view) object {
	r, suite := v.w.r, v.id+1_000_000_000
	self := fmt.Sprintf("%s/actions/runs/%d", s.repositoryURL(r), v.id)
	user := object{"login": "somebody", "id": 1, "type": "User"}
	o := object{
		"id": v.id, "name": v.name, "node_id": "WFR_" + strconv.FormatInt(v.id, 36),
		"head_branch": orNull(v.make.Branch), "head_sha": v.make.SHA, "path": v.w.path(), "display_title": "Change something",
		"run_number": v.number, "event": v.make.Event, "status": v.status, "conclusion": orNull(v.conclusion),
		"workflow_id": v.w.id, "check_suite_id": suite, "check_suite_node_id": "CS_" + strconv.FormatInt(suite, 36),
		"url": self, "html_url": fmt.Sprintf("%s/actions/runs/%d", site(r.name), v.id), "pull_requests": []any{},
		"created_at": v.make.Created.UTC().Format(time.RFC3339), "updated_at": v.at.UTC().Format(time.RFC3339),
		"actor": user, "triggering_actor": user, "run_attempt": v.attempt, "referenced_workflows": []any{},
		"run_started_at": v.started.UTC().Format(time.RFC3339),
		"jobs_url":       self + "/jobs", "logs_url": self + "/logs", "artifacts_url": self + "/artifacts",
		"cancel_url": self + "/cancel", "rerun_url": self + "/rerun", "previous_attempt_url": nil,
		"check_suite_url": fmt.Sprintf("%s/check-suites/%d", s.repositoryURL(r), suite),
		"workflow_url":    fmt.Sprintf("%s/actions/workflows/%d", s.repositoryURL(r), v.w.id),
		"head_commit": object{
			"id": v.make.SHA, "tree_id": v.make.SHA, "message": "Change something",
			"timestamp": v.make.Created.UTC().Format(time.RFC3339),
			"author":    object{"name": "Somebody", "email": "somebody@example.com"},
			"committer": object{"name": "GitHub", "email": "noreply@github.com"},
		},
		"repository": s.repositoryObject(r.id, r.name, r.private, false),
	}
	if v.attempt > 1 {
		o["previous_attempt_url"] = fmt.Sprintf("%s/attempts/%d", self, v.attempt-1)
	}
	switch fork := v.make.HeadRepository; {
	case v.make.HeadRepositoryDeleted:
		o["head_repository"] = nil
	case fork != "" && fork != r.name:
		o["head_repository"] = s.repositoryObject(r.id+500_000_000, fork, false, true)
	default:
		o["head_repository"] = o["repository"]
	}
	return o
}

func (s *Server) jobObject(j *Job) object {
	r := j.r.w.r
	run := fmt.Sprintf("%s/actions/runs/%d", s.repositoryURL(r), j.r.id)
	started := j.started
	if started.IsZero() {
		started = j.created // GitHub tells the moment of queueing until the job begins
	}
	o := object{
		"id": j.id, "run_id": j.r.id, "run_url": run, "run_attempt": j.attempt, "node_id": "CR_" + strconv.FormatInt(j.id, 36),
		"head_sha": j.r.make.SHA, "head_branch": orNull(j.r.make.Branch), "workflow_name": j.r.name,
		"url":      fmt.Sprintf("%s/actions/jobs/%d", s.repositoryURL(r), j.id),
		"html_url": fmt.Sprintf("%s/actions/runs/%d/job/%d", site(r.name), j.r.id, j.id),
		"status":   j.status, "conclusion": orNull(j.conclusion),
		"created_at": j.created.UTC().Format(time.RFC3339), "started_at": started.UTC().Format(time.RFC3339), "completed_at": nil,
		"name": j.name, "steps": []any{}, "check_run_url": fmt.Sprintf("%s/check-runs/%d", s.repositoryURL(r), j.id),
		"labels": []string{"ubuntu-latest"}, "runner_id": nil, "runner_name": nil, "runner_group_id": nil, "runner_group_name": nil,
	}
	if !j.completed.IsZero() {
		o["completed_at"] = j.completed.UTC().Format(time.RFC3339)
	}
	return o
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

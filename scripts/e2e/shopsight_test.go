package e2e

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// record is what `show` tells of an operation.
type record struct {
	ID         string    `json:"id"`
	State      string    `json:"state"`
	Target     string    `json:"target_sha"`
	PreDeploy  string    `json:"pre_deploy_sha"`
	Created    time.Time `json:"create_time"`
	Ended      time.Time `json:"end_time"`
	Warnings   []string  `json:"warnings"`
	Migrations []string  `json:"migrations"`
	Failure    struct {
		Reason  string   `json:"reason"`
		Message string   `json:"message"`
		Hint    string   `json:"hint"`
		StepID  string   `json:"step_id"`
		Tail    []string `json:"output_tail"`
	} `json:"failure"`
	States []struct {
		State   string    `json:"state"`
		Entered time.Time `json:"enter_time"`
	} `json:"states"`
	Steps []struct {
		ID      string `json:"id"`
		Outcome string `json:"outcome"`
		Summary string `json:"summary"`
	} `json:"steps"`
}

// step is the summary of the last record of a step, "" when it never ran.
func (r record) step(id string) string {
	for _, s := range slices.Backward(r.Steps) {
		if s.ID == id {
			return s.Summary
		}
	}
	return ""
}

// lasted is how long the operation was in a state, the last time it was.
func (r record) lasted(state string) time.Duration {
	end := r.Ended
	for _, s := range slices.Backward(r.States) {
		if s.State == "OPERATION_STATE_"+state {
			return end.Sub(s.Entered)
		}
		end = s.Entered
	}
	return 0
}

// newest reads the newest operation.
func (s *shop) newest() record {
	s.t.Helper()
	a := s.coordinate("observer", "show", "--format", "json")
	a.expect(s.t, 0)
	var v struct {
		Operation record `json:"operation"`
	}
	if err := json.Unmarshal([]byte(a.stdout), &v); err != nil {
		s.t.Fatalf("%v: %s", err, a.stdout)
	}
	v.Operation.State = strings.TrimPrefix(v.Operation.State, "OPERATION_STATE_")
	return v.Operation
}

// ended waits until the newest operation has ended.
func (s *shop) ended(within time.Duration) record {
	s.t.Helper()
	var op record
	s.eventually(within, "the operation ends", func() bool {
		op = s.newest()
		return !op.Ended.IsZero()
	})
	return op
}

// reaches waits until the newest operation is in a state, or has passed it.
func (s *shop) reaches(state string, within time.Duration) {
	s.t.Helper()
	s.eventually(within, "the operation reaches "+state, func() bool {
		for _, r := range s.newest().States {
			if r.State == "OPERATION_STATE_"+state {
				return true
			}
		}
		return false
	})
}

// fails deploys a commit that must fail and be rolled back, and checks what is promised of that: exit code, reason,
// checkout, stamp, block, pause, the services' images; containers of services that are not named keep their IDs.
func (s *shop) fails(sha, reason string, touched []string, texts ...string) record {
	s.t.Helper()
	stamp, before, images := s.readStamp(), s.containers(), s.images()
	s.deploys(sha, 4, append(texts, "ROLLED_BACK")...)
	op := s.newest()
	if op.State != "ROLLED_BACK" || op.Failure.Reason != reason {
		s.t.Errorf("state %s, reason %s (%s); want ROLLED_BACK, %s", op.State, op.Failure.Reason, op.Failure.Message, reason)
	}
	s.restored(stamp, sha)
	s.kept(before, touched...)
	if now := s.images(); !maps.Equal(now, images) {
		s.t.Errorf("other images run than before\nbefore: %v\nafter:  %v", images, now)
	}
	return op
}

// restored checks files and checkout after a rollback from sha to what was stamped.
func (s *shop) restored(stamp, sha string) {
	s.t.Helper()
	if s.readStamp() != stamp || s.tree.Head() != stamp {
		s.t.Errorf("stamp %s, checkout %s, want both %s", s.readStamp(), s.tree.Head(), stamp)
	}
	if blocked := s.blocked(); !slices.Contains(blocked, sha) {
		s.t.Errorf("blocked are %v, want %s among them", blocked, sha)
	}
	if s.sentinel("gitops-paused") == nil {
		s.t.Error("convergence is not paused after a failure")
	}
	s.tidy()
}

// failsUntouched deploys a commit that must fail before a container or the database can have been touched, and checks what is
// promised of that: exit code, reason, checkout, stamp, every container, every image; nothing is blocked or paused by it.
func (s *shop) failsUntouched(sha, reason string, texts ...string) record {
	s.t.Helper()
	before := s.look()
	s.deploys(sha, 1, append(texts, "FAILED_UNTOUCHED")...)
	op := s.newest()
	if op.State != "FAILED_UNTOUCHED" || op.Failure.Reason != reason {
		s.t.Errorf("state %s, reason %s (%s); want FAILED_UNTOUCHED, %s", op.State, op.Failure.Reason, op.Failure.Message, reason)
	}
	s.asBefore(before)
	return op
}

// asBefore checks that an operation that touched nothing has left nothing: checkout, stamp, containers, images, block, pause.
func (s *shop) asBefore(before sight) {
	s.t.Helper()
	if s.readStamp() != before.stamp || s.tree.Head() != before.stamp {
		s.t.Errorf("stamp %s, checkout %s, want both %s", s.readStamp(), s.tree.Head(), before.stamp)
	}
	if dirty := s.tree.Git("status", "--porcelain", "--untracked-files=no"); dirty != "" {
		s.t.Errorf("the checkout is not as it was: %s", dirty)
	}
	if now := s.blocked(); !slices.Equal(now, before.blocked) {
		s.t.Errorf("blocked are %v, were %v", now, before.blocked)
	}
	if now := s.sentinel("gitops-paused"); fmt.Sprint(now) != fmt.Sprint(before.pause) {
		s.t.Errorf("the pause is %v, was %v", now, before.pause)
	}
	s.kept(before.containers)
	if now := s.images(); !maps.Equal(now, before.images) {
		s.t.Errorf("other images run than before\nbefore: %v\nafter:  %v", before.images, now)
	}
	s.tidy()
}

// blocked lists the commits that are blocked, one JSON object a line.
func (h *host) blocked() []string {
	h.t.Helper()
	raw, err := os.ReadFile(filepath.Join(h.state, "blocked-sha"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		h.t.Fatal(err)
	}
	var shas []string
	for line := range strings.Lines(string(raw)) {
		var block struct {
			SHA string `json:"sha"`
		}
		if err := json.Unmarshal([]byte(line), &block); err != nil {
			h.t.Fatalf("blocked-sha: %v: %s", err, line)
		}
		shas = append(shas, block.SHA)
	}
	return shas
}

// kept checks that services other than those named have the containers they had.
func (s *shop) kept(before map[string]string, touched ...string) {
	s.t.Helper()
	now := s.containers()
	for service, id := range before {
		if now[service] != id && !slices.Contains(touched, service) {
			s.t.Errorf("%s has container %.12s, it had %.12s", service, now[service], id)
		}
	}
	if len(now) != len(before) {
		s.t.Errorf("services %v, before %v", slices.Sorted(maps.Keys(now)), slices.Sorted(maps.Keys(before)))
	}
}

var leftoverName = regexp.MustCompile(`^[0-9a-f]{12}_`)

// tidy checks that nothing half made is left: one container a service, under its own name, and no child of an operation.
func (s *shop) tidy() {
	s.t.Helper()
	services := map[string]bool{}
	for _, line := range s.docker("ps", "-a", "--filter", "name="+s.project, "--format", `{{.Names}} {{.Label "com.docker.compose.service"}}`) {
		name, service, _ := strings.Cut(line, " ")
		if leftoverName.MatchString(name) {
			s.t.Errorf("container %s is left over", name)
		}
		if services[service] {
			s.t.Errorf("service %s has two containers", service)
		}
		services[service] = true
	}
	if left := s.children(); len(left) > 0 {
		s.t.Errorf("processes of an operation are left: %v", left)
	}
}

// children lists processes that carry the mark of an operation and belong to this host's agent.
func (s *shop) children() []string {
	s.t.Helper()
	entries, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		s.t.Fatal(err)
	}
	var found []string
	for _, path := range entries {
		environ, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(environ), "LANDFALL_OPERATION=") {
			continue // gone since, or a stranger's
		}
		dir := filepath.Dir(path)
		cwd, err := os.Readlink(filepath.Join(dir, "cwd"))
		if err != nil || (cwd != s.tree.Dir && !strings.HasPrefix(cwd, s.tree.Dir+"/") && !strings.HasPrefix(cwd, s.state)) {
			continue // of another host on this machine
		}
		line, err := os.ReadFile(filepath.Join(dir, "cmdline"))
		if err == nil && len(line) > 0 { // else a zombie
			found = append(found, filepath.Base(dir)+" "+strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return found
}

// images maps services to the images their containers run.
func (s *shop) images() map[string]string {
	s.t.Helper()
	found := map[string]string{}
	for service, id := range s.containers() {
		found[service] = s.docker("inspect", "--format", "{{.Image}}", id)[0]
	}
	return found
}

// revision is the commit that the running app was built from.
func (s *shop) revision() string {
	s.t.Helper()
	return s.docker("inspect", "--format", `{{index .Config.Labels "revision"}}`, s.containers()["app"])[0]
}

// sentinel reads one of the operator's files, nil when it is not there.
func (s *shop) sentinel(name string) map[string]any {
	s.t.Helper()
	raw, err := os.ReadFile(filepath.Join(s.state, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		s.t.Fatal(err)
	}
	var v map[string]any
	if err := json.Unmarshal(raw, &v); err != nil {
		s.t.Fatalf("%s: %v: %s", name, err, raw)
	}
	return v
}

// gapless reads every event of an operation and checks that the numbers follow one another.
func (s *shop) gapless(id string) {
	s.t.Helper()
	a := s.coordinate("deployer", "attach", id, "--progress", "json")
	scanner := bufio.NewScanner(strings.NewReader(a.stderr))
	scanner.Buffer(nil, 1<<20)
	sequence := 0
	for scanner.Scan() {
		var line struct {
			Event *struct {
				Sequence int `json:"sequence,string"`
			} `json:"event"`
		}
		if err := json.Unmarshal(scanner.Bytes(), &line); err != nil {
			s.t.Fatalf("%v: %s", err, scanner.Text())
		}
		if line.Event == nil {
			continue // a note, or the error
		}
		if sequence++; line.Event.Sequence != sequence {
			s.t.Errorf("%s: event %d follows event %d", id, line.Event.Sequence, sequence-1)
			return
		}
	}
	if err := scanner.Err(); err != nil || sequence == 0 {
		s.t.Errorf("%s: %d events, %v", id, sequence, err)
	}
}

// history lists the operations, newest first.
func (s *shop) history() []record {
	s.t.Helper()
	a := s.coordinate("observer", "history", "--limit", "100", "--format", "json")
	a.expect(s.t, 0)
	var ops []record
	for line := range strings.Lines(a.stdout) {
		var op record
		if err := json.Unmarshal([]byte(line), &op); err != nil {
			s.t.Fatalf("%v: %s", err, line)
		}
		op.State = strings.TrimPrefix(op.State, "OPERATION_STATE_")
		ops = append(ops, op)
	}
	return ops
}

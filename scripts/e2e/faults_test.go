package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"ataraxis.dev/landfall/shared/git/gittest"
)

// shopConfigWith is landfall.yaml with another deadline and soak.
func shopConfigWith(deadline, soak string) string {
	return strings.NewReplacer("deadline: 20s", "deadline: "+deadline, "soak: 300ms", "soak: "+soak).Replace(shopConfig)
}

// What is found wrong before anything was touched leaves the host as it was, and says why.
func TestProofsTouchNothing(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	wanted := s.push("wanted", map[string]string{"app/run.sh": serves("wanted"), "side/message.txt": "wanted\n"})
	refused := func(t *testing.T, code int, reason string, texts ...string) {
		t.Helper()
		s.untouched(func() { s.deploys(wanted, code, texts...) })
		if op := s.newest(); op.State != "FAILED_UNTOUCHED" || op.Failure.Reason != reason {
			t.Errorf("%s: %s; want FAILED_UNTOUCHED: %s", op.State, op.Failure.Reason, reason)
		}
		s.coordinate("observer", "show").expect(t, 0, "FAILED_UNTOUCHED", reason)
		s.tidy()
	}
	t.Run("disk", func(t *testing.T) {
		defer s.in(t)()
		s.startAgent("limits: {min_free_disk: 900TiB, min_available_memory: 16MiB}")
		refused(t, 1, "DISK_LOW", "limits.min_free_disk is 900TiB", "docker system df")
		s.stopAgent()
	})
	t.Run("memory", func(t *testing.T) {
		defer s.in(t)()
		s.startAgent("limits: {min_free_disk: 64MiB, min_available_memory: 900TiB}")
		refused(t, 1, "MEMORY_LOW", "limits.min_available_memory is 900TiB", "stop something first")
		s.stopAgent()
	})
	s.startAgent()
	t.Run("origin is gone", func(t *testing.T) {
		defer s.in(t)()
		away := s.origin.Dir + ".away"
		if err := os.Rename(s.origin.Dir, away); err != nil {
			t.Fatal(err)
		}
		refused(t, 1, "REMOTE_NOT_FOUND", s.origin.Dir)
		if err := os.Rename(away, s.origin.Dir); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("blocked SHA, until it is unblocked", func(t *testing.T) {
		defer s.in(t)()
		raw, err := json.Marshal(map[string]any{"sha": wanted, "operation": "op-0-before", "reason": "it was bad", "created_at": time.Now()})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(s.state, "blocked-sha"), raw, 0o644); err != nil {
			t.Fatal(err)
		}
		refused(t, 7, "SHA_BLOCKED", "it was bad", "landfall-coordinator unblock")
		s.coordinate("operator", "unblock").expect(t, 0, wanted[:12])
		s.deploys(wanted, 0, "SUCCEEDED")
	})
}

// Whatever a commit does wrong, what ran before runs again, from the images that ran, and the commit is blocked; where it went wrong before
// anything was touched, it is not.
func TestBadCommitsAreRolledBack(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.startAgent("deadlines: {no_progress: 2s, up: 1m}")
	good := shopFiles()
	// with is the good files with some changed.
	with := func(files map[string]string) map[string]string {
		all := map[string]string{}
		for path, content := range good {
			all[path] = content
		}
		for path, content := range files {
			all[path] = content
		}
		s.dev.Remove("migrations")
		return all
	}
	cases := []struct {
		name    string
		files   map[string]string
		reason  string
		step    string
		touched []string
		texts   []string
		within  time.Duration // 0: however long
		early   bool          // before a container or the database can have been touched
	}{
		{
			name: "build fails", early: true, reason: "BUILD_FAILED", step: "build/app/2", texts: []string{"is-not-there"},
			files: map[string]string{"app/Dockerfile": "FROM scratch\nCOPY is-not-there /\n"},
		},
		{
			name: "build script fails", early: true, reason: "SCRIPT_FAILED", step: "build/app/1", texts: []string{"exit code 9", "nothing prepared"},
			files: map[string]string{"app/prepare.sh": "#!/bin/sh\necho nothing prepared\nexit 9\n"},
		},
		{
			name: "build script hangs", early: true, reason: "CHILD_NO_PROGRESS", step: "build/app/1", within: 15 * time.Second,
			files: map[string]string{"app/prepare.sh": "#!/bin/sh\necho hanging\nsleep 600 & sleep 600\n"},
		},
		{
			name: "migration fails", reason: "MIGRATION_FAILED", step: "migrate/script/1", texts: []string{"exit code 3", "applied 100_first", "keeps the migrations of this deploy: 001_a, 100_first"},
			files: map[string]string{"migrations/100_first.sh": ":\n", "migrations/101_bad.sh": "exit 3\n"},
		},
		{
			name: "never healthy", reason: "PROBE_DEADLINE", step: "verify/probes", touched: []string{"app"}, texts: []string{"shop/app: health is starting", "within 3s"},
			files: map[string]string{"app/run.sh": "exec sleep 1000000\n", "landfall.yaml": shopConfigWith("3s", "1s")},
		},
		{
			name: "crash loop", reason: "PROBE_FAILED", step: "verify/probes", touched: []string{"app"}, texts: []string{"shop/app: crash loop", "my last words"}, within: 30 * time.Second,
			files: map[string]string{"app/run.sh": "echo my last words\nexit 1\n", "landfall.yaml": shopConfigWith("2m", "1s")},
		},
		{
			name: "killed for want of memory", reason: "PROBE_FAILED", step: "verify/probes", touched: []string{"app"}, texts: []string{"exited with code 137", "my last words"}, within: 15 * time.Second,
			files: map[string]string{
				"app/run.sh": "echo my last words\nexit 137\n", "landfall.yaml": shopConfigWith("2m", "1s"),
				"compose.yml": strings.Replace(shopCompose, "restart: unless-stopped", `restart: "no"`, 1),
			},
		},
		{
			name: "dies after it was healthy", reason: "SOAK_FAILED", step: "verify/soak", touched: []string{"app"}, texts: []string{"shop/app", "exited with code 3"},
			files: map[string]string{
				"app/run.sh": "touch /tmp/healthy\nsleep 3\necho my last words\nexit 3\n", "landfall.yaml": shopConfigWith("20s", "6s"),
				"compose.yml": strings.Replace(shopCompose, "restart: unless-stopped", `restart: "no"`, 1),
			},
		},
		{
			name: "dies after it was healthy and is restarted", reason: "SOAK_FAILED", step: "verify/soak", touched: []string{"app"}, texts: []string{"shop/app", "my last words"},
			files: map[string]string{"app/run.sh": "touch /tmp/healthy\nsleep 3\necho my last words\nexit 3\n", "landfall.yaml": shopConfigWith("20s", "6s")},
		},
		{
			name: "job fails", reason: "PROBE_FAILED", step: "verify/probes", touched: []string{"job"}, texts: []string{"shop/job: exited with code 5"},
			files: map[string]string{"job/run.sh": "exit 5\n"},
		},
		{
			name: "mounted file breaks a service", reason: "PROBE_FAILED", step: "verify/probes", touched: []string{"side"}, texts: []string{"shop/side"},
			files: map[string]string{"side/message.txt": "bad\n", "compose.yml": strings.Replace(shopCompose, `command: [sleep, "1000000"]`, "command: [grep, -q, bad, /nowhere]", 1)},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			defer s.in(t)()
			sha := s.push(c.name, with(c.files))
			began := time.Now()
			state, op := "ROLLED_BACK", record{}
			if c.early {
				state, op = "FAILED_UNTOUCHED", s.failsUntouched(sha, c.reason, c.texts...)
			} else {
				op = s.fails(sha, c.reason, c.touched, c.texts...)
			}
			if took := time.Since(began); c.within > 0 && took > c.within {
				t.Errorf("it took %s, want less than %s", took.Round(time.Millisecond), c.within)
			}
			t.Logf("brought back within %s", op.lasted("ROLLING_BACK").Round(time.Millisecond))
			if op.Failure.StepID != c.step {
				t.Errorf("step %s, want %s", op.Failure.StepID, c.step)
			}
			s.coordinate("observer", "show").expect(t, 0, state, c.reason)
			s.coordinate("observer", "probe").expect(t, 0)
		})
	}
	t.Run("and the next good commit deploys", func(t *testing.T) {
		defer s.in(t)()
		sha := s.push("mended", with(map[string]string{"app/run.sh": serves("mended"), "job/run.sh": "echo worked again\n", "side/message.txt": "mended\n"}))
		before := s.containers()
		s.deploys(sha, 0, "SUCCEEDED", "recreate side")
		now := s.containers()
		for _, service := range []string{"app", "side", "job"} {
			if now[service] == before[service] {
				t.Errorf("%s has its old container", service)
			}
		}
		s.kept(before, "app", "side", "job")
		if got := s.docker("inspect", "--format", "{{.State.Status}} {{.State.ExitCode}}", now["job"])[0]; got != "exited 0" {
			t.Errorf("the job is %s", got)
		}
		if len(s.blocked()) > 0 || s.sentinel("gitops-paused") != nil {
			t.Error("block or pause stays after a finished deploy on top of the bad commit")
		}
	})
}

// A stamp that the branch lost is no base: everything is deployed.
func TestForcePushedBranch(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.startAgent()
	rewrite := func(message string) string {
		s.dev.Git("checkout", "-q", "--orphan", "rewritten")
		sha := s.dev.Commit(message, map[string]string{"app/run.sh": serves(message)})
		s.dev.Git("branch", "-q", "-M", "main")
		s.dev.Push()
		return sha
	}
	t.Run("where the clone still has the stamp", func(t *testing.T) {
		defer s.in(t)()
		sha := rewrite("rewritten")
		s.deploys(sha, 0, "SUCCEEDED")
		if s.readStamp() != sha || s.tree.Head() != sha || s.revision() != sha {
			t.Errorf("stamp %s, checkout %s, app %s; want %s", s.readStamp(), s.tree.Head(), s.revision(), sha)
		}
	})
	t.Run("where nobody else has it", func(t *testing.T) {
		defer s.in(t)()
		sha := rewrite("rewritten again")
		s.origin.Git("gc", "-q", "--prune=now")
		s.dev = gittest.Clone(t, s.origin)
		s.deploys(sha, 0, "SUCCEEDED", "everything")
		if s.readStamp() != sha || s.tree.Head() != sha || s.revision() != sha {
			t.Errorf("stamp %s, checkout %s, app %s; want %s", s.readStamp(), s.tree.Head(), s.revision(), sha)
		}
	})
}

// What a crashed recreate leaves behind is put in order by the next deploy.
func TestLeftoverOfARecreateIsRepaired(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.startAgent()
	s.deploys(s.push("stubborn", map[string]string{"app/run.sh": stubborn("stubborn")}), 0, "SUCCEEDED")
	t.Run("the old container is gone", func(t *testing.T) {
		defer s.in(t)()
		s.crashRecreate("app")
		s.docker("rm", "--force", s.project+"-app-1")
		sha := s.push("second", map[string]string{"app/run.sh": stubborn("second")})
		s.deploys(sha, 0, "which a crashed recreate left behind", "SUCCEEDED")
		s.tidy()
	})
	t.Run("the old container is still there", func(t *testing.T) {
		defer s.in(t)()
		s.crashRecreate("app")
		sha := s.push("third", map[string]string{"app/run.sh": stubborn("third")})
		s.deploys(sha, 0, "which a crashed recreate left behind", "SUCCEEDED")
		s.tidy()
		if s.revision() != sha {
			t.Errorf("app runs %s, want %s", s.revision(), sha)
		}
	})
	t.Run("a failed deploy leaves none", func(t *testing.T) {
		defer s.in(t)()
		s.crashRecreate("app")
		s.docker("rm", "--force", s.project+"-app-1")
		stamp := s.readStamp()
		sha := s.push("bad", map[string]string{"app/run.sh": "exit 1\n"})
		s.deploys(sha, 4, "ROLLED_BACK", "as before not as it should be")
		s.restored(stamp, sha)
	})
}

// crashRecreate begins to recreate a service whose container takes its time to stop, and kills Compose meanwhile: the new container is made,
// under a name for the time being, and has not taken the place of the old one, which runs or is being stopped.
func (s *shop) crashRecreate(service string) {
	s.t.Helper()
	cmd := exec.Command("docker", "compose", "up", "--detach", "--no-deps", "--no-build", "--force-recreate", service)
	cmd.Dir = s.tree.Dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.await("the new container is made", func() bool {
		return slices.ContainsFunc(s.docker("ps", "-a", "--filter", "name="+s.project+"-"+service, "--format", "{{.Names}}"), leftoverName.MatchString)
	})
	if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); err != nil {
		s.t.Fatal(err)
	}
	_ = cmd.Wait()                 // it was killed
	pause(1500 * time.Millisecond) // the engine may have been asked to stop the old one, which takes a second
}

// The images to go back to survive a prune of what has no name; where somebody removed one for good, it is built again.
func TestImagesOfARollback(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.startAgent()
	old := s.docker("inspect", "--format", "{{.Image}}", s.containers()["app"])[0]
	hopeless := func(n int) string { // runs, and never becomes healthy: time to take its predecessor's image away
		return s.push("hopeless", map[string]string{"app/run.sh": fmt.Sprintf("echo %d\nexec sleep 1000000\n", n), "landfall.yaml": shopConfigWith("4s", "0s")})
	}
	judged := func() { // the new container runs, the old one is gone
		s.reaches("VERIFYING", 30*time.Second)
	}
	finish := func(sha string) record {
		op := s.ended(60 * time.Second)
		if op.State != "ROLLED_BACK" || op.Failure.Reason != "PROBE_DEADLINE" {
			s.t.Errorf("%s: %s: %s", op.State, op.Failure.Reason, op.Failure.Message)
		}
		s.restored(s.readStamp(), sha)
		return op
	}
	t.Run("prune of what has no name", func(t *testing.T) {
		defer s.in(t)()
		sha := hopeless(1)
		wait := s.runs(sha)
		judged()
		s.docker("image", "prune", "--force", "--filter", "label=com.docker.compose.project="+s.project)
		op := finish(sha)
		wait()
		if got := s.docker("inspect", "--format", "{{.Image}}", s.containers()["app"])[0]; got != old {
			t.Errorf("app runs %s, it ran %s", got, old)
		}
		if warnings := strings.Join(op.Warnings, " "); strings.Contains(warnings, "are gone") || op.step("rollback/restore") != "recreated app" {
			t.Errorf("the image was there, and yet: %q; %s", warnings, op.step("rollback/restore"))
		}
	})
	t.Run("prune of everything that is not in use", func(t *testing.T) {
		defer s.in(t)()
		sha := hopeless(2)
		wait := s.runs(sha)
		judged()
		s.docker("image", "prune", "--all", "--force", "--filter", "label=com.docker.compose.project="+s.project) // takes what no container uses, pinned or not
		if left := s.docker("images", "-q", "--no-trunc", "--filter", "reference="+s.pins()); slices.Contains(left, old) {
			s.docker("rmi", "--force", old)
		}
		op := finish(sha)
		wait()
		if warnings := strings.Join(op.Warnings, " "); !strings.Contains(warnings, s.project+"/app are gone; they are built or pulled again") {
			t.Errorf("the image was gone, and yet: %q", warnings)
		}
		if s.revision() != s.readStamp() {
			t.Errorf("app runs %s, want %s", s.revision(), s.readStamp())
		}
	})
}

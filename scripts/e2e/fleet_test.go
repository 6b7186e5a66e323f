package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ataraxis.dev/landfall/shared/git/gittest"
)

// fleet is a host of the demo's fleet: two stacks, eleven services, PostgreSQL, Caddy.
type fleet struct {
	*host
	ports map[string]string // FLEET_HTTP_PORT and so on
}

// newFleet lays the demo's fleet out, starts it by hand and takes it over.
func newFleet(t *testing.T) *fleet {
	t.Helper()
	h := &host{t: t, project: fmt.Sprintf("landfall-e2e-%d", time.Now().UnixNano()%1e9), config: "landfall.yaml", state: shortDir(t), ids: shortDir(t)}
	t.Cleanup(h.removeContainers)
	f := &fleet{host: h, ports: map[string]string{}}
	h.tree = gittest.New(t)
	out, err := exec.Command("../demo/lay-out.sh", "--project", h.project, h.tree.Dir).Output()
	if err != nil {
		t.Fatalf("lay-out.sh: %v", err)
	}
	for _, line := range strings.Fields(string(out)) {
		name, value, _ := strings.Cut(line, "=")
		f.ports[name] = value
	}
	h.tree.Git("checkout", "-q", "-B", "main")
	h.tree.Commit("first edition", nil)
	h.origin = gittest.NewBare(t)
	h.tree.Git("remote", "add", "origin", h.origin.URL())
	h.tree.Git("push", "-q", "origin", "main")
	h.dev = gittest.Clone(t, h.origin)
	h.dev.Git("checkout", "-q", "-B", "main", "origin/main")
	h.identities()

	sha := h.tree.Head()
	h.compose("", []string{"GIT_SHA=" + sha}, "up", "--detach", "--build", "--wait", "postgres", "cache", "auth", "api", "worker", "web", "caddy")
	h.compose("", []string{"GIT_SHA=" + sha}, "up", "--detach")
	h.compose("metrics", []string{"GIT_SHA=" + sha}, "up", "--detach", "--build", "--wait")
	return f
}

// get asks the fleet through Caddy.
func (f *fleet) get(path string) string {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:"+f.ports["FLEET_HTTP_PORT"]+path, nil)
	if err != nil {
		f.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		f.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }() // only read
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	return strings.TrimSpace(string(body))
}

// sql asks the database of the fleet.
func (f *fleet) sql(query string) string {
	f.t.Helper()
	cmd := exec.Command("docker", "compose", "exec", "-T", "postgres", "psql", "-U", "demo", "-d", "demo", "-Atc", query)
	cmd.Dir = f.tree.Dir
	out, err := cmd.Output()
	if err != nil {
		f.t.Fatalf("psql: %v", err)
	}
	return strings.TrimSpace(string(out))
}

// replaced runs do and lists the services whose container is another one afterwards.
func (f *fleet) replaced(do func()) []string {
	before := f.containers()
	do()
	after := f.containers()
	names := map[string]bool{}
	for service, id := range after {
		if before[service] != id {
			names[service] = true
		}
	}
	for service := range before {
		if after[service] == "" {
			names[service] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// The main job, from adoption over a code change, a migration and a docs-only change to
// every kind of failure. The subtests follow one another: each deploys on top of the last.
func TestFleet(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	if _, err := os.Stat(filepath.Join(f.state, "last-successful-deploy-sha")); err == nil {
		t.Fatal("the stamp is there before the first deploy")
	}
	f.startAgent("deadlines: {up: 1m, build: 2m}")

	t.Run("first deploy does everything and adopts what runs", func(t *testing.T) {
		kept := f.containers()
		sha := f.dev.Head()
		f.deploys(sha, 0, "nothing was deployed here yet", "SUCCEEDED", "applied 001_create_notes", "migrated 002_index_notes")
		now := f.containers()
		if len(now) != len(kept) {
			t.Errorf("%d containers before, %d after: the installation was doubled", len(kept), len(now))
		}
		for _, service := range []string{"postgres", "cache", "store"} {
			if now[service] != kept[service] {
				t.Errorf("%s has a new container although nothing about it changed", service)
			}
		}
		if f.readStamp() != sha || f.tree.Head() != sha {
			t.Errorf("stamp %s, checkout %s, want %s", f.readStamp(), f.tree.Head(), sha)
		}
		if _, err := os.Stat(filepath.Join(f.state, "gitops-paused")); err == nil {
			t.Error("convergence is still paused after a finished deploy")
		}
	})
	t.Run("code change", func(t *testing.T) {
		sha := f.push("api: second edition", map[string]string{"api/message.txt": "second edition\n"})
		replaced := f.replaced(func() {
			f.deploys(sha, 0, "SUCCEEDED", "11 of 11 services are as they should be, 1 of them new", "flags: api")
		})
		if !slices.Equal(replaced, []string{"api"}) {
			t.Errorf("replaced %v, want only api", replaced)
		}
		if got := f.get("/api/"); got != "second edition" {
			t.Errorf("the api says %q", got)
		}
		if got := f.get("/api/version"); !strings.Contains(got, `"sha":"`+sha+`"`) {
			t.Errorf("GIT_SHA did not reach the build: %s", got)
		}
	})
	t.Run("migration", func(t *testing.T) {
		sha := f.push("database: authors", map[string]string{"database/migrations/003_add_author.sql": "alter table notes add column author text;\n"})
		replaced := f.replaced(func() {
			f.deploys(sha, 0, "applied 003_add_author", "migrated 003_add_author", "SUCCEEDED")
		})
		if len(replaced) != 0 {
			t.Errorf("replaced %v, want nothing", replaced)
		}
		if got := f.sql("select count(*) from schema_migrations where version = '003' and checksum is not null and description is not null"); got != "1" {
			t.Errorf("003 is recorded %s times", got)
		}
		if got := fmt.Sprint(f.operation()["migrations"]); got != "[003_add_author]" {
			t.Errorf("the operation's migrations are %s", got)
		}
	})
	t.Run("docs only", func(t *testing.T) {
		sha := f.push("docs", map[string]string{"docs/more.md": "more\n"})
		replaced := f.replaced(func() { f.deploys(sha, 0, "SUCCEEDED", "flags: docs") })
		if len(replaced) != 0 || f.readStamp() != sha {
			t.Errorf("replaced %v, stamp %s", replaced, f.readStamp())
		}
	})
	t.Run("mounted file", func(t *testing.T) {
		sha := f.push("auth: users", map[string]string{"auth/users.txt": "somebody else\n"})
		if replaced := f.replaced(func() { f.deploys(sha, 0, "recreate auth") }); !slices.Equal(replaced, []string{"auth"}) {
			t.Errorf("replaced %v, want auth: the content of a mounted file changed", replaced)
		}
	})
	t.Run("both stacks side by side, exec and restart", func(t *testing.T) {
		sha := f.push("collector and caddy", map[string]string{
			"metrics/collector/message.txt": "third edition\n",
			"caddy/Caddyfile":               f.dev.Read("caddy/Caddyfile") + "\n# changed\n",
		})
		if replaced := f.replaced(func() { f.deploys(sha, 0, "exec in caddy", "restart caddy", "metrics: up collector") }); !slices.Equal(replaced, []string{"collector"}) {
			t.Errorf("replaced %v, want collector only", replaced)
		}
	})
	t.Run("same commit again is nothing to deploy", func(t *testing.T) {
		f.untouched(func() { f.deploys(f.dev.Head(), 0, "nothing to deploy") })
	})
	t.Run("older commit is superseded", func(t *testing.T) {
		older := f.dev.Git("rev-parse", "HEAD~1")
		f.untouched(func() { f.deploys(older, 7, "is older than what runs", "behind "+f.dev.Head()[:12], "--allow-older") })
		f.untouched(func() { f.supersededByWire(older) })
	})
	t.Run("look", func(t *testing.T) { f.look() })
	t.Run("grpcurl", func(t *testing.T) { f.grpcurl() })
	t.Run("rotated certificates", func(t *testing.T) { f.rotate() })

	good := f.readStamp()
	t.Run("failed build", func(t *testing.T) {
		sha := f.push("web: does not build", map[string]string{"web/Dockerfile": "FROM scratch\nCOPY is-not-there /\n"})
		if replaced := f.replaced(func() { f.deploys(sha, 1, "FAILED_UNTOUCHED", "is-not-there", "build of stack core failed") }); len(replaced) != 0 {
			t.Errorf("replaced %v by a build that failed", replaced)
		}
		f.failed("FAILED_UNTOUCHED", good, "BUILD_FAILED", "build/web/1")
		f.dev.Git("revert", "--no-edit", "HEAD")
	})
	t.Run("failed migration", func(t *testing.T) {
		sha := f.push("database: wrong", map[string]string{"database/migrations/004_wrong.sql": "create table half (i int);\nselect * from nowhere;\n"})
		if replaced := f.replaced(func() { f.deploys(sha, 4, "ROLLED_BACK", `relation "nowhere" does not exist`) }); len(replaced) != 0 {
			t.Errorf("replaced %v after a migration that failed", replaced)
		}
		f.failed("ROLLED_BACK", good, "MIGRATION_FAILED", "migrate/script/1")
		if got := f.sql("select to_regclass('half') is null"); got != "t" {
			t.Error("the failed migration left half of itself behind")
		}
		f.dev.Remove("database/migrations/004_wrong.sql")
	})
	t.Run("failed probe", func(t *testing.T) {
		sha := f.push("worker: crashes", map[string]string{"worker/message.txt": "fault: crash\n"})
		f.deploys(sha, 4, "ROLLED_BACK", "core/worker: crash loop", "crashing, as the message file asks")
		f.failed("ROLLED_BACK", good, "PROBE_FAILED", "verify/probes")
		a := f.coordinate("observer", "show")
		a.expect(t, 0, "PROBE_FAILED", "crash loop", "crashing, as the message file asks")
	})
	t.Run("recovery by the next good commit", func(t *testing.T) {
		sha := f.push("worker: mended", map[string]string{"worker/message.txt": "mended\n"})
		f.deploys(sha, 0, "SUCCEEDED")
		if f.readStamp() != sha {
			t.Errorf("stamp %s, want %s", f.readStamp(), sha)
		}
	})
	t.Run("history tells all of it", func(t *testing.T) {
		a := f.coordinate("observer", "history", "--limit", "50", "--format", "json")
		a.expect(t, 0)
		var states []string
		for _, line := range strings.Split(strings.TrimSpace(a.stdout), "\n") {
			var op struct {
				State string `json:"state"`
			}
			if err := json.Unmarshal([]byte(line), &op); err != nil {
				t.Fatalf("%v: %s", err, line)
			}
			states = append(states, strings.TrimPrefix(op.State, "OPERATION_STATE_"))
		}
		want := "SUCCEEDED ROLLED_BACK ROLLED_BACK FAILED_UNTOUCHED SUPERSEDED SUCCEEDED SUCCEEDED SUCCEEDED SUCCEEDED SUCCEEDED SUCCEEDED"
		if got := strings.Join(states, " "); got != want {
			t.Errorf("history: %s\nwant:    %s", got, want)
		}
	})
}

// failed checks a deploy that failed after the checkout had moved: the old version runs, its commit is
// checked out, the stamp stays; where something running was touched the pause stays and the bad commit is blocked.
func (f *fleet) failed(state, stamp, reason, step string) {
	f.t.Helper()
	op := f.operation()
	if op["state"] != "OPERATION_STATE_"+state || f.failure("reason") != reason || f.failure("step_id") != step {
		f.t.Errorf("state %v, reason %s, step %s; want %s, %s, %s", op["state"], f.failure("reason"), f.failure("step_id"), state, reason, step)
	}
	if f.readStamp() != stamp {
		f.t.Errorf("the stamp moved to %s", f.readStamp())
	}
	if f.tree.Head() != stamp {
		f.t.Errorf("the checkout is at %s, not back at %s", f.tree.Head(), stamp)
	}
	touched := state == "ROLLED_BACK"
	if blocked := f.blocked(); slices.Contains(blocked, fmt.Sprint(op["target_sha"])) != touched {
		f.t.Errorf("%s, and blocked are %v", state, blocked)
	}
	f.coordinate("observer", "probe").expect(f.t, 0)
	if _, err := os.Stat(filepath.Join(f.state, "gitops-paused")); (err == nil) != touched {
		f.t.Errorf("%s, and the pause: %v", state, err)
	}
}

// Package migrate_test holds the reference migration script, scripts/migrate.sh, to its promises.
//
// Every test runs the real script against a database of its own in one real PostgreSQL container
// whose image comes from scripts/images/postgres.sh. Start reading at [TestFreshThenNothingToDo].
package migrate_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

const missingEngine = "these tests need a Docker Engine: run `make test`, which installs one where it may, " +
	"start yours, or leave these tests out with `go test -short`"

// container is the name of the one PostgreSQL container; set once by TestMain, then only read.
var container string

var databases atomic.Int64

func TestMain(m *testing.M) { os.Exit(runAll(m)) }

func runAll(m *testing.M) int {
	flag.Parse()
	if testing.Short() {
		return m.Run()
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	name := fmt.Sprintf("landfall-test-migrate-%d", os.Getpid())
	defer func() { _ = exec.Command("docker", "rm", "-fv", name).Run() }()
	if err := startPostgres(ctx, name); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	container = name
	return m.Run()
}

func startPostgres(ctx context.Context, name string) error {
	if out, err := exec.CommandContext(ctx, "docker", "version").CombinedOutput(); err != nil {
		return fmt.Errorf("%s\n%s", missingEngine, out)
	}
	build := exec.CommandContext(ctx, "../images/postgres.sh")
	build.Stderr = os.Stderr
	image, err := build.Output()
	if err != nil {
		return fmt.Errorf("building the PostgreSQL image: %w", err)
	}
	run := exec.CommandContext(ctx, "docker", "run", "-d", "--name", name, "--network", "none", "--tmpfs", "/var/lib/postgresql/data",
		"-e", "POSTGRES_PASSWORD=test", strings.TrimSpace(string(image)), "postgres", "-c", "fsync=off")
	if out, err := run.CombinedOutput(); err != nil {
		return fmt.Errorf("starting PostgreSQL: %w\n%s", err, out)
	}
	// TCP, because the socket already answers while the first start is still under way
	wait := `i=0; until pg_isready -q -h 127.0.0.1; do i=$((i + 1)); [ "$i" -lt 600 ] || exit 1; sleep 0.1; done`
	if out, err := exec.CommandContext(ctx, "docker", "exec", name, "sh", "-c", wait).CombinedOutput(); err != nil {
		return fmt.Errorf("PostgreSQL did not become ready: %w\n%s", err, out)
	}
	return nil
}

// repository is a folder with migrations, a copy of the script and a database of its own.
type repository struct {
	t        *testing.T
	dir      string
	database string
	env      []string
}

func newRepository(t *testing.T, files map[string]string) *repository {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a Docker Engine")
	}
	r := &repository{t: t, dir: t.TempDir(), database: fmt.Sprintf("db%d", databases.Add(1))}
	r.env = []string{"MIGRATE_CONTAINER=" + container, "MIGRATE_DB=" + r.database}
	script, err := os.ReadFile("../migrate.sh")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"scripts", "database/migrations"} {
		if err := os.MkdirAll(filepath.Join(r.dir, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(r.dir, "scripts/migrate.sh"), script, 0o755); err != nil {
		t.Fatal(err)
	}
	r.write(files)
	r.exec("postgres", `create database `+r.database)
	return r
}

func (r *repository) write(files map[string]string) {
	r.t.Helper()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(r.dir, "database/migrations", name), []byte(text), 0o644); err != nil {
			r.t.Fatal(err)
		}
	}
}

// command prepares a run of the script in the repository; extra environment goes last and wins.
func (r *repository) command(args []string, env ...string) *exec.Cmd {
	cmd := exec.CommandContext(r.t.Context(), filepath.Join(r.dir, "scripts/migrate.sh"), args...)
	cmd.Dir = r.dir
	cmd.Env = append(append(os.Environ(), r.env...), env...)
	return cmd
}

// migrate runs the script in deploy mode and checks the exit code.
func (r *repository) migrate(wantCode int, args ...string) (stdout, stderr string) {
	r.t.Helper()
	return r.finish(wantCode, r.command(append([]string{"--mode", "deploy"}, args...)))
}

func (r *repository) finish(wantCode int, cmd *exec.Cmd) (stdout, stderr string) {
	r.t.Helper()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		r.t.Fatal(err)
	}
	if code := cmd.ProcessState.ExitCode(); code != wantCode {
		r.t.Fatalf("exit code %d, want %d\nstdout:\n%s\nstderr:\n%s", code, wantCode, &out, &errs)
	}
	return out.String(), errs.String()
}

// exec runs SQL by its own psql session and returns the unaligned answer, rows parted by newlines.
func (r *repository) exec(database, sql string) string {
	r.t.Helper()
	cmd := exec.CommandContext(r.t.Context(), "docker", "exec", "-i", container,
		"psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", database, "-f", "-")
	cmd.Stdin = strings.NewReader(sql)
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.t.Fatalf("%s: %v\n%s", sql, err, out)
	}
	return strings.TrimSpace(string(out))
}

func (r *repository) query(sql string) string {
	r.t.Helper()
	return r.exec(r.database, sql)
}

func (r *repository) recorded() string {
	r.t.Helper()
	return strings.ReplaceAll(r.query(`select version from schema_migrations order by version`), "\n", " ")
}

func (r *repository) tableExists(name string) bool {
	r.t.Helper()
	return r.query(`select to_regclass('`+name+`') is not null`) == "t"
}

func wantContains(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("output lacks %q:\n%s", part, text)
		}
	}
}

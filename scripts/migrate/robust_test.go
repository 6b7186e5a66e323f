package migrate_test

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

func TestTwoRunsAtOnce(t *testing.T) {
	r := newRepository(t, map[string]string{
		"001_a.sql": "create table a (); select pg_sleep(0.3);",
		"002_b.sql": "create table b (); select pg_sleep(0.3);",
		"003_c.sql": "create table c ();",
	})
	const runs = 3
	var outputs [runs]string
	var group sync.WaitGroup
	for i := range runs {
		cmd := r.command([]string{"--mode", "deploy"})
		group.Go(func() {
			out, err := cmd.CombinedOutput()
			outputs[i] = string(out)
			if err != nil {
				t.Errorf("run %d: %v\n%s", i, err, out)
			}
		})
	}
	group.Wait()
	all := strings.Join(outputs[:], "")
	for _, name := range []string{"001_a", "002_b", "003_c"} {
		if n := strings.Count(all, "applied "+name+" ("); n != 1 {
			t.Errorf("%s was applied %d times\n%s", name, n, all)
		}
	}
	if got := r.recorded(); got != "001 002 003" {
		t.Errorf("recorded %q", got)
	}
}

func TestLockTimeout(t *testing.T) {
	r := newRepository(t, map[string]string{"001_slow.sql": "create table slow (); select pg_sleep(4);"})
	slow := r.command([]string{"--mode", "deploy"})
	if err := slow.Start(); err != nil {
		t.Fatal(err)
	}
	r.await(`select count(*) > 0 from pg_stat_activity where datname = current_database() and query like '%pg_sleep(4)%' and pid <> pg_backend_pid()`)
	stdout, stderr := r.finish(1, r.command([]string{"--mode", "deploy"}, "MIGRATE_LOCK_TIMEOUT=1"))
	wantContains(t, stdout, "waiting for another run")
	wantContains(t, stderr, "the lock was not granted", "nothing was applied")
	if err := slow.Wait(); err != nil {
		t.Fatal(err)
	}
}

// await polls inside the server until a condition holds; a run that never gets there fails the test.
func (r *repository) await(condition string) {
	r.t.Helper()
	r.query(`do $$ begin
		for i in 1..200 loop
			if (` + condition + `) then return; end if;
			perform pg_sleep(0.05); perform pg_stat_clear_snapshot();
		end loop;
		raise exception 'never came true';
	end $$`)
}

// Whatever moment the whole process group is killed at, each file is there with its record or
// neither is, and the next run finishes the work.
func TestKilledAtAnyMoment(t *testing.T) {
	files := map[string]string{}
	for _, n := range []string{"1", "2", "3"} {
		files["00"+n+"_t.sql"] = "create table before" + n + " (); select pg_sleep(0.2); create table t" + n + " ();"
	}
	// moments: after so many lines of output, or before the first
	for lines := range 3 {
		r := newRepository(t, files)
		cmd := r.command([]string{"--mode", "deploy"})
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if lines == 0 {
			r.await(`select count(*) > 0 from pg_stat_activity where datname = current_database() and state = 'active' and query like '%pg_sleep(0.2)%' and pid <> pg_backend_pid()`)
		}
		for scanner, n := bufio.NewScanner(out), 0; n < lines && scanner.Scan(); n++ {
			if !strings.Contains(scanner.Text(), "applied 00") && strings.TrimSpace(scanner.Text()) != "|" {
				t.Errorf("unexpected line %q", scanner.Text())
			}
		}
		if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // killed, as asked
		torn := r.query(`select n from generate_series(1, 3) n where (to_regclass('t' || n) is not null) <>
			exists (select 1 from schema_migrations where version = '00' || n) or (to_regclass('t' || n) is null) <> (to_regclass('before' || n) is null)`)
		if torn != "" {
			t.Errorf("killed after %d lines: files %s are torn", lines, torn)
		}
		r.migrate(0)
		if got := r.recorded(); got != "001 002 003" || !r.tableExists("t3") {
			t.Errorf("killed after %d lines: recorded %q at the end", lines, got)
		}
	}
}

func TestMigrationThatLosesTheLock(t *testing.T) {
	r := newRepository(t, map[string]string{
		"001_discard.sql": "-- migrate: no-transaction\ndiscard all;\n",
		"002_role.sql":    "create role landfall_test_role; set role landfall_test_role;",
		"003_after.sql":   "drop role landfall_test_role; create table after ();",
	})
	r.migrate(0)
	if got := r.recorded(); got != "001 002 003" {
		t.Errorf("recorded %q", got)
	}
}

// shim puts a program in front of PATH that notes its arguments and then does what body says.
func (r *repository) shim(name, body string) (argumentFile string) {
	r.t.Helper()
	dir := r.t.TempDir()
	argumentFile = filepath.Join(dir, "arguments")
	text := "#!/bin/sh\nprintf '%s\\n' \"$@\" >>" + argumentFile + "\n" + body + "\n"
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
		r.t.Fatal(err)
	}
	r.env = append(r.env, "PATH="+dir+":"+os.Getenv("PATH"))
	return argumentFile
}

func TestLocalModeKeepsThePasswordOutOfArguments(t *testing.T) {
	r := newRepository(t, map[string]string{"001_a.sql": "create table a ();"})
	arguments := r.shim("psql", `exec docker exec -i -e PGHOST -e PGPORT -e PGUSER -e PGPASSWORD -e PGDATABASE -e PGSSLMODE `+container+` psql "$@"`)
	url := "DATABASE_URL=postgresql://postgres:te%73t@127.0.0.1:5432/" + r.database + "?sslmode=disable"
	stdout, stderr := r.finish(0, r.command(nil, url))
	wantContains(t, stdout, "applied 001_a (")
	given, err := os.ReadFile(arguments)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(given), "test") || strings.Contains(stdout+stderr, "te%73t") {
		t.Errorf("the password shows:\n%s\n%s%s", given, stdout, stderr)
	}
	_, stderr = r.finish(1, r.command(nil, "DATABASE_URL=postgresql://postgres@127.0.0.1:1/"+r.database))
	wantContains(t, stderr, "Connection refused", "nothing was applied")
}

func TestPiModeRunsDeployModeInTheRemoteCheckout(t *testing.T) {
	r := newRepository(t, map[string]string{"001_a.sql": "create table a ();"})
	// like sshd: the last argument goes to a shell
	r.shim("ssh", `for last; do :; done; cd / && exec sh -c "$last"`)
	stdout, _ := r.finish(0, r.command([]string{"--mode", "pi", "--dry-run"}, "PI_HOST=pi", "PI_DIR="+r.dir))
	wantContains(t, stdout, "would apply 001_a")
	stdout, _ = r.finish(0, r.command([]string{"--mode=pi"}, "PI_HOST=pi", "PI_DIR="+r.dir))
	wantContains(t, stdout, "applied 001_a (")
	_, stderr := r.finish(2, r.command([]string{"--mode", "pi"}, "PI_HOST=", "PI_DIR="))
	wantContains(t, stderr, "needs PI_HOST and PI_DIR")
}

func TestUsageErrors(t *testing.T) {
	r := newRepository(t, nil)
	tests := []struct {
		args []string
		want string
	}{
		{[]string{"--mode", "moon"}, "unknown mode 'moon'"},
		{[]string{"--mode"}, "--mode needs a value"},
		{[]string{"--format", "xml"}, "unknown format 'xml'"},
		{[]string{"up"}, "unknown argument 'up'"},
	}
	for _, test := range tests {
		_, stderr := r.finish(2, r.command(test.args))
		wantContains(t, stderr, test.want)
	}
	_, stderr := r.finish(2, r.command([]string{"--mode", "deploy"}, "MIGRATIONS_DIR=no/such/folder"))
	wantContains(t, stderr, "found no folder no/such/folder")
	stdout, _ := r.finish(0, r.command([]string{"--help"}))
	wantContains(t, stdout, "exit codes:")
}

func TestDatabaseOutOfReach(t *testing.T) {
	r := newRepository(t, map[string]string{"001_a.sql": "create table a ();"})
	_, stderr := r.finish(1, r.command([]string{"--mode", "deploy"}, "MIGRATE_CONTAINER=landfall-no-such-container"))
	wantContains(t, stderr, "is it running", "nothing was applied")
	_, stderr = r.finish(1, r.command([]string{"--mode", "deploy"}, "MIGRATE_DB=no_such_database"))
	wantContains(t, stderr, `database "no_such_database" does not exist`)
}

func TestScriptPassesShellcheck(t *testing.T) {
	path, err := exec.LookPath("shellcheck")
	if err != nil {
		t.Skip("shellcheck is not installed; make lint runs it")
	}
	if out, err := exec.CommandContext(t.Context(), path, "../migrate.sh").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

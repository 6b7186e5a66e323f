package migrate_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFreshThenNothingToDo(t *testing.T) {
	r := newRepository(t, map[string]string{
		"001_create_notes.sql": "create table notes (id serial primary key, text text);\n",
		"002_add_author.sql":   "alter table notes add column author text -- no semicolon, no newline",
		"010_tag_notes.sql":    "select pg_catalog.set_config('search_path', '', false);\nalter table public.notes add column tag text;\n",
	})
	stdout, _ := r.migrate(0)
	want := regexp.MustCompile(`(?s)applied 001_create_notes \(\d+ ms\)\n.*applied 002_add_author \(\d+ ms\)\n.*applied 010_tag_notes \(\d+ ms\)\ndone \(3 applied\)\n$`)
	if !want.MatchString(stdout) {
		t.Errorf("output %q does not match %s", stdout, want)
	}
	if diff := cmp.Diff("001|create notes|64\n002|add author|64\n010|tag notes|64",
		r.query(`select version, description, length(checksum) from schema_migrations order by version`)); diff != "" {
		t.Error(diff)
	}
	if got := r.query(`select count(*) from information_schema.columns where table_name = 'notes'`); got != "4" {
		t.Errorf("notes has %s columns, want 4", got)
	}
	stdout, _ = r.migrate(0)
	if diff := cmp.Diff("nothing to do (3 applied)\n", stdout); diff != "" {
		t.Error(diff)
	}
}

func TestFailureRollsBackThatFileOnly(t *testing.T) {
	r := newRepository(t, map[string]string{
		"001_good.sql":  "create table good ();",
		"002_bad.sql":   "create table half ();\n\nselect 1 / 0;\n",
		"003_never.sql": "create table never ();",
	})
	stdout, stderr := r.migrate(1)
	wantContains(t, stdout, "applied 001_good (", "002_bad.sql:3: ERROR:  division by zero")
	wantContains(t, stderr, "failed 002_bad: rolled back", "1 of 3 applied")
	if got := r.recorded(); got != "001" {
		t.Errorf("recorded %q, want 001", got)
	}
	if r.tableExists("half") || r.tableExists("never") {
		t.Error("the failed file or the one after it left a table behind")
	}
	r.write(map[string]string{"002_bad.sql": "create table half ();"})
	r.migrate(0)
	if got := r.recorded(); got != "001 002 003" {
		t.Errorf("recorded %q after the repair, want all three", got)
	}
}

func TestDeferredConstraintFailsWithItsFile(t *testing.T) {
	r := newRepository(t, map[string]string{
		"001_deferred.sql": "create table a (id int primary key);\ncreate table b (a int references a deferrable initially deferred);\ninsert into b values (7);\n",
	})
	_, stderr := r.migrate(1)
	wantContains(t, stderr, "failed 001_deferred: rolled back")
	if r.recorded() != "" || r.tableExists("b") {
		t.Error("a file that fails at commit is recorded, or left a table")
	}
}

func TestConcurrentlyRunsOutsideTransaction(t *testing.T) {
	r := newRepository(t, map[string]string{
		"001_notes.sql": "create table notes (text text);\ninsert into notes values ('x'), ('x');",
		"002_index.sql": "-- quotes ' and \\ in a comment\ncreate index concurrently notes_text on notes (text);\ninsert into notes values (E'it''s \\'quoted\\' \\\\ twice');\nvacuum notes;\n",
	})
	r.migrate(0)
	if got := r.query(`select count(*) from pg_indexes where indexname = 'notes_text'`); got != "1" {
		t.Errorf("%s indexes, want 1", got)
	}
	if got := r.query(`select text from notes where text <> 'x'`); got != `it's 'quoted' \ twice` {
		t.Errorf("text %q did not survive the way to psql", got)
	}
	r.write(map[string]string{"003_unique.sql": "create table left_behind ();\ncreate unique index concurrently notes_unique on notes (text);"})
	stdout, stderr := r.migrate(1)
	wantContains(t, stdout, "could not create unique index")
	wantContains(t, stderr, "failed 003_unique: NOT rolled back", "line 2", "CONCURRENTLY")
	if got := r.recorded(); got != "001 002" || !r.tableExists("left_behind") {
		t.Errorf("recorded %q; the failed file must not be recorded, and what it did stays", got)
	}
}

func TestFileWithItsOwnTransactions(t *testing.T) {
	r := newRepository(t, map[string]string{
		"001_own.sql": "begin;\ncreate table first ();\ncommit;\nbegin;\ncreate table second ();\nrollback;\n",
	})
	r.migrate(0)
	if !r.tableExists("first") || r.tableExists("second") {
		t.Error("the file's own commit and rollback were not honoured")
	}
	if got := r.recorded(); got != "001" {
		t.Errorf("recorded %q, want 001", got)
	}
}

func TestCopyData(t *testing.T) {
	r := newRepository(t, map[string]string{
		"001_copy.sql": "create table c (a text, b text);\ncopy c from stdin;\nit's\t;commit\n$$\t/*\n\\.\ninsert into c values ('after', 'copy');\n",
		"002_own.sql":  "begin;\ncopy c from stdin with (format csv);\nown,file\n\\.\ncommit;\n",
	})
	r.migrate(0)
	if got := r.query(`select string_agg(a, ' ' order by a) from c`); got != "$$ after it's own" {
		t.Errorf("rows %q", got)
	}
}

// One dry run over many files: what counts as transaction control, and what only looks like it.
func TestWhatRunsInOneTransaction(t *testing.T) {
	tests := map[string]struct{ sql, own string }{
		"001_plpgsql":        {"create function f() returns int language plpgsql as $$\nBEGIN\n  COMMIT;\n  return 1;\nEND;\n$$;", ""},
		"002_tagged_body":    {"do $body$ begin perform $$;commit;$$; end $body$;", ""},
		"003_line_comment":   {"-- begin;\nselect 1; -- commit;\n", ""},
		"004_block_comment":  {"/* begin; /* nested */ commit; */ select 1;", ""},
		"005_string":         {"select '; begin; ', 'it''s; commit;', E'\\'; vacuum;';", ""},
		"006_quoted_name":    {`create table "; begin; " ("; vacuum" int);`, ""},
		"007_atomic":         {"create or replace function g() returns int language sql begin atomic\n select case when true then 1 end;\n select 2;\nend;\nselect 1;", ""},
		"008_rule":           {"create rule r as on insert to t do also (select 1; vacuum_log(1));", ""},
		"009_savepoint":      {"savepoint s; rollback to savepoint s; rollback work to s;", ""},
		"010_begin":          {"\n begin ;\nselect 1;\ncommit;", "line 2, BEGIN"},
		"011_start":          {"start transaction isolation level serializable; end;", "line 1, START TRANSACTION"},
		"012_after_body":     {"do $$ begin end $$; commit;", "line 1, COMMIT"},
		"013_concurrently":   {"create unique  index\n concurrently i on t (a);", "line 1, CREATE UNIQUE INDEX CONCURRENTLY"},
		"014_drop":           {"select 1;\ndrop index concurrently i;", "line 2, DROP INDEX CONCURRENTLY"},
		"015_vacuum":         {"vacuum(analyze) t;", "line 1, VACUUM(ANALYZE)"},
		"016_reindex":        {"reindex table t", "line 1, REINDEX TABLE"},
		"017_refresh":        {"refresh materialized view concurrently v;", ""},
		"018_directive":      {"-- migrate: no-transaction\ncall p();", "line 1, no-transaction"},
		"019_column_vacuum":  {"alter table t set (autovacuum_enabled = false); comment on table t is 'vacuum;';", ""},
		"020_dollar_in_name": {"create table a$b$c (d$e int); select 1;", ""},
		"021_detach":         {"alter table p detach partition p1 concurrently;", "line 1, ALTER TABLE P DETACH"},
		"022_windows":        {"begin;\r\nselect 1;\r\ncommit;\r\n", "line 1, BEGIN"},
	}
	files := map[string]string{}
	for name, test := range tests {
		files[name+".sql"] = test.sql
	}
	r := newRepository(t, files)
	stdout, _ := r.migrate(0, "--dry-run")
	for name, test := range tests {
		want := "would apply " + name + "\n"
		if test.own != "" {
			want = "would apply " + name + " (not in one transaction: " + test.own
		}
		if !strings.Contains(stdout, want) {
			t.Errorf("output lacks %q", want)
		}
	}
	if t.Failed() {
		t.Log(stdout)
	}
	if r.tableExists("schema_migrations") {
		t.Error("a dry run created the table")
	}
}

func TestFilesThatAreRefused(t *testing.T) {
	tests := map[string]struct{ sql, want string }{
		"meta-command":      {"select 1;\n\\connect other\n", `001_x.sql:2: psql meta-command \connect`},
		"string":            {"select 1;\nselect 'abc;\n", "001_x.sql:2: string without end"},
		"body":              {"do $x$ begin end $$;", "001_x.sql:1: $x$ body without end"},
		"comment":           {"/* /* */ select 1;", "001_x.sql:1: comment without end"},
		"open transaction":  {"begin; select 1;", "never ends it"},
		"copy without data": {"create table t ();\ncopy t from stdin;\n1\n", "COPY data without"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRepository(t, map[string]string{"001_x.sql": test.sql})
			_, stderr := r.migrate(2)
			wantContains(t, stderr, test.want, "nothing was applied")
		})
	}
}

func TestDrift(t *testing.T) {
	r := newRepository(t, map[string]string{"001_a.sql": "create table a ();"})
	r.migrate(0)
	was := r.query(`select checksum from schema_migrations`)
	r.write(map[string]string{"001_a.sql": "create table a (b int);", "002_b.sql": "create table b ();"})
	_, stderr := r.migrate(3)
	wantContains(t, stderr, "001_a.sql has changed since it was applied: recorded "+was+", now ", "nothing was applied")
	if r.tableExists("b") {
		t.Error("a pending file was applied in spite of drift")
	}
	stdout, _ := r.migrate(3, "--status")
	wantContains(t, stdout, "1 pending, 1 drifted")
	r.migrate(3, "--dry-run")
}

func TestStatus(t *testing.T) {
	r := newRepository(t, map[string]string{"001_a.sql": "create table a ();", "002_b.sql": "create table b ();"})
	r.migrate(0)
	r.query(`insert into schema_migrations (version) values ('007'), ('baseline "x"'); delete from schema_migrations where version = '002'`)
	r.write(map[string]string{"009_c.sql": "create table c ();"})
	stdout, _ := r.migrate(0, "--status")
	wantContains(t, stdout, "001        applied", "009        pending", "1 applied, 2 pending, 0 drifted, 2 without file")
	stdout, _ = r.migrate(0, "--status", "--format", "json")
	states := map[string]string{}
	for line := range strings.Lines(stdout) {
		var row struct{ Version, State string }
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		states[row.Version] = row.State
	}
	want := map[string]string{"001": "applied", "002": "late", "009": "pending", "007": "fileless", `baseline "x"`: "fileless"}
	if diff := cmp.Diff(want, states); diff != "" {
		t.Error(diff)
	}
}

func TestOutOfOrder(t *testing.T) {
	r := newRepository(t, map[string]string{"005_e.sql": "create table e ();"})
	r.migrate(0)
	r.write(map[string]string{"003_c.sql": "create table c ();"})
	_, stderr := r.migrate(3, "--strict")
	wantContains(t, stderr, "003_c.sql is out of order")
	_, stderr = r.migrate(0)
	wantContains(t, stderr, "warning: 003_c.sql is out of order")
	if !r.tableExists("c") {
		t.Error("the late file was not applied")
	}
}

func TestDuplicateVersion(t *testing.T) {
	r := newRepository(t, map[string]string{"012_a.sql": "select 1;", "12_b.sql": "select 1;"})
	_, stderr := r.migrate(2)
	wantContains(t, stderr, "version 12 is used twice: 012_a.sql and 12_b.sql")
}

func TestAdoptsTableOfAnotherRunner(t *testing.T) {
	tests := map[string]string{
		"version only":      `create table schema_migrations (version text primary key); insert into schema_migrations values ('001')`,
		"null checksum":     `create table schema_migrations (version text primary key, applied_at timestamptz, checksum text, description text); insert into schema_migrations values ('001', now(), null, 'kept')`,
		"version with name": `create table schema_migrations (version text primary key, checksum text); insert into schema_migrations values ('001_a', null)`,
		"numbers":           `create table schema_migrations (version bigint primary key); insert into schema_migrations values (1)`,
		"md5 sum":           `create table schema_migrations (version text primary key, checksum text); insert into schema_migrations values ('001', md5('create table a ();'))`,
	}
	for name, before := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRepository(t, map[string]string{"001_a.sql": "create table a ();", "002_b.sql": "create table b ();"})
			r.query(before + "; create table a ()")
			stdout, _ := r.migrate(0)
			if adopts := name != "md5 sum"; adopts != strings.Contains(stdout, "adopted 001_a (") {
				t.Errorf("adoption is not told truthfully:\n%s", stdout)
			}
			wantContains(t, stdout, "applied 002_b (")
			if got := r.query(`select count(*) from schema_migrations where checksum is not null and description is not null`); name != "md5 sum" && got != "2" {
				t.Errorf("%s complete rows, want 2", got)
			}
			stdout, _ = r.migrate(0)
			wantContains(t, stdout, "nothing to do (2 applied)")
		})
	}
}

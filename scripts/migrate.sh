#!/usr/bin/env bash
# Applies append-only SQL migrations to PostgreSQL, each exactly once. See --help.
#
# One psql session does all the work of a run, because an advisory lock lives as long as its
# session: plan without the lock, take the lock, check that the plan still holds, else plan anew.
# The file text travels inside that session (never by \i), so that the same script works through
# `docker compose exec`, where psql cannot see the host's files.
set -euo pipefail
export LC_ALL=C

usage() {
  cat <<'HELP'
usage: scripts/migrate.sh [--mode local|deploy|pi] [--status [--format text|json]] [--dry-run] [--strict]

Applies database/migrations/NNN_description.sql in version order and records each file in
schema_migrations(version, applied_at, checksum, description).

  --mode local    psql on this machine, by PG* or DATABASE_URL (default)
  --mode deploy   on the host: psql inside the service's container, by docker compose exec
  --mode pi       from a developer's machine: --mode deploy in PI_DIR on PI_HOST, over ssh
  --status        list applied, adoptable, pending, drifted and fileless migrations; change nothing
  --format FMT    text (default) or json, for --status
  --dry-run       say what would be applied; change nothing
  --strict        refuse a pending version that is lower than one already applied

A file runs in one transaction together with its record, unless it has transaction control of its
own, or statements PostgreSQL refuses inside a transaction (CREATE/DROP INDEX CONCURRENTLY, VACUUM,
REINDEX, CREATE DATABASE, ALTER SYSTEM ...), or a line "-- migrate: no-transaction": such a file runs as it
is, its record follows, and it must be safe to run again. psql meta-commands are refused.

environment:
  MIGRATIONS_DIR        folder of the files, relative to the repository root (database/migrations)
  MIGRATE_LOCK_TIMEOUT  seconds to wait for another run (120)
  MIGRATE_SERVICE       compose service of PostgreSQL, for deploy (postgres)
  MIGRATE_CONTAINER     container name; docker exec is used instead of docker compose exec
  MIGRATE_USER, MIGRATE_DB   role and database (the container's POSTGRES_USER and POSTGRES_DB)
  MIGRATE_WAIT          seconds to wait until the container's server answers (30)
  COMPOSE_FILE, COMPOSE_PROJECT_NAME, .env   as Compose reads them
  DATABASE_URL or PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE   for local
  PI_HOST, PI_DIR       for pi

exit codes:
  0  done, or nothing to do
  1  a migration failed, or the database cannot be used; the output says what was rolled back
  2  usage error, or a migration file that cannot be accepted; nothing was tried
  3  an applied file has changed, or --strict found a file out of order; nothing was applied

example: MIGRATE_SERVICE=db scripts/migrate.sh --mode deploy --dry-run
HELP
}

# fields are parted by the unit separator: unlike a tab it keeps empty fields when bash reads them
SEP=$'\037'
LOCK_KEY=7305112041 # any fixed number; all runs against one database must share it
mode=local action=apply format=text strict=0 work='' mark=''

fail() { # CODE MESSAGE...
  local code=$1
  shift
  printf 'error: %s\n' "$@" >&2
  exit "$code"
}
warn() { printf 'warning: %s\n' "$*" >&2; }
stem() { local b=${1##*/}; printf '%s' "${b%.sql}"; }

parse_args() {
  while [ $# -gt 0 ]; do
    case $1 in
      --mode | --format)
        [ $# -ge 2 ] || fail 2 "$1 needs a value; see --help"
        if [ "$1" = --mode ]; then mode=$2; else format=$2; fi
        shift ;;
      --mode=*) mode=${1#*=} ;;
      --format=*) format=${1#*=} ;;
      --status) action=status ;;
      --dry-run) action=dry-run ;;
      --strict) strict=1 ;;
      -h | --help) usage; exit 0 ;;
      *) fail 2 "unknown argument '$1'; see --help" ;;
    esac
    shift
  done
  case $mode in local | deploy | pi) ;; *) fail 2 "unknown mode '$mode'; use local, deploy or pi" ;; esac
  case $format in text | json) ;; *) fail 2 "unknown format '$format'; use text or json" ;; esac
}

# --- where things are -------------------------------------------------------------------------

# The script's own repository comes first: that is where a copy of it is at home.
find_root() {
  local rel=${MIGRATIONS_DIR:-database/migrations} dir home
  home=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
  case $rel in
    /*)
      [ -d "$rel" ] || fail 2 "there is no folder $rel; check MIGRATIONS_DIR"
      root=$(cd "$(git -C "$rel" rev-parse --show-toplevel 2>/dev/null || printf '%s' "$home")" && pwd)
      migrations=$rel
      return ;;
  esac
  dir=$PWD
  if [ -d "$home/$rel" ]; then dir=$home; fi
  while [ ! -d "$dir/$rel" ]; do
    [ "$dir" != / ] || fail 2 "found no folder $rel in $home, in $PWD or above it; run inside the repository or set MIGRATIONS_DIR"
    dir=$(dirname "$dir")
  done
  root=$dir migrations=$dir/$rel
}

run_over_ssh() { # ARGS...
  local command arg
  if [ -z "${PI_HOST:-}" ] || [ -z "${PI_DIR:-}" ]; then fail 2 "--mode pi needs PI_HOST and PI_DIR (the checkout on that host)"; fi
  case $PI_HOST in -*) fail 2 "PI_HOST must not begin with a dash" ;; esac
  command="cd $(printf '%q' "$PI_DIR") && exec scripts/migrate.sh --mode deploy"
  for arg in "$@"; do command="$command $(printf '%q' "$arg")"; done
  exec ssh -- "$PI_HOST" "$command"
}

percent_decode() { local s=${1//\\/\\\\}; printf '%b' "${s//%/\\x}"; }

# A URL on psql's command line would show its password to every user of the machine.
export_database_url() {
  local url=$1 rest auth='' hostport query='' pair
  case $url in
    postgres://* | postgresql://*) rest=${url#*://} ;;
    *) fail 2 "DATABASE_URL must begin with postgres:// or postgresql://" ;;
  esac
  case $rest in *\?*) query=${rest#*\?} rest=${rest%%\?*} ;; esac
  hostport=${rest%%/*}
  case $rest in */*) PGDATABASE=$(percent_decode "${rest#*/}"); export PGDATABASE ;; esac
  case $hostport in *@*) auth=${hostport%@*} hostport=${hostport##*@} ;; esac
  if [ -n "$auth" ]; then PGUSER=$(percent_decode "${auth%%:*}"); export PGUSER; fi
  case $auth in *:*) PGPASSWORD=$(percent_decode "${auth#*:}"); export PGPASSWORD ;; esac
  case $hostport in
    \[*\]:*) PGPORT=${hostport##*:} hostport=${hostport%:*} ;;
    \[*\]) ;;
    *:*) PGPORT=${hostport##*:} hostport=${hostport%:*} ;;
  esac
  hostport=${hostport#\[} hostport=${hostport%\]}
  if [ -n "$hostport" ]; then PGHOST=$(percent_decode "$hostport"); export PGHOST; fi
  [ -z "${PGPORT:-}" ] || export PGPORT
  while [ -n "$query" ]; do
    pair=${query%%&*}
    case $query in *\&*) query=${query#*&} ;; *) query='' ;; esac
    case $pair in
      sslmode=*) PGSSLMODE=$(percent_decode "${pair#*=}"); export PGSSLMODE ;;
      sslrootcert=*) PGSSLROOTCERT=$(percent_decode "${pair#*=}"); export PGSSLROOTCERT ;;
      host=*) PGHOST=$(percent_decode "${pair#*=}"); export PGHOST ;;
      connect_timeout=*) PGCONNECT_TIMEOUT=${pair#*=}; export PGCONNECT_TIMEOUT ;;
      application_name=*) PGAPPNAME=$(percent_decode "${pair#*=}"); export PGAPPNAME ;;
      *) fail 2 "DATABASE_URL has the parameter '${pair%%=*}', which is not understood; use the PG* variables instead" ;;
    esac
  done
}

# Runs inside the container. During its first start the server answers on the socket before it is
# really up, then restarts: only TCP tells that it stays.
# shellcheck disable=SC2016 # expanded by the container's shell
IN_CONTAINER='tries=$1 user=$2 db=$3; shift 3
until pg_isready -q -h 127.0.0.1; do
  [ "$tries" -gt 0 ] || { echo "the server does not answer on 127.0.0.1 inside the container" >&2; exit 2; }
  tries=$((tries - 1)); sleep 1
done
: "${user:=${POSTGRES_USER:-postgres}}"
exec psql -U "$user" -d "${db:-${POSTGRES_DB:-$user}}" "$@"'

session() { # psql commands on stdin
  set -- -X -q -A -t -F "$SEP" -v ON_ERROR_STOP=1 -f -
  if [ "$mode" = local ]; then
    psql "$@"
  else
    set -- sh -c "$IN_CONTAINER" migrate "${MIGRATE_WAIT:-30}" "${MIGRATE_USER:-}" "${MIGRATE_DB:-}" "$@"
    if [ -n "${MIGRATE_CONTAINER:-}" ]; then
      docker exec -i "$MIGRATE_CONTAINER" "$@"
    else
      docker compose exec -T "${MIGRATE_SERVICE:-postgres}" "$@"
    fi
  fi
}

# --- reading: files, table, plan --------------------------------------------------------------

checksums() { # ALGORITHM FILES... -> "HEX  FILE" lines
  local algorithm=$1
  shift
  case $algorithm in
    sha256) if command -v sha256sum >/dev/null; then sha256sum -- "$@"; else shasum -a 256 -- "$@"; fi ;;
    md5) if command -v md5sum >/dev/null; then md5sum -- "$@"; else md5 -r -- "$@" | sed 's/ /  /'; fi ;;
  esac
}

# Writes $work/files: key, version, file, sha256, description; sorted by key.
list_files() {
  local file names=() version
  : >"$work/names"
  for file in "$migrations"/*.sql; do
    [ -f "$file" ] || continue
    file=${file##*/}
    if [[ $file =~ ^([0-9]{1,18})_([A-Za-z0-9_.-]+)\.sql$ ]]; then
      version=${BASH_REMATCH[1]}
      names+=("$file")
      printf '%s\n' "$((10#$version))$SEP$version$SEP$file$SEP${BASH_REMATCH[2]//_/ }" >>"$work/names"
    else
      warn "$file is ignored: its name is not NNN_description.sql"
    fi
  done
  : >"$work/files"
  [ ${#names[@]} -gt 0 ] || return 0
  (cd "$migrations" && checksums sha256 "${names[@]}") >"$work/sums"
  awk -F "$SEP" -v OFS="$SEP" '
    NR == FNR { i = index($0, "  "); sum[substr($0, i + 2)] = substr($0, 1, i - 1); next }
    { print $1, $2, $3, sum[$3], $4 }' "$work/sums" "$work/names" | sort -t "$SEP" -k1,1n -k3,3 >"$work/files"
  awk -F "$SEP" '$1 == key { print "version " $1 " is used twice: " file " and " $3; bad = 1 } { key = $1; file = $3 }
    END { exit bad }' "$work/files" >"$work/twice" || fail 2 "$(cat "$work/twice"); give the newer file the next free number"
}

# A digest of all rows: the lock holder compares it to learn whether the plan is still true.
DIGEST_SQL="select to_regclass('schema_migrations') is not null as landfall_exists, 'none' as landfall_digest \\gset
\\if :landfall_exists
select md5(coalesce(string_agg(version::text || ' ' || coalesce(to_jsonb(m) ->> 'checksum', ''), ','
  order by version::text collate \"C\"), '')) as landfall_digest from schema_migrations m \\gset
\\endif"

# The state of the table, whatever columns it has.
STATE_SQL="begin isolation level repeatable read read only;
$DIGEST_SQL
select 'schema', coalesce((select n.nspname from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where c.oid = to_regclass('schema_migrations')), current_schema(), ''),
  (select string_agg(attname, ',' order by attnum) from pg_attribute
  where attrelid = to_regclass('schema_migrations') and attnum > 0 and not attisdropped);
\\if :landfall_exists
select 'row', version, coalesce(to_jsonb(m) ->> 'checksum', ''), coalesce(to_jsonb(m) ->> 'applied_at', '')
from schema_migrations m order by version::text collate \"C\";
\\endif
select 'digest', :'landfall_digest';
commit;"

read_state() {
  local code=0
  printf '%s\n' "$STATE_SQL" >"$work/state.sql"
  session <"$work/state.sql" >"$work/state" 2>"$work/state.err" || code=$?
  if [ "$code" -ne 0 ] || ! grep -q "^digest$SEP" "$work/state"; then
    sed 's/^psql:<stdin>:[0-9]*: /psql: /; s/^/  /' "$work/state.err" >&2
    if [ "$mode" = local ]; then
      fail 1 "the database cannot be read; check PGHOST, PGUSER and the others, or DATABASE_URL; nothing was applied"
    fi
    fail 1 "the database cannot be read in ${MIGRATE_CONTAINER:-service ${MIGRATE_SERVICE:-postgres}}; is it running (docker compose ps)? nothing was applied"
  fi
}

# Joins files and rows by number (012 and 12 are one version; so is 012_name, which other runners
# write) into $work/plan: state, version, file, checksum in the table, checksum of the file, applied_at, description, row's version.
# States: applied, adopt (applied, no checksum recorded), drifted, pending, late (pending, but lower
# than one applied), fileless.
make_plan() {
  awk -F "$SEP" -v OFS="$SEP" '
    function key(v) { if (match(v, /^[0-9]+/)) { v = substr(v, 1, RLENGTH); sub(/^0+/, "", v); return v == "" ? "0" : v } return "?" v }
    function above(a, b) { return length(a) != length(b) ? length(a) > length(b) : (a "x") > (b "x") }
    NR == FNR {
      if ($1 == "row") { k = key($2); order[++n] = k; name[k] = $2; sum[k] = $3; at[k] = $4; if (k !~ /^\?/ && above(k, highest)) highest = k }
      next
    }
    {
      seen[$1] = 1
      if (!($1 in name)) state = above(highest, $1) ? "late" : "pending"
      else if (sum[$1] == "") state = "adopt"
      else state = sum[$1] == $4 ? "applied" : "drifted"
      print state, $2, $3, sum[$1], $4, at[$1], $5, name[$1]
    }
    END { for (i = 1; i <= n; i++) if (!(order[i] in seen)) print "fileless", name[order[i]], "", sum[order[i]], "", at[order[i]], "", name[order[i]] }
  ' "$work/state" "$work/files" >"$work/plan.sha256"
  accept_md5
}

# Runners that came before may have recorded MD5 sums: a true one is not drift.
accept_md5() {
  local state version file was is rest
  : >"$work/plan"
  while IFS=$SEP read -r state version file was is rest; do
    if [ "$state" = drifted ] && [ ${#was} -eq 32 ] &&
      [ "$(cd "$migrations" && checksums md5 "$file" | cut -d' ' -f1)" = "$was" ]; then state=applied; fi
    printf '%s\n' "$state$SEP$version$SEP$file$SEP$was$SEP$is$SEP$rest" >>"$work/plan"
  done <"$work/plan.sha256"
}

count() { grep -c "^$1$SEP" "$work/plan" || true; }

report_problems() {
  local state version file was is rest drifted=0 late=0
  while IFS=$SEP read -r state version file was is rest; do
    case $state in
      drifted)
        drifted=1
        printf 'error: %s has changed since it was applied: recorded %s, now %s\n' "$file" "$was" "$is" >&2 ;;
      fileless) warn "version $version is applied, but has no file" ;;
      late)
        late=1
        if [ "$strict" = 1 ]; then printf 'error: %s is out of order: a higher version is already applied\n' "$file" >&2
        else warn "$file is out of order: a higher version is already applied"; fi ;;
    esac
  done <"$work/plan"
  if [ "$drifted" = 1 ]; then fail 3 "nothing was applied; restore the files as they were applied and put the change into a new migration"; fi
  if [ "$late$strict" = 11 ]; then fail 3 "nothing was applied; give the file a higher number, or run without --strict"; fi
}

# --- looking at one file ----------------------------------------------------------------------

# Prints "transaction", "own LINE WORDS" or "error LINE REASON". Knows what PostgreSQL's own lexer
# knows: nested comments, '' and E'\'' strings, quoted names, $tag$ bodies, SQL-standard function
# bodies (BEGIN ATOMIC ... END), semicolons inside parentheses, COPY data.
# shellcheck disable=SC2016 # an awk program
LEXER='
function refuse(why) { if (!verdict) { verdict = "error " NR " " why } }
function own(what) { if (!verdict) { verdict = "own " (began ? began : NR) " " what } }
function words(s, i, w, t) {   # feeds plain text to the current statement, follows BEGIN ATOMIC depth
  s = toupper(s)
  if (s ~ /[^ \t\r]/ && stmt !~ /[^ ]/) began = NR
  stmt = stmt s
  while (match(s, /[A-Z_0-9\200-\377$]+|[()]/)) {
    t = substr(s, RSTART, RLENGTH); s = substr(s, RSTART + RLENGTH)
    if (t == "(") parens++; else if (t == ")") { if (parens) parens-- }
    else if (t == "ATOMIC" && last == "BEGIN" && squeeze(stmt) ~ /^CREATE (OR REPLACE )?(FUNCTION|PROCEDURE) /) depth = 1
    else if (depth && t == "CASE") depth++
    else if (depth && t == "END") depth--
    last = t
  }
}
function squeeze(s) { gsub(/[ \t\r]+/, " ", s); sub(/^ /, "", s); sub(/ $/, "", s); return s }
function finish(s) {
  s = squeeze(stmt); stmt = ""; last = ""; parens = 0
  if (s ~ /^(BEGIN|START TRANSACTION)( |$)/) { open = 1; own(s) }
  else if (s ~ /^(COMMIT|END|ABORT|PREPARE TRANSACTION)( |$)/ || (s ~ /^ROLLBACK( |$)/ && s !~ /^ROLLBACK (WORK |TRANSACTION )?TO /)) { open = s ~ / AND CHAIN/; own(s) }
  else if (s ~ /^(CREATE (UNIQUE )?|DROP )INDEX CONCURRENTLY/ || s ~ /^ALTER TABLE .* DETACH PARTITION .* CONCURRENTLY/) own(substr(s, 1, 60))
  else if (s ~ /^(VACUUM|REINDEX|ALTER SYSTEM)( |$|\()/ || s ~ /^CLUSTER$/) own(substr(s, 1, 60))
  else if (s ~ /^(CREATE|DROP) (DATABASE|TABLESPACE) / || s ~ /^ALTER DATABASE .* SET TABLESPACE /) own(substr(s, 1, 60))
  else if (s ~ /^COPY .* FROM STDIN/) copying = 1
}
BEGIN { state = "plain" }
copying { if ($0 == "\\." || $0 == "\\.\r") copying = 0; next }
/^[ \t]*--[ \t]*migrate:[ \t]*no-transaction[ \t\r]*$/ && state == "plain" { own("no-transaction") }
{
  rest = $0
  while (rest != "") {
    if (state == "plain") {
      if (!match(rest, /--|\/\*|\047|"|;|\\|\$([A-Za-z_\200-\377][A-Za-z_0-9\200-\377]*)?\$/)) { words(rest " "); rest = ""; break }
      before = substr(rest, 1, RSTART - 1); tok = substr(rest, RSTART, RLENGTH)
      rest = substr(rest, RSTART + RLENGTH) # before words(), which sets RSTART anew
      words(before)
      if (tok == "--") { words(" "); rest = "" }
      else if (tok == "/*") { state = "comment"; nest = 1; start = NR; words(" ") }
      else if (tok == "\047") { escapes = stmt ~ /(^|[^A-Z_0-9$])E$/; state = "string"; start = NR; words("?") }
      else if (tok == "\"") { state = "name"; start = NR; words("?") }
      else if (tok == ";") { if (parens || depth) words(" "); else { finish(); if (copying) rest = "" } }
      else if (tok == "\\") { split(rest, part, /[^A-Za-z!?.]/); refuse("psql meta-command \\" part[1]); exit }
      else if (before ~ /[A-Za-z_0-9$\200-\377]$/) { words("$"); rest = substr(tok, 2) rest }
      else { state = "body"; tag = tok; start = NR; words("?") }
    } else if (state == "comment") {
      if (!match(rest, /\/\*|\*\//)) { rest = ""; break }
      nest += substr(rest, RSTART, 1) == "/" ? 1 : -1; rest = substr(rest, RSTART + 2)
      if (nest == 0) state = "plain"
    } else if (state == "string") {
      if (!match(rest, escapes ? "[\047\\\\]" : "\047")) { rest = ""; break }
      if (substr(rest, RSTART, 1) == "\\") { rest = substr(rest, RSTART + 2); continue }
      rest = substr(rest, RSTART + 1)
      if (substr(rest, 1, 1) == "\047") rest = substr(rest, 2); else state = "plain"
    } else if (state == "name") {
      i = index(rest, "\""); if (!i) { rest = ""; break }
      rest = substr(rest, i + 1); state = "plain"
    } else {
      i = index(rest, tag); if (!i) { rest = ""; break }
      rest = substr(rest, i + length(tag)); state = "plain"
    }
  }
  if (state == "plain") words(" ")
}
END {
  if (verdict ~ /^error/) { print verdict; exit }
  if (state == "comment") print "error " start " comment without end"
  else if (state == "string") print "error " start " string without end"
  else if (state == "name") print "error " start " quoted name without end"
  else if (state == "body") print "error " start " " tag " body without end"
  else if (copying) print "error " NR " COPY data without \\."
  else {
    if (squeeze(stmt) != "") finish()
    if (copying) print "error " NR " COPY data is missing"
    else if (open) print "error " NR " the file begins a transaction and never ends it"
    else print verdict ? verdict : "transaction"
  }
}'

# Writes $work/todo: version, file, sha256, description, verdict; refuses what cannot be run safely.
inspect_pending() {
  local state version file was is at description rest verdict bad=0
  : >"$work/todo"
  while IFS=$SEP read -r state version file was is at description rest; do
    case $state in pending | late) ;; *) continue ;; esac
    verdict=$(awk "$LEXER" "$migrations/$file")
    case $verdict in
      error\ *)
        verdict=${verdict#error }
        printf 'error: %s:%s: %s\n' "$file" "${verdict%% *}" "${verdict#* }" >&2
        bad=1 ;;
    esac
    printf '%s\n' "$version$SEP$file$SEP$is$SEP$description$SEP$verdict" >>"$work/todo"
  done <"$work/plan"
  [ "$bad" = 0 ] || fail 2 "nothing was applied; a migration is plain SQL that ends what it begins"
}

# --- writing the session ----------------------------------------------------------------------

emit() { printf '%s\n' "$*" >>"$work/run.sql"; }
tell() { emit "select '$mark$SEP$1';"; } # a query's answer is flushed at once, \echo is not

emit_start() {
  local schema columns wait=${MIGRATE_LOCK_TIMEOUT:-120} table digest
  IFS=$SEP read -r _ schema columns <"$work/state"
  digest=$(sed -n "s/^digest$SEP//p" "$work/state")
  [[ $wait =~ ^[0-9]+$ ]] || fail 2 "MIGRATE_LOCK_TIMEOUT must be whole seconds, not '$wait'"
  [ -n "$schema" ] || fail 1 "the role's search_path names no schema that exists; nothing was applied"
  table="\"${schema//\"/\"\"}\".schema_migrations"
  qualified=$table
  : >"$work/run.sql"
  # PostgreSQL 14 and newer then notice, also in the middle of a statement, that this session's client has been ended.
  emit "select count(set_config(name, '1s', false)) as landfall_ignored from pg_settings where name = 'client_connection_check_interval' \\gset"
  emit "select pg_try_advisory_lock($LOCK_KEY) as landfall_locked \\gset"
  emit "\\if :landfall_locked"
  emit "\\else"
  tell wait
  emit "set lock_timeout = '${wait}s';"
  emit "select pg_advisory_lock($LOCK_KEY) is null as landfall_ignored \\gset"
  emit "reset lock_timeout;"
  emit "\\endif"
  tell locked
  # the plan was made without the lock: is it still true?
  emit "$DIGEST_SQL"
  emit "select :'landfall_digest' <> '$digest' as landfall_stale \\gset"
  emit "\\if :landfall_stale"
  tell stale
  emit "\\quit"
  emit "\\endif"
  emit "begin;"
  if [ "$digest" = none ]; then
    emit "create table $table (version text primary key, applied_at timestamptz not null default now(), checksum text, description text);"
  else
    case ,$columns, in *,applied_at,*) ;; *) emit "alter table $table add column applied_at timestamptz not null default now();" ;; esac
    case ,$columns, in *,checksum,*) ;; *) emit "alter table $table add column checksum text;" ;; esac
    case ,$columns, in *,description,*) ;; *) emit "alter table $table add column description text;" ;; esac
  fi
  emit_adoption "$table"
  emit "commit;"
}

emit_adoption() { # TABLE
  local state version file was is at description row
  while IFS=$SEP read -r state version file was is at description row; do
    [ "$state" = adopt ] || continue
    emit "update $1 set checksum = '$is', description = coalesce(description, '$description') where version = '${row//\'/\'\'}';"
    tell "adopted$SEP$(stem "$file")"
  done <"$work/plan"
}

# A statement cut short when the stream to psql breaks must not run: inside a transaction it is
# rolled back with the rest, outside the whole text is first put into a variable, on one line, and
# that line is only used once it is complete.
emit_guarded() { # FILE
  if grep -qi 'from[[:space:]]*stdin' "$1"; then
    cat "$1" >>"$work/run.sql"
  else
    sed -e 's/\\/\\\\/g' -e "s/'/''/g" "$1" |
      awk -v q="\047" 'BEGIN { printf "\\set landfall_file " q } { printf "%s\\n", $0 } END { print q }' >>"$work/run.sql"
    emit ":landfall_file"
  fi
}

emit_migration() { # VERSION FILE SHA256 DESCRIPTION VERDICT
  local before=0
  # taken again for each file: a migration may have let the lock go (DISCARD ALL)
  emit "select pg_advisory_lock($LOCK_KEY) is null as landfall_ignored, clock_timestamp() as landfall_began \\gset"
  tell "start$SEP$2"
  if [ "$5" = transaction ]; then emit "begin;"; fi
  before=$(wc -l <"$work/run.sql")
  if [ "$5" = transaction ]; then cat "$migrations/$2" >>"$work/run.sql"; else emit_guarded "$migrations/$2"; fi
  emit ""
  emit ";" # ends a last statement that lacks its semicolon
  printf '%s\n' "$2$SEP$before$SEP$(wc -l <"$work/run.sql")" >>"$work/lines"
  emit "reset session authorization; reset role; reset all;"
  emit "insert into $qualified (version, checksum, description) values ('$1', '$3', '$4');"
  if [ "$5" = transaction ]; then emit "commit;"; fi
  emit "select '$mark${SEP}applied$SEP$2$SEP' || round(extract(epoch from clock_timestamp() - :'landfall_began'::timestamptz) * 1000);"
}

# --- running it -------------------------------------------------------------------------------

# psql names lines of its input; the reader wants the line of the file.
show() { # LINE
  local name first last at text
  if [[ $1 =~ ^psql:\<stdin\>:([0-9]+):\ (.*)$ ]]; then
    at=${BASH_REMATCH[1]} text=${BASH_REMATCH[2]}
    while IFS=$SEP read -r name first last; do
      if [ "$at" -gt "$first" ] && [ "$at" -le "$last" ]; then
        if [ $((last - first)) -gt 3 ]; then text="$name:$((at - first)): $text"; else text="$name: $text"; fi
        break
      fi
    done <"$work/lines"
    set -- "$text"
  fi
  [ -z "$1" ] || printf '  | %s\n' "$1"
}

# Reads the session's answers: prints them, and leaves outcome, current file and counts behind.
run_session() {
  local line word rest code=0
  current='' outcome='' applied=0
  while IFS= read -r line || [ -n "$line" ]; do
    case $line in "$mark$SEP"*) ;; *) show "$line"; continue ;; esac
    line=${line#"$mark$SEP"}
    word=${line%%"$SEP"*} rest=${line#*"$SEP"}
    case $word in
      wait) echo "waiting for another run to finish" ;;
      locked) outcome=locked ;;
      stale) outcome=stale ;;
      adopted) echo "adopted $rest (was applied before; its checksum is now recorded)" ;;
      start) current=$rest ;;
      applied)
        echo "applied $(stem "${rest%%"$SEP"*}") (${rest#*"$SEP"} ms)"
        applied=$((applied + 1)) current='' ;;
      end) outcome=finished ;;
      exit) code=$rest ;;
    esac
  done < <(session <"$work/run.sql" 2>&1 && c=0 || c=$?; printf '\n%s\n' "$mark${SEP}exit$SEP$c")
  psql_code=$code
}

explain_failure() { # TOTAL
  local verdict
  if [ -z "$outcome" ]; then
    fail 1 "the lock was not granted (another run holds it for more than ${MIGRATE_LOCK_TIMEOUT:-120} s, or the connection broke); nothing was applied"
  fi
  if [ -z "$current" ]; then fail 1 "schema_migrations could not be prepared, or the connection broke between two files; $applied of $1 applied"; fi
  verdict=$(awk -F "$SEP" -v f="$current" '$2 == f { print $5 }' "$work/todo")
  if [ "$psql_code" = 2 ]; then
    fail 1 "the connection broke during $current; $applied of $1 applied; see --status and run again"
  elif [ "$verdict" = transaction ]; then
    fail 1 "failed $(stem "$current"): rolled back, nothing of this file remains; $applied of $1 applied"
  fi
  verdict=${verdict#own }
  fail 1 "failed $(stem "$current"): NOT rolled back as a whole, because line ${verdict%% *} (${verdict#* }) keeps it out of one transaction; look at what it left, then run again; $applied of $1 applied"
}

apply() {
  local total version file sum description verdict
  while :; do
    read_state
    make_plan
    report_problems
    inspect_pending
    total=$(wc -l <"$work/todo" | tr -d ' ')
    if [ "$total" = 0 ] && [ "$(count adopt)" = 0 ] && ! grep -q "^digest${SEP}none" "$work/state"; then
      echo "nothing to do ($(count applied) applied)"
      return
    fi
    : >"$work/lines"
    emit_start
    while IFS=$SEP read -r version file sum description verdict; do
      emit_migration "$version" "$file" "$sum" "$description" "$verdict"
    done <"$work/todo"
    tell end
    run_session
    # another run came first and did some of it: see what is left
    [ "$outcome" = stale ] || break
  done
  if [ "$outcome" != finished ] || [ "$psql_code" != 0 ]; then explain_failure "$total"; fi
  echo "done ($total applied)"
}

dry_run() {
  local version file sum description verdict
  read_state
  make_plan
  report_problems
  inspect_pending
  while IFS=$SEP read -r version file sum description verdict; do
    if [ "$verdict" = transaction ]; then echo "would apply $(stem "$file")"
    else verdict=${verdict#own }; echo "would apply $(stem "$file") (not in one transaction: line ${verdict%% *}, ${verdict#* })"; fi
  done <"$work/todo"
  echo "would apply $(wc -l <"$work/todo" | tr -d ' ') of $(wc -l <"$work/files" | tr -d ' ') migrations"
}

status() {
  read_state
  make_plan
  awk -F "$SEP" -v format="$format" '
    function escaped(s, c, part, n, i, out) { n = split(s, part, c); out = part[1]; for (i = 2; i <= n; i++) out = out "\\" c part[i]; return out }
    function q(s) { gsub(/[\001-\037]/, " ", s); return s == "" ? "null" : "\"" escaped(escaped(s, "\\"), "\"") "\"" }
    { n[$1]++; name = $3; sub(/\.sql$/, "", name); sub(/^[0-9]+_/, "", name) }
    format == "json" { printf "{\"version\":%s,\"state\":%s,\"file\":%s,\"recorded_checksum\":%s,\"file_checksum\":%s,\"applied_at\":%s}\n", q($2), q($1), q($3), q($4), q($5), q($6); next }
    NR == 1 { printf "%-10s %-9s %-28s %s\n", "VERSION", "STATE", "APPLIED", "DESCRIPTION" }
    { printf "%-10s %-9s %-28s %s\n", $2, $1, ($6 == "" ? "-" : substr($6, 1, 25)), (name == "" ? "-" : name) }
    END { if (format == "text") printf "%d applied, %d pending, %d drifted, %d without file\n", n["applied"] + n["adopt"], n["pending"] + n["late"], n["drifted"], n["fileless"] }
  ' "$work/plan"
  [ "$(count drifted)" = 0 ] || exit 3
}

main() {
  local given=("$@") pass=() skip=0 arg
  parse_args "$@"
  if [ "$mode" = pi ]; then
    for arg in "${given[@]}"; do
      case $arg in --mode) skip=1 ;; --mode=*) ;; *) if [ $skip = 1 ]; then skip=0; else pass+=("$arg"); fi ;; esac
    done
    run_over_ssh ${pass[@]+"${pass[@]}"}
  fi
  find_root
  cd "$root"
  if [ "$mode" = local ]; then
    command -v psql >/dev/null || fail 2 "psql is not installed; install the PostgreSQL client (postgresql-client, or libpq on a Mac)"
    [ -z "${DATABASE_URL:-}" ] || export_database_url "$DATABASE_URL"
  else
    command -v docker >/dev/null || fail 2 "docker is not installed here; --mode deploy runs on the host of the containers"
  fi
  work=$(mktemp -d "${TMPDIR:-/tmp}/migrate.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  mark="@@$RANDOM$RANDOM$RANDOM"
  list_files
  case $action in
    apply) apply ;;
    dry-run) dry_run ;;
    status) status ;;
  esac
}

main "$@"

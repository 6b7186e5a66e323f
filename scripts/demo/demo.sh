#!/usr/bin/env bash
# The whole of Landfall on this machine: a fleet that was started by hand is taken over, three
# commits are pushed and deployed over mutually authenticated gRPC, and everything is removed again.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
repo=$(cd "$here/../.." && pwd)
# shellcheck source=scripts/demo/fleet.sh
. "$here/fleet.sh"

usage() {
  cat <<'HELP'
usage: scripts/demo/demo.sh [--keep] [--fast] [--purge] [--port-base N]

  --keep         leave the fleet, the agent and the files; say how to look around and remove them
  --fast         deploy only the first of the three commits
  --purge        also remove the base images (PostgreSQL, Caddy, service), else kept for the next run
  --port-base N  the fleet publishes N to N+4, the agent listens on N+5; otherwise free ports are found

Needs Go, git, curl and a Docker Engine with Compose v2 (make demo sets the last two up).
exit codes: 0 all of it worked and nothing is left, 1 something did not, 2 usage, 130 or 143 interrupted
HELP
}

keep=0 fast=0 purge=0 port_base=''
while [ $# -gt 0 ]; do
  case $1 in
    --keep) keep=1 ;;
    --fast) fast=1 ;;
    --purge) purge=1 ;;
    --port-base) port_base=${2:?--port-base needs a value}; shift ;;
    -h | --help) usage; exit 0 ;;
    *) echo "error: unknown argument $1; see --help" >&2; exit 2 ;;
  esac
  shift
done

# Under Actions the demo must not write into the job's own outputs, nor speak to GitHub or Discord.
unset GITHUB_ACTIONS GITHUB_OUTPUT GITHUB_STEP_SUMMARY GITHUB_TOKEN DISCORD_WEBHOOK_URL
unset COMPOSE_FILE COMPOSE_PROJECT_NAME COMPOSE_PROFILES LANDFALL_CONFIG LANDFALL_AGENT LANDFALL_IDENTITY
# Git without the user's settings: hooks, signing and names must not matter.
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null
export GIT_AUTHOR_NAME='Demo Developer' GIT_AUTHOR_EMAIL=developer@localhost
export GIT_COMMITTER_NAME=$GIT_AUTHOR_NAME GIT_COMMITTER_EMAIL=$GIT_AUTHOR_EMAIL

bold='' green='' red='' plain=''
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then bold=$'\033[1m' green=$'\033[32m' red=$'\033[31m' plain=$'\033[0m'; fi

heading() { printf '\n%s== %s%s\n' "$bold" "$*" "$plain"; }
proved() { printf '%sproved%s  %s\n' "$green" "$plain" "$*"; }
fail() {
  printf '%sfailed%s  %s\n' "$red" "$plain" "$*" >&2
  exit 1
}
shown() { # prints a command as one would type it, then runs it
  local command=$1
  shift
  printf '%s$ %s%s\n' "$bold" "${command##*/} $*" "$plain"
  "$command" "$@"
}

demo=$(mktemp -d "${TMPDIR:-/tmp}/landfall-demo.XXXXXX")
demo=$(cd "$demo" && pwd -P)
project=landfall-demo-$$
agent_pid='' agent_port='' timings=''
coordinator=$repo/bin/landfall-coordinator

finish() {
  local code=$?
  trap '' INT TERM
  trap - EXIT
  if [ "$code" -ne 0 ] && [ -s "$demo/agent.log" ]; then
    heading "Last lines of the agent's log"
    tail -n 30 "$demo/agent.log"
  fi
  if [ "$keep" = 1 ] && [ -n "$agent_pid" ]; then
    explain_keep
    exit "$code"
  fi
  heading "Cleaning up"
  stop_agent
  remove_fleet "$project" "$demo/host"
  [ "$purge" = 0 ] || remove_base_images
  rm -rf "$demo"
  report_leftovers || code=$((code ? code : 1))
  case $code in 0 | 130 | 143) ;; *) code=1 ;; esac
  exit "$code"
}

stop_agent() {
  local tick
  [ -n "$agent_pid" ] || return 0
  kill -TERM "$agent_pid" 2>/dev/null || true
  for tick in {1..100}; do
    kill -0 "$agent_pid" 2>/dev/null || break
    [ "$tick" -lt 100 ] || kill -KILL "$agent_pid" 2>/dev/null || true
    sleep 0.1
  done
  wait "$agent_pid" 2>/dev/null || true
}

report_leftovers() {
  local left
  left=$(fleet_leftovers "$project" "$demo/host")
  [ ! -e "$demo" ] || left="$left folder $demo"
  if [ -n "$agent_pid" ] && kill -0 "$agent_pid" 2>/dev/null; then left="$left process $agent_pid"; fi
  if [ -n "$left" ]; then
    printf '%sleft over%s %s\n' "$red" "$plain" "$left" >&2
    return 1
  fi
  echo "nothing is left: no container, network, volume, image or process of the demo, no file"
  [ "$purge" = 1 ] || echo "kept for the next run: the base images $(base_images | tr '\n' ' ')(scripts/demo/demo.sh --purge removes them)"
}

explain_keep() {
  heading "Kept, as asked"
  cat <<KEPT
fleet     http://127.0.0.1:$FLEET_HTTP_PORT/api/  (project $project, checkout $demo/host)
agent     127.0.0.1:$agent_port, process $agent_pid, log $demo/agent.log
ask       LANDFALL_AGENT=127.0.0.1:$agent_port LANDFALL_IDENTITY=$demo/identity/observer $coordinator status
remove    kill $agent_pid; . $here/fleet.sh; remove_fleet $project $demo/host; rm -rf $demo
KEPT
}

trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# --- steps ------------------------------------------------------------------------------------

# bash 3.2, which a Mac has, knows whole seconds only
now() { local t=${EPOCHREALTIME:-$(date +%s)}; printf '%s' "${t/,/.}"; }

timed() { # LABEL COMMAND...
  local label=$1 began
  began=$(now)
  shift
  "$@" || return
  timings+=$(awk -v l="$label" -v a="$began" -v b="$(now)" 'BEGIN { printf "  %-34s %6.1f s", l, b - a }')$'\n'
}

prepare_machine() {
  "$repo/scripts/setup/engine.sh"
  "$repo/scripts/setup/compose.sh"
  make -s -C "$repo" build
}

lay_out_repositories() {
  local chosen
  # shellcheck disable=SC2086 # --port-base N is two words, or none
  chosen=$("$here/lay-out.sh" --project "$project" ${port_base:+--port-base $port_base} "$demo/host")
  eval "$chosen" # NAME=VALUE lines of our own script
  git init -q --bare -b main "$demo/origin.git"
  git -C "$demo/host" init -q -b main
  git -C "$demo/host" add -A
  git -C "$demo/host" commit -q -m 'fleet: first edition'
  git -C "$demo/host" remote add origin "$demo/origin.git"
  git -C "$demo/host" push -q -u origin main
  git clone -q "$demo/origin.git" "$demo/developer"
  echo "origin    $demo/origin.git"
  echo "developer $demo/developer"
  echo "host      $demo/host (with .env, which git ignores)"
}

start_by_hand() {
  local sha
  sha=$(git -C "$demo/host" rev-parse HEAD)
  (
    cd "$demo/host"
    export GIT_SHA=$sha
    docker compose --progress quiet up -d --build --wait postgres cache auth api worker web caddy
    docker compose --progress quiet up -d
    scripts/migrate.sh --mode deploy
    cd metrics
    docker compose --progress quiet up -d --build --wait
  )
  fleet_containers "$project" | awk '{ printf "  %-10s %.12s %s\n", $1, $2, $3 }'
}

issue_identities() {
  local role
  shown "$coordinator" identity init --dir "$demo/identity" --host 127.0.0.1 --host localhost
  for role in deployer observer; do
    shown "$coordinator" identity issue "$role" --role "$role" --dir "$demo/identity"
  done
}

start_agent() {
  local tick
  agent_port=$((FLEET_METRICS_PORT + 1))
  mkdir -p "$demo/state"
  # what the host already knows: the commit that runs was deployed by hand
  git -C "$demo/host" rev-parse HEAD >"$demo/state/last-successful-deploy-sha"
  cat >"$demo/agent.yaml" <<YAML
listen: 127.0.0.1:$agent_port
socket: $demo/agent.sock
identity: $demo/identity/agent
state_dir: $demo/state
checkout: $demo/host
limits: {min_free_disk: 256MiB, min_available_memory: 64MiB}
YAML
  "$repo/bin/landfall-agent" serve --config "$demo/agent.yaml" >"$demo/agent.log" 2>&1 &
  agent_pid=$!
  for tick in {1..150}; do
    if (exec 3<>"/dev/tcp/127.0.0.1/$agent_port") 2>/dev/null; then
      echo "agent     process $agent_pid listens on 127.0.0.1:$agent_port (mutual TLS)"
      return
    fi
    kill -0 "$agent_pid" 2>/dev/null || break
    sleep 0.1
  done
  fail "the agent did not come up (after $tick looks)"
}

as_role() { # ROLE ARGS... : the coordinator, in the developer's clone
  local role=$1
  shift
  (cd "$demo/developer" && shown "$coordinator" "$@" --agent "127.0.0.1:$agent_port" --identity "$demo/identity/$role")
}

push() { # SUBJECT : commits what lies in the developer's clone
  git -C "$demo/developer" add -A
  git -C "$demo/developer" commit -q -m "$1"
  git -C "$demo/developer" push -q origin main
  sha=$(git -C "$demo/developer" rev-parse HEAD)
  echo "pushed    ${sha:0:12} $1"
}

# Deploys $sha and checks which containers were replaced: exactly the named services.
deploy() { # LABEL SERVICES...
  local label=$1 changed code=0
  shift
  fleet_containers "$project" >"$demo/before"
  timed "$label" as_role deployer run --no-gate --sha "$sha" --config "$demo/developer/landfall.yaml" || code=$?
  [ "$code" = 0 ] || fail "the deployment ended with exit code $code"
  fleet_containers "$project" >"$demo/after"
  changed=$(changed_services "$demo/before" "$demo/after")
  [ "$changed" = "$*" ] || fail "replaced containers: '$changed', expected: '$*'"
  proved "replaced containers: ${changed:-none}; all others kept their ids"
  [ "$(git -C "$demo/host" rev-parse HEAD)" = "$sha" ] || fail "the host's checkout is not at $sha"
  [ "$(cat "$demo/state/last-successful-deploy-sha")" = "$sha" ] || fail "the stamp is not $sha"
  proved "the host's checkout and the stamp are at ${sha:0:12}"
}

ask_fleet() { curl -fsS --max-time 5 "http://127.0.0.1:$FLEET_HTTP_PORT$1"; }
ask_database() { (cd "$demo/host" && docker compose exec -T postgres psql -U demo -d demo -Atc "$1"); }

code_change() {
  heading "Commit 1: a code change"
  local old new='hello from the api, second edition'
  old=$(ask_fleet /api/)
  echo "$new" >"$demo/developer/api/message.txt"
  push 'api: greet anew'
  as_role observer plan --sha "$sha"
  deploy 'deploy: code change' api
  [ "$(ask_fleet /api/)" = "$new" ] || fail "the api still says: $(ask_fleet /api/)"
  proved "through Caddy the api said '$old' and now says '$new'"
  ask_fleet /api/version | grep -q "\"sha\":\"$sha\"" || fail "the api was not built from $sha: $(ask_fleet /api/version)"
  proved "its /version names ${sha:0:12} as the commit it was built from"
}

migration() {
  heading "Commit 2: a migration"
  cat >"$demo/developer/database/migrations/003_add_author.sql" <<'SQL'
alter table notes add column author text not null default 'unknown';
insert into notes (text, author) values ('written by the third migration', 'demo');
SQL
  push 'database: notes have authors'
  deploy 'deploy: migration'
  [ "$(ask_database "select author from notes where text like '%third%'")" = demo ] || fail "the migration's row is missing"
  [ "$(ask_database 'select max(version) from schema_migrations')" = 003 ] || fail "migration 003 is not recorded"
  proved "the migration's row is in PostgreSQL and 003 is recorded"
}

docs_only() {
  heading "Commit 3: documentation only"
  echo 'Nothing runs differently after this line.' >>"$demo/developer/docs/operations.md"
  push 'docs: say more'
  deploy 'deploy: documentation'
}

look_around() {
  heading "Looking around, as an observer"
  as_role observer status
  as_role observer history
  as_role observer show
  with_grpcurl
}

# grpcurl takes minutes to build: used where it is there, not built for the demo.
with_grpcurl() {
  local grpcurl identity=$demo/identity/observer
  grpcurl=${LANDFALL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/landfall}/bin/grpcurl-$("$repo/scripts/tools/tool.sh" --version grpcurl)/grpcurl
  [ -x "$grpcurl" ] || grpcurl=$(command -v grpcurl) || { echo "grpcurl is not built (scripts/tools/tool.sh grpcurl); its part is left out"; return; }
  set -- -cacert "$identity/ca.pem" -cert "$identity/cert.pem" -key "$identity/key.pem" "127.0.0.1:$agent_port"
  heading "The same by grpcurl, with the observer's certificate"
  shown "$grpcurl" "$@" list
  shown "$grpcurl" "$@" landfall.v1.DiagnosticsService/GetHost
}

began=$SECONDS
heading "Setting up: engine, binaries, images, repositories"
timed 'set-up (engine, binaries)' prepare_machine
timed 'images and repositories' lay_out_repositories
heading "The installation as it is: started by hand, before Landfall"
timed 'fleet started by hand' start_by_hand
heading "Identities and the agent"
issue_identities
start_agent
code_change
if [ "$fast" = 0 ]; then
  migration
  docs_only
fi
look_around
heading "Summary"
printf '%s' "$timings"
printf '  %-34s %6d s\n' 'all so far' $((SECONDS - began))

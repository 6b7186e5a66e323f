#!/usr/bin/env bash
# Lays the demo fleet out into a folder: the tracked files of a deployed repository, and the .env
# files of its host. Git and Docker are the caller's business, so that fleets can run side by side.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

usage() {
  cat <<'HELP'
usage: scripts/demo/lay-out.sh [--project NAME] [--port-base N] DIR

  --project NAME   compose project of the core stack; the metrics stack is NAME-metrics (landfall-demo)
  --port-base N    the fleet publishes N to N+4 on 127.0.0.1; without it, five free ports are found

Builds the images that the fleet names unless they exist, copies scripts/demo/fleet and the
reference scripts/migrate.sh to DIR, fills the ports into landfall.yaml, and writes .env and
metrics/.env, which git ignores. Prints what it chose as NAME=VALUE lines (FLEET_HTTP_PORT, ...).

exit codes: 0 laid out, 1 failed, 2 usage error
HELP
}

project=landfall-demo base='' dir=''
while [ $# -gt 0 ]; do
  case $1 in
    --project) project=${2:?--project needs a value}; shift ;;
    --port-base) base=${2:?--port-base needs a value}; shift ;;
    -h | --help) usage; exit 0 ;;
    -*) echo "error: unknown option $1; see --help" >&2; exit 2 ;;
    *) dir=$1 ;;
  esac
  shift
done
if [ -z "$dir" ]; then
  usage >&2
  exit 2
fi
if [[ ! $project =~ ^[a-z0-9][a-z0-9_-]*$ ]]; then
  echo "error: '$project' is no compose project name: lower-case letters, digits, - and _" >&2
  exit 2
fi

port_is_free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# Five free ports in a row, below the range that outgoing connections take theirs from.
find_base() {
  local try offset first
  for try in {1..200}; do
    first=$((20000 + (RANDOM + try) % 12000))
    for offset in 0 1 2 3 4; do port_is_free $((first + offset)) || continue 2; done
    echo "$first"
    return
  done
  echo "error: found no five free ports between 20000 and 32000" >&2
  return 1
}

[ -n "$base" ] || base=$(find_base)
if [[ ! $base =~ ^[0-9]+$ ]] || [ "$base" -lt 1024 ] || [ "$base" -gt 65531 ]; then
  echo "error: --port-base must be a number from 1024 to 65531, not '$base'" >&2
  exit 2
fi
http=$base admin=$((base + 1)) api=$((base + 2)) cache=$((base + 3)) metrics=$((base + 4))

postgres_image=$("$here/../images/postgres.sh")
caddy_image=$("$here/../images/caddy.sh")
base_image=$("$here/../images/service.sh")

# containers read these files as another user
umask 022
mkdir -p "$dir/scripts"
cp -R "$here/fleet/." "$dir/"
cp "$here/../migrate.sh" "$dir/scripts/migrate.sh"
sed -e "s/@HTTP_PORT@/$http/; s/@ADMIN_PORT@/$admin/; s/@API_PORT@/$api/; s/@CACHE_PORT@/$cache/; s/@METRICS_PORT@/$metrics/" \
  -e 's/^\(# How this repository is deployed\.\).*/\1/' "$here/fleet/landfall.yaml" >"$dir/landfall.yaml"
cat >"$dir/.env" <<ENV
COMPOSE_PROJECT_NAME=$project
COMPOSE_FILE=compose.yml:compose.pi.yml
POSTGRES_IMAGE=$postgres_image
CADDY_IMAGE=$caddy_image
BASE_IMAGE=$base_image
POSTGRES_PASSWORD=demo-$RANDOM$RANDOM
HTTP_PORT=$http
ADMIN_PORT=$admin
API_PORT=$api
CACHE_PORT=$cache
ENV
cat >"$dir/metrics/.env" <<ENV
COMPOSE_PROJECT_NAME=$project-metrics
BASE_IMAGE=$base_image
METRICS_PORT=$metrics
ENV
chmod 600 "$dir/.env" "$dir/metrics/.env"
cat <<OUT
FLEET_PROJECT=$project
FLEET_HTTP_PORT=$http
FLEET_ADMIN_PORT=$admin
FLEET_API_PORT=$api
FLEET_CACHE_PORT=$cache
FLEET_METRICS_PORT=$metrics
OUT

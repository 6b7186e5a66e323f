#!/usr/bin/env bash
# Make `docker compose` answer: find it, or build the pinned plugin from its Go module, saying so.
set -euo pipefail

# shellcheck source=scripts/setup/system.sh
source "$(dirname "${BASH_SOURCE[0]}")/system.sh"

minimum=2.35

usage() {
  cat <<USAGE
usage: scripts/setup/compose.sh           make docker compose $minimum or newer answer
       scripts/setup/compose.sh --check   only report, change nothing
       scripts/setup/compose.sh --help

Where it answers already, nothing is done. Otherwise the plugin is built into the cache folder and copied to
the place where the docker client looks first: cli-plugins in \$DOCKER_CONFIG or ~/.docker. A file that is
there already is never overwritten. LANDFALL_NO_INSTALL=1 forbids every change.
Exit codes: 0 it answers, 1 it does not, 2 usage.
USAGE
}

check_only=0
case ${1:-} in
"") ;;
--check) check_only=1 ;;
-h | --help)
  usage
  exit 0
  ;;
*)
  usage >&2
  exit 2
  ;;
esac

compose_version() {
  docker compose version --short 2>/dev/null
}

# new_enough VERSION: is it at least $minimum? Distributions write 2.20.2+ds1, Docker Desktop v2.20.2-desktop.1.
new_enough() {
  local major minor rest
  IFS=. read -r major minor rest <<<"${1#v}"
  [[ $major =~ ^[0-9]+$ && $minor =~ ^[0-9]+$ ]] || return 1
  ((major > ${minimum%.*} || (major == ${minimum%.*} && minor >= ${minimum#*.})))
}

command -v docker >/dev/null || fail "there is no docker client; run scripts/setup/engine.sh first"

version=$(compose_version) || version=
if new_enough "$version"; then
  if ((check_only)); then say "docker compose $version answers"; fi
  exit 0
fi

missing="docker compose is missing"
if [[ -n $version ]]; then
  missing="docker compose is $version and must be $minimum or newer"
fi
# The client looks here before the folders of the system, so a plugin here wins over an old one there.
folder=${DOCKER_CONFIG:-$HOME/.docker}/cli-plugins
plugin=$folder/docker-compose
if ((check_only)); then
  fail "$missing; without --check it would be built and put at $plugin"
fi
if [[ -e $plugin || -L $plugin ]]; then
  fail "$missing, and $plugin is yours, so it is left alone; update or remove it and run this again"
fi
refuse_changes "$missing, so a plugin must be built and put at $plugin"
one_at_a_time compose

built=$("$(dirname "${BASH_SOURCE[0]}")/../tools/tool.sh" docker-compose)
mkdir -p "$folder"
# A copy, so that emptying the cache does not take the plugin away; by link(2), which never overwrites.
temporary=$(mktemp "$folder/.landfall.XXXXXX")
trap 'rm -f "$temporary"' EXIT
cp "$built" "$temporary"
chmod 755 "$temporary"
ln "$temporary" "$plugin" 2>/dev/null || [[ -x $plugin ]] || fail "could not put the plugin at $plugin"

version=$(compose_version) || version=
new_enough "$version" || fail "$plugin was put in place, but \"docker compose version\" does not answer with $minimum or newer"
say "$missing: built docker compose $version and put it at $plugin (delete that file to undo)"

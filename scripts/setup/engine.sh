#!/usr/bin/env bash
# Make a Docker Engine answer: find it, or install Debian's and start it, saying so.
set -euo pipefail

# shellcheck source=scripts/setup/system.sh
source "$(dirname "${BASH_SOURCE[0]}")/system.sh"

usage() {
  cat <<USAGE
usage: scripts/setup/engine.sh           make a Docker Engine answer
       scripts/setup/engine.sh --check   only report, change nothing
       scripts/setup/engine.sh --help

Where an engine answers already, nothing is done. Otherwise, on Linux with apt, docker.io is installed and
started (as root or through sudo, and announced): by systemd where it runs, else dockerd in the
background with its log in $landfall_cache/dockerd.log.
On macOS it says what to install or start. LANDFALL_NO_INSTALL=1 forbids every change.
Exit codes: 0 an engine answers, 1 it does not, 2 usage.
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

# Print the engine's version; fail when none answers. `docker info` exits 0 without an engine in some versions
# of the client, `docker version` in none.
engine_version() {
  command -v docker >/dev/null || return 1
  local version
  version=$(docker version --format '{{.Server.Version}}' 2>&1) || {
    engine_error=$version
    return 1
  }
  [[ -n $version ]] || return 1
  echo "$version"
}

engine_error=
answering() {
  # Called for its error text too, so not in a subshell.
  engine_version >/dev/null
}

report() {
  say "Docker Engine $(engine_version) answers"
}

explain_mac() {
  if [[ -d /Applications/OrbStack.app ]]; then
    fail "OrbStack is installed but its engine does not answer; start it: open -a OrbStack"
  elif [[ -d /Applications/Docker.app ]]; then
    fail "Docker Desktop is installed but its engine does not answer; start it: open -a Docker"
  elif command -v colima >/dev/null; then
    fail "Colima is installed but its engine does not answer; start it: colima start"
  fi
  fail "no Docker Engine; install one of Docker Desktop, OrbStack (brew install orbstack) or Colima (brew install colima docker docker-compose)"
}

# An engine that the user chose is the user's: say that it is silent rather than start another.
respect_choice() {
  if [[ -n ${DOCKER_HOST:-} ]]; then
    fail "DOCKER_HOST is $DOCKER_HOST, and no engine answers there; start it or unset DOCKER_HOST"
  fi
  local context=default
  if command -v docker >/dev/null; then
    context=$(docker context inspect --format '{{.Name}}' 2>/dev/null || echo default)
  fi
  if [[ $context != default ]]; then
    fail "the docker context is \"$context\", and no engine answers there; start it or run: docker context use default"
  fi
  if [[ $engine_error == *"permission denied"* ]]; then
    fail "an engine runs, but $(id -un) may not use its socket; run: sudo usermod -aG docker $(id -un) and log in again (membership equals root on this machine)"
  fi
}

install_engine() {
  command -v dockerd >/dev/null && command -v docker >/dev/null && return
  # apparmor: without its parser the engine refuses to start containers on kernels that have it enabled.
  local packages=(docker.io iptables apparmor ca-certificates)
  # From Debian 13 on the client is a package of its own.
  if apt-cache show docker-cli >/dev/null 2>&1; then
    packages+=(docker-cli)
  fi
  apt_install "no Docker Engine answers" "${packages[@]}"
}

dockerd_runs() {
  grep -qsx dockerd /proc/[0-9]*/comm
}

# Wait up to a minute until the engine answers; give up early when no dockerd is there any more.
wait_for_engine() {
  local started=$SECONDS
  until answering; do
    if [[ $engine_error == *"permission denied"* ]]; then
      return 0
    fi
    if ((SECONDS - started >= 60)) || { ((SECONDS - started >= 3)) && ! dockerd_runs; }; then
      return 1
    fi
    sleep 0.3
  done
}

start_by_hand() {
  local log=$landfall_cache/dockerd.log
  say "no systemd here: starting dockerd in the background, its log is $log"
  mkdir -p "$landfall_cache"
  # A session of its own, without our lock and streams: it outlives this script, and Ctrl-C does not reach it. So it does
  # our TMPDIR, where runc would write a file a health check.
  as_root env -u TMPDIR setsid --fork dockerd </dev/null >"$log" 2>&1 9>&-
  wait_for_engine || {
    say "dockerd did not come up; the last lines of its log:"
    tail -n 15 "$log" | sed 's/^/setup:   /' >&2
    fail "no Docker Engine answers; inside a container dockerd often lacks the rights it needs, elsewhere its log names the cause"
  }
}

start_engine() {
  if [[ -d /run/systemd/system ]]; then
    say "starting Docker Engine by systemctl"
    as_root systemctl start docker || fail "systemctl could not start docker; see: journalctl -u docker -n 50"
    wait_for_engine || fail "docker was started but does not answer; see: journalctl -u docker -n 50"
  elif dockerd_runs; then
    say "a dockerd runs, waiting for it to answer"
    wait_for_engine || fail "dockerd runs but does not answer: $engine_error"
  else
    start_by_hand
  fi
}

# Group membership is effective from the next login only; until then the engine that was installed just now lets the
# group of this user in.
admit_user() {
  if ((EUID == 0)) || answering; then
    return 0
  fi
  say "letting $(id -un) use the engine: member of group docker, and of the socket's group until the engine restarts (equals root on this machine)"
  as_root usermod -aG docker "$(id -un)"
  as_root chgrp "$(id -g)" /var/run/docker.sock
}

if answering; then
  if ((check_only)); then report; fi
  exit 0
fi
if [[ $(uname -s) == Darwin ]]; then
  explain_mac
fi
respect_choice
if ((check_only)); then
  fail "no Docker Engine answers; without --check it would be $(command -v dockerd >/dev/null && echo started || echo 'installed by apt-get and started')"
fi

refuse_changes "no Docker Engine answers, so one must be installed or started (sudo apt-get install docker.io iptables; sudo systemctl start docker)"
can_be_root || fail "no Docker Engine answers, and installing or starting one needs root or sudo"
one_at_a_time engine
if answering; then
  exit 0
fi
install_engine
start_engine
admit_user
answering || fail "Docker Engine was started but does not answer: $engine_error"
report

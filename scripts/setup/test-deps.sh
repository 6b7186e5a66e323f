#!/usr/bin/env bash
# Install the Debian packages that demo, tests and lint use, where their commands are missing, saying so.
set -euo pipefail

# shellcheck source=scripts/setup/system.sh
source "$(dirname "${BASH_SOURCE[0]}")/system.sh"

usage() {
  cat <<USAGE
usage: scripts/setup/test-deps.sh GROUP...   install what is missing of the groups
       scripts/setup/test-deps.sh --check GROUP...   only report, change nothing
       scripts/setup/test-deps.sh --help

groups: demo   git, curl
        unit   git, and a C compiler, which the race detector needs
        test   all of them
        lint   git, shellcheck, yamllint
What the container images of demo and tests are made from is not installed: scripts/images unpacks it aside.
On macOS it only says what is missing.
LANDFALL_NO_INSTALL=1 forbids every change. Exit codes: 0 all is there, 1 something is missing, 2 usage.
USAGE
}

check_only=0
groups=()
for argument in "$@"; do
  case $argument in
  -h | --help)
    usage
    exit 0
    ;;
  --check) check_only=1 ;;
  demo | unit | lint) groups+=("$argument") ;;
  test) groups+=(demo unit lint) ;;
  *)
    usage >&2
    exit 2
    ;;
  esac
done
if ((${#groups[@]} == 0)); then
  usage >&2
  exit 2
fi

# want PACKAGE...: put each on the list once.
want() {
  local package
  for package in "$@"; do
    [[ " ${packages[*]-} " == *" $package "* ]] || packages+=("$package")
  done
}

# need COMMAND PACKAGE...: want the packages unless the command is there.
need() {
  command -v "$1" >/dev/null || want "${@:2}"
}

collect() {
  case $1 in
  demo)
    need git git ca-certificates
    need curl curl ca-certificates
    ;;
  unit)
    need git git ca-certificates
    need gcc gcc libc6-dev
    ;;
  lint)
    need git git ca-certificates
    need shellcheck shellcheck
    need yamllint yamllint
    ;;
  esac
}

# What is missing of all groups, afresh.
packages=()
collect_all() {
  local group
  packages=()
  for group in "${groups[@]}"; do
    collect "$group"
  done
}

collect_all
if ((${#packages[@]} == 0)); then
  exit 0
fi
if [[ $(uname -s) == Darwin ]]; then
  fail "missing; on macOS run: xcode-select --install (git, gcc), brew install shellcheck yamllint. In Debian's words: ${packages[*]}"
fi
if ((check_only)); then
  fail "missing: ${packages[*]}"
fi
one_at_a_time packages
collect_all
if ((${#packages[@]})); then
  apt_install "for $*" "${packages[@]}"
fi

#!/usr/bin/env bash
# Shared by the image builders of this folder: sourced, never run. A builder prints the image's
# name on stdout and what it does on stderr; an image is named after a hash of its recipe, so a
# second run finds it and does nothing.
# shellcheck disable=SC2034 # here, repo and service_sources are used by the scripts that source this file

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repo=$(cd "$here/../.." && pwd)
prefix=${LANDFALL_IMAGE_PREFIX:-landfall-demo}

say() { printf '%s\n' "$*" >&2; }
die() {
  say "error: $*"
  exit 1
}

need_engine() {
  command -v docker >/dev/null || die "docker is not installed; scripts/setup/engine.sh installs it on Debian and Ubuntu"
  arch=$(docker version --format '{{.Server.Arch}}' 2>/dev/null) || die "no Docker Engine answers; start it (Docker Desktop, OrbStack, Colima, or scripts/setup/engine.sh)"
}

hash_of() { # FILES... ; extra words in $salt
  { printf '%s\n' "${salt:-}"; cat -- "$@"; } | { sha256sum 2>/dev/null || shasum -a 256; } | cut -c1-12
}

have_image() { docker image inspect "$1" >/dev/null 2>&1; }

# Leaves a work folder in $work that goes away with the script.
work_folder() {
  work=$(mktemp -d "${TMPDIR:-/tmp}/landfall-image.XXXXXX")
  trap 'rm -rf "$work"' EXIT
}

# Debian's packages serve when apt is here and is for the engine's processor.
have_apt() {
  command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null && [ "$(dpkg --print-architecture)" = "$arch" ]
}

# "pull" when a registry is wanted (or the only way) and answers within seconds, else "apt".
source_of_image() { # IMAGE
  if [ "${LANDFALL_DEMO_PULL:-}" = 1 ] || ! have_apt; then
    if curl -s -o /dev/null --max-time 3 https://registry-1.docker.io/v2/; then
      echo pull
      return
    fi
    have_apt || die "$1: no registry answers, and there is no apt of this architecture ($arch) to build the image from"
  fi
  echo apt
}

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }

# Fresh machines have no package lists yet.
refresh_lists() { # PACKAGE
  if [ -n "$(apt-cache policy "$1" 2>/dev/null | sed -n 's/.*Candidate: \([^(]\)/\1/p')" ]; then return; fi
  say "apt has no package lists yet: running apt-get update"
  as_root apt-get update -qq >&2 || die "apt-get update failed; run it as root, then try again"
}

# Downloads packages, with what they depend on and this machine lacks, and unpacks all into a
# folder: nothing is installed and no service of theirs starts.
unpack_packages() { # FOLDER PACKAGES...
  local into=$1 deb
  shift
  mkdir -p "$work/archives/partial" "$into"
  refresh_lists "$1"
  apt-get install -qq -y --download-only --no-install-recommends --reinstall -o Debug::NoLocking=1 \
    -o Dir::Cache::archives="$work/archives" -o APT::Sandbox::User="$(id -un)" "$@" >"$work/apt.log" 2>&1 ||
    { tail -5 "$work/apt.log" >&2; die "apt could not fetch $*"; }
  for deb in "$work"/archives/*.deb; do dpkg -x "$deb" "$into"; done
}

# Copies the shared libraries that programs need, from the unpacked packages or the machine.
copy_libraries() { # ROOT FROM BINARIES...
  local root=$1 from=$2 lib dirs to
  shift 2
  dirs=$(find "$from" -name '*.so.*' -exec dirname {} + 2>/dev/null | sort -u | tr '\n' ':')
  LD_LIBRARY_PATH=$dirs ldd "$@" 2>/dev/null |
    awk '$2 == "=>" && $3 ~ /^\// { print $3 } $1 ~ /^\/lib/ { print $1 }' | sort -u | while read -r lib; do
    to=$root/${lib#"$from"/}
    mkdir -p "$(dirname "$to")"
    cp -Ln "$lib" "$to"
  done
}

build_image() { # TAG FOLDER
  docker build -q -t "$1" "$2" >"$work/build.log" 2>&1 || { cat "$work/build.log" >&2; die "building $1 failed"; }
  say "built $1 ($(docker image inspect -f '{{.Size}}' "$1" | awk '{ printf "%.1f MB", $1 / 1e6 }'), ${SECONDS} s)"
}

# The demo's service program, for the engine's processor, and what it is made of.
service_sources=("$repo"/scripts/demo/service/{main,handler,tcp}.go)
build_service() { # FILE
  (cd "$repo" && CGO_ENABLED=0 GOOS=linux GOARCH=$arch go build -trimpath -ldflags='-s -w' -o "$1" ./scripts/demo/service)
}

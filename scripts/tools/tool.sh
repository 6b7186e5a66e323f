#!/usr/bin/env bash
# Build a pinned developer tool from its Go module and print the path of the binary.
#
# One file a tool: NAME.mod beside this script names the package (`tool` line) and the version (`require`
# line), and NAME.sum pins the content. They are separate because together in one module the tools force
# upgrades on each other until some no longer compile. Nothing is downloaded as a binary.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
cache=${LANDFALL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/landfall}

usage() {
  cat <<USAGE
usage: scripts/tools/tool.sh NAME            build the tool unless it is cached, print its path
       scripts/tools/tool.sh --all           the same for every tool
       scripts/tools/tool.sh --version NAME  print the pinned version
       scripts/tools/tool.sh --list          print every tool with its version
       scripts/tools/tool.sh --help

Binaries are kept in \$LANDFALL_CACHE/bin/NAME-VERSION/NAME; now $cache/bin.
To move a pin: go get -tool -modfile=scripts/tools/NAME.mod PACKAGE@VERSION
USAGE
}

fail() {
  echo "tool.sh: $*" >&2
  exit 2
}

names() {
  local mod
  for mod in "$here"/*.mod; do
    basename "$mod" .mod
  done
}

# The package that the tool is built from, as its pin file's `tool` line has it.
package_of() {
  awk '$1 == "tool" { print $2; exit }' "$here/$1.mod"
}

# The version of the module that the package belongs to: of all required modules whose path is a prefix of
# the package's, the longest. Read by awk, not by `go list`, so that it needs no network and no time.
version_of() {
  awk -v package="$(package_of "$1")" '
    { sub(/^require[ \t]+/, ""); sub(/^[ \t]+/, "") }
    $2 ~ /^v[0-9]/ && index(package "/", $1 "/") == 1 && length($1) > best { best = length($1); version = $2 }
    END { if (version == "") exit 1; print version }
  ' "$here/$1.mod"
}

# Tools that print a version only when the linker is told it.
ldflags_of() {
  case $1 in
  docker-compose) echo "-s -w -X github.com/docker/compose/v2/internal.Version=$2" ;;
  golangci-lint) echo "-s -w -X main.version=${2#v} -X main.commit=module -X main.date=unknown" ;;
  grpcurl) echo "-s -w -X main.version=$2" ;;
  *) echo "-s -w" ;;
  esac
}

build() {
  local name=$1 version folder temporary started
  [[ -f $here/$name.mod ]] || fail "no tool is called \"$name\"; known are: $(names | tr '\n' ' ')"
  version=$(version_of "$name") || fail "scripts/tools/$name.mod requires no module that holds $(package_of "$name")"
  folder=$cache/bin/$name-$version
  if [[ ! -x $folder/$name ]]; then
    command -v go >/dev/null || fail "go is not installed; see https://go.dev/doc/install"
    echo "building $name $version from its Go module (once; on a small machine that may take some minutes) ..." >&2
    started=$SECONDS
    mkdir -p "$folder"
    # Built beside its place and renamed into it, so that nobody ever runs half a binary and two builds at
    # once do no harm.
    temporary=$(mktemp "$folder/.building.XXXXXX")
    # shellcheck disable=SC2064 # the name is wanted as it is now
    trap "rm -f '$temporary'" EXIT
    # A tool runs here, so it is built for here whatever the caller builds for; and without cgo, so that no C
    # compiler is needed.
    (cd "$root" && env -u GOOS -u GOARCH -u GOFLAGS GOWORK=off CGO_ENABLED=0 \
      go build -mod=readonly -modfile="$here/$name.mod" -buildvcs=false -trimpath \
      -ldflags "$(ldflags_of "$name" "$version")" -o "$temporary" "$(package_of "$name")") >&2
    chmod 755 "$temporary"
    mv -f "$temporary" "$folder/$name"
    trap - EXIT
    echo "built $name $version in $((SECONDS - started)) s" >&2
  fi
  echo "$folder/$name"
}

case ${1:-} in
"" | -h | --help) usage ;;
--all) for name in $(names); do build "$name"; done ;;
--list) for name in $(names); do printf '%-20s %s\n' "$name" "$(version_of "$name")"; done ;;
--version)
  [[ -f $here/${2:?name of the tool}.mod ]] || fail "no tool is called \"$2\""
  version_of "$2"
  ;;
-*) fail "unknown option $1; see --help" ;;
*) build "$1" ;;
esac

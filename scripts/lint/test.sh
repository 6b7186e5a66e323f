#!/usr/bin/env bash
# Run the tests with the race detector and print the coverage of everything that ran, real binaries included.
set -euo pipefail

usage() {
  cat <<USAGE
usage: scripts/lint/test.sh           every test; wants what \`make setup\` gives
       scripts/lint/test.sh --unit    only tests that need no Docker Engine (go test -short, without scripts/)
       scripts/lint/test.sh --help

Writes coverage.out. GOCOVERDIR is set for the tests: an end-to-end test that builds the binaries with
\`go build -cover -covermode=atomic\` and lets them inherit it adds what they executed to the total.
USAGE
}

cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# -count=1: what an engine, a database or a network does is not in the key of Go's test cache.
patterns=(./...)
flags=(-race -covermode=atomic "-coverpkg=./agent/...,./coordinator/...,./shared/..." -timeout 20m -count=1)
case ${1:-} in
"") ;;
--unit)
  patterns=(./agent/... ./coordinator/... ./shared/...)
  flags+=(-short)
  ;;
-h | --help)
  usage
  exit 0
  ;;
*)
  usage >&2
  exit 2
  ;;
esac

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/binaries"

status=0
# Cut off what share of everything one package ran: it says nothing. By the shell, because some awks and seds hold
# lines back when they read from a pipe, and people watch this.
without_shares() {
  local line
  while IFS= read -r line; do
    line=${line%%$'\t'coverage: *of statements*}
    [[ $line == "coverage: "*"of statements"* ]] || printf '%s\n' "$line"
  done
}

CGO_ENABLED=1 GOCOVERDIR=$folder/binaries \
  go test "${flags[@]}" -coverprofile="$folder/tests.out" "${patterns[@]}" | without_shares || status=1

# The race detector makes the crash tests leave out most moments; without it they take every one.
CGO_ENABLED=1 go test -count=1 -run Crash ./agent/internal/operation || status=1

# Both profiles hold the same blocks; `go tool cover` adds up what stands twice. Generated code is nobody's to test.
if [[ -n $(ls -A "$folder/binaries") ]]; then
  go tool covdata textfmt -i "$folder/binaries" -o "$folder/binaries.out"
fi
if [[ -s $folder/tests.out ]]; then
  {
    echo "mode: atomic"
    cat "$folder"/*.out | grep -v -e '^mode:' -e '\.pb\.go:'
  } >coverage.out
  go tool cover -func coverage.out | awk '$1 == "total:" { print "coverage of agent, coordinator and shared, tests and real binaries together: " $NF }'
fi
exit "$status"

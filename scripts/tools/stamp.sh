#!/usr/bin/env bash
# Print the linker flags that stamp version, commit and date into the binaries.
#
# All three come from the commit, none from the clock, so that the same commit gives the same bytes. Outside
# a clone (a source tarball) nothing is printed and the binaries say so themselves.
set -euo pipefail

case ${1:-} in
"") ;;
-h | --help)
  echo "usage: scripts/tools/stamp.sh   print -X flags for go build -ldflags"
  exit 0
  ;;
*)
  echo "stamp.sh: unexpected argument $1; see --help" >&2
  exit 2
  ;;
esac

cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# A tarball unpacked inside somebody else's clone must not carry that clone's commit.
prefix=$(git rev-parse --show-prefix 2>/dev/null) || exit 0
[[ -z $prefix ]] || exit 0
commit=$(git rev-parse --verify --quiet HEAD) || exit 0

version=$(git describe --tags --always --dirty --match 'v*')
if [[ $version == *-dirty ]]; then
  commit+=-dirty
fi
date=$(TZ=UTC git log -1 --date=format-local:%Y-%m-%dT%H:%M:%SZ --format=%cd)
stamp=ataraxis.dev/landfall/shared/version
echo "-X $stamp.Version=$version -X $stamp.Commit=$commit -X $stamp.Date=$date"

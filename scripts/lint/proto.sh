#!/usr/bin/env bash
# Generate the protocol's Go code, or show that the committed code is what the .proto files generate.
set -euo pipefail

usage() {
  cat <<USAGE
usage: scripts/lint/proto.sh generate   write proto/**/*.pb.go
       scripts/lint/proto.sh check      lint and format of the .proto files, generated code up to date,
                                        nothing broken since the last v* tag
       scripts/lint/proto.sh lint       the first two of these only
       scripts/lint/proto.sh --help

Needs no network once the pinned tools are built. Exits 1 when a check fails.
USAGE
}

cd "$(dirname "${BASH_SOURCE[0]}")/../.."

case ${1:-} in
generate | check | lint) ;;
"" | -h | --help)
  usage
  exit 0
  ;;
*)
  usage >&2
  exit 2
  ;;
esac

buf=$(scripts/tools/tool.sh buf)

lint() {
  "$buf" lint
  "$buf" format --diff --exit-code || {
    echo "the .proto files are not formatted; run: make fmt" >&2
    return 1
  }
}

# Print every generated file below DIRECTORY, relative to it.
generated_in() {
  (cd "$1" && find proto -name '*.pb.go' | LC_ALL=C sort)
}

temporary=$(mktemp -d)
trap 'rm -rf "$temporary"' EXIT

# Generated beside the tree, so that a failure half-way leaves the committed code alone and files of
# deleted .proto files are noticed.
generate_aside() {
  local go_plugin grpc_plugin
  go_plugin=$(scripts/tools/tool.sh protoc-gen-go)
  grpc_plugin=$(scripts/tools/tool.sh protoc-gen-go-grpc)
  mkdir -p "$temporary/proto"
  PATH=$(dirname "$go_plugin"):$(dirname "$grpc_plugin"):$PATH "$buf" generate --output "$temporary"
}

generate() {
  local file
  generate_aside
  generated_in . | while read -r file; do
    [[ -e $temporary/$file ]] || rm -v "$file"
  done
  generated_in "$temporary" | while read -r file; do
    cmp -s "$temporary/$file" "$file" || {
      cp "$temporary/$file" "$file"
      echo "wrote $file"
    }
  done
}

up_to_date() {
  local file stale=0
  generate_aside
  while read -r file; do
    cmp -s "$temporary/$file" "$file" || {
      echo "$file is not what the .proto files generate" >&2
      stale=1
    }
  done < <({ generated_in . && generated_in "$temporary"; } | LC_ALL=C sort -u)
  if ((stale)); then
    echo "run: make proto" >&2
    return 1
  fi
}

unbroken() {
  local tag
  if ! tag=$(git describe --tags --abbrev=0 --match 'v*' HEAD 2>/dev/null); then
    echo "proto: no release tag yet, so nothing to compare with"
    return 0
  fi
  "$buf" breaking --against ".git#tag=$tag"
  echo "proto: compatible with $tag"
}

case $1 in
generate) generate ;;
lint) lint ;;
check)
  lint
  up_to_date
  unbroken
  echo "proto: lint, format and generated code are in order"
  ;;
esac

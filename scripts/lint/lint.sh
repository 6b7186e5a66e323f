#!/usr/bin/env bash
# Check everything a machine can judge: Go, protocol, shell, YAML, workflow files; or format it in place.
set -euo pipefail

usage() {
  cat <<USAGE
usage: scripts/lint/lint.sh          check; reports all that fails, not only the first
       scripts/lint/lint.sh --fix    format Go and protocol files in place, check nothing
       scripts/lint/lint.sh --help

Exit codes: 0 clean, 1 something to mend, 2 usage.
USAGE
}

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
tool=scripts/tools/tool.sh

case ${1:-} in
"") ;;
--fix)
  "$("$tool" golangci-lint)" fmt
  exec "$("$tool" buf)" format --write
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

# Committed or not, but not ignored: outside a clone, everything.
files() {
  if git rev-parse --git-dir >/dev/null 2>&1; then
    git ls-files --cached --others --exclude-standard -- "$@"
  else
    local pattern
    for pattern in "$@"; do
      find . -type f -path "./$pattern"
    done
  fi | while read -r file; do
    # A deleted file is still listed until the deletion is committed.
    if [[ -f $file ]]; then echo "$file"; fi
  done | sort -u
}

# Shell scripts by their first line or ending, so that one without an ending (.ci/run) is not forgotten.
shell_scripts() {
  files '*' | while read -r file; do
    if [[ $file == *.sh ]] || { [[ -x $file && $file != *.* || $file == .ci/* ]] && head -n 1 "$file" | grep -aqE '^#!.*\b(ba|da)?sh\b'; }; then
      echo "$file"
    fi
  done
}

check_shell() {
  shell_scripts | xargs shellcheck --external-sources
}

check_yaml() {
  files '*.yml' '*.yaml' | xargs yamllint --strict
}

check_workflows() {
  local workflows
  workflows=$(files '.github/workflows/*.yml' '.github/workflows/*.yaml')
  if [[ -z $workflows ]]; then
    return 0
  fi
  xargs "$("$tool" actionlint)" <<<"$workflows"
}

check_go() {
  # go vet and the formatters are among its linters; building the tests once more for `go vet` would tell nothing new.
  "$("$tool" golangci-lint)" run
}

check_module() {
  go mod tidy -diff || {
    echo "go.mod or go.sum does not fit the imports; run: go mod tidy" >&2
    return 1
  }
}

failed=()
stage() {
  local started=$SECONDS
  if "check_$1"; then
    echo "lint: $1 is clean ($((SECONDS - started)) s)"
  else
    echo "lint: $1 has findings, see above" >&2
    failed+=("$1")
  fi
}

check_protocol() {
  scripts/lint/proto.sh lint
}

scripts/setup/test-deps.sh lint
for name in shell yaml workflows protocol module go; do
  stage "$name"
done
if ((${#failed[@]})); then
  echo "lint: to be mended: ${failed[*]}" >&2
  exit 1
fi

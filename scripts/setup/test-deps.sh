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

groups: demo   git, and what the container images of demo and tests are made from: PostgreSQL, a static busybox
        unit   a C compiler, which the race detector needs
        test   the two above
        lint   git, shellcheck, yamllint
On macOS only the lint group can be missing (brew install shellcheck yamllint); demo and tests pull images.
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
	test) groups+=(demo unit) ;;
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

packages=()

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

postgres_server() {
	compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null
}

# Inside an image FROM scratch only a static busybox runs.
static_busybox() {
	local path
	path=$(command -v busybox) && ! ldd "$path" >/dev/null 2>&1
}

collect() {
	case $1 in
	demo)
		need git git ca-certificates
		postgres_server || want postgresql postgresql-client
		static_busybox || want busybox-static
		;;
	unit) need gcc gcc libc6-dev ;;
	lint)
		need git git ca-certificates
		need shellcheck shellcheck
		need yamllint yamllint
		;;
	esac
}

# Debian's postgresql makes and starts a database on this machine when it is installed. Only its programs are wanted:
# its own configuration folder is asked to leave that out, for as long as the installation takes.
without_cluster() {
	local folder=/etc/postgresql-common/createcluster.d
	local setting=$folder/landfall-no-cluster.conf
	as_root mkdir -p "$folder"
	echo "create_main_cluster = false" | as_root tee "$setting" >/dev/null
	local status=0
	# In a subshell, so that its failure ends there and the setting is taken back.
	("$@") || status=$?
	as_root rm -f "$setting"
	return "$status"
}

if [[ $(uname -s) == Darwin ]]; then
	if [[ " ${groups[*]} " == *" lint "* ]] && ! { command -v shellcheck && command -v yamllint; } >/dev/null; then
		fail "lint needs shellcheck and yamllint: brew install shellcheck yamllint"
	fi
	exit 0
fi

for group in "${groups[@]}"; do
	collect "$group"
done
if ((${#packages[@]} == 0)); then
	exit 0
fi
if ((check_only)); then
	fail "missing: ${packages[*]}"
fi
one_at_a_time packages
packages=()
for group in "${groups[@]}"; do
	collect "$group"
done
if ((${#packages[@]} == 0)); then
	exit 0
fi
refuse_changes "demo, tests or lint need: apt-get install ${packages[*]}"
can_be_root || fail "demo, tests or lint need root or sudo for: apt-get install ${packages[*]}"
if [[ " ${packages[*]} " == *" postgresql "* ]]; then
	without_cluster apt_install "for demo, tests or lint" "${packages[@]}"
else
	apt_install "for demo, tests or lint" "${packages[@]}"
fi

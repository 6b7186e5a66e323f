# shellcheck shell=bash
# What the set-up scripts share: speaking, asking for root, installing Debian packages. Sourced, not run.

# Where Landfall keeps what it builds or logs for itself; removing it costs only time.
landfall_cache=${LANDFALL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/landfall}

say() {
  echo "setup: $*" >&2
}

fail() {
  echo "setup: $*" >&2
  exit 1
}

# refuse_changes WHAT: stop when the user forbade changes to this machine.
refuse_changes() {
  if [[ ${LANDFALL_NO_INSTALL:-} == 1 ]]; then
    fail "$1, and LANDFALL_NO_INSTALL=1 forbids to do it here"
  fi
}

# as_root COMMAND...: run the command as root, directly or through sudo.
as_root() {
  if ((EUID == 0)); then
    "$@"
  else
    sudo "$@"
  fi
}

# can_be_root: succeeds when as_root has a chance; sudo may still ask for the password on a terminal.
can_be_root() {
  ((EUID == 0)) && return
  command -v sudo >/dev/null || return
  sudo -n true 2>/dev/null || [[ -t 0 ]]
}

# apt_install WHY PACKAGE...: install Debian packages, said aloud first.
apt_install() {
  local why=$1
  shift
  refuse_changes "$why needs: apt-get install $*"
  command -v apt-get >/dev/null ||
    fail "$why needs $*, and there is no apt-get here; please install them with this system's package manager"
  can_be_root ||
    fail "$why needs root or sudo for: apt-get install $*"
  say "$why: installing by apt-get: $*"
  # A stale list gives "not found" for packages that were renewed since; one broken foreign source must not stop us.
  as_root apt-get update -q >&2 || say "apt-get update failed, going on with the lists that are here"
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
    -o DPkg::Lock::Timeout=300 "$@" >&2 ||
    fail "apt-get could not install $*; its reason stands above"
}

# one_at_a_time NAME: hold the lock NAME until this script ends, so that two set-ups do not install twice. The lock is
# file descriptor 9; a child that outlives the script must close it.
one_at_a_time() {
  command -v flock >/dev/null || return 0
  mkdir -p "$landfall_cache"
  exec 9>"$landfall_cache/$1.lock"
  flock -n 9 || {
    say "waiting for another set-up that is under way"
    flock 9
  }
}

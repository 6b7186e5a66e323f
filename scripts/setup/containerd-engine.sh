#!/usr/bin/env bash
# Run a command with a Docker Engine of its own that keeps its images in containerd: Debian's, in a root of its own.
set -euo pipefail

# shellcheck source=scripts/setup/system.sh
source "$(dirname "${BASH_SOURCE[0]}")/system.sh"

suite=${LANDFALL_ENGINE_SUITE:-trixie}

usage() {
  cat <<USAGE
usage: scripts/setup/containerd-engine.sh COMMAND [ARGUMENT...]
       scripts/setup/containerd-engine.sh --help

Fetches docker.io of Debian 13 (trixie; LANDFALL_ENGINE_SUITE names another suite) with what it needs, by this
machine's mirror, unpacks it into $landfall_cache/engine-$suite (400 MB, kept), and starts its dockerd with features.containerd-snapshotter in
namespaces of its own. COMMAND runs in its network, which is cut off from others, and finds it by DOCKER_HOST and
LANDFALL_CONTAINERD_ENGINE; when COMMAND ends, the engine ends and what it kept is removed. Nothing is installed.
Needs Linux, root and apt.
Exit codes: those of COMMAND, 1 the engine could not be had, 2 usage.
USAGE
}

case ${1:-} in
-h | --help)
  usage
  exit 0
  ;;
"" | -*)
  usage >&2
  exit 2
  ;;
esac
((EUID == 0)) || fail "an engine of one's own needs root"
for program in apt-get dpkg-deb unshare nsenter pivot_root ip; do
  command -v "$program" >/dev/null || fail "an engine of one's own needs the program $program"
done

root=$landfall_cache/engine-$suite

# fetch: unpack the engine and its libraries. Nothing of theirs is configured or run.
fetch() {
  local work mirror deb dir
  # shellcheck disable=SC2016 # apt's own variables
  mirror=$(apt-get indextargets --format '$(REPO_URI) $(ORIGIN) $(COMPONENT)' | awk '$2 == "Debian" && $3 == "main" && $1 !~ /security/ { print $1; exit }')
  [[ -n $mirror ]] || fail "apt knows no mirror of Debian here"
  work=$(mktemp -d)
  mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/root"
  : >"$work/status"
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" >"$work/sources.list"
  local apt=(apt-get -qq -o "Dir::State=$work" -o "Dir::State::status=$work/status" -o "Dir::State::lists=$work/lists"
    -o "Dir::Cache=$work/cache" -o "Dir::Etc::sourcelist=$work/sources.list" -o Dir::Etc::sourceparts=/dev/null -o "APT::Sandbox::User=root")
  say "fetching docker.io of Debian $suite"
  "${apt[@]}" update >&2 || fail "apt-get update of $suite failed; its reason stands above"
  "${apt[@]}" install -y --download-only --no-install-recommends docker.io busybox-static >&2 || fail "docker.io of Debian $suite could not be fetched; the reason stands above"
  for dir in bin sbin lib lib64; do
    mkdir -p "$work/root/usr/$dir"
    ln -s "usr/$dir" "$work/root/$dir"
  done
  for deb in "$work"/cache/archives/*.deb; do
    dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$work/root" --keep-directory-symlink
  done
  mkdir -p "$work/root"/{proc,sys,dev,run,tmp,var/lib/docker,etc/docker}
  echo '{"features": {"containerd-snapshotter": true}}' >"$work/root/etc/docker/daemon.json"
  "$(command -v ldconfig || echo /sbin/ldconfig)" -r "$work/root"
  mkdir -p "$(dirname "$root")"
  rm -rf "$root"
  mv "$work/root" "$root"
  rm -rf "$work"
}

(
  one_at_a_time "engine-$suite"
  [[ -x $root/usr/sbin/dockerd ]] || fetch
)

state=$(mktemp -d /tmp/landfall-ctd.XXXXXX) # short: a socket's path has an end
group=$(basename "$state")

# The engine sees the machine's /tmp, where tests have their checkouts, and nothing else of it.
# shellcheck disable=SC2016 # the shells inside expand them
unshare --mount --net --pid --fork --kill-child -- bash -euc '
  root=$1 state=$2 group=$3
  mount --make-rprivate /
  mount --bind "$root" "$root"
  mount -t proc proc "$root/proc"
  mount --rbind /sys "$root/sys"
  mount --rbind /dev "$root/dev"
  mount -t tmpfs tmpfs "$root/run"
  mount --rbind /tmp "$root/tmp"
  mkdir -p "$state/data"
  ip link set lo up
  # A mere chroot would do for the engine, and not for its containers: who enters one of those would be in the root of the machine.
  cd "$root"
  mkdir -p .machine
  pivot_root . .machine
  export PATH=/usr/sbin:/usr/bin:/sbin:/bin
  exec /usr/bin/busybox sh -euc '\''
    umount -l /.machine
    exec dockerd --host "unix://$1/docker.sock" --data-root "$1/data" --exec-root /run/docker --pidfile /run/docker.pid \
      --iptables=false --ip6tables=false --bip 172.30.255.1/24 --exec-opt native.cgroupdriver=cgroupfs --cgroup-parent "/$2"
  '\'' engine "$state" "$group"
' -- "$root" "$state" "$group" >"$state/log" 2>&1 &
engine=$!

finish() {
  local left
  left=$(docker --host "unix://$state/docker.sock" ps -aq 2>/dev/null || true)
  # shellcheck disable=SC2086 # a list
  [[ -z $left ]] || docker --host "unix://$state/docker.sock" rm --force $left >/dev/null 2>&1 || true
  # unshare itself leaves signals alone while its child lives.
  kill "$(tr -d ' ' <"/proc/$engine/task/$engine/children" 2>/dev/null)" 2>/dev/null || kill -KILL "$engine" 2>/dev/null || true
  wait "$engine" 2>/dev/null || true
  rm -rf "$state" 2>/dev/null || say "could not remove $state"
  find /sys/fs/cgroup -depth -type d -path "*/$group*" -exec rmdir {} + 2>/dev/null || true
}
trap finish EXIT

for ((i = 0; i < 300; i++)); do
  docker --host "unix://$state/docker.sock" version >/dev/null 2>&1 && break
  kill -0 "$engine" 2>/dev/null || {
    tail -20 "$state/log" >&2
    fail "the engine ended"
  }
  sleep 0.1
done
say "engine $(docker --host "unix://$state/docker.sock" version --format '{{.Server.Version}}') with the containerd image store answers"
# What tests build on is fetched by apt, so it is made here, where there is a network.
DOCKER_HOST="unix://$state/docker.sock" "$(dirname "${BASH_SOURCE[0]}")/../images/busybox.sh" >/dev/null
# In its network, so that it reaches a registry that COMMAND serves on 127.0.0.1.
DOCKER_HOST="unix://$state/docker.sock" LANDFALL_CONTAINERD_ENGINE=1 \
  nsenter --target "$(tr -d ' ' <"/proc/$engine/task/$engine/children")" --net -- "$@"

#!/usr/bin/env bash
# A small base image with a shell: static busybox FROM scratch, or the official one. Prints its name.
set -euo pipefail
# shellcheck source=scripts/images/lib.sh
. "$(dirname "$0")/lib.sh"

need_engine
if [ "$(source_of_image busybox)" = pull ]; then
  tag=busybox:1.36-musl
  have_image "$tag" || docker pull -q "$tag" >&2
else
  salt=$arch
  tag=$prefix-busybox:$(hash_of "$here/lib.sh" "$here/busybox.sh")
  if ! have_image "$tag"; then
    work_folder
    mkdir -p "$work/image/root/bin" "$work/image/root/tmp"
    unpack_packages "$work/debs" busybox-static
    cp "$work/debs/bin/busybox" "$work/image/root/bin/busybox"
    for applet in $("$work/image/root/bin/busybox" --list); do
      [ "$applet" = busybox ] || ln -sf busybox "$work/image/root/bin/$applet"
    done
    chmod 1777 "$work/image/root/tmp"
    printf 'FROM scratch\nCOPY root /\nENV PATH=/bin\nCMD ["sh"]\n' >"$work/image/Dockerfile"
    build_image "$tag" "$work/image"
  fi
fi
echo "$tag"

#!/usr/bin/env bash
# Caddy FROM scratch: Debian's binary, or one built from its Go module where there is no apt; with
# the demo's service program as /service for health checks. Prints the image's name.
set -euo pipefail
# shellcheck source=scripts/images/lib.sh
. "$(dirname "$0")/lib.sh"

need_engine
salt=$arch
tag=$prefix-caddy:$(hash_of "$here/lib.sh" "$here/caddy.sh" "${service_sources[@]}")
if ! have_image "$tag"; then
  work_folder
  root=$work/image/root
  mkdir -p "$root/usr/bin" "$root/etc/caddy" "$root/config" "$root/data" "$root/tmp"
  if have_apt; then
    unpack_packages "$work/debs" caddy
    cp "$work/debs/usr/bin/caddy" "$root/usr/bin/caddy"
    copy_libraries "$root" "$work/debs" "$root/usr/bin/caddy"
  else
    say "building Caddy from its Go module (minutes, once)"
    (cd "$repo" && CGO_ENABLED=0 GOOS=linux GOARCH=$arch go build -modfile=scripts/tools/caddy.mod -trimpath \
      -ldflags='-s -w' -o "$root/usr/bin/caddy" github.com/caddyserver/caddy/v2/cmd/caddy)
  fi
  build_service "$root/service"
  chmod 1777 "$root/tmp"
  cat >"$work/image/Dockerfile" <<'D'
FROM scratch
COPY root /
ENV XDG_CONFIG_HOME=/config XDG_DATA_HOME=/data PATH=/usr/bin
EXPOSE 80 443 2019
CMD ["caddy", "run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"]
D
  build_image "$tag" "$work/image"
fi
echo "$tag"

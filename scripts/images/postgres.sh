#!/usr/bin/env bash
# PostgreSQL: the official image where a registry is used, else one made FROM scratch out of
# Debian's packages (server, client, their libraries, busybox). Prints the image's name.
set -euo pipefail
# shellcheck source=scripts/images/lib.sh
. "$(dirname "$0")/lib.sh"

assemble() { # ROOT: the file system of the image
  local root=$1 debs=$work/debs version bin from applet
  refresh_lists postgresql
  version=$(apt-cache depends postgresql | sed -n 's/.*Depends: postgresql-\([0-9]*\)$/\1/p' | head -1)
  [ -n "$version" ] || die "apt knows no postgresql package"
  unpack_packages "$debs" "postgresql-$version" "postgresql-client-$version" busybox-static tzdata
  bin=usr/lib/postgresql/$version
  mkdir -p "$root"/{bin,usr/local/bin,usr/share,usr/lib/locale,etc,tmp,run/postgresql,var/lib/postgresql,docker-entrypoint-initdb.d,"$bin/lib"}
  cp -R "$debs/$bin/bin" "$root/$bin/"
  cp "$debs/$bin"/lib/*.so "$root/$bin/lib/"
  rm -f "$root/$bin"/lib/llvmjit*.so
  mkdir -p "$root/usr/share/postgresql"
  cp -R "$debs/usr/share/postgresql/$version" "$root/usr/share/postgresql/"
  cp -R /usr/lib/locale/C.utf8 "$root/usr/lib/locale/" # initdb wants the locale C.UTF-8
  cp -R "$debs/usr/share/zoneinfo" "$root/usr/share/"
  copy_libraries "$root" "$debs" "$root/$bin"/bin/* "$root/$bin"/lib/*.so
  cp "$debs/bin/busybox" "$root/bin/busybox"
  for applet in $("$root/bin/busybox" --list); do
    [ "$applet" = busybox ] || ln -sf busybox "$root/bin/$applet"
  done
  for from in "$root/$bin"/bin/*; do ln -sf "/$bin/bin/${from##*/}" "$root/usr/local/bin/${from##*/}"; done
  printf 'root:x:0:0::/root:/bin/sh\npostgres:x:999:999::/var/lib/postgresql:/bin/sh\n' >"$root/etc/passwd"
  printf 'root:x:0:\npostgres:x:999:\n' >"$root/etc/group"
  printf 'hosts: files dns\n' >"$root/etc/nsswitch.conf"
  chmod 1777 "$root/tmp"
  ln -s /run "$root/var/run"
  install -m 755 "$here/postgres-entrypoint.sh" "$root/usr/local/bin/docker-entrypoint.sh"
}

need_engine
if [ "$(source_of_image postgres)" = pull ]; then
  tag=postgres:16-alpine
  have_image "$tag" || docker pull -q "$tag" >&2
else
  salt=$arch
  tag=$prefix-postgres:$(hash_of "$here/lib.sh" "$here/postgres.sh" "$here/postgres-entrypoint.sh")
  if ! have_image "$tag"; then
    work_folder
    assemble "$work/image/root"
    cat >"$work/image/Dockerfile" <<'D'
FROM scratch
COPY root /
ENV PGDATA=/var/lib/postgresql/data PATH=/usr/local/bin:/bin
EXPOSE 5432
VOLUME /var/lib/postgresql/data
STOPSIGNAL SIGINT
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["postgres"]
D
    build_image "$tag" "$work/image"
  fi
fi
echo "$tag"

#!/bin/sh
# Entry point of the PostgreSQL image built from Debian's packages. Keeps the contract of the
# official image: POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB, PGDATA, /docker-entrypoint-initdb.d
# (*.sql, *.sh), and a first server that listens on its socket only.
set -e
: "${PGDATA:=/var/lib/postgresql/data}" "${POSTGRES_USER:=postgres}"
: "${POSTGRES_DB:=$POSTGRES_USER}"
export PGDATA

if [ "$(id -u)" = 0 ]; then
  mkdir -p "$PGDATA" /run/postgresql
  chown postgres:postgres "$PGDATA" /run/postgresql /var/lib/postgresql
  chmod 700 "$PGDATA"
  chmod 3777 /run/postgresql
  # the server writes its log to the container's streams as another user
  chmod 1777 /dev/stdout /dev/stderr 2>/dev/null || true
  # shellcheck disable=SC2016 # expanded by the inner shell
  exec su postgres -s /bin/sh -c 'exec "$0" "$@"' -- "$0" "$@"
fi

if [ ! -s "$PGDATA/PG_VERSION" ]; then
  if [ -z "$POSTGRES_PASSWORD$POSTGRES_HOST_AUTH_METHOD" ]; then
    echo "POSTGRES_PASSWORD is not set" >&2
    exit 1
  fi
  password=$(mktemp)
  printf %s "$POSTGRES_PASSWORD" >"$password"
  # shellcheck disable=SC2086 # POSTGRES_INITDB_ARGS is a list of words, as in the official image
  initdb -U "$POSTGRES_USER" ${POSTGRES_PASSWORD:+--pwfile="$password"} -E UTF8 --locale=C.UTF-8 $POSTGRES_INITDB_ARGS >/dev/null
  rm -f "$password"
  echo "host all all all ${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}" >>"$PGDATA/pg_hba.conf"
  echo "listen_addresses = '*'" >>"$PGDATA/postgresql.conf"
  pg_ctl -w -o "-c listen_addresses=''" start >/dev/null
  if [ "$POSTGRES_DB" != postgres ]; then createdb -U "$POSTGRES_USER" "$POSTGRES_DB"; fi
  for file in /docker-entrypoint-initdb.d/*; do
    case $file in
      *.sql) psql -q -v ON_ERROR_STOP=1 -U "$POSTGRES_USER" -d "$POSTGRES_DB" -f "$file" ;;
      *.sh) sh "$file" ;;
    esac
  done
  pg_ctl -m fast -w stop >/dev/null
fi
exec "$@"

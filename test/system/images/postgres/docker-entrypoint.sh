#!/usr/bin/env bash
# Keeps the public image's contract: NAME or NAME_FILE variables, a first start that makes the cluster, the user and
# the database and runs /docker-entrypoint-initdb.d on a server without TCP, root given up for uid 999.
set -Eeo pipefail

# take NAME [DEFAULT]: sets NAME from itself, from the file that NAME_FILE names, or from the default.
take() {
  local name=$1 file_name=${1}_FILE value=${2:-}
  if [ -n "${!name:-}" ] && [ -n "${!file_name:-}" ]; then
    echo "error: both $name and $file_name are set (but are exclusive)" >&2
    exit 1
  fi
  if [ -n "${!name:-}" ]; then
    value=${!name}
  elif [ -n "${!file_name:-}" ]; then
    value=$(<"${!file_name}")
  fi
  export "$name"="$value"
  unset "$file_name"
}

run_init_files() {
  local file
  for file in /docker-entrypoint-initdb.d/*; do
    case $file in
      *.sh)
        if [ -x "$file" ]; then
          echo "$0: running $file"
          "$file"
        else
          echo "$0: sourcing $file"
          # shellcheck disable=SC1090
          . "$file"
        fi
        ;;
      *.sql) echo "$0: running $file" && sql_file <"$file" ;;
      *.sql.gz) echo "$0: running $file" && gunzip -c "$file" | sql_file ;;
      *.sql.xz) echo "$0: running $file" && xzcat "$file" | sql_file ;;
      *.sql.zst) echo "$0: running $file" && zstd -dc "$file" | sql_file ;;
      '/docker-entrypoint-initdb.d/*') ;;
      *) echo "$0: ignoring $file" ;;
    esac
  done
}

sql_file() {
  PGHOST='' PGHOSTADDR='' psql -v ON_ERROR_STOP=1 --no-psqlrc --username "$POSTGRES_USER" --no-password \
    --dbname "$POSTGRES_DB"
}

check_password() {
  if [ -z "$POSTGRES_PASSWORD" ] && [ "$POSTGRES_HOST_AUTH_METHOD" != trust ]; then
    echo "Error: Database is uninitialized and superuser password is not specified." >&2
    echo "       You must specify POSTGRES_PASSWORD to a non-empty value for the superuser." >&2
    exit 1
  fi
}

make_cluster() {
  local initdb_args=()
  # As in the public image the variable is a line of shell words.
  eval "initdb_args=( ${POSTGRES_INITDB_ARGS:-} )"
  [ -z "${POSTGRES_INITDB_WALDIR:-}" ] || initdb_args+=(--waldir "$POSTGRES_INITDB_WALDIR")
  initdb --username="$POSTGRES_USER" --pwfile=<(printf '%s\n' "$POSTGRES_PASSWORD") "${initdb_args[@]}"

  local method=$POSTGRES_HOST_AUTH_METHOD
  [ -n "$method" ] || method=$(postgres -C password_encryption "$@")
  printf '\nhost all all all %s\n' "$method" >>"$PGDATA/pg_hba.conf"
}

initialize() {
  check_password
  make_cluster "$@"
  # Some authentication settings ask for a password on the local socket too.
  export PGPASSWORD=${PGPASSWORD:-$POSTGRES_PASSWORD}
  pg_ctl -D "$PGDATA" -w -o "-c listen_addresses='' -p ${PGPORT:-5432}" start
  if [ "$POSTGRES_DB" != postgres ]; then
    PGHOST='' psql -v ON_ERROR_STOP=1 --no-psqlrc --username "$POSTGRES_USER" --no-password --dbname postgres \
      --set db="$POSTGRES_DB" <<<'CREATE DATABASE :"db";'
  fi
  run_init_files
  pg_ctl -D "$PGDATA" -m fast -w stop
  unset PGPASSWORD
  echo
  echo 'PostgreSQL init process complete; ready for start up.'
  echo
}

main() {
  if [ "${1:0:1}" = - ]; then
    set -- postgres "$@"
  fi
  if [ "$1" = postgres ] && ! [[ " $* " =~ \ (--help|-\?|--version|-V|--describe-config|-C)\  ]]; then
    if [ "$(id -u)" = 0 ]; then
      mkdir -p "$PGDATA" /var/run/postgresql
      chmod 00700 "$PGDATA"
      find "$PGDATA" \! -user postgres -exec chown postgres '{}' +
      find /var/run/postgresql \! -user postgres -exec chown postgres '{}' +
      [ -z "${POSTGRES_INITDB_WALDIR:-}" ] || install -d -o postgres -m 700 "$POSTGRES_INITDB_WALDIR"
      exec gosu postgres "${BASH_SOURCE[0]}" "$@"
    fi
    take POSTGRES_PASSWORD
    take POSTGRES_USER postgres
    take POSTGRES_DB "$POSTGRES_USER"
    take POSTGRES_INITDB_ARGS
    : "${POSTGRES_HOST_AUTH_METHOD:=}"
    mkdir -p "$PGDATA"
    chmod 00700 "$PGDATA" || true
    if [ -s "$PGDATA/PG_VERSION" ]; then
      echo 'PostgreSQL Database directory appears to contain a database; Skipping initialization'
    else
      initialize "${@:2}"
    fi
  fi
  exec "$@"
}

main "$@"

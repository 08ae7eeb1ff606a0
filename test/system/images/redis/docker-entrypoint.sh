#!/bin/sh
# Keeps the public image's contract: options or a *.conf file alone mean redis-server; root is given up for uid 999
# after /data was made its own; files are made for their owner only.
set -e

if [ "${1#-}" != "$1" ] || [ "${1%.conf}" != "$1" ]; then
  set -- redis-server "$@"
fi

case $1 in
  redis-server | redis-sentinel)
    if [ "$(id -u)" = 0 ] && [ -z "${SKIP_DROP_PRIVS:-}" ]; then
      find . \! -user redis -exec chown redis '{}' + 2>/dev/null || true
      exec setpriv --reuid=redis --regid=redis --clear-groups -- "$0" "$@"
    fi
    [ "$(umask)" != 0022 ] || umask 0077
    ;;
esac

# The public image is compiled with protected mode off: a server without a password answers other containers.
if [ "$1" = redis-server ] && ! printf '%s\n' "$@" | grep -q -- '--protected-mode'; then
  case ${2:-} in
    *.conf) grep -qE '^[[:space:]]*protected-mode' "$2" 2>/dev/null || set -- "$@" --protected-mode no ;;
    *) set -- "$@" --protected-mode no ;;
  esac
fi

exec "$@"

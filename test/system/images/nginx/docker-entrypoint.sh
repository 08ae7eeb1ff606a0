#!/bin/sh
# Before nginx: runs what lies in /docker-entrypoint.d in version order. *.envsh is sourced, *.sh is run; what is
# not executable is left out with a word. A failing script ends the container.
set -e

say() {
  [ -n "${NGINX_ENTRYPOINT_QUIET_LOGS:-}" ] || echo "$0: $*"
}

case ${1:-} in
  nginx | nginx-debug)
    # A file list instead of a pipe: sourced files must set variables of this very shell.
    find /docker-entrypoint.d/ -follow -type f | sort -V >/tmp/entrypoint-files
    while read -r file; do
      case $file in
        *.envsh | *.sh)
          if [ ! -x "$file" ]; then
            say "Ignoring $file, not executable"
          elif [ "${file%.envsh}" != "$file" ]; then
            say "Sourcing $file"
            # shellcheck disable=SC1090 # its name is known at run time only
            . "$file"
          else
            say "Launching $file"
            "$file"
          fi
          ;;
        *) say "Ignoring $file" ;;
      esac
    done </tmp/entrypoint-files
    rm -f /tmp/entrypoint-files
    say "Configuration complete; ready for start up"
    ;;
esac

exec "$@"

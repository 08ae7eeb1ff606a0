#!/usr/bin/env bash
# All that the system tests stand on, once a machine: packages, engine, images. Prints `export DOCKER_HOST=...`.
# Several callers at once wait for the first; when everything is there it takes about a second.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export BOTPRESS_PROD_WORK=${BOTPRESS_PROD_WORK:-/var/tmp/botpress-prod-test}
mkdir -p "$BOTPRESS_PROD_WORK"
exec 8>"$BOTPRESS_PROD_WORK/prepare.lock"
# flock may be missing on a bare machine, where nobody else is at work yet.
! command -v flock >/dev/null || flock 8

# 8>&- : the daemon outlives this shell and must not take the lock along.
"$here/install.sh" 8>&-
line=$("$here/engine.sh" start 8>&-)
eval "$line"
node "$here/../images/build.js" >&2 8>&-
echo "$line"

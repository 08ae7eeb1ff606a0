#!/usr/bin/env bash
# A second Docker engine for the tests on a Swarm, in a network namespace of its own: a Swarm changes networks and packet
# filters of its machine, and the first engine serves other tests meanwhile.
#
#   swarm.sh start IMAGE...   start it if need be, make it a fresh Swarm of one, bring the images over from the first engine; prints
#                             `export DOCKER_HOST=...` and `export SWARM_ADDRESS=...`, where published ports are reached
#   swarm.sh stop             end exactly this engine with all that runs on it, and take the namespace away; images stay
set -euo pipefail

export PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=${BOTPRESS_PROD_WORK:-/var/tmp/botpress-prod-test}
swarm=$work/swarm
first=unix://$work/docker.sock
namespace=botpress-prod-swarm
# A pair of addresses that nobody else on a test machine uses.
outside=10.217.0.1 inside=10.217.0.2

start() {
  mkdir -p "$swarm"
  exec 7>"$swarm/lock"
  flock 7
  make_namespace
  # Inside, engine.sh does the rest: everything of an engine is in its folder.
  nsenter --net="/var/run/netns/$namespace" env "BOTPRESS_PROD_WORK=$swarm" "$here/engine.sh" start 7>&- >/dev/null
  export DOCKER_HOST=unix://$swarm/docker.sock
  # What a former run left would be found again by the next one.
  docker swarm leave --force >/dev/null 2>&1 || true
  docker ps --all --quiet | xargs --no-run-if-empty docker rm --force --volumes >/dev/null
  docker volume ls --quiet | xargs --no-run-if-empty docker volume rm --force >/dev/null
  docker swarm init --advertise-addr "$inside" >/dev/null
  local missing=() image
  for image in "$@"; do
    [[ $(id_of "$first" "$image") == "$(id_of "$DOCKER_HOST" "$image")" ]] || missing+=("$image")
  done
  ((${#missing[@]} == 0)) || docker --host "$first" save "${missing[@]}" | docker load --quiet >&2
  printf 'export DOCKER_HOST=%s\nexport SWARM_ADDRESS=%s\n' "$DOCKER_HOST" "$inside"
}

id_of() {
  docker --host "$1" image inspect --format '{{.Id}}' "$2" 2>/dev/null || true
}

make_namespace() {
  [[ -e /var/run/netns/$namespace ]] || ip netns add "$namespace"
  if ! ip link show bpswarm0 >/dev/null 2>&1; then
    ip link add bpswarm0 type veth peer name bpswarm1
    ip link set bpswarm1 netns "$namespace"
  fi
  ip address replace "$outside/30" dev bpswarm0
  ip link set bpswarm0 up
  ip --netns "$namespace" address replace "$inside/30" dev bpswarm1
  ip --netns "$namespace" link set bpswarm1 up
  ip --netns "$namespace" link set lo up
}

stop() {
  [[ -d $swarm ]] || return 0
  if [[ -e /var/run/netns/$namespace ]]; then
    # Tasks would come back with the engine.
    DOCKER_HOST=unix://$swarm/docker.sock docker swarm leave --force >/dev/null 2>&1 || true
    nsenter --net="/var/run/netns/$namespace" env "BOTPRESS_PROD_WORK=$swarm" "$here/engine.sh" stop
    ip link delete bpswarm0 2>/dev/null || true
    ip netns delete "$namespace"
  fi
}

case ${1:-} in
  start | stop)
    command=$1
    shift
    "$command" "$@"
    ;;
  *)
    sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"
    [ "${1:-}" = --help ] || exit 2
    ;;
esac

#!/usr/bin/env bash
# The Docker engine of the system tests: a daemon of its own beside whatever else the machine runs.
#
#   engine.sh start    start it if need be, wait until it answers, print `export DOCKER_HOST=...`
#   engine.sh stop     end exactly this daemon and its containers; images and build cache stay
#   engine.sh status   print DOCKER_HOST and exit 0 when it answers, else exit 1
#
# Everything lives in BOTPRESS_PROD_WORK (default /var/tmp/botpress-prod-test): data/ survives between runs.
set -euo pipefail

export PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
work=${BOTPRESS_PROD_WORK:-/var/tmp/botpress-prod-test}
socket=$work/docker.sock
pid_file=$work/docker.pid
start_timeout_s=60
stop_timeout_s=40

# A unix socket's path ends at 107 bytes; past that dockerd fails with a message that names no path.
if [ "${#socket}" -gt 100 ]; then
  echo "engine.sh: BOTPRESS_PROD_WORK is too long for a socket path: $work" >&2
  exit 2
fi

answers() {
  curl --silent --fail --max-time 5 --unix-socket "$socket" http://engine/_ping >/dev/null 2>&1
}

# The pid of our daemon, and only ours: a pid file may outlive its process and the number be taken by another.
daemon_pid() {
  local pid
  pid=$(cat "$pid_file" 2>/dev/null) || return 1
  tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -qF -- "--pidfile $pid_file" || return 1
  printf '%s\n' "$pid"
}

# What a killed daemon leaves mounted would keep its folders busy.
unmount_leftovers() {
  awk -v root="$work/" 'index($2, root) == 1 { print $2 }' /proc/mounts | sort -r | while read -r place; do
    umount --lazy "$place" 2>/dev/null || true
  done
}

start() {
  mkdir -p "$work"
  exec 9>"$work/engine.lock"
  flock 9
  if ! answers; then
    if daemon_pid >/dev/null; then
      : # still starting, or slow under load: wait for it below
    else
      rm -f "$pid_file" "$socket" "$work/exec/containerd/containerd.pid"
      echo '{}' >"$work/daemon.json"
      # 9>&- : the daemon must not inherit the lock, or it would hold it for its whole life.
      setsid nohup dockerd \
        --pidfile "$pid_file" --host "unix://$socket" --config-file "$work/daemon.json" \
        --data-root "$work/data" --exec-root "$work/exec" \
        >>"$work/dockerd.log" 2>&1 </dev/null 9>&- &
    fi
    local deadline=$((SECONDS + start_timeout_s))
    until answers; do
      if [ "$SECONDS" -ge "$deadline" ]; then
        echo "engine.sh: dockerd did not answer within ${start_timeout_s} s; the end of $work/dockerd.log:" >&2
        tail -n 20 "$work/dockerd.log" >&2
        exit 1
      fi
      sleep 0.2
    done
  fi
  echo "export DOCKER_HOST=unix://$socket"
}

stop() {
  [ -d "$work" ] || return 0
  exec 9>"$work/engine.lock"
  flock 9
  local pid deadline
  if pid=$(daemon_pid); then
    kill -TERM "$pid"
    deadline=$((SECONDS + stop_timeout_s))
    while [ -e "/proc/$pid" ]; do
      if [ "$SECONDS" -ge "$deadline" ]; then
        kill -KILL "$pid" 2>/dev/null || true
        break
      fi
      sleep 0.2
    done
  fi
  local containerd_pid
  containerd_pid=$(cat "$work/exec/containerd/containerd.pid" 2>/dev/null || true)
  if [ -n "$containerd_pid" ] && grep -qaF "$work/exec" "/proc/$containerd_pid/cmdline" 2>/dev/null; then
    kill -TERM "$containerd_pid" 2>/dev/null || true
  fi
  unmount_leftovers
  rm -rf "$work/exec" "$pid_file" "$socket"
}

status() {
  answers || {
    echo "engine.sh: no engine answers on $socket" >&2
    exit 1
  }
  echo "export DOCKER_HOST=unix://$socket"
}

case ${1:-} in
  start | stop | status) "$1" ;;
  *)
    sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"
    [ "${1:-}" = --help ] || exit 2
    ;;
esac

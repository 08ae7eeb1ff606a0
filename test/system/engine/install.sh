#!/usr/bin/env bash
# Installs what the system tests need on a bare Debian 12, as root. Does nothing when all is there.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=test/system/engine/mirror.sh
. "$here/mirror.sh"

packages=(
  ca-certificates curl debootstrap docker.io forkstat git iproute2 iptables openssh-client openssh-server openssl procps
  shellcheck shfmt tmux util-linux xz-utils yamllint
)

# Debian 12 has neither compose v2 nor buildx, and a kubectl too old for kustomize's components; those of the next suites
# are static enough to run on it.
plugin_suite=forky
plugin_folder=/usr/local/lib/docker/cli-plugins
compose_minimum=2.40
kubectl_minimum=1.30

if [ "$(id -u)" -ne 0 ]; then
  echo "install.sh: must run as root (it installs packages by apt)" >&2
  exit 1
fi
# Daemons and debootstrap live in sbin, which is not on every root's PATH.
export PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

install_packages() {
  local missing=() name
  for name in "${packages[@]}"; do
    [ "$(dpkg-query --show --showformat='${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || missing+=("$name")
  done
  [ "${#missing[@]}" -gt 0 ] || return 0

  # The tests run a daemon of their own; one that the package starts would fight it for bridges and iptables chains.
  local policy=/usr/sbin/policy-rc.d own_policy=no
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    own_policy=yes
  fi
  local status=0
  {
    apt-get update --quiet=2 &&
      DEBIAN_FRONTEND=noninteractive apt-get install --quiet=2 --yes --no-install-recommends "${missing[@]}"
  } >&2 || status=$?
  [ "$own_policy" = no ] || rm -f "$policy"
  return "$status"
}

# The version of a CLI plugin, or 0 when it is not installed.
plugin_version() {
  docker "$1" version 2>/dev/null | grep -oE '[0-9]+\.[0-9]+\.[0-9]+' | head -n 1 || echo 0
}

kubectl_version() {
  kubectl version --client 2>/dev/null | grep -oE '[0-9]+\.[0-9]+\.[0-9]+' | head -n 1 || echo 0
}

plugins_present() {
  docker buildx version >/dev/null 2>&1 &&
    dpkg --compare-versions "$(plugin_version compose)" ge "$compose_minimum" &&
    dpkg --compare-versions "$(kubectl_version)" ge "$kubectl_minimum"
}

install_plugins() {
  plugins_present && return 0
  local mirror scratch
  mirror=$(find_mirror "$plugin_suite")
  scratch=$(mktemp -d)
  # shellcheck disable=SC2064 # expanded now: the variable is local
  trap "rm -rf '$scratch'" EXIT
  mkdir -p "$scratch/lists/partial" "$scratch/cache/archives/partial" "$scratch/unpacked" "$scratch/etc"
  # apt with folders of its own: signatures are checked, and the machine's package lists stay as they are.
  printf 'deb [check-valid-until=no signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n' \
    "$mirror" "$plugin_suite" >"$scratch/etc/sources.list"
  local apt=(
    -o "Dir::Etc::sourcelist=$scratch/etc/sources.list" -o "Dir::Etc::sourceparts=-"
    -o "Dir::State::lists=$scratch/lists" -o "Dir::Cache=$scratch/cache" -o "APT::Sandbox::User=root"
    -o Acquire::Languages=none
  )
  apt-get "${apt[@]}" update --quiet=2 >&2
  (cd "$scratch" && apt-get "${apt[@]}" download --quiet=2 docker-compose docker-buildx "kubectl/$plugin_suite" >&2)
  mkdir -p "$plugin_folder"
  local deb plugin
  for deb in "$scratch"/*.deb; do
    dpkg-deb --extract "$deb" "$scratch/unpacked"
  done
  for plugin in docker-compose docker-buildx; do
    install -m 755 "$(find "$scratch/unpacked" -type f -path "*/cli-plugins/$plugin" | head -n 1)" \
      "$plugin_folder/$plugin"
  done
  install -m 755 "$scratch/unpacked/usr/bin/kubectl" /usr/local/bin/kubectl
  plugins_present || {
    echo "install.sh: docker compose $(plugin_version compose) from $plugin_suite is older than $compose_minimum, kubectl $(kubectl_version) older than $kubectl_minimum, or buildx is missing" >&2
    return 1
  }
}

install_packages
install_plugins

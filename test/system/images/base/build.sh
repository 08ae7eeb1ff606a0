#!/usr/bin/env bash
# Builds the base of all local images: a minimal Debian trixie, imported into the engine under the tag given.
#
#   base/build.sh TAG HASH
set -euo pipefail

tag=$1
hash=$2
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=test/system/engine/mirror.sh
. "$here/../../engine/mirror.sh"
export PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

suite=trixie
# Where trixie's release is too old for what the real images hold (nginx, lego), packages come from here.
newer_suite=forky
work=${BOTPRESS_PROD_WORK:-/var/tmp/botpress-prod-test}
mkdir -p "$work"
root=$(mktemp -d "$work/base.XXXXXX")
trap 'rm -rf "$root"' EXIT

mirror=$(find_mirror "$suite")
debootstrap --variant=minbase --include=ca-certificates "$suite" "$root" "$mirror" >"$work/debootstrap.log" || {
  tail -n 20 "$work/debootstrap.log" >&2
  exit 1
}

options='[check-valid-until=no signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]'
{
  echo "deb $options $mirror $suite main"
  if security=$(find_mirror "$suite-security" 2>/dev/null); then
    echo "deb $options $security $suite-security main"
  fi
  echo "deb $options $(find_mirror "$newer_suite") $newer_suite main"
} >"$root/etc/apt/sources.list"
cat >"$root/etc/apt/preferences.d/newer-suite" <<PREFERENCES
Package: *
Pin: release n=$newer_suite
Pin-Priority: 100
PREFERENCES
cat >"$root/etc/apt/apt.conf.d/90local-images" <<CONF
APT::Install-Recommends "false";
Acquire::Languages "none";
Acquire::GzipIndexes "true";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb || true"; };
DPkg::Options { "--force-unsafe-io"; };
CONF
# Services must not start while an image is built.
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"
rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/usr/share/doc/* "$root"/usr/share/locale/* "$root"/usr/share/man/*

tar --numeric-owner --create --directory "$root" . |
  docker import --change 'CMD ["bash"]' --change "LABEL botpress-prod.hash=$hash" - "$tag" >/dev/null

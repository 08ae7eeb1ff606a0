# shellcheck shell=bash
# Finds Debian mirrors from the machine's own apt configuration. Sourced, never run.
#
# No address is written down here: a machine may be bound to a company mirror, a proxy or a dated snapshot, and
# whatever it uses for its own packages is what works for the tests too.

# Prints every archive root that apt on this machine knows, one a line, deb822 and one-line formats alike.
list_archive_roots() {
  local sources=()
  local file
  for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources; do
    [ -f "$file" ] && sources+=("$file")
  done
  [ "${#sources[@]}" -gt 0 ] || return 0
  {
    sed -n -E 's/^deb(-src)?[[:space:]]+(\[[^]]*\][[:space:]]*)?([^[:space:]]+).*/\3/p' "${sources[@]}"
    sed -n -E 's/^URIs:[[:space:]]*//p' "${sources[@]}" | tr -s '[:space:]' '\n'
  } | grep -E '^https?://' | sed 's#/*$##' | awk '!seen[$0]++'
}

# find_mirror SUITE: prints the first known archive root that serves SUITE; fails when none does.
find_mirror() {
  local suite=$1 root
  while read -r root; do
    if curl --silent --show-error --fail --location --max-time 20 --output /dev/null \
      "$root/dists/$suite/InRelease" 2>/dev/null; then
      printf '%s\n' "$root"
      return 0
    fi
  done < <(list_archive_roots)
  echo "no apt source of this machine serves the suite '$suite'; looked at: $(list_archive_roots | tr '\n' ' ')" >&2
  return 1
}

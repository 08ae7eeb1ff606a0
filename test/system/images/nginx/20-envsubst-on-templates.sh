#!/bin/sh
# Renders /etc/nginx/templates/**/*.template into /etc/nginx/conf.d with the variables that are set, and no others:
# nginx's own $names must survive.
set -e

templates=${NGINX_ENVSUBST_TEMPLATE_DIR:-/etc/nginx/templates}
suffix=${NGINX_ENVSUBST_TEMPLATE_SUFFIX:-.template}
output=${NGINX_ENVSUBST_OUTPUT_DIR:-/etc/nginx/conf.d}
filter=${NGINX_ENVSUBST_FILTER:-}

[ -d "$templates" ] || exit 0
if [ ! -w "$output" ]; then
  echo "$0: ERROR: $templates exists, but $output is not writable" >&2
  exit 0
fi
names=$(env | cut -d= -f1 | grep -E "^${filter:-.*}" | sed 's/.*/${&}/' | tr '\n' ' ')
find "$templates" -follow -type f -name "*$suffix" | while read -r template; do
  target=$output/${template#"$templates/"}
  target=${target%"$suffix"}
  mkdir -p "$(dirname "$target")"
  echo "$0: Running envsubst on $template to $target"
  envsubst "$names" <"$template" >"$target"
done

#!/bin/sh
# Runs in the daemon's image: its client and plugins, to where the workspace mounts them.
set -eu
for file in /usr/local/bin/docker /usr/bin/docker /usr/local/libexec/docker/cli-plugins/*; do
  [ ! -f "$file" ] || { mkdir -p "/mnt/docker$(dirname "$file")" && cp "$file" "/mnt/docker$file"; }
done

#!/bin/sh
# Runs in the workspace's image before it: its users and groups, with the workspace's own added. Without a name for their id,
# shells say "I have no name!", and ssh and git refuse to work.
set -eu
add() { # FILE ID LINE
  cat "$1" 2>/dev/null >"/mnt/etc/${1##*/}" || :
  # A user of the image who has that id, or name, gives way.
  sed -i -e "/^$WORKSPACE_USER:/d" -e "/^[^:]*:[^:]*:$2:/d" "/mnt/etc/${1##*/}"
  echo "$3" >>"/mnt/etc/${1##*/}"
}
shell=$(command -v bash || command -v sh)
add /etc/passwd "$WORKSPACE_UID" "$WORKSPACE_USER:x:$WORKSPACE_UID:$WORKSPACE_GID::$HOME:$shell"
add /etc/group "$WORKSPACE_GID" "$WORKSPACE_USER:x:$WORKSPACE_GID:"

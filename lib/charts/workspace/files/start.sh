#!/bin/sh
# Main process of the container `web`: the IDE, Apache and the tasks, each kept running, until told to stop.
set -u
. /opt/runbook/lib.sh

kept=''
stop() {
  trap '' TERM INT QUIT WINCH
  say "stopping"
  # shellcheck disable=SC2086 # one process id a word
  kill $kept 2>/dev/null
  wait
  exit 0
}
# The signal is the image's choice: Apache's is WINCH, nginx's QUIT.
trap stop TERM INT QUIT WINCH

# NAME COMMAND...: run it again whenever it ends, more slowly each time, up to every 30 s
keep() {
  name=$1 pause=1; shift
  # The shell that keeps it must end it too.
  trap 'kill "$child" 2>/dev/null; wait "$child"; exit 0' TERM INT
  while :; do
    "$@" &
    child=$!
    wait "$child"
    say "$name ended with exit code $?; starting it again in $pause s"
    sleep "$pause" &
    child=$!
    wait "$child"
    [ "$pause" -ge 30 ] || pause=$((pause * 2))
  done
}

prepare_folder
prepare_environment
cd "$WORKSPACE_FOLDER" || exit 1

# The IDE first: somebody waits for it.
if [ -n "${IDE_PORT:-}" ]; then
  prepare_ide
  (
    PASSWORD=$IDE_PASSWORD
    export PASSWORD
    unset IDE_PASSWORD
    keep code-server "$IDE_ROOT/bin/code-server" --bind-addr "0.0.0.0:$IDE_PORT" --auth password --disable-telemetry \
      --disable-update-check --disable-workspace-trust --disable-getting-started-override \
      ${WORKSPACE_URL:+--proxy-domain "{{port}}-${WORKSPACE_URL#*://}"} "$IDE_OPEN"
  ) &
  kept="$kept $!"
  unset IDE_PASSWORD
  if [ -s /opt/runbook-tasks/tasks.json ]; then
    keep taskd "$IDE_ROOT/lib/node" /opt/runbook/taskd.js run &
    kept="$kept $!"
  fi
  install_extensions &
  kept="$kept $!"
elif [ -s /opt/runbook-tasks/tasks.json ]; then
  say "tasks need the IDE's node: they do not run in a workspace without IDE"
fi

if [ "$WORKSPACE_WEB" = true ]; then
  if command -v apache2-foreground >/dev/null; then
    # As the official image has it, in a folder that we may write.
    ln -sf /dev/stdout /var/log/apache2/access.log
    ln -sf /dev/stderr /var/log/apache2/error.log
    keep apache apache2-foreground &
    kept="$kept $!"
  else
    say "this image has no apache2-foreground: no web server on port 80"
  fi
fi
wait

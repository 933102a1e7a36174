#!/bin/sh
# The container `keeper`: stops the workspace when nobody works in it, or when `gp stop` asks. It alone holds a token, whose
# only right is to set the scale of this StatefulSet. Runs in the IDE's image, which has curl.
set -u
api=https://kubernetes.default.svc/apis/apps/v1/namespaces/$NAMESPACE/statefulsets/$WORKSPACE_NAME/scale
token=/var/run/secrets/kubernetes.io/serviceaccount
heartbeat=$HOME/.local/share/code-server/heartbeat # touched by code-server while a browser is connected
started=$(date +%s)
trap 'exit 0' TERM INT

stop() { # REASON
  echo "keeper: stopping the workspace: $1"
  curl -sS --fail-with-body -m 10 --cacert "$token/ca.crt" -H "Authorization: Bearer $(cat "$token/token")" -X PATCH \
    -H 'Content-Type: application/merge-patch+json' -d '{"spec":{"replicas":0}}' -o /dev/null "$api" &&
    rm -f /run/runbook/stop && started=$(date +%s)
}

echo "keeper: idle limit ${IDLE_STOP} s (0: none), looked at every ${IDLE_CHECK} s"
while :; do
  sleep "$IDLE_CHECK" &
  wait $!
  if [ -e /run/runbook/stop ]; then
    stop "asked by gp stop"
  elif [ "$IDLE_STOP" -gt 0 ]; then
    last=$(stat -c %Y "$heartbeat" 2>/dev/null || echo 0)
    [ "$last" -gt "$started" ] || last=$started
    idle=$(($(date +%s) - last))
    [ "$idle" -lt "$IDLE_STOP" ] || stop "nobody has worked in it for $idle s"
  fi
done

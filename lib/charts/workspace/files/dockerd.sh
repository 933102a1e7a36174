#!/bin/sh
# Main process of the container `docker`: the daemon of this workspace, on a socket that its containers share.
set -eu
# Packets larger than the pod's own network takes would vanish.
mtu=$(cat /sys/class/net/eth0/mtu 2>/dev/null || echo 1500)
set -- --host="unix://$DOCKER_SOCKET" --group="$DOCKER_GID" --mtu="$mtu" --log-driver=json-file --log-opt=max-size=10m --log-opt=max-file=2
# The networks of compose take it only from this option, which Docker has since 24.
if dockerd --help 2>&1 | grep -q default-network-opt; then
  set -- "$@" --default-network-opt="bridge=com.docker.network.driver.mtu=$mtu"
fi
[ -z "$DOCKER_MIRROR" ] || set -- "$@" --registry-mirror="$DOCKER_MIRROR"
exec dockerd-entrypoint.sh dockerd "$@"

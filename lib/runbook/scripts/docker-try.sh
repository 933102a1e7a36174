# Runs in a container of the daemon's image: tries to run a container there, and says what it saw, one `key=value` a line.
# No registry is needed: the image is made of this container's own shell. Seconds to wait for the daemon: $1
say() { printf '%s=%s\n' "$1" "$(printf '%s' "$2" | tr '\n' ' ' | tail -c 700)"; }

at=/sys/fs/cgroup
if [ -e $at/cgroup.controllers ]; then say cgroup v2; else say cgroup v1; at=$at/pids; fi
if told=$(mkdir $at/runbook-try 2>&1); then rmdir $at/runbook-try; say cgroup_writable yes; else say cgroup_writable "$told"; fi
say kernel "$(uname -r)"
say uid_map "$(awk '{print $1, $2, $3}' /proc/self/uid_map)"
say apparmor "$(cat /proc/self/attr/apparmor/current 2>/dev/null || cat /proc/self/attr/current 2>/dev/null)"
say apparmor_userns "$(cat /proc/sys/kernel/apparmor_restrict_unprivileged_userns 2>/dev/null)"

export DOCKER_HOST=unix:///tmp/try.sock
dockerd-entrypoint.sh dockerd --host=$DOCKER_HOST >/tmp/dockerd.log 2>&1 &
daemon=$! waited=0
until docker version >/dev/null 2>&1; do
  if ! kill -0 $daemon 2>/dev/null || [ $waited -ge "$1" ]; then
    say daemon no
    say told "$(grep -E 'level=(error|fatal)|failed to start|rror' /tmp/dockerd.log | tail -n 3)"
    say ran no
    exit 0
  fi
  sleep 1
  waited=$((waited + 1))
done
say daemon "$(docker version --format '{{.Server.Version}}')"
say driver "$(docker info --format '{{.Driver}}' 2>/dev/null)"
for file in /bin/sh $(ldd /bin/sh | grep -o '/[^ )]*'); do
  mkdir -p "/tmp/root$(dirname "$file")" && cp -L "$file" "/tmp/root$file"
done
tar -C /tmp/root -c . | docker import - runbook/try >/dev/null
if told=$(docker run --rm runbook/try /bin/sh -c 'echo it runs' 2>&1) && [ "$told" = "it runs" ]; then say ran yes; else
  say told "$told"
  say ran no
fi
kill $daemon
wait $daemon 2>/dev/null
exit 0

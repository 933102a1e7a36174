# How both directions open the repository and keep out of each other's way.
. /opt/backup/lib.sh
export RESTIC_CACHE_DIR=/tmp/cache RESTIC_PROGRESS_FPS=0.2
PARTS="workspace home"

# alone: one backup or restore of a workspace at a time; whoever runs has its volume's lock until the end
alone() {
  exec 9</data/workspace
  flock -n 9 || finish busy "another backup or restore of this workspace is running"
}

# present: whether the repository answers; a failure other than "there is none" ends all
present() {
  # restic tries an address that does not answer for a quarter of an hour.
  code=0
  said=$(timeout 90 restic cat config --no-lock 2>&1) || code=$?
  [ $code -ne 0 ] || return 0
  [ $code -ne 124 ] && [ $code -ne 143 ] || finish unreachable "no answer within 90 s: $said"
  case $said in
    *"Is there a repository"* | *"does not exist"* | *"no such file or directory"* | *"specified key does not exist"*) return 1 ;;
    *) give_up "$said" ;;
  esac
}

# unlock: take away what an interrupted run left locked. We are alone, so a lock of our name has nobody behind it.
unlock() {
  others=0
  for id in $(restic list locks --no-lock 2>/dev/null); do
    restic cat lock "$id" --no-lock 2>/dev/null | grep -q "\"hostname\": *\"$(hostname)\"" || others=$((others + 1))
  done
  if [ $others -eq 0 ]; then restic unlock --remove-all >/dev/null 2>&1 || true; else restic unlock >/dev/null 2>&1 || true; fi
}

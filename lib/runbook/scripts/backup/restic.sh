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
  # restic tries an address that does not answer, a bucket that is not there and a refused key for a quarter of an hour; its tries tell why.
  code=0
  said=$(timeout 60 restic cat config --no-lock 2>&1) || code=$?
  case $code in
    0) return 0 ;;
    124 | 143)
      said=$(printf '%s\n' "$said" | grep 'retrying' | tail -n 1)
      case $said in *"bucket does not exist"*) return 1 ;; esac
      kind=$(kind "$said")
      [ "$kind" != failed ] || kind=unreachable
      finish "$kind" "no answer within a minute: $said" ;;
  esac
  case $said in
    *"Is there a repository"* | *"does not exist"* | *"no such file or directory"*) return 1 ;;
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

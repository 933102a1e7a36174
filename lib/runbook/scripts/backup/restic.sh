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

# back_up ARGUMENT...: a snapshot, with its progress; leaves restic's $summary. All that is less than whole ends here.
back_up() {
  code=0 stuck=0
  restic backup --json --tag runbook "$@" >/tmp/backup.json 2>/tmp/backup.err & job=$!
  while kill -0 $job 2>/dev/null; do
    sleep 1
    tail -n 1 /tmp/backup.json | sed -n 's/.*"percent_done":\([0-9.]*\).*/progress \1/p'
    # restic 0.18.1 with one CPU can wait for ever after a write that failed for good (seen on a full disk); its word of it is the end.
    if grep -q '^Save(.*) failed: ' /tmp/backup.err; then stuck=$((stuck + 1)); fi
    [ $stuck -lt 10 ] || kill $job 2>/dev/null || true
  done
  wait $job || code=$?
  [ $code -eq 0 ] || [ $code -eq 3 ] || give_up "$(tail -n 5 /tmp/backup.err /tmp/backup.json)"
  summary=$(grep '"message_type":"summary"' /tmp/backup.json) || give_up "$(cat /tmp/backup.err)"
  # 3 says that files of the source were not read. restic says so, too, of the last snapshot's folders in a damaged repository.
  lost=$(grep -m 1 'repository could be damaged' /tmp/backup.err) && give_up "$lost"
  [ $code -eq 0 ] || finish incomplete "some files could not be read: $(tail -n 3 /tmp/backup.err)" "\"summary\":$summary"
}

# Put the copy of k3s's datastore and token into a repository of its own.
. /opt/backup/restic.sh
created=false
if ! present; then
  said=$(restic init 2>&1) || give_up "$said"
  created=true
fi
restic unlock >/dev/null 2>&1 || true
back_up --host k3s /data/k3s
said=$(restic forget --host k3s --group-by host --keep-last 3 --keep-daily "$KEEP_DAILY" --prune 2>&1) || give_up "$said"
said=$(restic check --read-data-subset="$CHECK" 2>&1) || give_up "$said"
finish ok "backed up and checked" "\"created\":$created,\"checked\":\"$CHECK\",\"summary\":$summary"

# Back up the files of a workspace and the dump of its databases, thin out old snapshots, check the repository.
. /opt/backup/restic.sh
alone
created=false
if ! present; then
  said=$(restic init 2>&1) || give_up "$said"
  created=true
fi
unlock

# What was there, to be compared after a restore. Files that change meanwhile are newer than the mark.
cd /data
touch backup/mark
find $PARTS -xdev -name '.runbook-*' -prune -o -type f -print0 | sort -z | xargs -0 -r sha256sum >backup/files 2>/tmp/hash.err || true
case $(cat /tmp/hash.err) in *"o space left"*) give_up "$(cat /tmp/hash.err)" ;; esac

back_up --host "$WORKSPACE" --exclude '/data/*/.runbook-*' /data/workspace /data/home /data/backup
said=$(restic forget --host "$WORKSPACE" --group-by host --keep-last "$KEEP_LAST" --keep-daily "$KEEP_DAILY" --keep-weekly "$KEEP_WEEKLY" \
  --keep-monthly "$KEEP_MONTHLY" --prune 2>&1) || give_up "$said"
said=$(restic check --read-data-subset="$CHECK" 2>&1) || give_up "$said"
kept=$(restic snapshots --host "$WORKSPACE" --json 2>/dev/null | grep -oE '"(time|short_id)":"[^"]*"' | cut -d '"' -f 4 |
  awk 'NR % 2 { t = substr($0, 1, 19); next } { print $0 " " t }' | tail -n 40 | tr '\n' ';')
finish ok "backed up and checked" "\"created\":$created,\"hashed\":$(wc -l <backup/files),\"checked\":\"$CHECK\",\"snapshots\":\"$kept\",\"summary\":$summary"

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

code=0 stuck=0
restic backup --json --host "$WORKSPACE" --tag runbook --exclude '/data/*/.runbook-*' /data/workspace /data/home /data/backup \
  >/tmp/backup.json 2>/tmp/backup.err & job=$!
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
# Also so: restic cannot read the last snapshot's trees, which it names as files of the source.
lost=$(grep -m 1 'repository could be damaged' /tmp/backup.err) && give_up "$lost"
[ $code -eq 0 ] || finish incomplete "some files could not be read: $(tail -n 3 /tmp/backup.err)" "\"summary\":$summary"

said=$(restic forget --host "$WORKSPACE" --group-by host --keep-last "$KEEP_LAST" --keep-daily "$KEEP_DAILY" --keep-weekly "$KEEP_WEEKLY" \
  --keep-monthly "$KEEP_MONTHLY" --prune 2>&1) || give_up "$said"
said=$(restic check --read-data-subset="$CHECK" 2>&1) || give_up "$said"
kept=$(restic snapshots --host "$WORKSPACE" --json 2>/dev/null | grep -oE '"(time|short_id)":"[^"]*"' | cut -d '"' -f 4 |
  awk 'NR % 2 { t = substr($0, 1, 19); next } { print $0 " " t }' | tail -n 40 | tr '\n' ';')
finish ok "backed up and checked" "\"created\":$created,\"hashed\":$(wc -l <backup/files),\"checked\":\"$CHECK\",\"snapshots\":\"$kept\",\"summary\":$summary"

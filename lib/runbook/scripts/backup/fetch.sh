# Bring a snapshot back beside what is there, and prove it by the hashes that were taken when it was made. Nothing is replaced yet.
. /opt/backup/restic.sh
alone
present || finish no-repository "there is no repository at this place"
for part in $PARTS; do rm -rf "/data/$part/.runbook-restore"; done
rm -rf /data/backup/*
# What was fetched in vain would fill the disk of a workspace that goes on.
trap 'code=$?; [ $code -eq 0 ] || rm -rf /data/workspace/.runbook-restore /data/home/.runbook-restore' EXIT

# Without a lock: one that an interrupted restore left would stop the backups of the workspace that it came from.
said=$(restic restore --no-lock "$SNAPSHOT" --host "$SOURCE" --include /data/backup --target / 2>&1) || give_up "$said"
[ -f /data/backup/files ] || finish no-snapshot "snapshot $SNAPSHOT holds no backup of a workspace"
for part in $PARTS; do
  said=$(restic restore --no-lock "$SNAPSHOT" --host "$SOURCE" --include "/data/$part" --target "/data/$part/.runbook-restore" 2>&1) || give_up "$said"
  echo "progress: $part fetched"
done

# later FILE: changed or gone since the mark, so the snapshot may rightly differ from the hash. A removal shows in its folder's time.
later() {
  p=/data/${1%%/*}/.runbook-restore/data/$1
  while [ ! -e "$p" ] && [ ! -L "$p" ]; do p=${p%/*}; done
  [ -n "$(find "$p" -maxdepth 0 -newer /data/backup/mark)" ]
}
cd /tmp
mkdir -p tree
for part in $PARTS; do ln -sfn "/data/$part/.runbook-restore/data/$part" "tree/$part"; done
cd tree
sha256sum -c /data/backup/files 2>/dev/null | grep -v ': OK$' | sed 's/: FAILED.*$//' >/tmp/differ || true
wrong=0 changed=0 first=""
while IFS= read -r file; do
  if later "$file"; then changed=$((changed + 1)); else wrong=$((wrong + 1)); first=${first:-$file}; fi
done </tmp/differ
total=$(wc -l </data/backup/files)
[ $wrong -eq 0 ] || finish differs "$wrong of $total files differ from their hashes, such as $first"
if [ -f /data/backup/database.sql ]; then
  (cd /data/backup && sha256sum -c database.sha256 >/dev/null 2>&1) || finish differs "the dump of the databases differs from its hash"
fi
finish ok "fetched and proven" "\"files\":$total,\"changed\":$changed"

# Put the fetched files in the place of those that are there. What was there goes when all is in place.
. /opt/backup/lib.sh
stamp=$(date +%s)
exec 9</data/workspace
flock -n 9 || finish busy "another backup or restore of this workspace is running"
for part in workspace home; do
  root=/data/$part new=/data/$part/.runbook-restore/data/$part old=/data/$part/.runbook-before-$stamp
  [ -d "$new" ] || finish failed "$new is not there"
  mkdir "$old"
  find "$root" -mindepth 1 -maxdepth 1 ! -name '.runbook-*' -exec mv {} "$old/" \;
  find "$new" -mindepth 1 -maxdepth 1 -exec mv {} "$root/" \;
done
# The folder that the IDE opens is named as the workspace; under another name it follows.
if [ "$SOURCE" != "$TARGET" ] && [ -d "/data/workspace/$SOURCE" ] && [ ! -e "/data/workspace/$TARGET" ]; then
  mv "/data/workspace/$SOURCE" "/data/workspace/$TARGET"
fi
for part in workspace home; do rm -rf /data/$part/.runbook-*; done
finish ok "in place" "\"entries\":$(find /data/workspace /data/home -xdev | wc -l)"

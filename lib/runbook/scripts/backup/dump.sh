# Dump the databases of a workspace as of one moment, and note how many rows each table has.
. /opt/backup/mariadb.sh
cd /data/backup
if [ ! -d $DATA/mysql ]; then
  finish ok "no database yet" '"rows":0,"tables":0'
fi
serve
counts before
names=$(sql -r -e "SELECT schema_name FROM information_schema.schemata WHERE schema_name NOT IN ($SYSTEM)")
if [ -n "$names" ]; then
  # One transaction; tables that know no transactions are named below, since they are only as consistent as luck has it.
  echo "$names" | tr '\n' '\0' | xargs -0 mariadb-dump --no-defaults -uroot --protocol=socket --socket="$socket" --single-transaction --quick \
    --routines --events --triggers --hex-blob --add-drop-database --databases >database.sql 2>/tmp/dump.err || give_up "$(cat /tmp/dump.err)"
  tail -n 1 database.sql | grep -q 'Dump completed' || give_up "the dump is not whole: $(cat /tmp/dump.err)"
  sha256sum database.sql >database.sha256
fi
counts after
# A table that people write to meanwhile has a range: table, least, most.
awk -F '\t' 'NR == FNR { n[$1] = $2; next } $1 in n { print $1 "\t" (n[$1] < $2 ? n[$1] : $2) "\t" (n[$1] > $2 ? n[$1] : $2) }' before after >rows
rm before after
others=$(sql -e "SELECT COUNT(*) FROM information_schema.tables WHERE table_type = 'BASE TABLE' AND engine <> 'InnoDB' AND table_schema NOT IN ($SYSTEM)")
unserve
finish ok dumped "\"rows\":$(awk -F '\t' '{ s += $2 } END { print s + 0 }' rows),\"tables\":$(wc -l <rows),\"not_innodb\":$others,\"dump_bytes\":$(wc -c <database.sql 2>/dev/null || echo 0)"

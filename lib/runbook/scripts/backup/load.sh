# Put the dump into the database and count its rows.
. /opt/backup/mariadb.sh
[ -f /data/backup/database.sql ] || finish ok "the snapshot holds no database" '"rows":0,"tables":0'
[ -d $DATA/mysql ] || finish no-database "the database was never started, so there is none to restore into"
serve ours
sql </data/backup/database.sql 2>/tmp/load.err || { unserve; give_up "$(cat /tmp/load.err)"; }
counts /tmp/now
unserve
awk -F '\t' 'NR == FNR { n[$1] = $2; next } !($1 in n) { print $1 " is not there"; next }
  n[$1] < $2 || n[$1] > $3 { print $1 " has " n[$1] " rows instead of " ($2 == $3 ? $2 : $2 "-" $3) }' /tmp/now /data/backup/rows >/tmp/differ
[ ! -s /tmp/differ ] || finish differs "$(head -n 3 /tmp/differ)"
finish ok "loaded and counted" "\"rows\":$(awk -F '\t' '{ s += $2 } END { print s + 0 }' /tmp/now),\"tables\":$(wc -l </tmp/now)"

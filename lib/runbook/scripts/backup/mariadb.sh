# How both directions reach the database: the running server by the socket on its volume, else one of our own.
# InnoDB locks its files, so two servers never work on one volume.
. /opt/backup/lib.sh
DATA=/var/lib/mysql
SYSTEM="'mysql','information_schema','performance_schema','sys'"
export MYSQL_PWD=$MARIADB_ROOT_PASSWORD
socket=$DATA/mysqld.sock
own=""

sql() { mariadb --no-defaults -uroot --protocol=socket --socket="$socket" -BN "$@"; }

# serve [ours]: a server that answers; with `ours` only one of our own
serve() {
  if [ "${1:-}" != ours ] && sql -e 'SELECT 1' >/dev/null 2>&1; then return; fi
  socket=/tmp/mysqld.sock
  mariadbd --user=mysql --datadir=$DATA --skip-networking --socket=$socket --pid-file=/tmp/mysqld.pid >/tmp/mariadbd.log 2>&1 &
  own=$!
  waited=0
  until said=$(sql -e 'SELECT 1' 2>&1); do
    case $said in *"Access denied"*) finish db-password "$said" ;; esac
    log=$(cat /tmp/mariadbd.log)
    case $log in *"Unable to lock"*) finish busy "the database is in use, and does not answer by the socket on its volume" ;; esac
    grep -q '^State:[^Z]*$' "/proc/$own/status" 2>/dev/null || give_up "$log"
    waited=$((waited + 1))
    [ $waited -le 240 ] || give_up "$log"
    sleep 0.5
  done
}

# Asked to by SQL: this container may not send signals to another user's process.
unserve() {
  [ -z "$own" ] || { sql -e SHUTDOWN; wait "$own" || true; }
}

# counts FILE: table and number of rows, of every table of the workspace
counts() {
  sql -r -e "SELECT CONCAT('SELECT ', QUOTE(CONCAT(table_schema, '.', table_name)), ', COUNT(*) FROM \`', REPLACE(table_schema, '\`', '\`\`'), '\`.\`',
    REPLACE(table_name, '\`', '\`\`'), '\`;') FROM information_schema.tables
    WHERE table_type = 'BASE TABLE' AND table_schema NOT IN ($SYSTEM) ORDER BY table_schema, table_name" >/tmp/counts.sql
  sql -r </tmp/counts.sql >"$1"
}

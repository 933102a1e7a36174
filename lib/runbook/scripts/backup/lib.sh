# What the scripts of backup and restore share. POSIX sh: restic's image has only busybox.
set -eu
export LC_ALL=C

# finish RESULT MESSAGE [JSON]: leave a report for the library in the pod's status, and end.
finish() {
  message=$(printf '%s' "$2" | tr '\n\t"\\' "  '/" | cut -c 1-1500)
  printf '{"result":"%s","message":"%s"%s}' "$1" "$message" "${3:+,$3}" >/dev/termination-log
  [ "$1" = ok ] && exit 0
  echo "$1: $message" >&2
  exit 1
}

# kind TEXT: which of the known failures restic, mariadb or the disk speak of
kind() {
  case $1 in
    *"no space left"* | *"No space left"* | *"disk quota exceeded"* | *"Errcode: 28"*) echo full-disk ;;
    *"Permission denied (publickey"* | *"Host key verification failed"*) echo not-allowed ;;
    *"unable to start the sftp session"*) echo unreachable ;;
    *"wrong password"* | *"no key found"*) echo wrong-key ;;
    *"ciphertext verification failed"* | *"does not match id"* | *"hash does not match"* | *"contains errors"* | *"unexpected EOF"* | \
      *"not found in index"* | *"invalid data returned"* | *"is damaged"* | *"could be damaged"* | \
      *"does not exist in the repository"* | *"load <index"* | *"load <snapshot"* | \
      *"is not valid JSON"* | *"contained in several indexes"* | *"config cannot be loaded"*) echo corrupted ;;
    *"already locked"*) echo locked ;;
    *"ermission denied"* | *"AccessDenied"* | *"Access Denied"* | *"signature we calculated"* | *"ccess "[Kk]"ey I"[Dd]* | *"not permitted"*) echo not-allowed ;;
    *"connection refused"* | *"no such host"* | *"timeout"* | *"unreachable"* | *"Connection closed"*) echo unreachable ;;
    *"no matching ID"* | *"no snapshot found"* | *"no such snapshot"*) echo no-snapshot ;;
    *) echo failed ;;
  esac
}

# give_up TEXT: end with the failure that a text speaks of
give_up() { finish "$(kind "$1")" "$(printf '%s' "$1" | tail -n 6)"; }

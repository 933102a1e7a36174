"""Why a database does not come up. Words of MariaDB; each is quoted from a report in tests/recorded."""

from collections.abc import Iterator

from runbook.diagnose.findings import CRITICAL, Case, Finding
from runbook.diagnose.snapshot import Snapshot

FIX = "92-workspace-does-not-start"
LOOKS_FOR = "databases that crash: full volume, permissions, password, corruption"
STOPPED = "the workspace's database does not run; pages that need it answer with an error"
CASES = (
    Case("db-disk-full", CRITICAL, "the database's volume is full", STOPPED,
         "free or enlarge its volume; never delete its ib_logfile or binlog by hand", "93-storage-stuck",
         r"No space left on device|(Errcode|errno|error):? 28\b"),
    Case("db-corrupt", CRITICAL, "the database's files are damaged", STOPPED,
         "restore it from a backup (step 20); before, copy the volume as it is. Nothing here does that by itself", FIX,
         r"Database page corruption|due to corruption|corruption in the InnoDB tablespace|Missing FILE_CHECKPOINT|"
         r"Missing MLOG_CHECKPOINT|Data structure corruption|is corrupt; try to repair|InnoDB: Corrupted page|not an InnoDB tablespace|"
         r"InnoDB: Header page consists of zero bytes|Tablespace size stored in header"),
    Case("db-permissions", CRITICAL, "the database may not write to its own files", STOPPED,
         "give the volume back to the database's user: fsGroup of the pod, or chown of its folder", FIX,
         r"(ibdata1|aria_log|mysql|mariadb|datadir|data directory|/data|InnoDB|log file)[^|]*(Permission denied|"
         r"Errcode: 13|errno: 13|OS error: 13)|(Errcode|errno|error number|OS error):? 13\b|the error means "
         r"mariadbd does not have the access rights"),
    Case("db-password", CRITICAL, "the database refuses its own password", STOPPED,
         "the Secret and the database differ: put the old password back into the Secret; a new one does not reach "
         "a database that exists", FIX, r"Access denied for user '[^']*'@"),
    Case("db-no-password", CRITICAL, "the database was started for the first time without a password", STOPPED,
         "make its Secret (step 02), then start it again", FIX,
         r"Database is uninitialized and password option is not specified"),
)


def look(shot: Snapshot) -> Iterator[Finding]:
    """Crashes are told with their pods; here is what a running database says to those who ask: a password that is refused."""
    for event in shot.of("Event"):
        message = event.get("message", "")
        if event.get("reason") == "Unhealthy" and CASES[3].matches(message):
            about = event["involvedObject"]
            pod = next((p for p in shot.of("Pod") if p["metadata"]["name"] == about.get("name")
                        and p["metadata"].get("namespace") == about.get("namespace")), None)
            if pod and any(c["type"] == "Ready" and c["status"] == "False" for c in pod["status"].get("conditions") or []):
                yield CASES[3].at(f"Pod {about.get('namespace')}/{about['name']}", event.get("firstTimestamp") or "", message)

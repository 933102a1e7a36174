"""Backup and restore of a workspace with 1 GiB, 10,000 files and a table of 100,000 rows, on the cluster of KUBECONFIG.

    KUBECONFIG=… RUNBOOK_RESTIC_IMAGE=… python tests/bench/bench_backup.py

Prints one line a step. Seconds are those of the Job, from its begin to its end: dump, hashing, upload, thinning out and a check that
reads everything again; or fetching, comparing hashes, loading and counting. The repository is a folder of the node, so this measures
the node's disk and processors, not a network. Everything it makes is taken away again. Without a cluster it says so.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time

import runbook
from runbook.operations import backup, restore, workspaces
from runbook.operations.released import remove_all

OWNER, NAME = "stor1", "bench"
WHERE, KEYS = f"ws-{OWNER}", "ws-stor-bench-keys"
SQL = 'MYSQL_PWD=$MARIADB_PASSWORD exec mariadb -u$MARIADB_USER -h127.0.0.1 $MARIADB_DATABASE -BNe "$0"'
#: 10,000 files in 100 folders, together 1 GiB of what cannot be packed: 107,374 bytes each, the last one the rest.
FILL = """cd /workspace && for d in $(seq 100); do mkdir -p load/$d && head -c 10737418 /dev/urandom | split -b 107374 -a 3 -d - load/$d/f; done
rm -f load/*/f100 && ls load/* | grep -c ^f && du -sm load | cut -f 1"""
TABLE = "CREATE TABLE load_rows (id INT PRIMARY KEY, said VARCHAR(64)); INSERT INTO load_rows SELECT seq, SHA2(seq, 256) FROM seq_1_to_100000"
HASHES = "cd /workspace/load && find . -type f -exec sha256sum {} + | sort -k 2 | sha256sum"
COUNT = "SELECT COUNT(*), SHA2(GROUP_CONCAT(CRC32(said) ORDER BY id), 256) FROM load_rows"


def line(what: str, value: str) -> None:
    print(f"{what:<44} {value}", flush=True)


def main() -> int:
    if not os.environ.get("KUBECONFIG"):
        line("backup and restore", "not measured: KUBECONFIG names no cluster")
        return 0
    folder = tempfile.mkdtemp(prefix="bench-backup-")
    site = runbook.connect("local", name="bench", kubeconfig=os.environ["KUBECONFIG"], mode="apply")
    spaces = runbook.section("workspaces", {"list": [{"owner": OWNER, "name": NAME}], "ide": "none", "idle_stop": 0,
                                            "storage": "3Gi", "home": "64Mi", "database": "1Gi"})
    image = os.environ.get("RUNBOOK_RESTIC_IMAGE", "docker.io/restic/restic:0.18.1")
    wanted = runbook.section("backup", {"repository": folder, "image": image, "only": [f"{OWNER}/{NAME}"], "check": "100%",
                                        "key": f"{KEYS}/key", "timeout": 1800, "restore": f"{OWNER}/{NAME}"})
    try:
        make(site, spaces)
        measure(site, wanted, spaces, folder)
    finally:
        clear(site)
        for namespace in (WHERE, KEYS):
            site.cluster.delete("Namespace", namespace)
        shutil.rmtree(folder, ignore_errors=True)
    return 0


def make(site, spaces) -> None:
    for change in workspaces.ensure_workspaces(site, spaces):
        change.perform()
    files, size = inside(site, FILL, timeout=600).split()
    inside(site, TABLE, sql=True)
    line("made", f"{files} files, {size} MiB, {inside(site, COUNT, sql=True).split()[0]} rows")


def measure(site, wanted, spaces, folder: str) -> None:
    hashes, rows = inside(site, HASHES, timeout=600), inside(site, COUNT, sql=True)
    for change in backup.ensure_backups(site, wanted):
        change.perform()
    for what in ("first backup", "second backup, nothing changed"):
        told = backup.run(site, wanted, OWNER, NAME)
        line(what, f"{told['seconds']:.0f} s, {told['hashed']} files hashed, {told['rows']} rows, "
                   f"{told['summary']['data_added'] / 2**20:.0f} MiB added, checked 100%")
    line("repository", f"{int(subprocess.run(['du', '-sm', folder], capture_output=True, text=True).stdout.split()[0])} MiB")
    begun = time.monotonic()
    clear(site)
    line("deleted entirely", f"{time.monotonic() - begun:.0f} s")
    told: dict = {}
    begun = time.monotonic()
    for change in restore.restore(site, wanted, spaces, told):
        change.perform()
    line("restored into a workspace made anew", f"{told['seconds']:.0f} s of {time.monotonic() - begun:.0f} s with making, stopping and starting it")
    same = {"hashes": hashes == inside(site, HASHES, timeout=600), "rows": rows == inside(site, COUNT, sql=True)}
    line("equal", ", ".join(f"{what} {'yes' if equal else 'NO'}" for what, equal in same.items()))
    if not all(same.values()):
        raise SystemExit("what was restored is not what was backed up")


def inside(site, command: str, sql: bool = False, timeout: float = 120) -> str:
    argv = ["sh", "-c", SQL, command] if sql else ["sh", "-c", command]
    return site.cluster.exec(f"{NAME}-0", argv, WHERE, "mariadb" if sql else "web", timeout=timeout).stdout


def clear(site) -> None:
    for change in workspaces.delete(site, NAME, OWNER):
        change.perform()
    remove_all(site, WHERE)


if __name__ == "__main__":
    sys.exit(main())

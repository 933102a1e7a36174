"""Backup and restore on a real cluster whose node is this machine, and every failure made on purpose.

RUNBOOK_RESTIC_IMAGE names an image with restic that the node has or can fetch.
"""

import base64
import os
import shutil
import subprocess
import threading
import time
from pathlib import Path

import pytest
from backup_kit import BACK, OTHER, Lab, refusal

from runbook.errors import ParameterError
from runbook.facts import backup as facts, storage
from runbook.operations import backup, restore, workspaces
from runbook.workspaces import namespace

pytestmark = [pytest.mark.cluster, pytest.mark.long]


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    made = Lab(tmp_path_factory.mktemp("repository"))
    made.fill()
    yield made
    made.clear()


def test_a_second_plan_is_empty_and_a_backup_tells_what_it_took(lab):
    assert not backup.ensure_backups(lab.site, lab.wanted())
    told = lab.run()
    assert told["result"] == "ok" and told["rows"] == 5000 and told["tables"] == 2 and told["not_innodb"] == 0
    row = facts.state(lab.site, lab.wanted()).set_index("workspace").loc["back"]
    assert (row.result, row.rows, row.checked) == ("ok", 5000, "100%") and row.age_hours < 0.1
    assert facts.state(lab.site, lab.wanted()).set_index("workspace").loc["other"].remark == "never backed up"


def test_a_stopped_workspace_is_backed_up_too(lab):
    lab.apply(workspaces.stop(lab.site, BACK[1], BACK[0]))
    told = lab.run()
    lab.apply(workspaces.start(lab.site, BACK[1], BACK[0]))
    assert told["rows"] == 5000


def test_the_key_and_the_dump_are_nowhere_in_the_repository(lab):
    lab.sh("echo 'nobody else reads this' > /workspace/a/diary")
    lab.run()
    key = lab.site.cluster.get("Secret", "backup-key", "ws-stor-keys")["data"]["password"]
    words = ["nobody else reads this", "CREATE TABLE", key, base64.b64decode(key).decode()]
    found = subprocess.run(["grep", "-raFl", *(a for word in words for a in ("-e", word)), str(lab.folder)], capture_output=True, text=True)
    assert (found.returncode, found.stdout) == (1, "")


def test_over_a_workspace_only_with_its_typed_name(lab):
    error = refusal(lambda: restore.restore(lab.site, lab.wanted(restore="stor1/back"), lab.spaces))
    assert isinstance(error, ParameterError) and "backup.overwrite" in error.do
    assert refusal(lambda: restore.restore(lab.site, lab.wanted(restore="stor1/back", overwrite="stor2/other"), lab.spaces))


def test_restore_into_another_and_what_was_there_is_in_a_snapshot(lab):
    lab.run()
    lab.sh("echo mine > /workspace/mine", OTHER)
    told = {}
    lab.apply(restore.restore(lab.site, lab.wanted(restore="stor1/back", restore_to="stor2/other", overwrite="stor2/other"), lab.spaces, told))
    assert told["result"] == "ok" and told["rows"] == 5000 and told["changed"] == 0
    assert lab.hashes(OTHER) == lab.hashes(BACK) != ""
    assert lab.sql("CHECKSUM TABLE t", OTHER) == lab.sql("CHECKSUM TABLE t", BACK)
    there = lab.sh("ls -A /workspace; readlink /workspace/a/link", OTHER).split()
    assert "mine" not in there and ".runbook-restore" not in there and there[-1] == "x"
    before = facts.snapshots(lab.site, *OTHER)["snapshot"][0]  # made by the restore, of what it replaced
    lab.apply(restore.restore(lab.site, lab.wanted(restore="stor2/other", overwrite="stor2/other", snapshot=before), lab.spaces))
    assert lab.sh("cat /workspace/mine", OTHER) == "mine\n"


def test_drill_deleted_entirely_and_restored(lab):
    lab.run()
    hashes, rows = lab.hashes(), lab.sql("CHECKSUM TABLE t")
    lab.apply(workspaces.delete(lab.site, BACK[1], BACK[0]))
    lab.site.cluster.wait("Namespace", namespace(BACK[0]), until=lambda o: o is None, timeout=120, what="the namespace to be gone")
    lab.apply(restore.restore(lab.site, lab.wanted(restore="stor1/back"), lab.spaces))
    assert lab.hashes() == hashes and lab.sql("CHECKSUM TABLE t") == rows
    lab.apply(backup.ensure_backups(lab.site, lab.wanted()))
    assert lab.run()["result"] == "ok"


def test_wrong_key(lab):
    secret = lab.site.cluster.get("Secret", "backup-key", namespace(BACK[0]))
    lab.site.cluster.patch("Secret", "backup-key", namespace(BACK[0]), {"data": {"password": base64.b64encode(b"another key").decode()}})
    error = refusal(lab.run)
    assert "the key does not open the repository" in str(error) and error.fix == "20-backup-and-restore"
    plan = backup.ensure_backups(lab.site, lab.wanted())  # the copy differs from the key: the plan mends it
    assert [c.title for c in plan] == ["update Secret ws-stor1/backup-key"]
    lab.apply(plan)
    assert lab.site.cluster.get("Secret", "backup-key", namespace(BACK[0]))["data"] == secret["data"]


def killer(pattern: str, found: list, seconds: float = 90):
    """Kill the first process of this machine whose command line fits, and its parent in the container, as a node that fails would."""
    def work():
        end = time.monotonic() + seconds
        while time.monotonic() < end and not found:
            for number in subprocess.run(["pgrep", "-f", pattern], capture_output=True, text=True).stdout.split():
                parent = subprocess.run(["ps", "-o", "ppid=", "-p", number], capture_output=True, text=True).stdout.strip()
                command = subprocess.run(["ps", "-o", "args=", "-p", parent], capture_output=True, text=True).stdout
                if "/opt/backup/" in command:
                    subprocess.run(["kill", "-KILL", parent, number])
                    found.append(command)
                    return
            time.sleep(0.01)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


@pytest.mark.root
def test_interrupted_backup_and_the_next_one_works(lab):
    lab.sh("head -c 120000000 /dev/urandom > /workspace/big")
    found = []
    thread = killer("restic backup --json --host back", found)
    error = refusal(lab.run)
    thread.join()
    assert found and "interrupted" in str(error)
    assert facts.state(lab.site, lab.wanted()).set_index("workspace").loc["back"].result == "interrupted"
    assert lab.run()["result"] == "ok"


@pytest.mark.root
def test_interrupted_restore_leaves_the_workspace_as_it_was_and_goes_again(lab):
    found = []
    lab.run()
    lab.sh("echo mine > /workspace/mine", OTHER)
    wanted = lab.wanted(restore="stor1/back", restore_to="stor2/other", overwrite="stor2/other")
    thread = killer("restic restore --no-lock latest --host back --include /data/workspace", found)
    error = refusal(lambda: lab.apply(restore.restore(lab.site, wanted, lab.spaces)))
    thread.join()
    assert found and "interrupted" in str(error) and error.fix == "20-backup-and-restore"
    assert lab.sh("cat /workspace/mine", OTHER) == "mine\n"  # it runs again, unchanged
    lab.apply(restore.restore(lab.site, wanted, lab.spaces))
    assert lab.hashes(OTHER) == lab.hashes(BACK)
    assert ".runbook-restore" not in lab.sh("ls -A /workspace", OTHER)


@pytest.mark.root
def test_interrupted_replacement_says_that_it_is_half_done_and_goes_again(lab):
    found = []
    lab.run()
    lab.sh("mkdir -p /workspace/many && cd /workspace/many && seq 20000 | xargs touch", OTHER)
    wanted = lab.wanted(restore="stor1/back", restore_to="stor2/other", overwrite="stor2/other")
    thread = killer("rm -rf /data/workspace/.runbook-", found)
    error = refusal(lambda: lab.apply(restore.restore(lab.site, wanted, lab.spaces)))
    thread.join()
    assert found and "interrupted" in str(error) and "half replaced" in error.do
    assert lab.site.cluster.get("StatefulSet", OTHER[1], namespace(OTHER[0]))["spec"]["replicas"] == 0
    lab.apply(restore.restore(lab.site, wanted, lab.spaces))
    lab.apply(workspaces.start(lab.site, OTHER[1], OTHER[0]))
    assert lab.hashes(OTHER) == lab.hashes(BACK)
    assert not [name for name in lab.sh("ls -A /workspace ~", OTHER).split() if name.startswith(".runbook-")]


@pytest.mark.root
def test_a_full_volume_during_a_restore_leaves_the_workspace_as_it_was(lab):
    """The volume gets a small file system of its own, under a workspace that is stopped."""
    lab.sh("head -c 20000000 /dev/urandom > /workspace/big")
    lab.run()
    lab.apply(workspaces.stop(lab.site, OTHER[1], OTHER[0]))
    table = storage.volumes(lab.site)
    folder = table[table.claim == f"{namespace(OTHER[0])}/other-workspace"].path.iloc[0]
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder], check=True)
    try:
        wanted = lab.wanted(restore="stor1/back", restore_to="stor2/other", overwrite="stor2/other")
        error = refusal(lambda: lab.apply(restore.restore(lab.site, wanted, lab.spaces)))
        assert "the disk is full" in str(error) and error.fix == "93-storage-stuck" and "nothing was replaced" in error.do
        assert not os.path.exists(f"{folder}/.runbook-restore")
    finally:
        subprocess.run(["umount", "-l", folder], check=True)
    lab.sh("rm /workspace/big")
    lab.apply(workspaces.start(lab.site, OTHER[1], OTHER[0]))


@pytest.mark.parametrize("lost", ["a new file", "everything"])
def test_damaged_repository(lab, lost):
    def packs():
        return {p for p in Path(lab.repository, "data").rglob("*") if p.is_file()}

    before = packs() if lost == "a new file" else set()
    lab.sh("head -c 2000000 /dev/urandom > /workspace/new")
    lab.run()
    shutil.copytree(lab.repository, f"{lab.repository}.good")
    # Of what is new the largest pack holds the file; an older pack might be one that the next backup drops anyhow.
    added = sorted(packs() - before, key=lambda p: -p.stat().st_size)
    for pack in added[:1] if lost == "a new file" else added:
        pack.chmod(0o600)
        with open(pack, "r+b") as file:
            file.seek(pack.stat().st_size // 3)
            file.write(b"damage")
    error = refusal(lab.run)
    assert "the repository is damaged" in str(error) and "backup.repository" in error.do
    wanted = lab.wanted(restore="stor1/back", restore_to="stor2/other", overwrite="stor2/other")
    lab.sh("echo mine > /workspace/mine", OTHER)
    assert "damaged" in str(refusal(lambda: lab.apply(restore.restore(lab.site, wanted, lab.spaces))))
    assert lab.sh("cat /workspace/mine", OTHER) == "mine\n"
    shutil.rmtree(lab.repository)
    os.rename(f"{lab.repository}.good", lab.repository)
    assert lab.run()["result"] == "ok"


@pytest.mark.root
def test_full_disk(lab, tmp_path):
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(tmp_path)], check=True)
    try:
        wanted = lab.wanted(repository=str(tmp_path))
        lab.apply(backup.ensure_backups(lab.site, wanted))
        lab.sh("head -c 20000000 /dev/urandom > /workspace/big")
        error = refusal(lambda: backup.run(lab.site, wanted, *BACK))
        assert "the disk is full" in str(error) and error.fix == "93-storage-stuck"
    finally:
        subprocess.run(["umount", "-l", str(tmp_path)], check=True)
        lab.apply(backup.ensure_backups(lab.site, lab.wanted()))


def test_deleted_claim(lab):
    lab.apply(workspaces.stop(lab.site, OTHER[1], OTHER[0]))
    lab.site.cluster.delete("PersistentVolumeClaim", "other-home", namespace(OTHER[0]))
    error = refusal(lambda: backup.run(lab.site, lab.wanted(), *OTHER))
    assert "a volume's claim is gone" in str(error) and "other-home" in str(error) and error.fix == "93-storage-stuck"


def test_no_such_snapshot_and_no_repository(lab):
    wanted = lab.wanted(restore="stor1/back", overwrite="stor1/back", snapshot="deadbeef")
    error = refusal(lambda: lab.apply(restore.restore(lab.site, wanted, lab.spaces)))
    assert "no such snapshot" in str(error)
    wanted = lab.wanted(restore="stor1/never", restore_to="stor1/back", overwrite="stor1/back")
    error = refusal(lambda: lab.apply(restore.restore(lab.site, wanted, lab.spaces)))
    assert "no repository at this place" in str(error)

"""Step 20: the scripts that run in the pods, and the words by which they know a failure."""

import os
import subprocess

import pytest

from runbook import backups
from runbook.facts import backup as facts


def test_the_scripts_are_all_there_and_plain_sh():
    data = backups.scripts("alice")["data"]
    assert {"backup.sh", "dump.sh", "fetch.sh", "k3s.sh", "lib.sh", "load.sh", "mariadb.sh", "none.sh", "replace.sh", "restic.sh"} == set(data)
    for name, text in data.items():
        assert subprocess.run(["sh", "-n"], input=text, text=True, capture_output=True).returncode == 0, name


@pytest.mark.parametrize("text, kind", [  # as the programs said it on a real cluster, or as their sources have it
    ("Fatal: wrong password or no key found", "wrong-key"),
    ("Pack ID does not match, want 870c, got 9f09 Fatal: repository contains errors", "corrupted"),
    ("ignoring error for /data/workspace/big: ciphertext verification failed", "corrupted"),
    ("/data/home: tree 64c7886262c8 could not be loaded; the repository could be damaged: decrypting blob from 1527775d failed", "corrupted"),
    ("Fatal: unable to save snapshot: write /repository/data: no space left on device", "full-disk"),
    ("mariadb-dump: Got errno 28 on write: No space left on device", "full-disk"),
    ("unable to create lock in backend: repository is already locked by PID 32 on backup-other", "locked"),
    ("Fatal: create repository at /repository failed: mkdir: permission denied", "not-allowed"),
    ("Stat: The request signature we calculated does not match the signature you provided. Check your key and signing method.", "not-allowed"),
    ("dial tcp 127.0.0.1:9000: connect: connection refused", "unreachable"),
    ("Fatal: failed to find snapshot: no matching ID found", "no-snapshot"),
    ("subprocess ssh: root@10.88.99.1: Permission denied (publickey,keyboard-interactive). Fatal: unable to open repository at sftp:root@10.88.99.1:/srv: "
     "unable to start the sftp session, error: error receiving version packet from server: unexpected EOF", "not-allowed"),
    ("Fatal: unable to start the sftp session, error: error receiving version packet from server: unexpected EOF", "unreachable"),
    ("something else", "failed")])
def test_the_scripts_know_the_failures(text, kind):
    script = (backups.SCRIPTS / "lib.sh").read_text() + '\nkind "$0"'
    assert subprocess.run(["sh", "-c", script, text], text=True, capture_output=True).stdout.strip() == kind
    assert kind in facts.PROBLEMS


TRY = "Stat(<config/>) returned error, retrying after 1.3s: Stat: {}"  #: restic 0.18.1, tried against an S3 server
OVER = "\nFatal: unable to open config file: context canceled\nIs there a repository at the following location?"


@pytest.mark.parametrize("said, code, told", [
    ("{}", 0, "there"),
    ("Fatal: unable to open config file: stat /repository/config: no such file or directory\nIs there a repository at the following location?", 10, "absent"),
    ("Fatal: wrong password or no key found", 12, "wrong-key"),
    (TRY.format("The specified bucket does not exist.") + OVER, 143, "absent"),
    (TRY.format("The request signature we calculated does not match the signature you provided.") + OVER, 143, "not-allowed"),
    (TRY.format("No user exists with the provided access key ID.") + OVER, 143, "not-allowed"),
    (TRY.format("dial tcp 127.0.0.1:17070: connect: connection refused") + OVER, 124, "unreachable"),
    ("", 143, "unreachable")])
def test_whether_there_is_a_repository(said, code, told):
    texts = [(backups.SCRIPTS / name).read_text().replace(". /opt/backup/lib.sh", "") for name in ("lib.sh", "restic.sh")]
    script = "\n".join([*texts, 'finish() { echo "$1"; exit 1; }', 'timeout() { printf "%s" "$SAID"; return "$CODE"; }',
                        "if present; then echo there; else echo absent; fi"])
    env = {"SAID": said, "CODE": str(code), "PATH": os.environ["PATH"]}
    assert subprocess.run(["sh", "-c", script], text=True, capture_output=True, env=env).stdout.strip() == told


LOST = ('{"message_type":"error","error":{"message":"/data/home: tree 64c7 could not be loaded; the repository could be damaged: decrypting blob '
        '<tree/64c7> from 1527 failed: ciphertext verification failed"},"during":"archival","item":"/data/home"}')  #: restic 0.18.1, as is all below
UNREAD = '{"message_type":"error","error":{"message":"open /data/home/x: permission denied"},"during":"archival","item":"/data/home/x"}'
FULL = "Save(<data/974029e628>) failed: write /repository/data/97/974029e628-tmp-4191998904: no space left on device"
SUMMARY = '{"message_type":"summary","files_new":1}'


@pytest.mark.parametrize("said, then, result", [
    ("", f"echo '{SUMMARY}'", ""),
    (UNREAD, f"echo '{SUMMARY}'; exit 3", "incomplete"),
    (LOST, f"echo '{SUMMARY}'; exit 3", "corrupted"),
    (FULL, "exit 1", "full-disk"),
    (FULL, "exec sleep 600", "full-disk"),  # it never ends by itself
    ("Save(<data/97>) returned error, retrying after 1s: connection reset", f"echo '{SUMMARY}'", ""),
    ("", "exit 0", "failed"),
])
def test_what_comes_of_a_snapshot(tmp_path, said, then, result):
    texts = [(backups.SCRIPTS / name).read_text().replace(". /opt/backup/lib.sh", "").replace("/tmp/", f"{tmp_path}/") for name in ("lib.sh", "restic.sh")]
    script = "\n".join([*texts, 'finish() { echo "$1"; exit 1; }', "sleep() { :; }", f"restic() {{ printf '%s\\n' \"$SAID\" >&2; {then}; }}",
                        'back_up /data; [ -n "$summary" ]'])
    done = subprocess.run(["sh", "-c", script], text=True, capture_output=True, timeout=60, env={"SAID": said, "PATH": os.environ["PATH"]})
    assert (done.stdout.strip(), done.returncode) == (result, 1 if result else 0), done.stderr

"""Repositories that are no folder of the node, on a real cluster: SFTP to a real sshd, S3 to a real server, both on this machine.

Both listen on the node's address, which pods reach. S3 is tried where there is a `versitygw` (github.com/versity/versitygw) on the PATH.
"""

import base64
import os
import shutil
import socket
import sqlite3
import subprocess
import time

import pytest
from backup_kit import Lab, refusal

from runbook.facts import backup as facts
from runbook.operations import backup, k3s_state, restore

pytestmark = [pytest.mark.cluster, pytest.mark.long, pytest.mark.root]
PAIR, COPY = ("stor5", "away"), ("stor5", "copy")


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    made = Lab(tmp_path_factory.mktemp("repository"), (PAIR,), keys="ws-stor5-keys")
    made.fill()
    made.pairs = (PAIR, COPY)  # the second one is made by a restore
    yield made
    made.clear()


def address(lab) -> str:
    node, = lab.site.cluster.list("Node")
    return next(a["address"] for a in node["status"]["addresses"] if a["type"] == "InternalIP")


def key(lab, **more):
    """The Secret of the key gets these entries, too."""
    lab.site.cluster.patch("Secret", "backup-key", lab.keys, {"stringData": more})


class Server:
    """A program that listens on an address until it is told to end."""

    def __init__(self, argv, where, port, env=None):
        self.process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ | (env or {}))
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex((where, port)) == 0:
                    return
            assert self.process.poll() is None, f"{argv[0]} ended with {self.process.returncode}"
            time.sleep(0.1)
        raise AssertionError(f"{argv[0]} does not listen")

    def end(self):
        self.process.terminate()
        self.process.wait(10)


def free_port(where: str) -> int:
    with socket.socket() as probe:
        probe.bind((where, 0))
        return probe.getsockname()[1]


def sshd(where: str, port: int, folder) -> Server:
    """An sshd that serves files to one key, made for this test; its keys are in the folder."""
    for name in ("host", "client", "stranger"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    (folder / "allowed").write_text((folder / "client.pub").read_text())
    (folder / "config").write_text(f"""ListenAddress {where}:{port}
HostKey {folder}/host
AuthorizedKeysFile {folder}/allowed
StrictModes no
PasswordAuthentication no
PermitRootLogin prohibit-password
Subsystem sftp internal-sftp
ForceCommand internal-sftp
PidFile none
""")
    os.makedirs("/run/sshd", exist_ok=True)
    return Server(["/usr/sbin/sshd", "-D", "-f", str(folder / "config")], where, port)


def there_and_back(lab, place: str):
    """A backup to a place, and a restore from it under another name, compared."""
    wanted = lab.wanted(repository=place, only=["/".join(PAIR)])
    lab.apply(backup.ensure_backups(lab.site, wanted))
    told = backup.run(lab.site, wanted, *PAIR)
    assert (told["result"], told["rows"], told["created"]) == ("ok", 5000, True)
    again = lab.wanted(repository=place, restore="/".join(PAIR), restore_to="/".join(COPY), overwrite="/".join(COPY))
    restored = {}
    lab.apply(restore.restore(lab.site, again, lab.spaces, restored))
    assert restored["result"] == "ok" and lab.hashes(COPY) == lab.hashes(PAIR) != "" and lab.sql("CHECKSUM TABLE t", COPY) == lab.sql("CHECKSUM TABLE t")
    return wanted


def test_sftp(lab, tmp_path):
    where = address(lab)
    port = free_port(where)
    server = sshd(where, port, tmp_path)
    try:
        known = f"[{where}]:{port} {(tmp_path / 'host.pub').read_text()}"
        key(lab, id_ed25519=(tmp_path / "client").read_text(), known_hosts=known, config=f"Host {where}\n  Port {port}\n")
        wanted = there_and_back(lab, f"sftp:root@{where}:{tmp_path}/files")
        assert sorted(os.listdir(tmp_path / "files" / "/".join(PAIR))) == ["config", "data", "index", "keys", "locks", "snapshots"]
        assert "if it lies elsewhere" in facts.place(lab.site, wanted).survives[0]
        key(lab, id_ed25519=(tmp_path / "stranger").read_text())
        lab.apply(backup.ensure_backups(lab.site, wanted))
        assert "may not be used" in str(refusal(lambda: backup.run(lab.site, wanted, *PAIR)))
    finally:
        server.end()
    error = refusal(lambda: backup.run(lab.site, wanted, *PAIR))
    assert "the repository does not answer" in str(error) and error.fix == "20-backup-and-restore"


if shutil.which("versitygw"):
    def test_s3(lab, tmp_path):
        where, access, secret = address(lab), "for-this-test", "only-on-this-machine"
        port = free_port(where)
        server = Server(["versitygw", "--port", f"{where}:{port}", "posix", str(tmp_path)], where, port,
                        {"ROOT_ACCESS_KEY": access, "ROOT_SECRET_KEY": secret})
        try:
            key(lab, AWS_ACCESS_KEY_ID=access, AWS_SECRET_ACCESS_KEY=secret)
            wanted = there_and_back(lab, f"s3:http://{where}:{port}/codespace")
            assert (tmp_path / "codespace" / "/".join(PAIR) / "config").exists()
            key(lab, AWS_SECRET_ACCESS_KEY="another")
            lab.apply(backup.ensure_backups(lab.site, wanted))
            assert "may not be used" in str(refusal(lambda: backup.run(lab.site, wanted, *PAIR)))
        finally:
            server.end()
        assert "the repository does not answer" in str(refusal(lambda: backup.run(lab.site, wanted, *PAIR)))


if shutil.which("restic"):
    def test_the_state_of_k3s_goes_into_a_repository_and_comes_back(lab, tmp_path, monkeypatch):
        """A datastore as k3s has it, in a folder of this test; the commands that the notebook prints, without those that stop and start k3s."""
        server = tmp_path / "server"
        (server / "db").mkdir(parents=True)
        live = sqlite3.connect(server / "db" / "state.db")
        live.execute("PRAGMA journal_mode=WAL")
        live.execute("CREATE TABLE kine (id INTEGER PRIMARY KEY, name TEXT)")
        live.executemany("INSERT INTO kine VALUES (?, ?)", [(i, f"/registry/{i}") for i in range(1000)])
        live.commit()
        (server / "token").write_text("K10::server:not-a-real-one\n")
        for name, path in {"SERVER": server, "DATASTORE": server / "db" / "state.db", "TOKEN": server / "token", "COPY": server / "runbook-copy"}.items():
            monkeypatch.setattr(k3s_state, name, str(path))
        wanted = lab.wanted(repository=str(tmp_path / "files"))
        assert k3s_state.why_not(lab.site, wanted) == ""
        lab.apply(k3s_state.copy(lab.site, wanted))
        assert facts.k3s(lab.site, wanted)["result"] == "ok"
        live.execute("DELETE FROM kine")  # the state is lost, and the token with it
        live.commit()
        (server / "token").unlink()
        commands = k3s_state.RESTORE.format(repository=f"{wanted.repository}/k3s", server=server).replace("/tmp/k3s", str(tmp_path / "back"))
        password = base64.b64decode(lab.site.cluster.get("Secret", "backup-key", lab.keys)["data"]["password"]).decode()
        script = "\n".join(line.replace("sudo ", "") for line in commands.splitlines() if "systemctl" not in line)
        subprocess.run(["sh", "-euc", script], check=True, env=os.environ | {"RESTIC_PASSWORD": password})
        assert sqlite3.connect(server / "db" / "state.db").execute("SELECT COUNT(*) FROM kine").fetchone() == (1000,)
        assert (server / "token").read_text() == "K10::server:not-a-real-one\n"

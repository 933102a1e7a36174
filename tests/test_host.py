import os
import signal
import socket
import subprocess
import sys
import textwrap
import time

import psutil
import pytest

from runbook import secrets
from runbook.errors import CommandFailed, CommandTimeout, HostError, MissingRight
from runbook.host import Host
from runbook.operations.host import ensure_file, ensure_unit, remove_file, run_command
from runbook.plans import apply, plan_of

PYTHON = sys.executable


@pytest.fixture
def host():
    return Host()


def test_a_command_hands_over_what_it_left(host):
    result = host.run([PYTHON, "-c", "import sys; print(sys.stdin.read().upper()); print('e', file=sys.stderr)"], input="abc", env={"X": "1"})
    assert (result.exit_code, result.stdout, result.stderr) == (0, "ABC\n", "e\n")


def test_a_failing_command_raises_with_its_last_lines(host):
    with pytest.raises(CommandFailed, match="exit code 3") as failed:
        host.run([PYTHON, "-c", "print('the reason'); raise SystemExit(3)"])
    assert "the reason" in str(failed.value) and failed.value.result.exit_code == 3
    assert host.run([PYTHON, "-c", "raise SystemExit(3)"], check=False).exit_code == 3


def test_a_program_that_is_not_there_is_named(host):
    with pytest.raises(CommandFailed, match="no-such-program"):
        host.run(["no-such-program"])
    assert host.run(["no-such-program"], check=False).exit_code == 127


def test_secrets_are_masked_in_what_is_shown(host, capsys):
    secrets.keep_secret("correct-horse")
    result = host.run([PYTHON, "-c", "print('correct-horse')"], echo=True)
    assert "correct-horse" not in capsys.readouterr().out + repr(result)
    with pytest.raises(CommandFailed) as failed:
        host.run([PYTHON, "-c", "raise SystemExit('correct-horse')"])
    assert "correct-horse" not in str(failed.value)


CHILD = "import subprocess, sys; p = subprocess.Popen(['sleep', '300']); print(p.pid, flush=True); p.wait()"


def test_a_command_at_its_time_limit_ends_with_its_children(host):
    with pytest.raises(CommandTimeout, match="still running") as late:
        host.run([PYTHON, "-c", CHILD], timeout=1)
    gone(int(late.value.result.stdout))


def gone(pid: int):
    for _ in range(100):
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return
        time.sleep(0.05)  # the kernel needs a moment; bounded
    raise AssertionError(f"process {pid} still runs")


def test_an_interrupt_leaves_no_process():
    script = textwrap.dedent(f"""
        from runbook.host import Host
        Host().run([{PYTHON!r}, "-c", {CHILD!r}], echo=True)
    """)
    runner = subprocess.Popen([PYTHON, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    child = int(runner.stdout.readline())
    runner.send_signal(signal.SIGINT)
    _, err = runner.communicate(timeout=20)
    assert "KeyboardInterrupt" in err
    gone(child)


def test_root_is_asked_for_plainly(host, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(MissingRight, match="needs root"):
        host.run(["true"], root=True)


def test_sockets_name_who_listens(host):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        found = [s for s in host.sockets() if s["port"] == port]
    assert [(s["address"], s["pid"]) for s in found] == [("127.0.0.1", os.getpid())]


def test_a_file_is_planned_written_kept_and_removed(host, tmp_path):
    path = str(tmp_path / "etc" / "a.conf")
    first = apply(plan_of([ensure_file(host, path, "one\n", 0o600)]), "apply")
    assert first.changed == [f"create File {path}"] and host.read(path) == "one\n" and host.mode(path) == 0o600
    assert ensure_file(host, path, "one\n", 0o600) is None
    change = ensure_file(host, path, "two\n", 0o644)
    assert [(f.path, f.before, f.after) for f in change.fields] == [("content", "one\n", "two\n"), ("mode", "0600", "0644")]
    apply(plan_of([change]), "apply")
    backups = [p for p in (tmp_path / "etc").iterdir() if ".before-" in p.name]
    assert host.read(path) == "two\n" and [b.read_text() for b in backups] == ["one\n"]
    apply(plan_of([remove_file(host, path)]), "apply")
    assert host.read(path) is None and remove_file(host, path) is None


def test_a_full_disk_leaves_the_old_file_whole(host, tmp_path, monkeypatch):
    path = tmp_path / "a.conf"
    path.write_text("old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(HostError, match="No space left on device"):
        host.write(str(path), "new")
    assert path.read_text() == "old" and not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


class Systemd(Host):
    """A host whose systemd is a table."""

    def __init__(self, **state):
        self.state, self.ran, self.files = state, [], {}

    def unit(self, name):
        return self.state

    def read(self, path):
        return self.files.get(path)

    def mode(self, path):
        return 0o644 if path in self.files else None


@pytest.mark.parametrize(("text", "state", "wanted"), [
    ("[Unit]", {"UnitFileState": "enabled", "ActiveState": "active"}, []),
    ("[Unit]", {"UnitFileState": "enabled", "ActiveState": "failed"}, ["systemctl restart a.service"]),
    ("[Unit]", {"UnitFileState": "disabled", "ActiveState": "inactive"}, ["systemctl enable a.service", "systemctl restart a.service"]),
    (None, {}, ["/etc/systemd/system/a.service", "systemctl daemon-reload", "systemctl enable a.service", "systemctl restart a.service"]),
])
def test_units_are_brought_to_what_is_wanted(text, state, wanted):
    host = Systemd(**state)
    host.files = {} if text is None else {"/etc/systemd/system/a.service": text}
    assert [c.name for c in plan_of(ensure_unit(host, "a.service", "[Unit]"))] == wanted


def test_a_change_that_leaves_nothing_is_found_out(host, tmp_path):
    change = run_command(Plain(), ["true"], leaves=[str(tmp_path / "made")])
    with pytest.raises(HostError, match="made is not there"):
        change.perform()


class Plain(Host):
    """Root or not, nothing is asked of sudo."""

    def run(self, argv, **more):
        return super().run(argv, **{**more, "root": False})

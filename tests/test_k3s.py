"""Step 01's installation, on the rehearsal's server: order, checks, and what happens the second time."""

import hashlib

import pytest

from runbook.errors import HostError, ParameterError
from runbook.facts import host as facts
from runbook.operations import k3s
from runbook.params import K3s
from runbook.plans import apply

INSTALLER = "#!/bin/sh\necho installed\n"
WANTED = K3s(version="v0.0.0+k3s1", installer="https://installer.test/", installer_sha256=hashlib.sha256(INSTALLER.encode()).hexdigest(),
             tls_san=["k8s.example.org"])


class Server:
    """A server in memory; what the installer and the uninstaller do is theirs to know, so it is written down here."""

    def __init__(self, version="", served=INSTALLER):
        self.files, self.modes, self.ran, self.version, self.served, self.downloads = {}, {}, [], version, served, 0

    def which(self, program):
        return k3s.PROGRAM if program == "k3s" and self.version else None

    def run(self, argv, **_):
        from runbook.host import Result

        assert argv == ["k3s", "--version"]
        return Result(tuple(argv), 0, f"k3s version {self.version} (abc)\ngo version go1\n")

    def change(self, argv, *, env=None, leaves=(), gone=(), **_):
        self.ran.append(" ".join(argv))
        if argv[0] == "sh":
            self.version = env["INSTALL_K3S_VERSION"]
        self.files |= dict.fromkeys(leaves, "made")
        for path in gone:
            self.files.pop(path, None)

    def read(self, path):
        return self.files.get(path)

    def exists(self, path):
        return path in self.files

    def mode(self, path):
        return self.modes.get(path)

    def write(self, path, text, mode=0o644):
        self.files[path], self.modes[path] = text, mode

    def remove(self, path):
        self.files.pop(path, None)

    def download(self, url):
        self.downloads += 1
        return self.served


class Site:
    def __init__(self, host):
        self.host = host


def names(plan):
    return [f"{c.action} {c.name}" for c in plan]


def test_an_empty_server_gets_configuration_first_then_the_installer():
    server = Server()
    plan = k3s.ensure_k3s(server, WANTED)
    assert names(plan) == [f"create {k3s.CONFIG}", f"create {k3s.INSTALLER}", f"run sh {k3s.INSTALLER}"]
    assert server.downloads == 0
    apply(plan, "apply")
    assert server.version == "v0.0.0+k3s1" and server.modes[k3s.CONFIG] == 0o600
    assert "k8s.example.org" in server.files[k3s.CONFIG]


def test_nothing_is_downloaded_when_the_version_is_there():
    server = Server()
    apply(k3s.ensure_k3s(server, WANTED), "apply")
    again = k3s.ensure_k3s(server, WANTED)
    assert not again and again.kept == 2 and server.downloads == 1


def test_a_changed_configuration_restarts_k3s():
    server = Server()
    apply(k3s.ensure_k3s(server, WANTED), "apply")
    plan = k3s.ensure_k3s(server, WANTED.model_copy(update={"disable": ["traefik"]}))
    assert names(plan) == [f"update {k3s.CONFIG}", "run systemctl restart k3s"]


def test_what_is_installed_is_kept_when_no_version_is_asked_for():
    server = Server(version="v9.9.9+k3s1")
    assert names(k3s.ensure_k3s(server, K3s())) == [f"create {k3s.CONFIG}", "run systemctl restart k3s"]


def test_another_version_is_installed():
    server = Server(version="v9.9.9+k3s1")
    assert f"run sh {k3s.INSTALLER}" in names(k3s.ensure_k3s(server, WANTED))


@pytest.mark.parametrize("missing", ["version", "installer_sha256"])
def test_version_and_checksum_are_required_to_install(missing):
    with pytest.raises(ParameterError, match="version and installer_sha256 are required"):
        k3s.ensure_k3s(Server(), WANTED.model_copy(update={missing: ""}))


def test_an_installer_with_another_checksum_is_not_run():
    server = Server(served="#!/bin/sh\nrm -rf /\n")
    with pytest.raises(HostError, match="its sha256 is"):
        apply(k3s.ensure_k3s(server, WANTED), "apply")
    assert k3s.INSTALLER not in server.files and not server.ran


@pytest.mark.parametrize(("delete_data", "copied"), [(False, True), (True, False)])
def test_undo_keeps_the_volumes_unless_asked(delete_data, copied):
    server = Server()
    apply(k3s.ensure_k3s(server, WANTED), "apply")
    server.files[k3s.STORAGE] = "volumes"
    plan = k3s.undo(Site(server), WANTED, delete_data)
    assert any(name.startswith(f"run cp -a --reflink=auto {k3s.STORAGE}") for name in names(plan)) == copied
    apply(plan, "apply")
    assert not [p for p in (k3s.PROGRAM, k3s.CONFIG, k3s.INSTALLER, k3s.KUBECONFIG) if p in server.files]
    assert server.ran[-1] == k3s.UNINSTALL


def test_undo_of_a_cluster_that_was_given_does_nothing():
    assert not k3s.undo(Site(Server()), WANTED)


class Machine:
    """A server for the preflight: files, commands and sockets as told."""

    def __init__(self, *, cores=4, memory_kb=8 << 20, disk=50 << 30, held=(), files=(), dns=True):
        self.files = {"/proc/cpuinfo": "processor\t: 0\n" * cores, "/proc/meminfo": f"MemTotal: {memory_kb} kB\n", "/proc/swaps": "Filename\n",
                      "/proc/sys/fs/inotify/max_user_instances": "1024\n", "/proc/sys/kernel/osrelease": "6.8\n", **dict(files)}
        self.disk, self.held, self.dns = disk, held, dns

    def read(self, path):
        return self.files.get(path)

    def exists(self, path):
        return path in self.files

    def sockets(self):
        return [{"address": "0.0.0.0", "port": port, "pid": 1, "program": program} for port, program in self.held]

    def unit(self, name):
        return {}

    def run(self, argv, **_):
        from runbook.host import Result

        out = {"df": f"Avail\n{self.disk}\n", "timedatectl": "yes\n", "getent": "1.2.3.4 x\n"}[argv[0]]
        return Result(tuple(argv), 0 if argv[0] != "getent" or self.dns else 2, out)


@pytest.mark.parametrize(("machine", "installing", "said"), [
    ({}, True, ""),
    ({"cores": 1}, True, "cores: 1"),
    ({"memory_kb": 1 << 20}, True, "memory: 1.0 GiB"),
    ({"disk": 1 << 30}, True, "free disk on /: 1.0 GiB"),
    ({"held": [(443, "nginx")]}, True, "port 443 (HTTPS of the workspaces): nginx"),
    ({"held": [(443, "nginx")]}, False, ""),
    ({"held": [(6443, "k3s-server")]}, True, ""),
    ({"dns": False}, True, "DNS finds get.k3s.io: no"),
    ({"dns": False}, False, ""),
])
def test_the_preflight_finds_what_stands_in_the_way(machine, installing, said):
    problems = facts.bad(facts.preflight(Machine(**machine), K3s(), installing))
    assert problems.startswith(said) and bool(problems) == bool(said)


@pytest.mark.parametrize(("files", "what", "found"), [
    ({"/sys/fs/cgroup/cgroup.controllers": "cpu"}, "cgroup version", 2), ({}, "cgroup version", 1),
    ({"/proc/swaps": "Filename\n/swap file\n"}, "swap", "on"), ({"/proc/sys/fs/inotify/max_user_instances": "128"}, "inotify instances", 128),
])
def test_the_preflight_notes_the_rest(files, what, found):
    table = facts.preflight(Machine(files=files), K3s(), True).set_index("what")
    assert table.loc[what, "found"] == found

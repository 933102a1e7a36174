"""The rehearsal's machine: files and units that plans write are kept in the state; what commands print is replayed."""

import time

from runbook.errors import NotRecorded
from runbook.host import Result, expect
from runbook.rehearsal.recordings import key, recorded, replay
from runbook.rehearsal.state import State, fresh_objects, now, seed

UNIT_FOLDER = "/etc/systemd/system"
#: What a unit is that nobody made. Source: ``systemctl show`` of a name that does not exist.
NO_UNIT = {"LoadState": "not-found", "UnitFileState": "", "ActiveState": "inactive", "SubState": "dead", "Result": "success"}
K3S_UNIT = {"LoadState": "loaded", "UnitFileState": "enabled", "ActiveState": "active", "SubState": "running", "Result": "success"}
NOTED = "rehearsal: only noted, nothing was run"
#: Files whose content is behaviour of a machine; others that are not recorded do not exist here.
OF_THE_MACHINE = ("/proc/", "/sys/", "/etc/os-release")
#: The server of the rehearsal has k3s, as its store has a cluster; uninstalling it takes both away.
K3S, KUBECONFIG = "/usr/local/bin/k3s", "/etc/rancher/k3s/k3s.yaml"
OURS = ("k3s", "kubectl")  #: programs that are there because a step put them there


class RehearsalHost:
    """The same interface as :class:`runbook.host.Host`."""

    name = "rehearsal"

    def __init__(self, state: State):
        self.state = state
        abouts = {about for about, _ in recorded().values()}
        self.replayed = "rehearsal: replayed, " + (max(abouts) if abouts else "nothing recorded")

    def run(self, argv: list[str], *, timeout: float = 60, input: str | None = None, env: dict[str, str] | None = None, cwd: str | None = None,
            check: bool = True, echo: bool = False, root: bool = False) -> Result:
        """See :meth:`runbook.host.Host.run`. Raises NotRecorded for a command that nobody recorded."""
        argv = [str(a) for a in argv]
        result = self._noted(argv)
        if result is None:
            answer, label = replay(self.state, run_key(argv), f"`{' '.join(argv)}` on the host")
            result = Result(tuple(argv), answer["exit_code"], answer["stdout"], answer["stderr"], answer.get("seconds", 0.0), label)
        if echo and result.stdout:
            print(result.stdout, end="" if result.stdout.endswith("\n") else "\n")
        return expect(result, self.name) if check else result

    def change(self, argv: list[str], *, timeout: float = 120, input: str | None = None, env: dict[str, str] | None = None,
               leaves: list[str] = (), gone: list[str] = ()) -> Result:
        """Note what a command would leave and take away; nothing is run. See :meth:`runbook.host.Host.change`."""
        argv = [str(a) for a in argv]
        with self.state.change() as data:
            for path in gone:
                data["files"].pop(path, None)
            for path in leaves:
                data["files"].setdefault(path, {"text": "", "mode": 0o600 if path == KUBECONFIG else 0o755, "time": now()})
            if K3S in gone:
                data["objects"] = fresh_objects()
        return self._noted(argv) or Result(tuple(argv), 0, "", replayed=NOTED)

    def download(self, url: str, timeout: float = 60) -> str:
        """Nothing is fetched here. Raises NotRecorded."""
        raise NotRecorded(f"rehearsal: no recording of {url}: nothing is downloaded here", do="start the rehearsal anew: delete .rehearsal")

    def probe(self, asked: list[str], look) -> tuple[dict, str]:
        """What a real run found on the network; nothing is looked at. Raises NotRecorded for what nobody asked then."""
        return replay(self.state, probe_key(asked), f"the probe {' '.join(asked)}")

    def read(self, path: str) -> str | None:
        """The text of a file that a plan wrote; else as recorded; else there is none."""
        found = self.state.read()["files"].get(path)
        if found:
            return found["text"]
        if read_key(path) in recorded():
            return replay(self.state, read_key(path), path)[0]["text"]
        if path.startswith(OF_THE_MACHINE):
            raise NotRecorded(f"rehearsal: no recording of the file {path}", do="record it on a real server: make record")
        return None

    def exists(self, path: str) -> bool:
        if path.startswith(OF_THE_MACHINE):
            return replay(self.state, exists_key(path), path)[0]["there"]
        files = self.state.read()["files"]
        return path in files or any(p.startswith(path.rstrip("/") + "/") for p in files)

    def mode(self, path: str) -> int | None:
        found = self.state.read()["files"].get(path)
        return found["mode"] if found else None

    def which(self, program: str) -> str | None:
        """A program that a plan put there, or that the recorded machine had."""
        for folder in ("/usr/local/bin", "/usr/local/sbin", "/usr/bin", "/usr/sbin"):
            if f"{folder}/{program}" in self.state.read()["files"]:
                return f"{folder}/{program}"
        return replay(self.state, which_key(program), program)[0]["path"] if which_key(program) in recorded() else None

    def sockets(self) -> list[dict]:
        """Who listened on the recorded machine."""
        return replay(self.state, key("sockets"), "the listening sockets of the host")[0]["sockets"]

    def unit(self, name: str) -> dict:
        """A unit as plans left it."""
        if _unit(name) == "k3s.service" and self.which("k3s"):
            return dict(self.state.read()["units"].get("k3s.service") or K3S_UNIT)
        return dict(self.state.read()["units"].get(_unit(name)) or (NO_UNIT if self.read(f"{UNIT_FOLDER}/{_unit(name)}") is None else
                                                                    NO_UNIT | {"LoadState": "loaded", "UnitFileState": "disabled"}))

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Keep a file; what was there is kept as ``<path>.before-<UTC time>``."""
        with self.state.change() as data:
            old = data["files"].get(path)
            if old:
                data["files"][f"{path}.before-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"] = old
            data["files"][path] = {"text": text, "mode": mode, "time": now()}

    def remove(self, path: str) -> None:
        """Forget a file; none there is fine."""
        with self.state.change() as data:
            data["files"].pop(path, None)

    def _noted(self, argv: list[str]) -> Result | None:
        """What is answered from the state: units, and the version of k3s."""
        program = argv[0].rpartition("/")[2]
        if program == "systemctl" and argv[1] != "show":
            return self._systemctl(argv[1:])
        if argv[:2] == ["k3s", "--version"] and self.which("k3s"):
            return Result(tuple(argv), 0, f"k3s version {seed()['version']}+rehearsal\n", replayed=NOTED)
        return None

    def _systemctl(self, arguments: list[str]) -> Result | None:
        words = [a for a in arguments if not a.startswith("-")]
        argv = ("systemctl", *arguments)
        if words == ["daemon-reload"]:
            return Result(argv, 0, "", replayed=NOTED)
        if len(words) != 2 or words[0] not in ("enable", "disable", "start", "stop", "restart"):
            return None
        action, name = words[0], _unit(words[1])
        if self.unit(name)["LoadState"] == "not-found":
            return Result(argv, 5 if action != "enable" else 1, "", f"Unit {name} not found.\n", replayed=NOTED)
        state = self.unit(name)
        if action in ("enable", "disable"):
            state["UnitFileState"] = f"{action}d"
        if action in ("start", "restart") or action == "enable" and "--now" in arguments:
            state |= {"ActiveState": "active", "SubState": "running"}
        if action == "stop" or action == "disable" and "--now" in arguments:
            state |= {"ActiveState": "inactive", "SubState": "dead"}
        with self.state.change() as data:
            data["units"][name] = state
        return Result(argv, 0, "", replayed=NOTED)


def _unit(name: str) -> str:
    return name if "." in name else f"{name}.service"


def run_key(argv: list[str]) -> str:
    return key("run", *argv)


def probe_key(asked: list[str]) -> str:
    return key("probe", *asked)


def read_key(path: str) -> str:
    return key("read", path)


def exists_key(path: str) -> str:
    return key("exists", path)


def which_key(program: str) -> str:
    return key("which", program)

"""The rehearsal's machine: files and units that plans write are kept in the state; what commands print is replayed."""

import time

from runbook.errors import NotRecorded
from runbook.host import Result, expect
from runbook.rehearsal.recordings import key, recorded, replay
from runbook.rehearsal.state import State, now

UNIT_FOLDER = "/etc/systemd/system"
#: What a unit is that nobody made. Source: ``systemctl show`` of a name that does not exist.
NO_UNIT = {"LoadState": "not-found", "UnitFileState": "", "ActiveState": "inactive", "SubState": "dead", "Result": "success"}
NOTED = "rehearsal: only noted, nothing was run"
#: Files whose content is behaviour of a machine; others that are not recorded do not exist here.
OF_THE_MACHINE = ("/proc/", "/sys/", "/etc/os-release", "/etc/machine-id")


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
        result = self._systemctl(argv[1:]) if argv[0].rpartition("/")[2] == "systemctl" and argv[1] != "show" else None
        if result is None:
            answer, label = replay(self.state, run_key(argv), f"`{' '.join(argv)}` on the host")
            result = Result(tuple(argv), answer["exit_code"], answer["stdout"], answer["stderr"], answer.get("seconds", 0.0), label)
        if echo and result.stdout:
            print(result.stdout, end="" if result.stdout.endswith("\n") else "\n")
        return expect(result, self.name) if check else result

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


def read_key(path: str) -> str:
    return key("read", path)


def which_key(program: str) -> str:
    return key("which", program)

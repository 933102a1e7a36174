"""Files, units and commands on the host, as planned changes. What is replaced is kept beside it as a backup."""

from runbook.plans import Change, Field

UNIT_FOLDER = "/etc/systemd/system"


def ensure_file(host, path: str, text: str, mode: int = 0o644, secret: bool = False) -> Change | None:
    """A file with this text and mode, written beside and renamed; what it replaces is kept as ``<path>.before-<time>``."""
    before = host.read(path)
    if before == text and host.mode(path) == mode:
        return None
    fields = (Field("content", *("••••••" if secret and t is not None else t for t in (before, text))),) if before != text else ()
    old_mode = host.mode(path)
    if old_mode is not None and old_mode != mode:
        fields += (Field("mode", f"{old_mode:04o}", f"{mode:04o}"),)
    undo = f"rm {path}" if before is None else f"put back the newest {path}.before-*"
    return Change("create" if before is None else "update", "File", path, lambda: host.write(path, text, mode), fields, undo=undo)


def remove_file(host, path: str) -> Change | None:
    """No file there."""
    return Change("delete", "File", path, lambda: host.remove(path)) if host.exists(path) else None


def ensure_unit(host, name: str, text: str, *, restart: bool = False) -> list[Change | None]:
    """A systemd unit with this text, enabled and running; restarted when its text changes or ``restart`` says so."""
    file = ensure_file(host, f"{UNIT_FOLDER}/{name}", text)
    state = host.unit(name)
    changes = [file]
    wanted = []
    if file:
        wanted.append(["systemctl", "daemon-reload"])
    if state.get("UnitFileState") != "enabled":
        wanted.append(["systemctl", "enable", name])
    if state.get("ActiveState") != "active" or file or restart:
        wanted.append(["systemctl", "restart", name])
    changes += [run_command(host, argv) for argv in wanted] or [None]
    return changes


def remove_unit(host, name: str) -> list[Change | None]:
    """No such unit, stopped and disabled first."""
    path = f"{UNIT_FOLDER}/{name}"
    if not host.exists(path):
        return [None]
    return [run_command(host, ["systemctl", "disable", "--now", name]), remove_file(host, path),
            run_command(host, ["systemctl", "daemon-reload"])]


def run_command(host, argv: list[str], *, timeout: float = 120, input: str | None = None, env: dict | None = None, note: str = "",
                undo: str = "", leaves: list[str] = (), gone: list[str] = ()) -> Change:
    """A command that changes something; the caller has found out that it is needed.

    Args:
        leaves: paths that must be there afterwards.
        gone: paths that must not.
    """
    return Change("run", "Command", " ".join(argv),
                  lambda: host.change(argv, timeout=timeout, input=input, env=env, leaves=list(leaves), gone=list(gone)), note=note, undo=undo)

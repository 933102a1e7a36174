"""The server itself: run a command, read a file, see what listens.

Notebooks only observe through it. What writes files or starts units is a planned change of
:mod:`runbook.operations.host`, so that it can be shown before it is done.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from runbook.errors import CommandFailed, CommandTimeout, HostError, MissingRight
from runbook.secrets import mask

LAST_LINES = 12


@dataclass(frozen=True)
class Result:
    """What a command left: its output as text, its exit code, its time in seconds.

    ``replayed`` is empty for a command that ran; on the rehearsal it says of which recording this is the replay.
    """

    argv: tuple[str, ...]
    exit_code: int
    stdout: str
    stderr: str = ""
    seconds: float = 0.0
    replayed: str = ""

    @property
    def ok(self) -> bool:
        return self.exit_code == 0

    def last_lines(self, n: int = LAST_LINES) -> str:
        """The last lines of what it printed, masked: standard error first if there is any."""
        lines = (self.stderr.strip() or self.stdout.strip()).splitlines()
        return mask("\n".join(lines[-n:]))

    def __repr__(self) -> str:
        label = f"\n[{self.replayed}]" if self.replayed else ""
        return mask(f"$ {' '.join(self.argv)}\n{self.stdout}{self.stderr}".rstrip()) + (
            f"\nexit code {self.exit_code}" if self.exit_code else "") + label


def expect(result: Result, where: str) -> Result:
    """Hand a successful result through; raise :class:`CommandFailed` with its last lines otherwise."""
    if not result.ok:
        raise CommandFailed(
            mask(f"{where}: `{' '.join(result.argv)}` ended with exit code {result.exit_code}") + f"\n{result.last_lines()}",
            result=result,
            do="read its last lines above",
        )
    return result


class Host:
    """The machine this runs on."""

    name = "local"
    replayed = ""

    def run(
        self,
        argv: list[str],
        *,
        timeout: float = 60,
        input: str | None = None,
        env: dict[str, str] | None = None,
        cwd: str | None = None,
        check: bool = True,
        echo: bool = False,
        root: bool = False,
    ) -> Result:
        """Run a command; never through a shell.

        Args:
            argv: the program and its arguments.
            timeout: seconds; then the command and all its children are ended.
            input: text for its standard input.
            env: variables added to this process's environment.
            cwd: the folder to run in.
            check: raise if the exit code is not 0.
            echo: show its output line by line, masked, while it runs.
            root: run it as root, by ``sudo -n`` if need be.

        Raises:
            CommandFailed: exit code other than 0 (with ``check``), or the program does not exist.
            CommandTimeout: still running at its time limit.
            MissingRight: ``root`` was asked for and cannot be had.
        """
        argv = [str(a) for a in argv]
        if root and os.geteuid() != 0:
            if subprocess.run(["sudo", "-n", "true"], capture_output=True).returncode if shutil.which("sudo") else True:
                raise MissingRight(f"`{' '.join(argv)}` needs root", do="run as root, or give this user passwordless sudo")
            argv = ["sudo", "-n", *argv]
        started = time.monotonic()
        try:
            process = subprocess.Popen(
                argv, stdin=subprocess.PIPE if input is not None else subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, text=True, errors="replace", cwd=cwd, env={**os.environ, **(env or {})},
                start_new_session=True,
            )
        except (FileNotFoundError, PermissionError) as error:
            result = Result(tuple(argv), 127, "", str(error))
            if not check:
                return result
            raise CommandFailed(f"{argv[0]}: {error.strerror}", result=result, do=f"install {argv[0]} on this host") from None
        out, err = _Reader(process.stdout, echo), _Reader(process.stderr, echo)
        try:
            if input is not None:
                threading.Thread(target=_feed, args=(process.stdin, input), daemon=True).start()
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            _end(process)
            result = Result(tuple(argv), -1, out.text(), err.text(), time.monotonic() - started)
            raise CommandTimeout(
                mask(f"`{' '.join(argv)}` was still running after {timeout:.0f} s and was ended") + f"\n{result.last_lines()}",
                result=result, do="see why it hangs, or give it more time") from None
        except BaseException:  # Ctrl-C above all: nothing of ours goes on running
            _end(process)
            raise
        result = Result(tuple(argv), code, out.text(), err.text(), time.monotonic() - started)
        return expect(result, self.name) if check else result

    def change(self, argv: list[str], *, timeout: float = 120, input: str | None = None, env: dict[str, str] | None = None,
               leaves: list[str] = (), gone: list[str] = ()) -> Result:
        """Run a command that changes something, as root, its output shown; then see that it did.

        Raises:
            HostError: a path of ``leaves`` is not there afterwards, or one of ``gone`` still is.
        """
        result = self.run(argv, timeout=timeout, input=input, env=env, echo=True, root=True)
        wrong = [f"{p} is not there" for p in leaves if not self.exists(p)] + [f"{p} is still there" for p in gone if self.exists(p)]
        if wrong:
            raise HostError(mask(f"`{' '.join(argv)}` ended well, but {', '.join(wrong)}"), do="read what it printed")
        return result

    def download(self, url: str, timeout: float = 60) -> str:
        """The text behind a URL. Raises HostError if it cannot be had."""
        try:
            with urllib.request.urlopen(url, timeout=timeout) as answer:
                return answer.read().decode()
        except (OSError, ValueError) as error:
            raise HostError(f"{url}: {getattr(error, 'reason', error)}", do="see that this server reaches it, or name another place") from None

    def probe(self, asked: list[str], look: Callable[[], dict]) -> tuple[dict, str]:
        """Look at something on the network: what ``look`` finds (JSON), and ``""``; the rehearsal replays what was found for ``asked``, and says so."""
        return look(), ""

    def read(self, path: str) -> str | None:
        """The text of a file; ``None`` if there is none. Raises MissingRight if it may not be read."""
        try:
            return Path(path).read_text(errors="replace")
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None
        except PermissionError:
            raise MissingRight(f"{path} may not be read by this user", do="run as root, or as the file's owner") from None

    def exists(self, path: str) -> bool:
        return os.path.lexists(path)

    def which(self, program: str) -> str | None:
        """Where a program is on the PATH (with the sbin folders), or ``None``."""
        return shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin")

    def mode(self, path: str) -> int | None:
        """The permission bits of a file, ``None`` if there is none."""
        try:
            return os.stat(path).st_mode & 0o7777
        except (FileNotFoundError, NotADirectoryError):
            return None

    def sockets(self) -> list[dict]:
        """Who listens: ``{"address", "port", "pid", "program"}`` of each listening TCP socket; of others' programs only as root."""
        found = []
        for c in psutil.net_connections("tcp"):
            if c.status == psutil.CONN_LISTEN:
                found.append({"address": c.laddr.ip, "port": c.laddr.port, "pid": c.pid, "program": _program(c.pid)})
        return sorted(found, key=lambda s: (s["port"], s["address"]))

    def unit(self, name: str) -> dict:
        """What systemd knows of a unit: ``{"LoadState", "UnitFileState", "ActiveState", "SubState", "Result"}``; empty without systemd."""
        fields = ("LoadState", "UnitFileState", "ActiveState", "SubState", "Result")
        result = self.run(["systemctl", "show", name, "--property", ",".join(fields)], check=False)
        return dict(line.split("=", 1) for line in result.stdout.splitlines() if "=" in line) if result.ok else {}

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write beside and rename, so that no half file is ever seen; what was there is kept as ``<path>.before-<UTC time>``."""
        target = Path(path)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.exists():
                shutil.copy2(target, f"{path}.before-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}")
            handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
            try:
                with os.fdopen(handle, "w") as file:
                    file.write(text)
                    file.flush()
                    os.fsync(file.fileno())
                os.chmod(temporary, mode)
                os.replace(temporary, path)
            except BaseException:
                os.unlink(temporary)
                raise
        except PermissionError:
            raise MissingRight(f"{path} may not be written by this user", do="run as root") from None
        except OSError as error:
            raise HostError(f"{path}: {error.strerror}", do="make room, or mend the folder, and run again") from None

    def remove(self, path: str) -> None:
        """Remove a file; none there is fine."""
        try:
            Path(path).unlink(missing_ok=True)
        except PermissionError:
            raise MissingRight(f"{path} may not be removed by this user", do="run as root") from None


def _program(pid: int | None) -> str:
    try:
        return psutil.Process(pid).name() if pid else ""
    except psutil.Error:
        return ""


class _Reader:
    """Collects a stream in the background, so that neither pipe fills up; echoes its lines if asked."""

    def __init__(self, stream, echo: bool):
        self._lines: list[str] = []
        self._thread = threading.Thread(target=self._read, args=(stream, echo), daemon=True)
        self._thread.start()

    def _read(self, stream, echo: bool) -> None:
        for line in stream:
            self._lines.append(line)
            if echo:
                print(mask(line), end="", flush=True)
        stream.close()

    def text(self) -> str:
        self._thread.join(2)  # a grandchild that escaped may hold the pipe open
        return "".join(self._lines)


def _feed(stream, text: str) -> None:
    try:
        stream.write(text)
        stream.close()
    except BrokenPipeError:
        pass


def _end(process: subprocess.Popen, grace: float = 5) -> None:
    """End a process and its group: asked first, killed after ``grace`` seconds."""
    for sig, wait in ((signal.SIGTERM, grace), (signal.SIGKILL, grace)):
        try:
            os.killpg(process.pid, sig)
        except ProcessLookupError:
            return
        try:
            process.wait(wait)
        except subprocess.TimeoutExpired:
            continue
        # The leader is gone; its children get the second signal.

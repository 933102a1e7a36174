"""Helm in a process of its own: one JSON request on standard input, one JSON answer on standard output.

A process of its own, because Helm names its field manager after the program (here ``helm``, as the command line's; the kernel's
name would make every caller another owner), because a call into it cannot be interrupted, and because it must end with its caller.
"""

import ctypes
import json
import signal
import sys
import threading

import helm_python as helm

PR_SET_PDEATHSIG = 1  # prctl(2)


def main() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    request = json.load(sys.stdin)
    context = helm.HelmContext()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: context.cancel())
    answer: dict = {}
    thread = threading.Thread(target=_act, args=(request, context, answer))
    thread.start()
    while thread.is_alive():  # the main thread stays free for signals
        thread.join(0.2)
    json.dump(answer, sys.stdout)


def _act(request: dict, context: helm.HelmContext, answer: dict) -> None:
    action, name, arguments = request["action"], request["name"], request["arguments"]
    if action in ("install", "upgrade"):
        arguments["context"] = context
    try:
        with helm.Config(kubeconfig_path=request["kubeconfig"], namespace=request["namespace"]) as config:
            if action in ("install", "upgrade"):
                with helm.Chart.load(request["chart"]) as chart:
                    getattr(config, action)(chart, name, request["values"], **arguments)
            else:
                getattr(config, action)(name, **arguments)
        answer["ok"] = True
    except helm.HelmError as error:
        answer.update(ok=False, error=type(error).__name__, message=str(error))


if __name__ == "__main__":
    main()

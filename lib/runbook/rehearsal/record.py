"""Recording a real run: what it asked and was answered, so that the rehearsal can replay it.

``python -m runbook.rehearsal.record --kubeconfig … --params params/rehearsal.yaml`` runs the notebooks on that cluster with
``RUNBOOK_RECORD`` set, and writes ``recordings/<name>.json``. :func:`runbook.site.with_cluster` wraps what it opens when that is set.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path

from runbook.host import Result
from runbook.rehearsal import behaviour, host as rehearsed
from runbook.rehearsal.recordings import FOLDER, key, workload
from runbook.secrets import MASK, mask

#: What never goes into a recording, known or not: private keys, k3s join tokens.
SECRETS = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----|K10[0-9a-f]{64}::\S+", re.DOTALL)
#: Of these the last answer stands for all: a rehearsal's machine does not fill up.
STILL = ("run", "probe", "read", "exists", "which", "sockets", "usage")
#: What the API server says itself of a service; the rehearsal finds that out by its own objects.
OWN_ANSWER = re.compile(r'^(no endpoints available for service|no service port \S+ found for service|services "[^"]+" not found)')
#: Asked about a process of that moment.
OF_THE_MOMENT = re.compile(r"(read|exists) /proc/\d+/|run (kill|pgrep) ")
LONGEST = 200_000  #: characters of an answer that is kept


def clean(value):
    """The value with every secret blotted out, in all its texts."""
    if isinstance(value, str):
        return SECRETS.sub(MASK, mask(value))[:LONGEST]
    if isinstance(value, dict):
        return {k: clean(v) for k, v in value.items()}
    return [clean(v) for v in value] if isinstance(value, list) else value


class Recorder:
    """Appends answers to a file, a JSON line each, as they come; several processes may do so at once."""

    def __init__(self, path: str):
        self.path = path

    def note(self, asked: str, answer: dict) -> None:
        line = json.dumps({"key": clean(asked), "answer": clean(answer), "at": datetime.now(timezone.utc).isoformat()}, ensure_ascii=False)
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(line + "\n")


def _command(result: Result) -> dict:
    return {"exit_code": result.exit_code, "stdout": result.stdout, "stderr": result.stderr, "seconds": round(result.seconds, 3)}


class RecordingTransport:
    """A real transport, whose answers about behaviour are noted on the way: exec, logs, pages, use."""

    def __init__(self, real, path: str):
        self._real, self._to = real, Recorder(path)
        self.note_version()

    def note_version(self) -> None:
        self._to.note("about", {"version": self._real.request("GET", "/version")["gitVersion"]})

    def __getattr__(self, name: str):
        return getattr(self._real, name)

    def _pod(self, namespace: str, name: str) -> dict:
        return self._real.request("GET", f"/api/v1/namespaces/{namespace}/pods/{name}")

    def request(self, method: str, path: str, query: dict | None = None, body: dict | None = None, content_type: str = "") -> dict:
        answer = self._real.request(method, path, query, body, content_type)
        if method == "GET" and "/metrics.k8s.io/" in path and "items" in answer:
            for item in answer["items"]:
                self._note_use(item)
        return answer

    def _note_use(self, item: dict) -> None:
        body = {k: item[k] for k in ("containers", "usage", "window", "timestamp") if k in item}
        if "containers" not in item:
            self._to.note(behaviour.usage_key("node"), body)
            return
        from runbook.cluster.transport import ApiFailure

        namespace, name = item["metadata"]["namespace"], item["metadata"]["name"]
        try:
            self._to.note(behaviour.usage_key(namespace, workload(self._pod(namespace, name))), body)
        except ApiFailure:
            return  # gone between the measurement and now

    def text(self, path: str, query: dict | None = None) -> str:
        answer = self._real.text(path, query)
        namespace, name = re.search(r"/namespaces/([^/]+)/pods/([^/]+)/log", path).groups()
        pod, query = self._pod(namespace, name), {k: str(v) for k, v in (query or {}).items()}
        container = query.get("container") or pod["spec"]["containers"][0]["name"]
        self._to.note(behaviour.log_key(pod, container, query), {"text": answer})
        return answer

    def http(self, path: str, timeout: float) -> tuple[int, str]:
        status, body = self._real.http(path, timeout)
        found = behaviour.PROXY.search(path)
        if found and not OWN_ANSWER.search(body):
            self._to.note(behaviour.http_key(found["ns"], found["service"], found["port"] or "", found["path"] or "/"), {"status": status, "body": body})
        return status, body

    def exec(self, namespace: str, pod: str, container: str, argv: list[str], timeout: float, input: str | None) -> Result:
        result = self._real.exec(namespace, pod, container, argv, timeout, input)
        if result.exit_code != -1:
            found = self._pod(namespace, pod)
            self._to.note(behaviour.exec_key(found, container or found["spec"]["containers"][0]["name"], argv, input), _command(result))
        return result


class RecordingHost:
    """A real host, whose commands and readings are noted on the way. Files that a plan writes are not: they may hold secrets."""

    def __init__(self, real, path: str):
        self._real, self._to = real, Recorder(path)

    def __getattr__(self, name: str):
        return getattr(self._real, name)

    def run(self, argv: list[str], **options) -> Result:
        from runbook.errors import CommandFailed

        try:
            result = self._real.run(argv, **options)
        except CommandFailed as error:
            if error.result is not None and error.result.exit_code != -1:
                self._to.note(rehearsed.run_key([str(a) for a in argv]), _command(error.result))
            raise
        self._to.note(rehearsed.run_key([str(a) for a in argv]), _command(result))
        return result

    def probe(self, asked: list[str], look) -> tuple[dict, str]:
        found, label = self._real.probe(asked, look)
        self._to.note(rehearsed.probe_key(asked), found)
        return found, label

    def read(self, path: str) -> str | None:
        text = self._real.read(path)
        if path.startswith(rehearsed.OF_THE_MACHINE) and text is not None:
            self._to.note(rehearsed.read_key(path), {"text": text})
        return text

    def exists(self, path: str) -> bool:
        there = self._real.exists(path)
        if path.startswith(rehearsed.OF_THE_MACHINE):
            self._to.note(rehearsed.exists_key(path), {"there": there})
        return there

    def which(self, program: str) -> str | None:
        path = self._real.which(program)
        if program not in rehearsed.OURS:
            self._to.note(rehearsed.which_key(program), {"path": path})
        return path

    def sockets(self) -> list[dict]:
        found = self._real.sockets()
        self._to.note(key("sockets"), {"sockets": [s | {"pid": None} for s in found if s["program"]]})
        return found


def compact(lines: list[str], where: str) -> dict:
    """Recorded lines as the content of a recordings file; equal answers one after the other are kept once.

    Args:
        where: what the cluster was, for people: ``"lab"``.
    """
    answers: dict[str, list] = {}
    version, day = "", ""
    for line in lines:
        entry = json.loads(line)
        day = entry["at"][:10]
        if entry["key"] == "about":
            version = entry["answer"]["version"]
            continue
        found = answers.setdefault(entry["key"], [])
        if entry["key"].split()[0] in STILL:
            found.clear()
        bare = lambda a: {k: v for k, v in a.items() if k not in ("seconds", "timestamp")}
        if not found or bare(found[-1]) != bare(entry["answer"]):
            found.append(entry["answer"])
    places = {"kube-system", "node", *(re.split("[ /]", k)[1] for k in answers if k.startswith(("exec ", "http ", "logs ")))}
    answers = {k: v for k, v in answers.items() if not k.startswith("usage ") or k.split()[1] in places}  # not of what else runs there
    return {"about": f"recorded {day} on Kubernetes {version} ({where})", "recorded": day, "version": version, "answers": answers}


def write(lines: list[str], name: str, where: str, without: str = "") -> Path:
    """Write ``recordings/<name>.json``; answers to what was not asked this time are kept from before, if they are of the same day.

    Args:
        without: a pattern of keys to leave out: what belongs to others on a cluster that is shared.
    """
    path = FOLDER / f"{name}.json"
    fresh = compact(lines, where)
    fresh["answers"] = {k: v for k, v in fresh["answers"].items() if not OF_THE_MOMENT.match(k) and not (without and re.search(without, k))}
    if path.exists():
        old = json.loads(path.read_text(encoding="utf-8"))
        if old["about"] == fresh["about"]:
            fresh["answers"] = old["answers"] | fresh["answers"]
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps(fresh, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
    temporary.replace(path)
    return path


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kubeconfig", required=True)
    parser.add_argument("--params", default="params/rehearsal.yaml", help="the parameters of the rehearsal: it finds recordings by names")
    parser.add_argument("--only", action="append", default=[], metavar="STEP")
    parser.add_argument("--name", default="steps", help="the recordings file, without its ending")
    parser.add_argument("--where", default="lab", help="what the cluster is, for people")
    parser.add_argument("--without", default="", metavar="PATTERN", help="leave out what belongs to others on a shared cluster")
    parser.add_argument("--reports", default="", help="the journal's folder for this run; default: a temporary one")
    given = parser.parse_args(argv)
    kubeconfig = os.path.abspath(os.path.expanduser(given.kubeconfig))
    with tempfile.TemporaryDirectory() as folder:
        notes = Path(folder) / "notes.jsonl"
        notes.touch()
        command = [sys.executable, "-c", "from runbook.cli import main; main()", "run", "--params", given.params,
                   "-p", "name=recorded", "-p", "target=local", "-p", f"kubeconfig={kubeconfig}",
                   "--mode", "apply", "--reports", given.reports or f"{folder}/reports"]
        started = time.monotonic()
        code = subprocess.run(command + [a for step in given.only for a in ("--only", step)], env={**os.environ, "RUNBOOK_RECORD": str(notes)}).returncode
        lines = notes.read_text(encoding="utf-8").splitlines()
    if not lines:
        print("nothing was recorded", file=sys.stderr)
        return code or 1
    path = write(lines, given.name, given.where, given.without)
    print(f"{len(lines)} answers in {time.monotonic() - started:.0f} s, kept in {path}; the run's exit code was {code}")
    return code


if __name__ == "__main__":
    sys.exit(main())

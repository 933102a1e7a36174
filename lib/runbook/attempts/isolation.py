"""Walls between workspaces, and to the server: each with the attempt that must fail, made from inside as the workspace's user.

An attempt has a control: the same thing done where it must succeed. Without it, a broken tool would pass for a wall.
"""

import pandas as pd

from runbook.attempts import UNHEARD, table
from runbook.errors import NotRecorded, WaitTimeout
from runbook.host import Result
from runbook.params import Workspace, Workspaces
from runbook.workspaces import namespace

IDE_PORT, DATABASE_PORT, KUBELET_PORT, API_PORT = 13337, 3306, 10250, 443
NO_CONTROL = "the same attempt fails where it must succeed"
NODE = "/opt/ide/usr/lib/code-server/lib/node"
#: Says what became of a connection to HOST PORT: open, or the reason.
CONNECT = """const s = require('net').connect({host: process.argv[1], port: +process.argv[2], timeout: 4000});
const say = (w) => { console.log(w); process.exit(0) };
s.on('connect', () => say('open')).on('timeout', () => say('no answer')).on('error', (e) => say(e.code))"""
#: Looks for the machine's own id below every mount, and for disks that can be read; for the container's own name as the control.
FILES = """for at in '' $(awk '{print $2}' /proc/mounts) /proc/1/root; do
[ "$(cat "$at/etc/hostname" 2>/dev/null)" = "$(hostname)" ] && echo control
for f in etc/machine-id machine-id; do [ "$(cat "$at/$f" 2>/dev/null)" = "$1" ] && echo "found $at/$f"; done; done
for d in /dev/sd* /dev/vd* /dev/xvd* /dev/nvme*; do [ -b "$d" ] && [ -r "$d" ] && echo "found $d"; done; exit 0"""
STARTED = """i=0; until [ "$(tr '\\0' ' ' </proc/$!/cmdline 2>/dev/null)" = "$S " ] || [ $i -ge 200 ]; do i=$((i + 1)); done"""
SLEEP = f"S='sleep 31.0415'; $S >/dev/null 2>&1 & {STARTED}; exit 0"
PROCESSES = f"S='sleep 5.0926'; $S >/dev/null 2>&1 & {STARTED}" + """
for p in /proc/[0-9]*; do c=$(tr '\\0' ' ' <"$p/cmdline" 2>/dev/null); case $c in
'sleep 5.0926 ') echo control ;; 'sleep 31.0415 ') echo "found $p" ;; esac; done; exit 0"""
TOKEN = """[ -r /etc/passwd ] && echo control
for f in /var/run/secrets/kubernetes.io/serviceaccount/token $(awk '/serviceaccount/ {print $2 "/token"}' /proc/mounts); do
[ -r "$f" ] && echo "found $f"; done; exit 0"""


def pair(site, workspaces: Workspaces) -> tuple[Workspace | None, Workspace | None]:
    """The first running workspace, and the first running one of another owner; ``None`` where there is none."""
    up = [w for w in workspaces.list if site.cluster and _runs(site.cluster.get("Pod", f"{w.name}-0", namespace(w.owner)))]
    one = next(iter(up), None)
    return one, next((w for w in up if w.owner != one.owner), None)


def walls(site, one: Workspace, other: Workspace | None, unenforced: str = "") -> pd.DataFrame:
    """All attempts from workspace ``one``, at the server and at ``other``; without another, those at another are left out.

    Args:
        unenforced: why policies hold nothing here; the attempts that only a policy stops then show nothing.
    """
    node = site.cluster.list("Node")[0]
    address = next((a["address"] for a in node["status"]["addresses"] if a["type"] == "InternalIP"), "")
    if other:
        _shell(site, other, SLEEP)
    ours = _connect(site, one, _service(one), IDE_PORT)
    rows = [_found("the node's files", _shell(site, one, FILES, node["status"]["nodeInfo"]["machineID"])),
            _found("a service account token", _shell(site, one, TOKEN)),
            _closed("the node's own ports", [ours], _connect(site, one, address, KUBELET_PORT), unenforced),
            _closed("the API server", [ours], _connect(site, one, "kubernetes.default.svc", API_PORT), unenforced)]
    if other:
        pod = site.cluster.get("Pod", f"{other.name}-0", namespace(other.owner)) or {}
        theirs = pod.get("status", {}).get("podIP", "")
        rows += [_found("other pods' processes", _shell(site, one, PROCESSES)),
                 _closed("another workspace's IDE", [ours, _connect(site, other, _service(other), IDE_PORT)],
                         _connect(site, one, _service(other), IDE_PORT), unenforced),
                 _closed("another workspace's database", [ours, _connect(site, other, "127.0.0.1", DATABASE_PORT)],
                         _connect(site, one, theirs, DATABASE_PORT))]
    return table(rows)


def _found(attempt: str, result: Result) -> tuple:
    lines = result.stdout.split("\n")
    found = [line[6:] for line in lines if line.startswith("found ")]
    control = "" if "control" in lines else f"{NO_CONTROL}: {result.last_lines(2)}"
    return attempt, not found, ", ".join(found) or "nothing found", result.replayed or ("" if found else control)


def _closed(attempt: str, controls: list[Result], result: Result, unenforced: str = "") -> tuple:
    failed = next((c for c in controls if c.stdout.strip() != "open"), None)
    said = result.stdout.strip() or result.last_lines(2)
    control = "" if failed is None else f"{NO_CONTROL}: {failed.stdout.strip() or failed.last_lines(2)}"
    # Where policies are known to do nothing an open way is no news of this workspace; elsewhere it is a hole.
    return attempt, said != "open" or bool(unenforced), said, result.replayed or unenforced or ("" if said == "open" else control)


def _runs(pod: dict | None) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in (pod or {}).get("status", {}).get("conditions", []))


def _service(w: Workspace) -> str:
    return f"{w.name}.{namespace(w.owner)}.svc"


def _connect(site, w: Workspace, host: str, port: int) -> Result:
    return _node(site, w, CONNECT, host, str(port))


def _node(site, w: Workspace, code: str, *arguments: str) -> Result:
    return _exec(site, w, [NODE, "-e", code, *arguments])


def _shell(site, w: Workspace, script: str, *arguments: str) -> Result:
    return _exec(site, w, ["/bin/sh", "-c", script, "attempt", *arguments])


def _exec(site, w: Workspace, argv: list[str]) -> Result:
    try:
        return site.cluster.exec(f"{w.name}-0", argv, namespace(w.owner), "web", timeout=30, check=False)
    except (WaitTimeout, NotRecorded) as error:
        unheard = UNHEARD if isinstance(error, NotRecorded) else ""
        return Result(tuple(argv), -1, "", unheard or error.what, 0, unheard)

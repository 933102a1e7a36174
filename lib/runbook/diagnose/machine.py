"""The server itself, for a snapshot: disks, memory, limits, units, listeners, filters, certificates, clock, journal.

A constant number of commands. What this user may not see, or the rehearsal has no recording of, is noted as not seen.
"""

import base64
import binascii
import re

import yaml

from runbook.diagnose.trim import read_certificate
from runbook.errors import MissingRight, NotRecorded, RunbookError
from runbook.facts import console as console_facts

JOURNAL_LINES = 300
SYSCTL = ("fs.inotify.max_user_instances", "fs.inotify.max_user_watches", "net.ipv4.ip_forward")
CERTIFICATES = tuple(
    f"/var/lib/rancher/k3s/server/tls/{n}.crt" for n in ("server-ca", "client-ca", "serving-kube-apiserver", "client-admin")
)
UNITS = ("k3s.service", "k3s-agent.service", "firewalld.service", "ufw.service")
IGNORED = ("tmpfs", "devtmpfs", "squashfs", "overlay", "efivarfs", "iso9660")


def look(site, shot, console) -> None:
    """Fill ``shot.host``."""
    parts = {
        "disks": disks,
        "inodes": inodes,
        "sysctl": sysctl,
        "files": files,
        "sockets": sockets,
        "units": units,
        "journal": journal,
        "filters": filters,
        "certificates": certificates,
        "clock": clock,
        "cgroup": cgroup,
    }
    for name, read in parts.items():
        try:
            shot.host[name] = read(site)
        except NotRecorded as error:
            shot.blind.append(f"{name} of the server: {error.what}")
        except MissingRight as error:
            shot.blind.append(f"{name} of the server: {error.what}")
        except RunbookError as error:
            shot.blind.append(f"{name} of the server: {error.what.splitlines()[0]}")
    if console is not None and shot.host.get("units", {}).get(console_facts.LISTENER_UNIT):
        shot.host["console"] = {"state": console_facts.state(site, console), "port": console.port, "allow": console.allow}


def disks(site) -> list[dict]:
    """``[{"mount", "size", "available"}]`` in bytes, of real file systems."""
    return _df(site, ["df", "--portability", "--print-type", "--block-size=1"])


def inodes(site) -> list[dict]:
    """The same in inodes."""
    return _df(site, ["df", "--portability", "--print-type", "--inodes"])


def _df(site, argv: list[str]) -> list[dict]:
    result = site.host.run(argv, check=False)  # exit code 1 when one file system of many cannot be read
    rows = [line.split(None, 6) for line in result.stdout.splitlines()[1:]]
    return [{"mount": r[6], "size": int(r[2]), "available": int(r[4])} for r in rows
            if len(r) == 7 and r[1] not in IGNORED and r[2].isdigit() and r[4].isdigit() and int(r[2]) > 0]


def sysctl(site) -> dict[str, int]:
    """Limits of the kernel that clusters hit."""
    texts = {name: site.host.read("/proc/sys/" + name.replace(".", "/")) for name in SYSCTL}
    return {name: int(text) for name, text in texts.items() if text and text.strip().isdigit()}


def files(site) -> dict[str, int]:
    """``{"open", "limit"}``: file handles of the whole system, /proc/sys/fs/file-nr."""
    numbers = (site.host.read("/proc/sys/fs/file-nr") or "").split()
    return {"open": int(numbers[0]), "limit": int(numbers[2])} if len(numbers) == 3 else {}


def sockets(site) -> list[dict]:
    """Who listens on the ports that matter here."""
    return [s for s in site.host.sockets() if s["port"] in (80, 443, 6443, 8800)]


def units(site) -> dict[str, dict]:
    """Units that this server has: name → state."""
    states = {name: site.host.unit(name) for name in (*UNITS, console_facts.RULES_UNIT, console_facts.LISTENER_UNIT)}
    return {name: s for name, s in states.items() if s and s.get("LoadState") not in ("not-found", "", None)}


def journal(site) -> str:
    """The last lines of k3s."""
    result = site.host.run(
        ["journalctl", "--unit=k3s", "--unit=k3s-agent", "--output=cat", "--no-pager", f"--lines={JOURNAL_LINES}"],
        check=False,
        timeout=30,
    )
    return "" if not result.ok or result.stdout.startswith("-- No entries") else result.stdout


def filters(site) -> dict[str, int]:
    """How many packet rules each program has."""
    table = console_facts.filters(site)
    return {row.who: int(row.rules) for row in table.itertuples()}


def certificates(site) -> list[dict]:
    """k3s's certificates and that of the kubeconfig: ``[{"place", "names", "from", "until", "issuer"}]``."""
    found = []
    for path in CERTIFICATES:
        text = site.host.read(path)
        if text:
            found.append(_certificate(path, text.encode()))
    if site.kubeconfig:
        for user in _users(site):
            try:
                found.append(_certificate("the kubeconfig", base64.b64decode(user, validate=True)))
            except binascii.Error:
                continue
    return [c for c in found if c]


def _users(site) -> list[str]:
    try:
        config = yaml.safe_load(site.host.read(site.kubeconfig) or "") or {}
        return [d for u in config.get("users") or [] if (d := (u.get("user") or {}).get("client-certificate-data"))]
    except (yaml.YAMLError, AttributeError, TypeError):
        return []


def _certificate(place: str, pem: bytes) -> dict:
    try:
        return {"place": place, **read_certificate(pem)}
    except ValueError:
        return {}


def clock(site) -> dict[str, str]:
    """Is the clock kept by somebody? ``{"NTP", "NTPSynchronized"}``; empty without systemd-timedated."""
    result = site.host.run(["timedatectl", "show"], check=False)
    return dict(re.findall(r"^(NTP|NTPSynchronized)=(\w+)$", result.stdout, re.MULTILINE)) if result.ok else {}


def cgroup(site) -> list[str]:
    """The controllers that containers can be limited by: of version 2, else of version 1."""
    second = site.host.read("/sys/fs/cgroup/cgroup.controllers")
    if second:
        return second.split()
    first = site.host.read("/proc/cgroups") or ""
    return [line.split()[0] for line in first.splitlines() if not line.startswith("#") and line.split()[-1:] == ["1"]]

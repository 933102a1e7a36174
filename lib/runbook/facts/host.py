"""What the server is, before anything is installed on it."""

import re
from urllib.parse import urlparse

import pandas as pd

from runbook.cluster.quantity import quantity
from runbook.errors import ClusterError
from runbook.params import K3s

#: What k3s and its ingress listen on. Source: https://docs.k3s.io/installation/requirements (networking) and Traefik's web ports.
PORTS = {6443: "API server", 10250: "kubelet", 80: "HTTP of the workspaces", 443: "HTTPS of the workspaces"}
#: A node with many pods runs out of the kernel's default of 128 instances. Source: kind's "known issues", pod errors due to too many open files.
INOTIFY_INSTANCES = 512
FIREWALLS = ("ufw", "firewalld", "nftables")


def preflight(host, wanted: K3s, installing: bool) -> pd.DataFrame:
    """Everything about the host that an installation rests on.

    Args:
        host: where to look.
        wanted: section ``k3s``.
        installing: ports must be free only then; what a running cluster holds is its own.

    Returns:
        A DataFrame with columns ``what``, ``found``, ``wanted``, ``verdict`` (``good``, ``bad``, ``note``) and ``otherwise``.
    """
    rows = [*_size(host, wanted), *_kernel(host), *_ports(host, installing), *_surroundings(host, wanted, installing)]
    return pd.DataFrame(rows, columns=["what", "found", "wanted", "verdict", "otherwise"])


def kubeconfig(site) -> dict:
    """The kubeconfig of a site: ``{"path", "mode", "server", "private", "answers"}``; without a cluster ``{}``."""
    if not site.cluster:
        return {}
    mode = site.host.mode(site.kubeconfig)
    return {"path": site.kubeconfig, "mode": f"{mode:04o}" if mode is not None else "", "server": site.cluster.server,
            "private": mode is not None and not mode & 0o077, "answers": _answers(site.cluster)}


def _answers(cluster) -> bool:
    try:
        return bool(cluster.version)
    except ClusterError:
        return False


def bad(table: pd.DataFrame) -> str:
    """The rows that stand in the way, as one sentence; empty if there is none."""
    return "; ".join(f"{r.what}: {r.found}, wanted {r.wanted}: {r.otherwise}" for r in table[table.verdict == "bad"].itertuples())


def _size(host, wanted: K3s):
    cores = len(re.findall(r"^processor\s*:", host.read("/proc/cpuinfo") or "", re.MULTILINE))
    memory = _meminfo(host, "MemTotal")
    disk = int(host.run(["df", "-B1", "--output=avail", "/"]).stdout.split()[-1])
    yield "cores", cores, f"{wanted.min_cores} or more", _good(cores >= wanted.min_cores), "give the server more cores, or lower k3s.min_cores"
    yield ("memory", _gib(memory), f"{wanted.min_memory} or more", _good(memory >= quantity(wanted.min_memory)),
           "give the server more memory, or lower k3s.min_memory")
    yield ("free disk on /", _gib(disk), f"{wanted.min_disk} or more", _good(disk >= quantity(wanted.min_disk)),
           "free some disk, or lower k3s.min_disk")


def _kernel(host):
    release = (host.read("/proc/sys/kernel/osrelease") or "?").strip()
    yield "kernel", release, "", "note", ""
    version = 2 if host.exists("/sys/fs/cgroup/cgroup.controllers") else 1
    yield ("cgroup version", version, "2", "good" if version == 2 else "note",
           "boot with systemd.unified_cgroup_hierarchy=1: Docker without privileges needs version 2")
    swap = len((host.read("/proc/swaps") or "").splitlines()) - 1 > 0
    yield "swap", "on" if swap else "off", "off", "note" if swap else "good", "swapoff -a, and take it out of /etc/fstab: memory limits count no swap"
    limit = int((host.read("/proc/sys/fs/inotify/max_user_instances") or "0").strip())
    yield ("inotify instances", limit, f"{INOTIFY_INSTANCES} or more", "good" if limit >= INOTIFY_INSTANCES else "note",
           "sysctl -w fs.inotify.max_user_instances=512: each pod's logs and each IDE takes some")


def _ports(host, installing: bool):
    held: dict[int, set[str]] = {}
    for socket in host.sockets():
        held.setdefault(socket["port"], set()).add(socket["program"] or "a program of another user")
    for port, use in PORTS.items():
        holders = ", ".join(sorted(held.get(port, ())))
        ours = not holders or holders.startswith("k3s")
        verdict = "good" if ours else "bad" if installing else "note"
        yield f"port {port} ({use})", holders or "free", "free" if installing else "", verdict, "stop what holds it, or move it to another port"


def _surroundings(host, wanted: K3s, installing: bool):
    active = [name for name in FIREWALLS if host.unit(name).get("ActiveState") == "active"]
    yield ("firewall managers", ", ".join(active) or "none active", "", "note",
           "see that pods (10.42.0.0/16) and services (10.43.0.0/16) may talk to each other")
    clock = host.run(["timedatectl", "show", "--property", "NTPSynchronized", "--value"], check=False)
    synchronised = clock.stdout.strip() if clock.ok else "unknown"
    yield "clock synchronised", synchronised, "yes", "good" if synchronised == "yes" else "note", "timedatectl set-ntp true: certificates need the right time"
    server = urlparse(wanted.installer).hostname or ""
    if installing and server:
        found = host.run(["getent", "hosts", server], check=False).ok
        yield f"DNS finds {server}", "yes" if found else "no", "yes", _good(found), "mend /etc/resolv.conf, or set k3s.installer to a place that is reachable"


def _meminfo(host, key: str) -> int:
    match = re.search(rf"^{key}:\s+(\d+) kB", host.read("/proc/meminfo") or "", re.MULTILINE)
    return int(match.group(1)) * 1024 if match else 0


def _good(ok: bool) -> str:
    return "good" if ok else "bad"


def _gib(size: float) -> str:
    return f"{size / 2**30:.1f} GiB"

"""Who reaches a console's port: listeners, addresses, other people's filters, our units, what an HTTP client gets. Read-only."""

import ipaddress
import json
import threading
import time
from collections import Counter

import pandas as pd

from runbook import firewall
from runbook.errors import MissingRight, NotRecorded
from runbook.host import Result

RULES_UNIT, LISTENER_UNIT = "runbook-console-rules.service", "runbook-console.service"
#: What somebody else's filter means here. Tailscale: ``ts-input`` drops 100.64.0.0/10 that comes in by another interface
#: than its own, tailscale/tailscale ``util/linuxfw/iptables_runner.go``, AddBase.
MEANINGS = {
    "kube-proxy": "rewrites NodePorts and hostPorts in prerouting at -100, after our rules: they are covered",
    "kube-router": "filters between pods; does not see this port",
    "flannel": "masquerades pods' traffic; does not see this port",
    "hostPorts": "pods' hostPorts (ServiceLB's, too), rewritten at -100, after our rules: they are covered",
    "CNI": "masquerades pods' traffic; does not see this port",
    "Docker": "published ports are rewritten at -100, after our rules: they are covered",
    "ufw": "filters after us, and may still drop what we accept: it needs `ufw allow from NETWORK to any port PORT proto tcp`",
    "firewalld": "filters after us, and may still drop what we accept: its zone needs the port, for that network",
    "Tailscale": "drops clients of 100.64.0.0/10 that come in by another interface than tailscale0",
    "others": "not known to us; may still drop what we accept",
    "runbook": "our own table",
}


def listeners(site, port: int) -> pd.DataFrame:
    """Who listens on a TCP port. Columns: address, port, program, pid, reach."""
    rows = [{**{k: s.get(k) for k in ("address", "port", "program", "pid")}, "reach": reach(s["address"])}
            for s in _sockets(site) if s["port"] == port]
    return pd.DataFrame(rows, columns=["address", "port", "program", "pid", "reach"])


def listening(site, port: int, seconds: float = 20) -> pd.DataFrame:
    """Wait until somebody listens on the port, at most ``seconds``; not at all in plan mode or on the rehearsal."""
    end = time.monotonic() + (seconds if site.mode == "apply" and not site.host.replayed else 0)
    while (found := listeners(site, port)).empty and time.monotonic() < end:
        threading.Event().wait(0.3)
    return found


def in_the_way(site, port: int) -> pd.DataFrame:
    """Listeners on the port that are not our unit's: they keep it from listening. Columns as :func:`listeners`."""
    found = listeners(site, port)
    return found[:0] if site.host.unit(LISTENER_UNIT).get("ActiveState") == "active" else found


def state(site, wanted) -> str:
    """The case at hand, ``closed`` (nobody outside reaches the port), ``open`` (anybody does), ``one network`` (as wanted),
    or ``not known`` where listeners cannot be seen."""
    try:
        site.host.sockets()
    except NotRecorded:
        return "not known"
    addresses = list(listeners(site, wanted.port)["address"])
    if not any(not ipaddress.ip_address(a.split("%")[0]).is_loopback for a in addresses):
        return "closed"
    return "one network" if table(site) == firewall.wanted(wanted.port, wanted.allow) else "open"


def reach(address: str) -> str:
    """From where a listening address can be reached, in words."""
    parsed = ipaddress.ip_address(address.split("%")[0])
    if parsed.is_loopback:
        return "this server only"
    return "every address of this server" if parsed.is_unspecified else "this address"


def addresses(site, allow: str) -> pd.DataFrame:
    """The server's own addresses, without link-local ones. Columns: interface, address, inside (of the allowed network)."""
    net = firewall.network(allow)
    result = asked(site, ["ip", "-json", "address"], root=False)
    rows = [{"interface": link["ifname"], "address": a["local"], "inside": ipaddress.ip_address(a["local"]) in net}
            for link in (_json(result) or []) for a in link.get("addr_info", []) if "local" in a and a.get("scope") != "link"]
    return pd.DataFrame(rows, columns=["interface", "address", "inside"])


def filters(site) -> pd.DataFrame:
    """Whose rules the kernel has, nftables' and the older iptables'. Columns: who, rules, meaning."""
    counts = Counter(firewall.owners(ruleset(site)))
    legacy = asked(site, ["iptables-legacy-save"])
    counts.update(firewall.owners_legacy(legacy.stdout if legacy.ok else ""))
    rows = [{"who": who, "rules": n, "meaning": MEANINGS[who]} for who, n in sorted(counts.items())]
    return pd.DataFrame(rows, columns=["who", "rules", "meaning"])


def ruleset(site) -> str:
    """All rules of the kernel as nft's JSON; empty when they cannot be read (no nft, or not root)."""
    result = _nft(site, ["list", "ruleset"])
    return result.stdout if result.ok else ""


def table(site) -> firewall.Table | None:
    """Our table as the kernel has it; ``None`` when it is not there (or nft is not)."""
    result = _nft(site, ["list", "table", firewall.FAMILY, firewall.NAME])
    return firewall.parse(result.stdout) if result.ok else None


def units(site) -> pd.DataFrame:
    """Our two units. Columns: unit, load, enabled, active, result."""
    rows = []
    for name in (RULES_UNIT, LISTENER_UNIT):
        state = site.host.unit(name)
        rows.append({"unit": name, "load": state.get("LoadState", "?"), "enabled": state.get("UnitFileState", ""),
                     "active": state.get("ActiveState", ""), "result": state.get("Result", "")})
    return pd.DataFrame(rows)


def console_pods(site, wanted) -> pd.DataFrame:
    """The console's Service and what is behind it. Columns: service, port, pods, ready."""
    service = site.cluster.get("Service", wanted.service, wanted.namespace) if site.cluster else None
    if service is None:
        return pd.DataFrame(columns=["service", "port", "pods", "ready"])
    selector = ",".join(f"{k}={v}" for k, v in (service["spec"].get("selector") or {}).items())
    pods = site.cluster.list("Pod", wanted.namespace, selector=selector) if selector else []
    ready = [
        p for p in pods if any(c["type"] == "Ready" and c["status"] == "True" for c in p.get("status", {}).get("conditions", []))
    ]
    ports = ", ".join(str(p["port"]) for p in service["spec"].get("ports", []))
    return pd.DataFrame(
        [{"service": f"{wanted.namespace}/{wanted.service}", "port": ports, "pods": len(pods), "ready": len(ready)}]
    )


def answer(site, address: str, port: int, within: list[str] | None = None, timeout: int = 3):
    """What an HTTP client here gets; ``within``: a command to run it under. A Result; stdout is the HTTP status."""
    where = f"[{address}]" if ":" in address else address
    argv = ["curl", "--silent", "--show-error", "--noproxy", "*", "--output", "/dev/null", "--write-out", "%{http_code}",
            "--max-time", str(timeout), f"http://{where}:{port}/"]
    return asked(site, [*(within or []), *argv], root=bool(within))


def answers(site, port: int, targets: list[str]) -> pd.DataFrame:
    """What a client on this server gets from each address. Columns: address, port, answer."""
    return pd.DataFrame([{"address": a, "port": port, "answer": told(answer(site, a, port))} for a in targets],
                        columns=["address", "port", "answer"])


def told(result) -> str:
    """A Result of :func:`answer` in words: ``"HTTP 200"``, or curl's reason (its exit codes: man curl)."""
    if result.ok:
        return f"HTTP {result.stdout.strip()}"
    return {7: "refused", 28: "no answer", 127: "curl is not installed"}.get(
        result.exit_code, result.last_lines(1) or "not known"
    )


def _nft(site, words: list[str]):
    return asked(site, ["nft", "--json", *words])


def asked(site, argv: list[str], root: bool = True):
    """The Result of a command; a failed one when this user may not run it, or the rehearsal has no recording of it."""
    try:
        return site.host.run(argv, check=False, root=root)
    except (MissingRight, NotRecorded) as error:
        return Result(tuple(argv), 1, "", str(error), replayed=str(error) if isinstance(error, NotRecorded) else "")


def _sockets(site) -> list[dict]:
    try:
        return site.host.sockets()
    except NotRecorded:
        return []


def _json(result):
    try:
        return json.loads(result.stdout) if result.ok else None
    except ValueError:
        return None

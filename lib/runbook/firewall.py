"""One nftables table of our own that lets one network reach one port: made as text, read back, compared. Pure.

Why it looks as it does:

- hook ``prerouting``, before priority -100 (``dstnat``): Kubernetes and Docker rewrite NodePorts, hostPorts and published
  ports there, and a filter on ``input`` never sees these. Priorities: https://wiki.nftables.org, "Netfilter hooks".
- ``accept`` ends this chain only: ufw, firewalld or Tailscale may still drop a packet; ``drop`` is final.
- a table of our own, replaced in one transaction (``table``, ``delete table``, ``table`` in one file): nobody else's rule is
  read or written.
- ``fib daddr type != local accept``: what is only routed through this server, such as pods' traffic, is left alone.
- loopback is accepted; IPv6 to the port falls through to the drop, unless the allowed network is an IPv6 one.
"""

import ipaddress
import json
from dataclasses import dataclass

from runbook.errors import ParameterError

FAMILY, NAME, CHAIN = "inet", "runbook_console", "guard"
PRIORITY = -110  #: ten before dstnat

#: How the rules of others are told: the beginning of a chain's name, or a table's name.
OWNERS = {
    "kube-proxy": ("KUBE-", "kube-proxy"), "kube-router": ("KUBE-ROUTER", "KUBE-POD-FW", "KUBE-NWPLCY"), "flannel": ("FLANNEL",),
    "Docker": ("DOCKER", "docker-"), "ufw": ("ufw-", "ufw6-"), "firewalld": ("firewalld",), "Tailscale": ("ts-",),
    "hostPorts": ("CNI-HOSTPORT", "CNI-DN-", "cni_hostport"), "CNI": ("CNI-",), "runbook": (NAME,),
}


@dataclass(frozen=True)
class Table:
    """Our table as the kernel has it, or as we want it: where it hooks in, and its rules in nft's words, without counts."""

    hook: str
    priority: int
    policy: str
    rules: tuple[str, ...]


def network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """``"100.64.85.0/24"`` as a network. Raises ParameterError, also when host bits are set."""
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise ParameterError(f"console.allow: {error}", do='give a network, such as "100.64.85.0/24"') from None


def wanted(port: int, allow: str) -> Table:
    """The table that lets only ``allow`` (a network) reach TCP ``port`` of this server."""
    net = network(allow)
    source = ("ip" if net.version == 4 else "ip6") + f" saddr {net if net.prefixlen < net.max_prefixlen else net.network_address}"
    rules = (
        'iifname "lo" accept',
        "fib daddr type != local accept",
        f"tcp dport {port} {source} counter accept",
        f"tcp dport {port} counter drop",
    )
    return Table("prerouting", PRIORITY, "accept", rules)


def ruleset(table: Table) -> str:
    """The table as a file for ``nft -f``; loading it twice is the same as once, and no packet sees half of it."""
    lines = "\n".join(f"\t\t{rule}" for rule in table.rules)
    return (f"#!/usr/sbin/nft -f\n# The console's port for one network only. Written by runbook, step 91; a table of its own.\n"
            f"table {FAMILY} {NAME}\ndelete table {FAMILY} {NAME}\ntable {FAMILY} {NAME} {{\n\tchain {CHAIN} {{\n"
            f"\t\ttype filter hook {table.hook} priority {table.priority}; policy {table.policy};\n{lines}\n\t}}\n}}\n")


def parse(text: str) -> Table | None:
    """Our table out of ``nft --json list table inet runbook_console``; ``None`` when it is not there.

    A rule that we would never write is kept as its JSON, so that it differs from every wanted one.
    """
    items = _items(text)
    chains = [i["chain"] for i in items if i.get("chain", {}).get("table") == NAME]
    rules = [i["rule"] for i in items if i.get("rule", {}).get("table") == NAME]
    if not chains:
        return None
    chain = next((c for c in chains if c["name"] == CHAIN), chains[0])
    return Table(chain.get("hook", ""), chain.get("prio", 0), chain.get("policy", ""), tuple(_rule(r["expr"]) for r in rules))


def owners(text: str) -> dict[str, int]:
    """How many rules each program has, out of ``nft --json list ruleset``: ``{"kube-proxy": 61, "others": 2}``."""
    counts: dict[str, int] = {}
    for item in _items(text):
        if "rule" in item:
            who = _owner(item["rule"])
            counts[who] = counts.get(who, 0) + 1
    return counts


def owners_legacy(text: str) -> dict[str, int]:
    """The same out of ``iptables-legacy-save``: rules of the older kernel tables, which nft does not list."""
    counts: dict[str, int] = {}
    for line in text.splitlines():
        if line.startswith("-A "):
            who = _owner({"chain": line.split()[1], "table": ""})
            counts[who] = counts.get(who, 0) + 1
    return counts


def foreign(text: str) -> list[str]:
    """Every rule that is not ours, without counts and handles, in order: the same before, during and after."""
    rules = [i["rule"] for i in _items(text) if "rule" in i and i["rule"]["table"] != NAME]
    return [f"{r['family']} {r['table']} {r['chain']} {_rule(r['expr'])}" for r in rules]


def _owner(rule: dict) -> str:
    for who in sorted(OWNERS, key=lambda w: -max(map(len, OWNERS[w]))):
        if rule["chain"].startswith(OWNERS[who]) or rule["table"].startswith(OWNERS[who]):
            return who
    return "others"


def _items(text: str) -> list[dict]:
    try:
        return json.loads(text)["nftables"] if text.strip() else []
    except (ValueError, KeyError, TypeError):
        return []


def _rule(expressions: list[dict]) -> str:
    return " ".join(_expression(e) for e in expressions)


def _expression(expression: dict) -> str:
    (kind, value), *_ = expression.items()
    if kind == "match":
        negated = " !=" if value["op"] == "!=" else ""
        return f"{_left(value['left'])}{negated} {_right(value['right'], value['left'])}"
    if kind == "counter":
        return "counter"
    return kind if value is None else json.dumps(expression, sort_keys=True)


def _left(left: dict) -> str:
    (kind, value), *_ = left.items()
    if kind == "meta":
        return value["key"]
    if kind == "payload" and "protocol" in value:
        return f"{value['protocol']} {value['field']}"
    if kind == "fib":
        return f"fib {' . '.join(value['flags'])} {value['result']}"
    return json.dumps(left, sort_keys=True)


def _right(right, left: dict) -> str:
    if isinstance(right, dict) and "prefix" in right:
        return f"{right['prefix']['addr']}/{right['prefix']['len']}"
    if isinstance(right, str) and "meta" in left:
        return f'"{right}"'
    return str(right) if isinstance(right, (str, int)) else json.dumps(right, sort_keys=True)

"""A console stuck on 127.0.0.1, opened to one network: a durable listener, and rules in front of it.

The listener is ``kubectl port-forward --address`` under systemd; ``kubectl kots admin-console`` has no such flag
(https://docs.replicated.com/reference/kots-cli-admin-console-index lists ``--namespace`` and ``--port`` alone).
"""

import ipaddress

import pandas as pd

from runbook import firewall
from runbook.errors import HostError
from runbook.facts import console as facts
from runbook.facts.console import LISTENER_UNIT, RULES_UNIT
from runbook.operations.host import UNIT_FOLDER, ensure_file, ensure_unit, remove_file, remove_unit, run_command
from runbook.plans import Plan, plan_of
from runbook.site import K3S_KUBECONFIG

FOLDER = "/etc/runbook"
RULES_FILE = f"{FOLDER}/console.nft"
#: Networks that RFC 5737 keeps for documentation: nobody's clients. One that this server does not use serves as "outside".
NOBODYS = ("198.51.100.0/24", "203.0.113.0/24", "192.0.2.0/24")
CLIENT = "runbook-client"  #: network namespace and interface of the test client; at most 15 characters


def listen_on(wanted, own: list[str]) -> list[str]:
    """The addresses to listen on.

    Args:
        wanted: the ``console`` section.
        own: the server's own addresses.

    Loopback and the server's own address in the allowed network; without one, every IPv4 address.
    """
    net = firewall.network(wanted.allow)
    inside = [wanted.listen] if wanted.listen else [a for a in own if ipaddress.ip_address(a) in net][:1]
    if not inside or ipaddress.ip_address(inside[0]).is_unspecified:
        return inside or ["0.0.0.0"]
    return ["127.0.0.1", *(a for a in inside if a != "127.0.0.1")]


def rules_unit(nft: str = "/usr/sbin/nft") -> str:
    """The unit that loads our rules at boot, before the network, and again whenever nftables.service has loaded its own."""
    return f"""[Unit]
Description=Rules in front of the console's port (runbook, step 91)
Wants=network-pre.target
Before=network-pre.target
After=nftables.service
PartOf=nftables.service
ReloadPropagatedFrom=nftables.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart={nft} -f {RULES_FILE}
ExecReload={nft} -f {RULES_FILE}

[Install]
WantedBy=multi-user.target
"""


def listener_unit(wanted, addresses: list[str], kubeconfig: str, kubectl: str = "/usr/local/bin/kubectl") -> str:
    """The unit that listens. It starts only behind the rules, and is started again for ever: a pod that is replaced,
    or four idle hours (kubelet's ``streamingConnectionIdleTimeout``), ends a port-forward."""
    return f"""[Unit]
Description=Console {wanted.namespace}/{wanted.service} on port {wanted.port} (runbook, step 91)
Wants=network-online.target
After=network-online.target k3s.service {RULES_UNIT}
Requires={RULES_UNIT}
StartLimitIntervalSec=0

[Service]
ExecStart={' '.join(forward(wanted, addresses, kubeconfig, kubectl))}
Restart=always
RestartSec=2
NoNewPrivileges=yes
CapabilityBoundingSet={'CAP_NET_BIND_SERVICE' if wanted.port < 1024 else ''}
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes

[Install]
WantedBy=multi-user.target
"""


def forward(wanted, addresses: list[str], kubeconfig: str, kubectl: str) -> list[str]:
    """The command that listens."""
    return [
        kubectl,
        "--kubeconfig",
        kubeconfig,
        "--namespace",
        wanted.namespace,
        "port-forward",
        "--address",
        ",".join(addresses),
        f"service/{wanted.service}",
        f"{wanted.port}:{wanted.target_port}",
    ]


def texts(site, wanted) -> dict[str, str]:
    """The files that step 91 writes: path → text."""
    own = list(facts.addresses(site, wanted.allow)["address"])
    kubectl = site.host.which("kubectl") or "/usr/local/bin/kubectl"
    return {
        RULES_FILE: firewall.ruleset(firewall.wanted(wanted.port, wanted.allow)),
        f"{UNIT_FOLDER}/{RULES_UNIT}": rules_unit(site.host.which("nft") or "/usr/sbin/nft"),
        f"{UNIT_FOLDER}/{LISTENER_UNIT}": listener_unit(
            wanted, listen_on(wanted, own), site.kubeconfig or K3S_KUBECONFIG, kubectl
        ),
    }


def ensure_console(site, wanted) -> Plan:
    """The rules first, then the listener behind them; nothing when both are as wanted and running."""
    files = texts(site, wanted)
    loaded = facts.table(site) == firewall.wanted(wanted.port, wanted.allow)
    return plan_of([
        ensure_file(site.host, RULES_FILE, files[RULES_FILE]),
        *ensure_unit(site.host, RULES_UNIT, files[f"{UNIT_FOLDER}/{RULES_UNIT}"], restart=not loaded),
        *ensure_unit(site.host, LISTENER_UNIT, files[f"{UNIT_FOLDER}/{LISTENER_UNIT}"]),
    ])


def undo(site, wanted, delete_data: bool = False) -> Plan:
    """No listener, no unit, no table, no file of step 91, and none of the copies that replacing them left."""
    host = site.host
    found = facts.asked(
        site,
        [
            "find",
            FOLDER,
            UNIT_FOLDER,
            "-maxdepth",
            "1",
            "-name",
            "console.nft.before-*",
            "-o",
            "-maxdepth",
            "1",
            "-name",
            "runbook-console*.before-*",
        ],
    )
    copies = found.stdout.split()
    table = facts.table(site)
    changes = [*remove_unit(host, LISTENER_UNIT), *remove_unit(host, RULES_UNIT),
               run_command(host, ["nft", "delete", "table", firewall.FAMILY, firewall.NAME]) if table else None,
               remove_file(host, RULES_FILE), *(remove_file(host, path) for path in copies)]
    if host.exists(FOLDER):
        changes.append(run_command(host, ["rmdir", "--ignore-fail-on-non-empty", FOLDER]))
    return plan_of(changes)


def prove(site, wanted) -> pd.DataFrame:
    """Ask the console from both sides with real packets. Columns: client, address, answer.

    Only in apply mode; ``not tried`` otherwise, and for the client inside unless ``console.probe`` lends it an address.
    """
    own = [a for a in facts.addresses(site, wanted.allow)["address"] if ":" not in a]
    server = next((a for a in listen_on(wanted, own) if not ipaddress.ip_address(a).is_loopback), "")
    if server == "0.0.0.0":
        server = next((a for a in own if not a.startswith("127.")), "")
    live = site.mode == "apply" and not site.host.replayed and server
    tailscale = "Tailscale" in set(facts.filters(site)["who"]) if live else False
    inside = wanted.probe if live and not tailscale else ""
    stranger = outside(own) if live else ""
    rows = [{"client": who, "address": a or "–", "answer": as_client(site, a, server, wanted.port) if a else "not tried"}
            for who, a in (("inside", inside), ("outside", stranger))]
    loopback = facts.told(facts.answer(site, "127.0.0.1", wanted.port)) if live else "not tried"
    return pd.DataFrame([*rows, {"client": "this server", "address": "127.0.0.1", "answer": loopback}])


def not_tried(proof: pd.DataFrame, client: str) -> str:
    """Why a client of :func:`prove` was not tried; empty if it was."""
    answer = proof.set_index("client")["answer"][client]
    return (
        ""
        if answer != "not tried"
        else (
            "not tried here: plan mode, no address in console.probe, or Tailscale drops such a client; "
            "try it from a machine of that network"
            if client == "inside"
            else "plan mode: nothing was opened"
        )
    )


def got(proof: pd.DataFrame, client: str) -> str:
    """What a client of :func:`prove` got."""
    return proof.set_index("client")["answer"][client]


def outside(own: list[str]) -> str:
    """An address that is nobody's and not in a network of this server's own: the stranger of the proof."""
    for text in NOBODYS:
        net = ipaddress.ip_network(text)
        if not any(ipaddress.ip_address(a) in net for a in own):
            return str(net[2])
    raise HostError(
        "this server uses all of 198.51.100.0/24, 203.0.113.0/24 and 192.0.2.0/24", do="try it from a client of your own"
    )


def as_client(site, source: str, server: str, port: int, name: str = CLIENT) -> str:
    """What a client with the address ``source`` gets from ``server``: a network namespace that lives for this one request.

    Real packets through the real rules. It changes the server for some seconds (a namespace, a link, a route to
    ``source``) and takes all of it back, so it belongs into apply mode. ``source`` must be nobody's address.

    Returns words as :func:`runbook.facts.console.told`: ``"HTTP 200"``, ``"no answer"``, ``"refused"``.
    """
    run = site.host.run
    try:
        run(["ip", "netns", "add", name], root=True)
        run(["ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name], root=True)
        run(["ip", "link", "set", name, "up"], root=True)
        run(["ip", "route", "add", f"{source}/32", "dev", name], root=True)
        for words in (
            ["address", "add", f"{source}/32", "dev", "eth0"],
            ["link", "set", "eth0", "up"],
            ["route", "add", "default", "dev", "eth0"],
        ):
            run(["ip", "-netns", name, *words], root=True)
        return facts.told(facts.answer(site, server, port, within=["ip", "netns", "exec", name]))
    finally:
        run(["ip", "link", "delete", name], root=True, check=False)
        run(["ip", "netns", "delete", name], root=True, check=False)

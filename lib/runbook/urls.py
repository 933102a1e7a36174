"""The names of the workspaces and their ports. Pure.

``<workspace>-<owner>.ws.<domain>`` is the IDE, ``<port>-<workspace>-<owner>.ws.<domain>`` a port of it: one label each, because a wildcard
certificate, a wildcard Ingress and a wildcard DNS record all stand for one label. An owner has no hyphen, so a name is read one way only.
"""

import ipaddress
import re
from dataclasses import dataclass

from runbook.errors import ParameterError

#: A public DNS service: a name that holds an address in this form has that address. https://sslip.io
ADDRESS_SERVICE = "sslip.io"
LABEL = re.compile(r"^(?:([1-9][0-9]{0,4})-)?([a-z](?:[a-z0-9-]{0,28}[a-z0-9])?)-([a-z][a-z0-9]{0,19})$")


@dataclass(frozen=True)
class Url:
    """One URL: whose it is, its port (0: the IDE) and who may open it (``ide``, ``private``, ``public``)."""

    owner: str
    workspace: str
    port: int
    visibility: str
    host: str

    @property
    def url(self) -> str:
        return f"https://{self.host}/"


def domain_of(address: str) -> str:
    """A domain made of an address: ``"203.0.113.7"`` → ``"203-0-113-7.sslip.io"``, ``"2001:db8::7"`` → ``"2001-db8--7.sslip.io"``.

    Raises:
        ParameterError: it is no address.
    """
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        raise ParameterError(f"ingress.domain auto: {address!r} is no address to make a name of", do="set ingress.address, or ingress.domain") from None
    label = re.sub(r"[.:]", "-", str(found))
    # A label neither begins nor ends with a hyphen: ::1 is written 0--1.
    return f"{'0' * label.startswith('-')}{label}{'0' * label.endswith('-')}.{ADDRESS_SERVICE}"


def base(domain: str) -> str:
    """What all names are directly below: ``ws.<domain>``."""
    return f"ws.{domain}"


def host(domain: str, workspace: str, owner: str, port: int = 0) -> str:
    """The name of a workspace's IDE, or of one of its ports."""
    return f"{f'{port}-' if port else ''}{workspace}-{owner}.{base(domain)}"


def read(name: str, domain: str) -> tuple[int, str, str] | None:
    """Port (0: the IDE), workspace and owner of a name; ``None`` if it is no workspace's."""
    label, dot, rest = name.lower().rstrip(".").partition(".")
    found = LABEL.match(label) if dot and rest == base(domain) else None
    if not found or int(found[1] or 0) > 65535:
        return None
    return int(found[1] or 0), found[2], found[3]


def of_service(service: dict, domain: str) -> list[Url]:
    """The URLs of a workspace, from its Service: the IDE, its web server, and the ports that its .gitpod.yml declares.

    Every other port has a URL, too, behind the same sign-in; only those that are known are listed.
    """
    labels = service["metadata"]["labels"]
    owner, workspace = labels["runbook/owner"], labels["runbook/workspace"]
    ports = {p["name"]: p["port"] for p in service["spec"]["ports"]}
    declared = service["metadata"].get("annotations", {}).get("runbook/private-ports", "").split()
    found = {int(p): "private" for p in declared}
    if "http" in ports:
        found[ports["http"]] = "private"
    found |= {port: "public" for name, port in ports.items() if name.startswith("public-")}
    ide = [Url(owner, workspace, 0, "ide", host(domain, workspace, owner))] if "ide" in ports else []
    return ide + [Url(owner, workspace, port, seen, host(domain, workspace, owner, port)) for port, seen in sorted(found.items())]

"""What a client meets on the wire: names, connections, certificates, answers. Every probe has a time limit and never raises.

Nothing here knows of the cluster. The standard library only, so that a probe is what it seems.
"""

import http.client
import os
import random
import socket
import ssl
import struct
import time
import urllib.parse
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache

TIMEOUT = 10
#: Answers of a DNS server, RFC 1035 section 4.1.1 and RFC 2136 section 2.2.
DNS_CODES = {1: "refuses the question as malformed", 2: "failed", 3: "knows no such name", 4: "does not do that", 5: "refuses to answer"}


@dataclass(frozen=True)
class Names:
    """What a resolver said: addresses, or why there are none. ``silent``: no resolver answered at all."""

    addresses: tuple[str, ...] = ()
    error: str = ""
    silent: bool = False


@dataclass(frozen=True)
class Answer:
    """What an HTTP request got: ``status`` 0 when there was no answer, and then ``error`` says why."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""
    error: str = ""
    seconds: float = 0.0

    def header(self, name: str) -> str:
        return self.headers.get(name.lower(), "")


def each(function: Callable, items: Iterable, at_once: int = 16) -> list:
    """``function`` of each item, side by side, in order."""
    items = list(items)
    if not items:
        return []
    with ThreadPoolExecutor(min(at_once, len(items)), thread_name_prefix="probe") as pool:
        return list(pool.map(function, items))


def resolve(host: str, server: str = "", timeout: float = 3) -> Names:
    """The addresses of a name: from the system's resolver, or from the DNS server ``"9.9.9.9"`` or ``"127.0.0.1:5353"``."""
    if server:
        return _ask(host, server, timeout)
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        silent = error.errno in (socket.EAI_AGAIN, socket.EAI_FAIL)
        return Names(error=f"no resolver of this machine answers ({error.strerror})" if silent else "there is no such name", silent=silent)
    except OSError as error:
        return Names(error=str(error), silent=True)
    return Names(tuple(dict.fromkeys(f[4][0] for f in found)))


def connect(address: str, port: int, timeout: float = TIMEOUT) -> str:
    """Whether something accepts connections there: empty if so, else why not."""
    try:
        socket.create_connection((address, port), timeout).close()
    except ConnectionRefusedError:
        return "the connection is refused: nothing listens there"
    except TimeoutError:
        return f"no answer within {timeout:g} s: a firewall drops it, or the address is another machine's"
    except OSError as error:
        return error.strerror or str(error)
    return ""


def shown_certificate(address: str, port: int, host: str, timeout: float = TIMEOUT) -> tuple[bytes, str]:
    """The certificate (DER) that a server shows for a name, whether it is good or not; or empty, and why."""
    try:
        with socket.create_connection((address, port), timeout) as plain, _believing().wrap_socket(plain, server_hostname=host) as secured:
            return secured.getpeercert(binary_form=True) or b"", ""
    except OSError as error:  # ssl.SSLError is one
        return b"", _why(error, timeout)


def handshake(address: str, port: int, host: str, authority: str = "", timeout: float = TIMEOUT) -> str:
    """A TLS handshake as a browser makes it, the certificate verified: empty if it succeeds, else why not.

    Args:
        authority: PEM of the authority to trust; empty: those that this machine trusts.
    """
    try:
        with socket.create_connection((address, port), timeout) as plain, trusting(authority).wrap_socket(plain, server_hostname=host):
            return ""
    except OSError as error:
        return _why(error, timeout)


def trusting(authority: str = "") -> ssl.SSLContext:
    """A client's context that trusts this authority only, or those of the machine."""
    store = ssl.get_default_verify_paths().cafile  # None if this machine has no such file
    if authority or not store:
        return ssl.create_default_context(cadata=authority or None)
    return _trusting_the_machine(store, os.stat(store).st_mtime_ns)


@lru_cache(1)
def _trusting_the_machine(store: str, changed: int) -> ssl.SSLContext:
    """Made once for each state of the machine's list of authorities: reading it takes some 40 ms, more than most probes."""
    return ssl.create_default_context()


def _believing() -> ssl.SSLContext:
    """A client's context that takes any certificate: to see what is there, or what is behind a bad one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def request(host: str, address: str, *, path: str = "/", tls: bool = True, port: int = 0, authority: str = "", verify: bool = True, method: str = "GET",
            headers: dict[str, str] | None = None, body: bytes | str | None = None, timeout: float = TIMEOUT, keep: int = 65536) -> Answer:
    """One HTTP request to ``host`` at ``address``, redirects not followed; at most ``keep`` bytes of the answer are kept.

    Args:
        verify: verify the certificate; without, the answer says what is behind a bad one.
    """
    started = time.monotonic()
    connection = http.client.HTTPConnection(host, timeout=timeout)
    try:
        plain = socket.create_connection((address, port or (443 if tls else 80)), timeout)
        connection.sock = plain
        if tls:
            connection.sock = (trusting(authority) if verify else _believing()).wrap_socket(plain, server_hostname=host)
        connection.request(method, path, body, {"Accept": "text/html", "Connection": "close"} | (headers or {}))
        answer = connection.getresponse()
        said: dict[str, str] = {}
        for name, value in answer.getheaders():
            said[name.lower()] = f"{said[name.lower()]}\n{value}" if name.lower() in said else value
        return Answer(answer.status, said, answer.read(keep).decode(errors="replace"), "", time.monotonic() - started)
    except (OSError, http.client.HTTPException) as error:
        return Answer(error=_why(error, timeout), seconds=time.monotonic() - started)
    finally:
        connection.close()


def sign_in(host: str, address: str, password: str, *, port: int = 0, authority: str = "", verify: bool = True, timeout: float = 20) -> tuple[str, Answer]:
    """Sign in to a workspace's IDE as its page does: the cookie ``"name=value"`` (empty when refused), and the answer.

    Form fields: code-server's ``src/browser/pages/login.html`` of 4.139.
    """
    form = urllib.parse.urlencode({"password": password, "base": ".", "href": f"https://{host}/login"})
    answer = request(host, address, path="/login", method="POST", body=form, port=port, authority=authority, verify=verify, timeout=timeout,
                     headers={"Content-Type": "application/x-www-form-urlencoded"})
    cookies = [c.split(";", 1)[0] for c in answer.header("set-cookie").splitlines()]
    return next((c for c in cookies if c.startswith("code-server-session") and answer.status == 302), ""), answer


def _why(error: Exception, timeout: float) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is refused: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"no TLS is spoken there ({error.reason or error})"
    if isinstance(error, ConnectionRefusedError):
        return "the connection is refused: nothing listens there"
    if isinstance(error, TimeoutError):
        return f"no answer within {timeout:g} s"
    if isinstance(error, (ConnectionResetError, http.client.RemoteDisconnected, ssl.SSLEOFError)):
        return "the connection was closed without an answer"
    return getattr(error, "strerror", "") or str(error) or type(error).__name__


# -- DNS ---------------------------------------------------------------------


def _ask(host: str, server: str, timeout: float) -> Names:
    """One question to one DNS server over UDP, RFC 1035: the A records of a name; and its AAAA records (RFC 3596) if there are none."""
    address, _, port = server.partition(":") if server.count(":") < 2 else (server, "", "")
    for kind in (1, 28):
        number = random.randrange(65536)
        labels = b"".join(bytes([len(part)]) + part for part in (label.encode("idna") for label in host.rstrip(".").split(".")))
        question = struct.pack(">HHHHHH", number, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", kind, 1)
        try:
            with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as udp:
                udp.settimeout(timeout)
                udp.connect((address, int(port or 53)))
                udp.send(question)
                reply = udp.recv(4096)
        except (OSError, ValueError) as error:
            return Names(error=f"the DNS server {server} does not answer ({error})", silent=True)
        if len(reply) < 12 or reply[:2] != question[:2]:
            return Names(error=f"the DNS server {server} gave no usable answer", silent=True)
        code = reply[3] & 15
        if code:
            return Names(error=f"the DNS server {server} {DNS_CODES.get(code, f'answers with code {code}')}")
        found = _addresses(reply)
        if found:
            return Names(tuple(found))
    return Names(error=f"the DNS server {server} knows no address of that name")


def _addresses(reply: bytes) -> list[str]:
    questions, answers = struct.unpack(">HH", reply[4:8])
    at = 12
    for _ in range(questions):
        at = _skip_name(reply, at) + 4
    found = []
    for _ in range(answers):
        at = _skip_name(reply, at)
        kind, _, _, length = struct.unpack(">HHIH", reply[at:at + 10])
        data = reply[at + 10:at + 10 + length]
        if kind in (1, 28):
            found.append(socket.inet_ntop(socket.AF_INET if kind == 1 else socket.AF_INET6, data))
        at += 10 + length
    return found


def _skip_name(reply: bytes, at: int) -> int:
    while reply[at] and reply[at] < 192:
        at += reply[at] + 1
    return at + (2 if reply[at] >= 192 else 1)

"""The console of step 91: open to anybody, or to nobody."""

from collections.abc import Iterator

from runbook.diagnose.findings import CRITICAL, WARNING, Case, Finding
from runbook.diagnose.snapshot import Snapshot

FIX = "91-kots-admin-console"
LOOKS_FOR = "the console: reachable from its network, and from no other"
OPEN = Case("console-over-exposed", CRITICAL, "the console stands open to everybody",
            "anybody who reaches this server reaches its login page",
            "run 91 again: it puts the rules back; somebody flushed them", FIX)
CLOSED = Case("console-unreachable", WARNING, "the console's listener does not listen",
            "nobody outside of this server reaches the console", "see journalctl -u runbook-console, then run 91 again", FIX,
            r"failed to forward port: unable to listen on any of the requested ports|error: lost connection to pod")
LOOPBACK = Case("console-on-loopback", WARNING, "a console listens on 127.0.0.1 alone",
            "nobody outside of this server reaches it", "run 91: it opens it to one network", FIX)

CASES = (CLOSED, OPEN, LOOPBACK)


def look(shot: Snapshot) -> Iterator[Finding]:
    console = shot.host.get("console")
    if console:
        if console["state"] == "open":
            yield OPEN.at(
                f"port {console['port']} of this server",
                evidence=f"only {console['allow']} should reach it; our rules are not loaded as written",
            )
        elif console["state"] == "closed":
            yield CLOSED.at(f"port {console['port']} of this server")
        return
    listeners = [s["address"] for s in shot.host.get("sockets", []) if s["port"] == 8800]
    if listeners and all(a.startswith("127.") or a == "::1" for a in listeners):
        yield LOOPBACK.at("port 8800 of this server", evidence=f"listening on {', '.join(listeners)}")

"""The claims of 91-kots-admin-console: the rehearsal's machine answers as the tested one did (tests/recorded/console, tests/root)."""

import json

import runbook
from runbook import paths
from runbook.operations.console import CLIENT, RULES_FILE
from runbook.rehearsal import RehearsalHost

from .faults import unready
from .kit import Table, Way, proof_of

LOADED = (paths.root() / "tests/recorded/console/nft-table.json").read_text(encoding="utf-8")
SERVER, PROBE, STRANGER = "100.64.85.1", "100.64.85.77", "198.51.100.2"
GIVEN = {"console": {"probe": PROBE}}
CURL = ["curl", "--silent", "--show-error", "--noproxy", "*", "--output", "/dev/null", "--write-out", "%{http_code}", "--max-time", "3"]
SERVED, REFUSED, SILENT = {"exit_code": 0, "stdout": "200"}, {"exit_code": 7, "stdout": "000"}, {"exit_code": 28, "stdout": "000"}
LISTENERS = [{"address": a, "port": 8800, "pid": 4242, "program": "kubectl"} for a in ("127.0.0.1", SERVER)]


def server(world, clients=(SERVED, SILENT), here=SERVED):
    """A machine with a console, nobody on its port, and what its clients get: the one inside, the one outside, itself."""
    cluster = runbook.connect("rehearsal", name="rehearsal", mode="apply").cluster
    labels = {"app": "kotsadm"}
    cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "kotsadm", "namespace": "default", "labels": labels},
                   "spec": {"containers": [{"name": "console", "image": "busybox:1.36"}]}})
    cluster.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "kotsadm", "namespace": "default"},
                   "spec": {"selector": labels, "ports": [{"port": 3000}]}})
    begin = RehearsalHost.__init__
    world.patch.setattr(RehearsalHost, "__init__", lambda host, state: (begin(host, state), setattr(host, "replayed", ""))[0])
    with world.state.change() as data:
        for path in ("/run/systemd/system", "/usr/sbin/nft", "/usr/bin/curl"):
            data["files"][path] = {"text": "", "mode": 0o755, "time": ""}
    links = [{"ifname": "eth0", "addr_info": [{"local": SERVER, "scope": "global"}]}]
    world.command(["ip", "-json", "address"], stdout=json.dumps(links))
    rules(world, None)
    for words in (["netns", "add", CLIENT], ["link", "add", CLIENT, "type", "veth", "peer", "name", "eth0", "netns", CLIENT], ["link", "set", CLIENT, "up"],
                  *(["route", "add", f"{a}/32", "dev", CLIENT] for a in (PROBE, STRANGER)),
                  *(["-netns", CLIENT, "address", "add", f"{a}/32", "dev", "eth0"] for a in (PROBE, STRANGER)),
                  ["-netns", CLIENT, "link", "set", "eth0", "up"], ["-netns", CLIENT, "route", "add", "default", "dev", "eth0"],
                  ["link", "delete", CLIENT], ["netns", "delete", CLIENT]):
        world.command(["ip", *words])
    full = [{"stderr": "", **answer} for answer in (*clients, here)]
    world.answer(_key(["ip", "netns", "exec", CLIENT, *CURL, f"http://{SERVER}:8800/"]), *full[:2])
    world.answer(_key([*CURL, "http://127.0.0.1:8800/"]), full[2])


def _key(argv):
    from runbook.rehearsal.host import run_key

    return run_key(argv)


def rules(world, text):
    """What the kernel lists of our table."""
    world.command(["nft", "--json", "list", "table", "inet", "runbook_console"], int(text is None), text or "", "" if text else "No such file or directory")


def applied(world, text=LOADED, listeners=LISTENERS):
    """What the two units bring about when they are started."""
    rules(world, text)
    world.sockets(*listeners)


def without_drop(text):
    items = json.loads(text)["nftables"]
    return json.dumps({"nftables": [i for i in items if i.get("rule", {}).get("expr", [])[-1:] != [{"drop": None}]]})


def way(prepare=server, after=applied, **at):
    return Way(prepare, given=GIVEN, at={"runbook.apply(plan": lambda world, names: after(world), **at})


def console_down(world):
    server(world)
    world.change("Pod", "kotsadm", "default", unready)


def taken(world):
    server(world)
    world.sockets({"address": "127.0.0.1", "port": 8800, "pid": 7, "program": "kubectl-kots"})


def without_systemd(world):
    server(world)
    with world.state.change() as data:
        del data["files"]["/run/systemd/system"]


def edited(world, names):
    names["site"].host.write(RULES_FILE, "# somebody was here\n")


TABLE = Table("91", proven=(way(),), refuted={
    "the console's Service is there and a pod behind it is ready": way(console_down),
    "the port is free, or our own unit holds it": way(taken),
    "this server has systemd, nft and curl": way(without_systemd),
    "our rules are loaded as written": way(after=lambda world: applied(world, without_drop(LOADED))),
    "a listener is there, and it stands behind the rules": way(after=lambda world: applied(world, listeners=LISTENERS[:1])),
    "a client in the allowed network is served": way(lambda world: server(world, (SILENT, SILENT))),
    "a client outside of it gets nothing": way(lambda world: server(world, (SERVED, SERVED))),
    "this server itself still reaches it": way(lambda world: server(world, here=REFUSED)),
    "a second run would change nothing": way(**{"again =": edited}),
})

test_proven, test_refuted = proof_of(TABLE)

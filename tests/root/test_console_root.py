"""Step 91 for real: namespaces of our own, real packets, real nftables; see console_kit for the little that is not."""

import os
import signal
import subprocess
from types import SimpleNamespace

import pytest
from console_kit import INSIDE, INSIDE6, SERVER6, SERVER_IN, SERVER_OUT, Machine, Network, sh

from runbook import apply, firewall, section
from runbook.facts import console as facts
from runbook.facts.console import LISTENER_UNIT
from runbook.operations import console

pytestmark = pytest.mark.root
PORT = 8800
OTHERS = """
table ip filter {
  chain ufw-user-input { tcp dport 22 accept; }
}
table ip nat {
  chain KUBE-SERVICES { tcp dport 30080 counter; }
}
"""


@pytest.fixture
def place(tmp_path):
    with Network(f"rb{os.getpid() % 10000}") as network:
        host = Machine(tmp_path / "server", network.server)
        site = SimpleNamespace(host=host, cluster=None, kubeconfig="/etc/rancher/k3s/k3s.yaml", mode="apply")
        try:
            yield SimpleNamespace(network=network, host=host, site=site, wanted=section("console"))
        finally:
            for name in list(host.units.running):
                host.units.stop(name)


def seen(place) -> dict:
    """Who gets what on the console's port."""
    network = place.network
    return {
        "inside": network.get(network.inside, SERVER_IN, PORT),
        "outside": network.get(network.outside, SERVER_OUT, PORT),
        "outside, at the inner address": _through(place),
        "loopback": network.get(network.server, "127.0.0.1", PORT),
    }


def _through(place) -> str:
    network = place.network
    sh("ip", "-n", network.outside, "route", "replace", "100.64.85.0/24", "via", SERVER_OUT)
    return network.get(network.outside, SERVER_IN, PORT)


OPEN_TO_ONE_NETWORK = {
    "inside": "HTTP 200",
    "outside": "no answer",
    "outside, at the inner address": "no answer",
    "loopback": "HTTP 200",
}


def test_console_opened_to_one_network_and_back(place):
    network, site, wanted = place.network, place.site, place.wanted
    subprocess.run(["ip", "netns", "exec", network.server, "nft", "-f", "-"], input=OTHERS, text=True, check=True)
    before = firewall.foreign(facts.ruleset(site))
    assert len(before) == 2

    # The problem as the user met it: a listener on 127.0.0.1 alone.
    stuck = network.listen("127.0.0.1", PORT)
    assert list(facts.listeners(site, PORT)["reach"]) == ["this server only"]
    assert seen(place) == {
        "inside": "refused",
        "outside": "refused",
        "outside, at the inner address": "refused",
        "loopback": "HTTP 200",
    }
    stuck.kill()
    network.wait(PORT, there=False)

    other = network.listen("0.0.0.0", 9000)
    outcome = apply(console.ensure_console(site, wanted), "apply")
    assert len(outcome.changed) == 9  # three files; two units reloaded, enabled, started
    network.wait(PORT)
    assert seen(place) == OPEN_TO_ONE_NETWORK
    assert set(facts.listeners(site, PORT)["address"]) == {"127.0.0.1", SERVER_IN}
    assert not console.ensure_console(site, wanted), "a second run changes nothing"
    assert firewall.foreign(facts.ruleset(site)) == before, "rules of others are as before"
    assert network.get(network.outside, SERVER_OUT, 9000) == "HTTP 200", "other ports are untouched"

    # After the listener is killed.
    pid = int(facts.listeners(site, PORT)["pid"].iloc[0])
    os.kill(pid, signal.SIGKILL)
    network.wait(PORT)
    assert int(facts.listeners(site, PORT)["pid"].iloc[0]) != pid
    assert seen(place) == OPEN_TO_ONE_NETWORK

    # After somebody flushed all rules: a new run puts ours back, in one go.
    sh("ip", "netns", "exec", network.server, "nft", "flush", "ruleset")
    assert (
        seen(place)["outside, at the inner address"] == "HTTP 200"
    ), "without the rules it stands open: the rules are what holds it"
    subprocess.run(["ip", "netns", "exec", network.server, "nft", "-f", "-"], input=OTHERS, text=True, check=True)
    assert [c.name for c in console.ensure_console(site, wanted)] == ["systemctl restart runbook-console-rules.service"]
    apply(console.ensure_console(site, wanted), "apply")
    assert seen(place) == OPEN_TO_ONE_NETWORK

    # After a reboot: the kernel has no rules, no listener runs.
    sh("ip", "netns", "exec", network.server, "nft", "flush", "ruleset")
    place.host.units.boot()
    network.wait(PORT)
    assert seen(place) == OPEN_TO_ONE_NETWORK
    subprocess.run(["ip", "netns", "exec", network.server, "nft", "-f", "-"], input=OTHERS, text=True, check=True)

    # Undo leaves no trace.
    apply(console.undo(site, wanted), "apply")
    network.wait(PORT, there=False)
    assert firewall.foreign(facts.ruleset(site)) == before
    assert facts.table(site) is None
    assert [p for p in place.host.root.rglob("*") if p.is_file() and p.name != "kubectl"] == []
    assert not console.undo(site, wanted), "a second undo finds nothing"
    assert network.get(network.outside, SERVER_OUT, 9000) == "HTTP 200"
    other.kill()


def test_every_address_when_the_server_has_none_in_the_network(place):
    """Listening on 0.0.0.0: only the rules keep strangers out."""
    wanted = section("console", {"listen": "0.0.0.0"})
    apply(console.ensure_console(place.site, wanted), "apply")
    place.network.wait(PORT)
    assert list(facts.listeners(place.site, PORT)["address"]) == ["0.0.0.0"]
    assert seen(place) == OPEN_TO_ONE_NETWORK


def test_a_port_that_is_rewritten_before_input_is_covered(place):
    """NodePort and ServiceLB: DNAT in prerouting at -100. The usual rule, on input, does not see the port any more."""
    network = place.network
    backend = network.listen("0.0.0.0", 3000)
    nat = f"""
table ip nat {{
  chain pre {{ type nat hook prerouting priority dstnat; tcp dport {PORT} dnat to 127.0.0.1:3000; }}
}}
table ip usual {{
  chain input {{ type filter hook input priority filter; tcp dport {PORT} ip saddr != 100.64.85.0/24 drop; }}
}}
"""
    subprocess.run(["ip", "netns", "exec", network.server, "nft", "-f", "-"], input=nat, text=True, check=True)
    for device in ("in", "out"):
        sh("ip", "netns", "exec", network.server, "sysctl", "-qw", f"net.ipv4.conf.{device}.route_localnet=1")
    assert network.get(network.outside, SERVER_OUT, PORT) == "HTTP 200", "the usual rule on input does not hold"
    apply(console.ensure_console(place.site, place.wanted), "apply")
    assert network.get(network.outside, SERVER_OUT, PORT) == "no answer"
    assert network.get(network.inside, SERVER_IN, PORT) == "HTTP 200"
    backend.kill()


def test_ipv6_is_dropped_on_this_port_alone(place):
    network = place.network
    listeners = [network.listen(SERVER6, PORT), network.listen(SERVER6, 9000)]
    assert network.get(network.inside, SERVER6, PORT) == "HTTP 200"
    rules = firewall.ruleset(firewall.wanted(PORT, "100.64.85.0/24"))
    subprocess.run(["ip", "netns", "exec", network.server, "nft", "-f", "-"], input=rules, text=True, check=True)
    assert network.get(network.inside, SERVER6, PORT) == "no answer", INSIDE6
    assert network.get(network.inside, SERVER6, 9000) == "HTTP 200"
    assert network.get(network.server, SERVER6, PORT) == "HTTP 200", "the server itself still may"
    for process in listeners:
        process.kill()


def test_an_ipv6_network_may_be_the_allowed_one(place):
    network = place.network
    listeners = [network.listen(SERVER6, PORT), network.listen(SERVER_IN, PORT)]
    rules = firewall.ruleset(firewall.wanted(PORT, "fd00:85::/64"))
    subprocess.run(["ip", "netns", "exec", network.server, "nft", "-f", "-"], input=rules, text=True, check=True)
    assert network.get(network.inside, SERVER6, PORT) == "HTTP 200"
    assert network.get(network.inside, SERVER_IN, PORT) == "no answer"
    for process in listeners:
        process.kill()


def test_what_is_routed_through_the_server_is_left_alone(place):
    """A console of the same port on another machine behind this server."""
    network = place.network
    sh("ip", "netns", "exec", network.server, "sysctl", "-qw", "net.ipv4.ip_forward=1")
    sh("ip", "-n", network.inside, "route", "add", "198.51.100.0/24", "via", SERVER_IN)
    sh("ip", "-n", network.outside, "route", "add", "100.64.85.0/24", "via", SERVER_OUT)
    rules = firewall.ruleset(firewall.wanted(PORT, "100.64.85.0/24"))
    subprocess.run(["ip", "netns", "exec", network.server, "nft", "-f", "-"], input=rules, text=True, check=True)
    assert network.get(network.outside, INSIDE, PORT) == "refused", "it reached the other machine, which has no listener"


def test_as_client_asks_with_real_packets_and_leaves_nothing(place):
    """The notebook's own proof: a client that is made for one request, inside the network and outside of it."""
    site, wanted, network = place.site, place.wanted, place.network
    apply(console.ensure_console(site, wanted), "apply")
    network.wait(PORT)
    before = traces(network)
    name = f"rbc{os.getpid() % 10000}"
    own = list(facts.addresses(site, wanted.allow)["address"])
    assert console.outside(own) == "203.0.113.2", "198.51.100.0/24 is in use here"
    assert console.as_client(site, "100.64.85.77", SERVER_IN, PORT, name) == "HTTP 200"
    assert console.as_client(site, console.outside(own), SERVER_IN, PORT, name) == "no answer"
    assert traces(network) == before


def traces(network) -> tuple[str, ...]:
    """Addresses, routes and links of the server, and the machine's namespaces."""
    return tuple(sh("ip", "-n", network.server, *words) for words in (["-4", "-br", "address"], ["route"], ["-br", "link"])) + (
        sh("ip", "netns"),
    )


def test_systemd_takes_both_units(tmp_path, place):
    """systemd's own judgement of the texts (systemd-analyze verify); they are not started by systemd here."""
    files = console.texts(place.site, place.wanted)
    for path, text in files.items():
        if path.endswith(".service"):
            (tmp_path / path.rsplit("/", 1)[1]).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", str(tmp_path / LISTENER_UNIT)], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    broken = files[f"/etc/systemd/system/{LISTENER_UNIT}"].replace("Restart=always", "Restart=forever")
    (tmp_path / LISTENER_UNIT).write_text(broken)
    assert (
        "forever"
        in subprocess.run(["systemd-analyze", "verify", str(tmp_path / LISTENER_UNIT)], capture_output=True, text=True).stderr
    )

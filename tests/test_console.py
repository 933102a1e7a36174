"""Step 91 without root: rules as text, read back from nft's recorded words; whose rules are whose; which address; which units.

tests/recorded/console: ``nft --json list …`` of nftables 1.0.6 in a network namespace that held our table beside stand-ins of
other programs' chains, and lines of the lab's ``iptables-legacy-save``.
"""

import json
from types import SimpleNamespace

import pytest

from runbook import firewall, section
from runbook.errors import NotRecorded, ParameterError
from runbook.facts import console as facts
from runbook.host import Result
from runbook.operations import console
from runbook.paths import root

RECORDED = root() / "tests/recorded/console"
TABLE, RULESET = ((RECORDED / f"nft-{name}.json").read_text() for name in ("table", "ruleset"))
UNIT_FOLDER = "/etc/systemd/system"


def test_what_nft_lists_is_what_was_written():
    assert firewall.parse(TABLE) == firewall.wanted(8800, "100.64.85.0/24")


@pytest.mark.parametrize("port, allow", [(8801, "100.64.85.0/24"), (8800, "100.64.86.0/24"), (8800, "fd00:85::/64")])
def test_another_port_or_network_differs(port, allow):
    assert firewall.parse(TABLE) != firewall.wanted(port, allow)


def test_a_rule_taken_out_or_added_differs():
    items = json.loads(TABLE)
    kept = [i for i in items["nftables"] if not (i.get("rule", {}).get("expr", [])[-1:] == [{"drop": None}])]
    assert len(kept) == len(items["nftables"]) - 1
    assert firewall.parse(json.dumps({"nftables": kept})) != firewall.wanted(8800, "100.64.85.0/24")
    odd = {
        "rule": {
            "family": "inet",
            "table": firewall.NAME,
            "chain": "guard",
            "expr": [{"match": {"op": "==", "left": {"ct": {"key": "state"}}, "right": ["new"]}}, {"accept": None}],
        }
    }
    assert firewall.parse(json.dumps({"nftables": items["nftables"] + [odd]})) != firewall.wanted(8800, "100.64.85.0/24")


@pytest.mark.parametrize("text", ["", "not json", '{"nftables": []}', "[]"])
def test_no_table_is_none(text):
    assert firewall.parse(text) is None


def test_whose_rules():
    assert firewall.owners(RULESET) == {
        "ufw": 1,
        "Tailscale": 1,
        "kube-proxy": 1,
        "Docker": 1,
        "firewalld": 1,
        "others": 1,
        "runbook": 4,
    }
    legacy = firewall.owners_legacy((RECORDED / "iptables-legacy-save.txt").read_text())
    assert legacy["kube-proxy"] == 3 and legacy["kube-router"] >= 2
    assert set(firewall.owners(RULESET)) | set(legacy) <= set(facts.MEANINGS), "each owner has a meaning"


def test_rules_of_others_are_told_apart_from_ours():
    others = firewall.foreign(RULESET)
    assert len(others) == 6 and not any(firewall.NAME in rule for rule in others)


@pytest.mark.parametrize("allow", ["100.64.85.1/24", "100.64.85.0/33", "300.1.1.0/24"])
def test_a_network_that_is_none_is_refused(allow):
    with pytest.raises(ParameterError, match="console.allow"):
        firewall.wanted(8800, allow)


@pytest.mark.parametrize("given, own, expected", [
    ({}, ["127.0.0.1", "192.0.2.7", "100.64.85.1"], ["127.0.0.1", "100.64.85.1"]),
    ({}, ["127.0.0.1", "192.0.2.7"], ["0.0.0.0"]),
    ({"listen": "192.0.2.7"}, ["127.0.0.1", "192.0.2.7"], ["127.0.0.1", "192.0.2.7"]),
    ({"listen": "0.0.0.0"}, ["100.64.85.1"], ["0.0.0.0"]),
    ({"listen": "127.0.0.1"}, [], ["127.0.0.1"]),
    ({"allow": "fd00::/64"}, ["fd00::5", "10.0.0.1"], ["127.0.0.1", "fd00::5"]),
])
def test_where_it_listens(given, own, expected):
    assert console.listen_on(section("console", given), own) == expected


class Fake:
    """A host of tables: sockets, units, files and what commands print."""

    replayed = ""

    def __init__(self, sockets=(), units=None, files=None, prints=None):
        self._sockets, self.units, self.files, self.prints, self.ran = list(sockets), units or {}, files or {}, prints or {}, []

    def sockets(self):
        return self._sockets

    def unit(self, name):
        return self.units.get(name, {})

    def read(self, path):
        return self.files.get(path)

    def mode(self, path):
        return 0o644 if path in self.files else None

    def exists(self, path):
        return any(p.startswith(path) for p in self.files)

    def which(self, program):
        return {"kubectl": "/usr/local/bin/kubectl", "nft": "/usr/sbin/nft"}.get(program)

    def run(self, argv, **_):
        self.ran.append(argv)
        out = next((text for words, text in self.prints.items() if words in " ".join(argv)), None)
        return Result(tuple(argv), 0 if out is not None else 1, out or "")


ADDRESSES = json.dumps(
    [{"ifname": "wg0", "addr_info": [{"local": "100.64.85.1", "scope": "global"}, {"local": "fe80::1", "scope": "link"}]}]
)


def site(**host):
    host.setdefault("prints", {"ip -json address": ADDRESSES})
    return SimpleNamespace(host=Fake(**host), cluster=None, kubeconfig="", mode="apply")


def socket(address, port=8800):
    return {"address": address, "port": port, "pid": 7, "program": "kubectl"}


@pytest.mark.parametrize("addresses, table, expected", [
    ([], "", "closed"), (["127.0.0.1", "::1"], "", "closed"), (["0.0.0.0"], "", "open"), (["::"], "", "open"),
    (["127.0.0.1", "100.64.85.1"], TABLE, "one network"), (["100.64.85.1"], "", "open"),
])
def test_the_case_at_hand(addresses, table, expected):
    place = site(sockets=[socket(a) for a in addresses], prints={"list table": table})
    assert facts.state(place, section("console")) == expected


def test_where_nothing_is_recorded_the_case_is_not_known():
    class Nothing(Fake):
        def sockets(self):
            raise NotRecorded("no recording of the sockets")

        def run(self, argv, **_):
            raise NotRecorded("no recording")

    place = SimpleNamespace(host=Nothing(), cluster=None, kubeconfig="", mode="plan")
    assert facts.state(place, section("console")) == "not known"
    assert facts.listeners(place, 8800).empty and facts.filters(place).empty and facts.table(place) is None
    assert console.ensure_console(place, section("console")), "the plan can be shown all the same"


def test_somebody_else_on_the_port_is_named():
    assert list(facts.in_the_way(site(sockets=[socket("127.0.0.1")]), 8800)["pid"]) == [7]
    ours = site(sockets=[socket("127.0.0.1")], units={facts.LISTENER_UNIT: {"ActiveState": "active"}})
    assert facts.in_the_way(ours, 8800).empty


def test_plan_puts_the_rules_before_the_listener_and_a_second_one_is_empty():
    wanted = section("console")
    plan = console.ensure_console(site(), wanted)
    names = [c.name for c in plan]
    assert names.index("systemctl restart runbook-console-rules.service") < names.index(f"{UNIT_FOLDER}/runbook-console.service")
    running = {"UnitFileState": "enabled", "ActiveState": "active"}
    same = dict(files=console.texts(site(), wanted), units={facts.RULES_UNIT: running, facts.LISTENER_UNIT: running})
    there = site(**same, prints={"ip -json address": ADDRESSES, "list table": TABLE})
    assert not console.ensure_console(there, wanted)
    flushed = site(**same)
    assert [c.name for c in console.ensure_console(flushed, wanted)] == ["systemctl restart runbook-console-rules.service"]


def test_the_listener_cannot_start_without_the_rules_and_never_stays_down():
    text = console.listener_unit(section("console"), ["127.0.0.1", "100.64.85.1"], "/etc/rancher/k3s/k3s.yaml")
    for line in ("Requires=runbook-console-rules.service", "Restart=always", "StartLimitIntervalSec=0", "CapabilityBoundingSet=",
                 "ExecStart=/usr/local/bin/kubectl --kubeconfig /etc/rancher/k3s/k3s.yaml --namespace default port-forward "
                 "--address 127.0.0.1,100.64.85.1 service/kotsadm 8800:3000"):
        assert line in text.splitlines()
    assert "CapabilityBoundingSet=CAP_NET_BIND_SERVICE" in console.listener_unit(
        section("console", {"port": 443}), ["0.0.0.0"], "k"
    )
    after = console.rules_unit().splitlines()
    assert {"Before=network-pre.target", "PartOf=nftables.service", "ReloadPropagatedFrom=nftables.service"} <= set(after)


def test_undo_of_nothing_is_nothing():
    assert not console.undo(site(), section("console"))


def test_undo_takes_copies_too():
    copy = "/etc/runbook/console.nft.before-20260101T000000Z"
    place = site(files={console.RULES_FILE: "x", copy: "y"}, prints={"find": copy + "\n", "list table": TABLE})
    names = [c.name for c in console.undo(place, section("console"))]
    assert copy in names and "nft delete table inet runbook_console" in names and names[-1].startswith("rmdir")


def test_the_stranger_is_nobody():
    assert console.outside(["192.0.2.2"]) == "198.51.100.2"
    assert console.outside(["198.51.100.9"]) == "203.0.113.2"


def test_a_test_client_is_taken_away_when_the_request_fails():
    place = site(prints={"ip": ""})
    assert console.as_client(place, "198.51.100.2", "10.0.0.1", 8800)
    assert [w[:3] for w in place.host.ran[-2:]] == [["ip", "link", "delete"], ["ip", "netns", "delete"]]


def test_plan_mode_asks_nobody():
    place = site()
    place.mode = "plan"
    proof = console.prove(place, section("console", {"probe": "100.64.85.9"}))
    assert set(proof["answer"]) == {"not tried"} and console.not_tried(proof, "inside") and console.not_tried(proof, "outside")
    assert not [argv for argv in place.host.ran if "netns" in argv]


@pytest.mark.parametrize(
    "code, out, expected",
    [
        (0, "200", "HTTP 200"),
        (0, "404", "HTTP 404"),
        (7, "", "refused"),
        (28, "", "no answer"),
        (127, "", "curl is not installed"),
    ],
)
def test_answers_in_words(code, out, expected):
    assert facts.told(Result(("curl",), code, out)) == expected

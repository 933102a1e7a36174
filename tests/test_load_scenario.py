"""Scenarios as data: what is accepted, what k6 is given, and that load stays on this machine."""

from ipaddress import ip_address, ip_network

import pytest

from runbook.errors import LoadError
from runbook.load import Objective, Scenario, Stage, arrivals, staircase
from runbook.load.scenario import elsewhere, from_record, k6_plan, loopback_only, stage_at

HERE = "http://127.0.0.1:30080"
STAGES = (Stage("quiet", 10, 5), Stage("ramp", 10, 25, ramp=True), Stage("plateau", 20, 25), Stage("spike", 5, 60))


@pytest.mark.parametrize("url, hosts", [
    (HERE, {}), ("http://127.8.0.1:80", {}), ("https://[::1]:8443", {}), ("http://127.0.0.1/", {}),
    ("https://demo.ws.example.org:8443", {"demo.ws.example.org": "127.0.0.1"}),
])
def test_targets_on_this_machine_are_accepted(url, hosts):
    loopback_only(url, hosts)


@pytest.mark.parametrize("url, hosts, says", [
    ("http://192.0.2.7:80", {}, "192.0.2.7 is not on this machine"),
    ("http://0.0.0.0:80", {}, "0.0.0.0 is not on this machine"),
    ("http://[::ffff:192.0.2.7]:80", {}, "is not on this machine"),
    ("http://localhost:80", {}, "localhost is not on this machine"),  # a name: what it resolves to is not ours to trust
    ("http://demo.example.org", {}, "map the name in `hosts`"),
    ("http://demo.example.org", {"demo.example.org": "192.0.2.7"}, "mapped to 192.0.2.7"),
    (HERE, {"other.example.org": "10.0.0.1"}, "mapped to 10.0.0.1"),
    ("127.0.0.1:80", {}, "is not scheme, host and port"),
    ("ftp://127.0.0.1", {}, "is not scheme, host and port"),
    (HERE + "/page", {}, "paths belong in `paths`"),
    ("http://127.0.0.1:port", {}, "is not a URL"),
    ("http://127.0.0.1@192.0.2.7/", {}, "is not scheme, host and port"),
])
def test_any_other_target_is_refused(url, hosts, says):
    with pytest.raises(LoadError) as refused:
        Scenario(url, STAGES, hosts=hosts)
    assert says in str(refused.value) and refused.value.do


@pytest.mark.parametrize("changes, says", [
    ({"stages": ()}, "asks for nothing"),
    ({"stages": (Stage("none", 5, 0),)}, "asks for nothing"),
    ({"stages": (Stage("half", 0.5, 3),)}, "'half' has 0.5 seconds"),
    ({"stages": (Stage("less", 5, -1), Stage("more", 5, 1))}, "'less'"),
    ({"paths": {}}, "paths"), ({"paths": {"page": 1}}, "begin each with /"), ({"paths": {"/": 0}}, "weight from 1"),
])
def test_a_scenario_that_makes_no_sense_is_refused(changes, says):
    with pytest.raises(LoadError, match=says):
        Scenario(**{"url": HERE, "stages": STAGES, **changes})


def test_the_generator_itself_refuses_every_address_but_the_loopback():
    nets = [ip_network(net) for net in elsewhere()]

    def blocked(address):
        return any(ip_address(address) in net for net in nets if net.version == ip_address(address).version)

    assert [a for a in ("126.255.255.255", "128.0.0.0", "0.0.0.0", "10.42.0.1", "192.168.1.1", "::", "::2", "fe80::1") if not blocked(a)] == []
    assert [a for a in ("127.0.0.0", "127.0.0.1", "127.255.255.255", "::1") if blocked(a)] == []


def test_planned_arrivals_are_the_area_under_the_rate():
    assert [arrivals(STAGES, t) for t in (0, 1, 10, 15, 20, 40, 45, 99)] == [0, 5, 50, 50 + 5 * 10, 200, 700, 1000, 1000]
    assert arrivals([Stage("first", 10, 20, ramp=True)]) == 100  # a first ramp starts from 0


def test_the_stage_at_a_second():
    assert [stage_at(STAGES, t) for t in (0, 9.9, 10, 20, 44, 99)] == ["quiet", "quiet", "ramp", "plateau", "spike", "spike"]


def test_what_k6_is_given():
    plan = k6_plan(Scenario(HERE + "/", STAGES[:2], {"/a": 2, "/b": 1}, most_waiting=7, timeout=1.5))
    load = plan["options"]["scenarios"]["load"]
    assert load["stages"] == [{"duration": "0s", "target": 5}, {"duration": "10s", "target": 5}, {"duration": "10s", "target": 25}]
    assert (load["executor"], load["startRate"], load["preAllocatedVUs"], load["maxVUs"]) == ("ramping-arrival-rate", 5, 7, 7)
    assert load["gracefulStop"] == "4s"  # beyond the timeout: every request ends as one
    assert (plan["url"], plan["paths"], plan["turn"], plan["timeout"]) == (HERE, ["/a", "/b"], [0, 0, 1], "1500ms")
    assert plan["options"]["maxRedirects"] == 0 and plan["options"]["blacklistIPs"]


def test_a_scenario_comes_back_from_its_record():
    whole = Scenario(HERE, STAGES, {"/x": 3}, {"a.b": "127.0.0.1"}, Objective(99, 250, 0), 3, 50, False, "ca.pem")
    assert from_record(whole.record()) == whole


def test_a_staircase():
    assert staircase([10, 20], 3) == (Stage("10/s", 3, 10), Stage("20/s", 3, 20))
    assert str(Objective()) == "p95 ≤ 500 ms, failed ≤ 1.0%"

"""A load test as data: what is asked of which address, at which rate, for how long, and what counts as good.

The model is open: requests arrive at a planned rate whether or not earlier ones were answered, so that a slow
server does not hide its own queue.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from ipaddress import collapse_addresses, ip_address, ip_network
from urllib.parse import urlsplit

from runbook.errors import LoadError

LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))


@dataclass(frozen=True)
class Stage:
    """A stretch of a scenario.

    Args:
        name: as it stands in tables and graphs.
        seconds: how long, whole seconds.
        rate: requests that arrive each second, a whole number.
        ramp: the rate grows evenly from the stage before (from 0 for the first) instead of jumping to ``rate``.
    """

    name: str
    seconds: int
    rate: int
    ramp: bool = False


@dataclass(frozen=True)
class Objective:
    """What counts as good: the ``percentile`` of latency is at most ``under_ms``, and at most ``errors`` of the requests fail."""

    percentile: float = 95
    under_ms: float = 500
    errors: float = 0.01

    def __str__(self) -> str:
        return f"p{self.percentile:g} ≤ {self.under_ms:g} ms, failed ≤ {self.errors:.1%}"


@dataclass(frozen=True)
class Scenario:
    """A whole load test.

    Args:
        url: scheme, host and port, without path.
        stages: in their order.
        paths: path → weight; requests follow the weights exactly, in turn.
        hosts: names of ``url`` and the loopback address that each is looked up as.
        objective: what counts as good.
        timeout: seconds after which a request counts as failed.
        most_waiting: requests that may wait for an answer at once; an arrival beyond that is *dropped* and counts as failed.
        new_connections: every request opens its own connection, as separate visitors do. Otherwise connections are
            kept open, and stay at the pod that took them, so that pods added later get nothing to do.
        ca: file with the certificate authority to trust instead of the system's; empty for the system's.

    Raises:
        LoadError: a stage, path or address is not acceptable.
    """

    url: str
    stages: tuple[Stage, ...]
    paths: Mapping[str, int] = field(default_factory=lambda: {"/": 1})
    hosts: Mapping[str, str] = field(default_factory=dict)
    objective: Objective = Objective()
    timeout: float = 10
    most_waiting: int = 200
    new_connections: bool = True
    ca: str = ""

    def __post_init__(self):
        object.__setattr__(self, "stages", tuple(self.stages))
        if not self.stages or not any(s.rate for s in self.stages):
            raise LoadError("this load test asks for nothing", do="give at least one stage with a rate above 0")
        for stage in self.stages:
            if stage.seconds != int(stage.seconds) or stage.seconds < 1 or stage.rate != int(stage.rate) or stage.rate < 0:
                raise LoadError(f"stage {stage.name!r} has {stage.seconds} seconds at {stage.rate} requests a second",
                                do="give whole seconds from 1 and whole rates from 0")
        if not self.paths or any(not p.startswith("/") or w < 1 for p, w in self.paths.items()):
            raise LoadError(f"paths {dict(self.paths)} are not acceptable", do="begin each with / and give it a weight from 1")
        loopback_only(self.url, self.hosts)

    @property
    def seconds(self) -> int:
        """How long the whole takes."""
        return sum(stage.seconds for stage in self.stages)

    def record(self) -> dict:
        """The scenario as plain data, for storing."""
        return asdict(self)


def from_record(record: Mapping) -> Scenario:
    """The scenario that :meth:`Scenario.record` stored."""
    return Scenario(**{**record, "stages": tuple(Stage(**s) for s in record["stages"]),
                       "objective": Objective(**record["objective"])})


def staircase(rates: Iterable[int], seconds: int) -> tuple[Stage, ...]:
    """One stage for each rate, each ``seconds`` long, to find the highest that is still good."""
    return tuple(Stage(f"{rate}/s", seconds, rate) for rate in rates)


def loopback_only(url: str, hosts: Mapping[str, str] | None = None) -> None:
    """Refuse a target that is not on this machine.

    Load is sent to the loopback only: to the server itself, from the server itself. A name must be mapped to a loopback
    address by ``hosts``; what the resolver would say of it does not count, because that can change between check and use.

    Raises:
        LoadError: the URL cannot be read, or leads elsewhere.
    """
    parts = urlsplit(url)
    try:
        host, _ = parts.hostname, parts.port
    except ValueError as wrong:
        raise LoadError(f"{url!r} is not a URL: {wrong}", do="write it as http://127.0.0.1:30080") from None
    if parts.scheme not in ("http", "https") or not host or parts.path not in ("", "/") or parts.query or parts.username:
        raise LoadError(f"{url!r} is not scheme, host and port", do="write it as http://127.0.0.1:30080, paths belong in `paths`")
    for name, address in (hosts or {}).items():
        if not is_loopback(address):
            raise LoadError(f"{name} is mapped to {address}, which is not on this machine", do="map it to 127.0.0.1")
    if not is_loopback(host) and host not in (hosts or {}):
        raise LoadError(f"{host} is not on this machine: load is sent to 127.0.0.1 only",
                        do=f"run this on the server itself, and map the name in `hosts`: {{{host}: 127.0.0.1}}")


def is_loopback(address: str) -> bool:
    """Is this literal address (not a name) one of the loopback?"""
    try:
        literal = ip_address(address)
    except ValueError:
        return False
    return any(literal in network for network in LOOPBACK)


def elsewhere() -> list[str]:
    """Every network but the loopback, for the generator's own refusal (k6's ``blacklistIPs``)."""
    nets = []
    for whole, kept in zip((ip_network("0.0.0.0/0"), ip_network("::/0")), LOOPBACK):
        nets += sorted(collapse_addresses(whole.address_exclude(kept)))
    return [str(net) for net in nets]


def arrivals(stages: Iterable[Stage], until: float = math.inf) -> float:
    """How many requests the stages plan from the start to ``until`` seconds after it (the area under the rate)."""
    total, clock, rate = 0.0, 0.0, 0.0
    for stage in stages:
        spent = min(stage.seconds, until - clock)
        if spent <= 0:
            break
        begin = rate if stage.ramp else stage.rate
        end = begin + (stage.rate - begin) * spent / stage.seconds
        total += (begin + end) / 2 * spent
        clock, rate = clock + stage.seconds, stage.rate
    return total


def stage_at(stages: Iterable[Stage], second: float) -> str:
    """The name of the stage that ``second`` seconds after the start lies in; the last one's after the end."""
    clock, name = 0, ""
    for stage in stages:
        if second < clock and name:
            break
        name, clock = stage.name, clock + stage.seconds
    return name


def k6_plan(scenario: Scenario, blacklist: bool = True) -> dict:
    """What ``script.js`` reads: ``options`` of k6 and what each request is.

    Fields are those of k6 1.1's options (``k6 run --help``, and its documentation "Options reference").
    """
    stages = []
    for stage in scenario.stages:
        stages += [] if stage.ramp else [{"duration": "0s", "target": stage.rate}]
        stages.append({"duration": f"{stage.seconds}s", "target": stage.rate})
    first = scenario.stages[0]
    executor = {
        "executor": "ramping-arrival-rate", "startRate": 0 if first.ramp else first.rate, "timeUnit": "1s",
        # all at once: making them during the run would take time from the run
        "preAllocatedVUs": scenario.most_waiting, "maxVUs": scenario.most_waiting,
        "stages": stages, "gracefulStop": f"{math.ceil(scenario.timeout) + 2}s",
    }
    options = {
        "scenarios": {"load": executor}, "hosts": dict(scenario.hosts), "maxRedirects": 0,
        "noVUConnectionReuse": scenario.new_connections, "discardResponseBodies": True,
        "systemTags": [], "insecureSkipTLSVerify": False,
    }
    if blacklist:
        options["blacklistIPs"] = elsewhere()
    turn = [number for number, weight in enumerate(scenario.paths.values()) for _ in range(weight)]
    return {"options": options, "url": scenario.url.rstrip("/"), "paths": list(scenario.paths), "turn": turn, "timeout": f"{scenario.timeout * 1000:.0f}ms"}

"""How many workspaces a server holds: reckoned from requests, and tried by starting them in waves until one finds no room."""

import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field

import pandas as pd

from runbook import plots
from runbook.cluster import quantity
from runbook.errors import RunbookError
from runbook.facts import scaling, workspaces as facts
from runbook.facts.capacity import requests
from runbook.helm import render
from runbook.load.result import percentile
from runbook.operations import workspaces as operations
from runbook.params import Load, Workspace, Workspaces
from runbook.paths import charts
from runbook.performance.measured import Missing
from runbook.plans import Plan
from runbook.plots import Drawing
from runbook.workspaces import chart_values, namespace, volume_sizes

OWNER = "loadtest"  #: owners of the count: loadtest1, loadtest2…
IDLE_SECONDS, WORK_SECONDS = 30, 30  #: twice metrics-server's 15 s, so that one measurement lies wholly inside
GONE_SECONDS = 240  #: at most, until what was removed is gone
MIB = 2**20
QUOTA = "quota of one owner"
#: Asks the workspace's own page for as long as told, over and over: PHP and its database at work.
WORK = '$end=time()+%d; $n=0; while(time()<$end){if(@file_get_contents("http://127.0.0.1/")!==false)$n++;} echo $n;'


def predict(site, fleet: Workspaces) -> pd.DataFrame:
    """How many more workspaces fit: by requests, node by node, as the scheduler reckons; and how many one owner's quota lets in.

    Columns ``what`` (cpu in millicores, memory in MiB, pods, quota of one owner), ``one`` (that one asks for), ``free`` (the sum
    over the nodes), ``fit`` (how many by this alone), and ``together``: how many start before the first is refused, the same in
    every row. A quota counts there only if it lets in fewer than ``quota.workspaces``, which is how many each owner is given.
    """
    asked = _asked(fleet)
    room = scaling.room(site)
    each = {"cpu": (asked["cpu"] * 1000, room["cpu_free_m"]), "memory": (asked["memory"] / MIB, room["memory_free_mib"]), "pods": (1, room["pods_free"])}
    nodes = pd.DataFrame({what: (free.clip(lower=0) / one).apply(math.floor) for what, (one, free) in each.items()})
    owner, together = _by_quota(fleet, asked), int(nodes.min(axis=1).sum())
    if owner < fleet.quota.workspaces:
        together = min(together, owner)
    rows = [(what, round(one, 1), round(float(free.sum()), 1), int(nodes[what].sum()), together) for what, (one, free) in each.items()]
    rows.append((QUOTA, 1, fleet.quota.workspaces, owner, together))
    return pd.DataFrame(rows, columns=["what", "one", "free", "fit", "together"])


def _asked(fleet: Workspaces) -> dict[str, float]:
    """What one workspace asks for: ``cpu`` (cores) and ``memory`` (bytes)."""
    sample = Workspace(name="one", owner=OWNER)
    return requests(render(charts() / "workspace", "one", namespace(OWNER), chart_values(sample, fleet, "image", {})))


def _by_quota(fleet: Workspaces, asked: dict[str, float]) -> int:
    """How many workspaces the quota of one owner lets in."""
    storage = sum(quantity(size) for size in volume_sizes(fleet).values())
    pairs = ((fleet.quota.cpu, asked["cpu"]), (fleet.quota.memory, asked["memory"]), (fleet.quota.storage, storage))
    return min(fleet.quota.workspaces, *(math.floor(float(quantity(limit)) / float(one) + 1e-9) for limit, one in pairs))


@dataclass
class Filled:
    """What came of starting workspaces until one found no room.

    Attributes:
        why: why nothing was started; "" if something was.
        started: ``workspace``, ``wave``, ``seconds`` (to an IDE that answers; NaN: did not come).
        used: ``workspace``, ``idle_mib``, ``active_mib``, ``request_mib``, ``idle_m``, ``active_m``.
        refusal: why the first one found no room; "" when all that were asked for did.
        left: what is still there afterwards; "" if nothing is.
        each: workspaces that one owner was given.
    """

    why: str = ""
    started: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=["workspace", "wave", "seconds"]))
    used: pd.DataFrame = field(default_factory=pd.DataFrame)
    refusal: str = ""
    left: str = ""
    each: int = 1

    def table(self, predicted: pd.DataFrame | None) -> pd.DataFrame | Missing:
        """One row a finding: ``finding``, ``value``. ``predicted``: of :func:`predict`, before anything was started."""
        if self.why:
            return Missing(self.why)
        took, used = self.started["seconds"].dropna(), self.used
        fit = int(predicted["together"].iloc[0])
        by = predicted.loc[predicted["fit"].idxmin(), "what"] if fit in set(predicted["fit"]) else "cpu, memory and pods together"
        rows = [("reckoned beforehand", f"{fit}, by {by}"), ("workspaces that ran at once", len(took)),
                ("first refusal", self.refusal or f"none: all {len(self.started)} that were asked for ran"),
                ("ran against reckoned", "not reached: more were not tried" if not self.refusal else
                 "as reckoned" if len(took) == fit else f"{len(took) - fit:+d}"),
                *((f"time to IDE, p{q}", f"{percentile(took, q):.1f} s") for q in (50, 95) if len(took))]
        for state in ("idle", "active") if self._measured() else ():
            rows.append((f"one workspace {state}, median", f"{used[f'{state}_mib'].median():.0f} MiB, {used[f'{state}_m'].median():.0f} millicores"))
        return pd.DataFrame(rows, columns=["finding", "value"])

    def time_to_ide(self) -> Drawing | Missing:
        if self.why or not self.started["seconds"].notna().any():
            return Missing(self.why or f"no workspace came up: {self.refusal}")
        return plots.time_to_ide(self.started, "time-to-ide")

    def memory(self) -> Drawing | Missing:
        if self.why or not self._measured():
            return Missing(self.why or "no workspace ran long enough to be measured")
        return plots.memory_by_workspace(self.used, "workspace-memory")

    def _measured(self) -> bool:
        return len(self.used) > 0 and bool(self.used[["idle_mib", "active_mib"]].notna().any(axis=None))

    def advice(self, predicted: pd.DataFrame | None) -> pd.DataFrame | Missing:
        """What to set: ``setting``, ``recommended``, ``because``."""
        if self.why:
            return Missing(self.why)
        fit, ran = int(predicted["together"].iloc[0]), int(self.started["seconds"].notna().sum())
        most = min(fit, ran) if self.refusal else max(fit, ran)
        how = f"{fit} by requests; {ran} ran" + ("" if self.refusal else ", more were not tried")
        rows = [("workspaces at most", most, how)]
        one, each = predicted.set_index("what")["one"], min(self.each, max(most, 1))
        rows += [("quota of an owner, workspaces", each, "as asked for" if each == self.each else "no more fit on this server"),
                 ("quota of an owner, CPU (millicores)", math.ceil(each * one["cpu"]), f"{each} that request {one['cpu']:.0f} each"),
                 ("quota of an owner, memory (MiB)", math.ceil(each * one["memory"]), f"{each} that request {one['memory']:.0f} each")]
        if self._measured():
            need = math.ceil(self.used["active_mib"].max() * 1.2)
            rows.append(("memory of one, all containers (MiB)", need, f"the largest used {self.used['active_mib'].max():.0f} at work; 20 % on top; "
                         f"{self.used['request_mib'].median():.0f} are requested"))
        return pd.DataFrame(rows, columns=["setting", "recommended", "because"])


def fill(site, fleet: Workspaces, wanted: Load, do: Callable[[Plan], object]) -> Filled:
    """Start workspaces in waves until one finds no room, measure them, and remove them all again, whatever happens.

    Args:
        fleet: what a workspace is; its list is not used.
        wanted: ``workspaces_most`` and ``workspaces_wave``.
        do: carries a plan out.
    """
    why = site.needs(site.cluster, "01-install-k3s") or site.shown(site.cluster.replayed)
    if not why and not wanted.workspaces_most:
        why = "load.workspaces_most is 0: nothing was started"
    if why:
        return Filled(why)
    each = fleet.quota.workspaces
    names = [Workspace(name=f"w{i + 1}", owner=f"{OWNER}{i // each + 1}") for i in range(wanted.workspaces_most)]
    filled, begun, rows = Filled(each=each), [], []
    try:
        for number, start in enumerate(range(0, len(names), wanted.workspaces_wave), 1):
            wave = names[start:start + wanted.workspaces_wave]
            begun += wave
            filled.refusal = _start(site, fleet.model_copy(update={"list": begun}), wave, number, rows, do)
            filled.started = pd.DataFrame(rows, columns=["workspace", "wave", "seconds"])
            if filled.refusal:
                break
        filled.used = _measure(site, fleet, [w for w, row in zip(begun, rows) if row[2] == row[2]])
    finally:
        _remove(site, begun, do)
        filled.left = _left(site, {w.owner for w in begun})
    return filled


def _start(site, fleet: Workspaces, wave: list[Workspace], number: int, rows: list, do) -> str:
    """Start one wave, note how long each took to an IDE that answers; why the first found no room, "" if all did."""
    begin, over, answered = time.monotonic(), threading.Event(), {}

    def look():
        while not over.is_set() and len(answered) < len(wave):
            for w in wave:
                if w not in answered and (facts.ides(site, fleet.model_copy(update={"list": [w]}))["status"] == 200).all():
                    answered[w] = time.monotonic() - begin
            over.wait(0.3)

    refusal, thread = "", threading.Thread(target=look, daemon=True)
    try:
        plan = operations.ensure_workspaces(site, fleet, only=tuple(wave))
        begin = time.monotonic()
        thread.start()
        do(plan)
    except RunbookError as error:
        refusal = error.what.splitlines()[0]
    states = pd.concat([facts.table(site, owner) for owner in sorted({w.owner for w in wave})])
    stuck = states[states["state"].isin(["queued", "failing"])]
    refusal = refusal or (f"{stuck['owner'].iloc[0]}/{stuck['name'].iloc[0]} is {stuck['state'].iloc[0]}: {stuck['why'].iloc[0]}" if len(stuck) else "")
    end = time.monotonic() + (2 if refusal else 60)
    while len(answered) < len(wave) and time.monotonic() < end and thread.is_alive():
        thread.join(0.5)
    over.set()
    rows += [(f"{w.owner}/{w.name}", number, answered.get(w, float("nan"))) for w in wave]
    if not refusal and len(answered) < len(wave):
        refusal = "its IDE did not answer within a minute after it was ready"
    return refusal


def _measure(site, fleet: Workspaces, ran: list[Workspace]) -> pd.DataFrame:
    """Memory (MiB) and CPU (millicores) of each, at rest, and while each works at its own page."""
    columns = ["workspace", "idle_mib", "active_mib", "request_mib", "idle_m", "active_m"]
    if not ran:
        return pd.DataFrame(columns=columns)
    print(f"{len(ran)} workspaces run; measuring them at rest for {IDLE_SECONDS} s", flush=True)
    idle = _usage(site, ran, IDLE_SECONDS)
    print(f"and at work for {WORK_SECONDS} s", flush=True)
    with ThreadPoolExecutor(len(ran)) as pool:
        for w in ran:
            pool.submit(site.cluster.exec, f"{w.name}-0", ["php", "-r", WORK % WORK_SECONDS], namespace(w.owner), "web", timeout=WORK_SECONDS + 30,
                        check=False)
        active = _usage(site, ran, WORK_SECONDS)
    asked = _asked(fleet)["memory"] / MIB
    nothing = (float("nan"), float("nan"))
    rows = [(f"{w.owner}/{w.name}", idle.get(w, nothing)[0], active.get(w, nothing)[0], asked, idle.get(w, nothing)[1], active.get(w, nothing)[1])
            for w in ran]
    return pd.DataFrame(rows, columns=columns)


def _usage(site, ran: list[Workspace], seconds: float) -> dict[Workspace, tuple[float, float]]:
    """What metrics-server tells of each workspace at the end of some seconds: MiB and millicores."""
    end = time.monotonic() + seconds
    threading.Event().wait(max(0.0, end - time.monotonic()))
    told = {(u["namespace"], u["name"]): (u["memory"] / MIB, u["cpu"] * 1000) for owner in {w.owner for w in ran}
            for u in scaling.usage(site, namespace(owner))}
    return {w: told[namespace(w.owner), f"{w.name}-0"] for w in ran if (namespace(w.owner), f"{w.name}-0") in told}


def _remove(site, begun: list[Workspace], do) -> None:
    """Remove the workspaces, their volumes (also those of a class that keeps them: nobody's data is in them) and namespaces.

    What fails is passed over: deleting the namespaces takes the rest along, and what stays is told by :func:`_left`.
    """
    mine = sorted({namespace(w.owner) for w in begun})
    with suppress(RunbookError):
        _volumes(site, set(mine))
    for w in begun:
        with suppress(RunbookError):
            do(operations.delete(site, w.name, w.owner))
    for where in mine:
        with suppress(RunbookError):
            site.cluster.delete("Namespace", where)


def _left(site, owners: set[str]) -> str:
    """What of these owners is still there, once it had time to go; "" if nothing is."""
    mine, end = {namespace(owner) for owner in owners}, time.monotonic() + GONE_SECONDS
    while True:
        spaces = [f"namespace {where}" for where in sorted(mine) if site.cluster.get("Namespace", where)]
        volumes = _volumes(site, mine)
        if not spaces + volumes or time.monotonic() > end:
            return ", ".join(spaces + volumes)
        threading.Event().wait(1)


def _volumes(site, mine: set[str]) -> list[str]:
    """The volumes of these namespaces, none of which is to be kept: one that was queued starts, and gets its own, when another goes."""
    found = [v for v in site.cluster.list("PersistentVolume") if v["spec"].get("claimRef", {}).get("namespace") in mine]
    for volume in found:
        if volume["spec"].get("persistentVolumeReclaimPolicy") != "Delete":
            site.cluster.patch("PersistentVolume", volume["metadata"]["name"], "", {"spec": {"persistentVolumeReclaimPolicy": "Delete"}})
    return [f"volume {v['metadata']['name']}" for v in found]

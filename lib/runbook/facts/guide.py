"""What the page of each person's workspace tells, from what is there."""

from runbook.cluster import quantity
from runbook.facts import keeper, workspaces as facts
from runbook.guide import Guide, Pages, left_alone
from runbook.params import Workspaces
from runbook.workspaces import namespace

#: What a quota counts → how a person calls it, and the unit to say it in.
COUNTED = {"count/statefulsets.apps": ("workspaces", 1, ""), "requests.storage": ("of volumes", 2**30, " GiB"),
           "requests.cpu": ("CPUs", 1, ""), "requests.memory": ("of memory", 2**30, " GiB")}


def pages(site, wanted: Workspaces) -> Pages:
    """A page for each listed workspace that is there. The password is never on it: the command that reads it is."""
    table = facts.table(site)
    there = {(r.owner, r.name): r for r in table.itertuples()}
    idle = {(r.owner, r.name): r.idle for r in keeper.watched(site, wanted).itertuples()}
    listed = [w for w in wanted.list if (w.owner, w.name) in there]
    return Pages(_page(site, w, there[w.owner, w.name].url, int(idle[w.owner, w.name])) for w in listed)


def _page(site, w, url: str, idle: int) -> Guide:
    tunnel = f"it has no URL before step 05; on the server: `kubectl -n {namespace(w.owner)} port-forward service/{w.name} {facts.IDE_PORT}`, " \
             f"then `http://127.0.0.1:{facts.IDE_PORT}`"
    return Guide(name=w.name, owner=w.owner, url=url or tunnel, port_url=url.replace("://", "://3000-") if url else "it has no URL before step 05",
                 password=facts.password_command(w.name, w.owner), left_alone=left_alone(idle), quota=quota(site, w.owner))


def quota(site, owner: str) -> str:
    """``"2 of 3 workspaces, 8 of 30 GiB of volumes, … are used"``: as the cluster counts it."""
    status = (site.cluster.get("ResourceQuota", "runbook", namespace(owner)) or {}).get("status", {})
    said = []
    for counted, (words, unit, of) in COUNTED.items():
        if counted in status.get("hard", {}):
            used, hard = (f"{float(quantity(status.get(key, {}).get(counted, '0'))) / unit:.3g}" for key in ("used", "hard"))
            said.append(f"{used} of {hard}{of} {words}")
    return f"{', '.join(said)} are used" if said else "no quota is set"

"""Workspaces: an owner's namespace and quota, a workspace's passwords and release; start, stop, delete."""

import dataclasses

from runbook.cluster import quantity
from runbook.backups import SELECTOR as BACKUP_SELECTOR
from runbook.errors import RunbookError
from runbook.facts import repositories, storage, workspaces as facts
from runbook.gitpod import parse
from runbook.operations.keeper import ensure_keeper, remove_keeper
from runbook.operations.objects import delete_objects, ensure_objects, stays
from runbook.operations.settle import settle
from runbook.operations.together import Together
from runbook.params import Workspace, Workspaces
from runbook.paths import charts
from runbook.plans import Change, Plan, plan_of
from runbook.secrets import keep_secret
from runbook.workspaces import (OWN_KEYS, SECRET_KEYS, WORKSPACE, chart_values, gitpod_values, keeper_binding, namespace, new_secret, owner_objects, title,
                                volume_sizes)


def ensure_workspaces(site, wanted: Workspaces, only: tuple[Workspace, ...] | None = None) -> Plan:
    """Bring workspaces to what the parameters say: the keeper, each owner's namespace and quota, each workspace's passwords and release.

    What its user stopped stays stopped. What other steps set in a release (a domain, Docker) stays, and a new workspace gets it, too.
    Releases are made at once, a few at a time.

    Args:
        only: these workspaces instead of all of the list; those of the list are their neighbours.

    Raises:
        RunbookError: an owner would have more workspaces than the quota allows, or a repository cannot be read.
        ParameterError: a .gitpod.yml is malformed.
    """
    listed = list(wanted.list) if only is None else list(only)
    owners = sorted({w.owner for w in listed})
    neighbours = sorted({*owners, *(w.owner for w in wanted.list)})
    live = {(r.namespace, r.name): r for owner in neighbours for r in site.helm.releases(namespace(owner)) if r.chart == "workspace"}
    for owner in owners:
        _within_quota(owner, [w.name for w in listed if w.owner == owner], live, wanted)
    asked = {w: _asked(site, w, live.get((namespace(w.owner), w.name))) for w in listed}
    present = {o: site.cluster.get("Namespace", namespace(o)) is not None for o in owners}
    plan = ensure_keeper(site, wanted)
    for owner in owners:
        plan += ensure_objects(site.cluster, owner_objects(owner, wanted))
    plan += plan_of(_ensure_secret(site, w, present[w.owner]) for w in listed)
    mount = facts.ide_mount(site, wanted)
    together = Together()
    changes = []
    for w in listed:
        release = live.get((namespace(w.owner), w.name))
        grown = _grown(site, w, wanted) if release or present[w.owner] else {}
        kept = _of_other_steps(release) if release else next(filter(None, map(_of_other_steps, live.values())), {})
        values = kept | chart_values(w, wanted, mount, asked[w], grown)
        # A claim never changes its class; a new workspace gets the one that keeps data, once step 03 has made it.
        values["storage"]["className"] = (release.values.get("storage", {}).get("className", "") if release
                                          else wanted.storage_class or storage.class_for_new(site, w.name, namespace(w.owner)))
        change = site.helm.ensure(
            charts() / "workspace", w.name, namespace(w.owner), values, timeout=wanted.timeout, new_namespace=not present[w.owner],
            settle=lambda w=w: settle(site, w.name, w.owner, wanted.timeout))
        if change and release is None:
            change = _whole(site, w, change, alone=sum(other.owner == w.owner for other in listed) == 1)
        changes.append(change and together.add(change))
    return plan + plan_of(changes)


def warnings(site, wanted: Workspaces) -> list[str]:
    """What the .gitpod.yml of the listed repositories ask for that is not acted on: one sentence each."""
    return [f"{title(w)}: {said}" for w in wanted.list if w.repo for said in parse(repositories.gitpod_file(site, w)).warnings]


def stop(site, name: str, owner: str) -> Plan:
    """No pod: everything that is on its volumes stays."""
    return _scale(site, name, owner, 0)


def start(site, name: str, owner: str, timeout: int = 300) -> Plan:
    """Its pod again, ready."""
    return _scale(site, name, owner, 1, timeout)


def delete(site, name: str, owner: str, *, keep_data: bool = False) -> Plan:
    """No such workspace: its release, its passwords and its volumes; and its owner's namespace if that holds nothing else.

    Args:
        keep_data: keep the volumes, and the passwords that open them.
    """
    where = namespace(owner)
    release = site.helm.remove(name, where)
    if keep_data:
        return plan_of([release])
    claims = site.cluster.list("PersistentVolumeClaim", where, selector=f"{WORKSPACE}={name}")
    # Finished pods hold a claim as running ones do, so the Jobs of its backups go first.
    jobs = [(kind, o) for kind in ("CronJob", "Job") for o in site.cluster.list(kind, where, selector=f"{BACKUP_SELECTOR},{WORKSPACE}={name}")]
    changes = [release, *(_delete(site, kind, o["metadata"]["name"], where) for kind, o in jobs),
               *(_delete(site, "PersistentVolumeClaim", c["metadata"]["name"], where, _fate(site, c)) for c in claims)]
    if site.cluster.get("Secret", name, where):
        changes.append(_delete(site, "Secret", name, where))
    if any(changes) and not _others(site, where, {name}):
        changes.append(_delete(site, "Namespace", where, ""))
    return plan_of(changes)


def undo(site, wanted: Workspaces, delete_data: bool = False) -> Plan:
    """All workspaces of the listed owners taken back: their releases; with ``delete_data`` also volumes, passwords and namespaces.

    Volumes that are kept are taken up again by a workspace of the same name. The keeper goes with the last workspace.
    """
    owners = {namespace(w.owner): w.owner for w in wanted.list}
    there = {(r.name, owner) for where, owner in owners.items() for r in site.helm.releases(where) if r.chart == "workspace"}
    if delete_data:  # also what an undo that kept the data left
        there |= {(c["metadata"]["labels"][WORKSPACE], owner) for where, owner in owners.items()
                  for c in site.cluster.list("PersistentVolumeClaim", where, selector=facts.SELECTOR)}
    plan = Plan()
    for name, owner in sorted(there):
        plan += delete(site, name, owner, keep_data=not delete_data)
    gone = {c.name for c in plan if c.kind == "Namespace"}
    if delete_data:
        plan += plan_of(_delete(site, "Namespace", where, "") for where in sorted(owners.keys() - gone)
                        if stays(site.cluster, "Namespace", where) and not _others(site, where, {name for name, o in there if namespace(o) == where}))
    plan += delete_objects(site.cluster, [keeper_binding(o) for where, o in owners.items() if where not in gone])
    return plan + (remove_keeper(site) if all(r.namespace in owners for r in site.helm.releases() if r.chart == "workspace") else Plan())


def existing(site, name: str, owner: str) -> dict:
    """The StatefulSet of a workspace. Raises RunbookError naming the owner's workspaces if there is no such one."""
    found = site.cluster.get("StatefulSet", name, namespace(owner))
    if found is None:
        names = [s["metadata"]["name"] for s in site.cluster.list("StatefulSet", namespace(owner), selector=facts.SELECTOR)]
        raise RunbookError(f"workspace {owner}/{name}: there is none; {owner} has {', '.join(names) or 'no workspace'}",
                           do="see runbook workspace list")
    return found


# -- parts -----------------------------------------------------------------


def _of_other_steps(release) -> dict:
    """What other steps than 02 set in a workspace's release."""
    return {k: v for k, v in release.values.items() if k not in OWN_KEYS}


def _within_quota(owner: str, names: list[str], live: dict, wanted: Workspaces) -> None:
    have = {name for where, name in live if where == namespace(owner)}
    if len(have | set(names)) > wanted.quota.workspaces and set(names) - have:
        raise RunbookError(
            f"owner {owner}: {len(have | set(names))} workspaces would be more than the quota of {wanted.quota.workspaces}"
            + (f"; there are {', '.join(sorted(have))}" if have else ""),
            do="delete one, or raise workspaces.quota.workspaces")


def _asked(site, workspace: Workspace, live) -> dict:
    """What the repository asks for: as it was when the workspace was made, else read now."""
    if not workspace.repo:
        return {}
    if live and live.values.get("repo", {}).get("url") == workspace.repo:
        kept = {k: v for k, v in live.values.get("gitpod", {}).items() if k != "initLimit"}
        kept |= {k: live.values[k] for k in ("checkoutLocation", "workspaceLocation") if live.values.get(k)}
        return kept
    return gitpod_values(parse(repositories.gitpod_file(site, workspace), f"{title(workspace)}: .gitpod.yml"), workspace.repo)


def _whole(site, workspace: Workspace, change: Change, alone: bool) -> Change:
    """The making of a new workspace that leaves nothing when it fails: its volumes too, if they were made with it."""
    where = namespace(workspace.owner)
    before = {c["metadata"]["name"] for c in site.cluster.list("PersistentVolumeClaim", where, selector=f"{WORKSPACE}={workspace.name}")}

    def perform():
        try:
            change.perform()
        except BaseException:
            if not before:
                print(f"workspace {title(workspace)}: taking back what was begun", flush=True)
                for part in delete(site, workspace.name, workspace.owner):
                    if part.kind != "Namespace" or alone:
                        part.perform()
            raise

    return dataclasses.replace(change, perform=perform)


def _grown(site, workspace: Workspace, wanted: Workspaces) -> dict[str, str]:
    """Sizes of the workspace's volumes that are larger than the parameters say."""
    found = {}
    for name, size in volume_sizes(wanted).items():
        claim = site.cluster.get("PersistentVolumeClaim", f"{workspace.name}-{name}", namespace(workspace.owner))
        there = claim["spec"]["resources"]["requests"]["storage"] if claim else "0"
        if quantity(there) > quantity(size):
            found[name] = there
    return found


def _ensure_secret(site, workspace: Workspace, namespace_there: bool) -> Change | None:
    """The passwords, made once: a Secret that has them all is left alone."""
    where = namespace(workspace.owner)
    live = site.cluster.get("Secret", workspace.name, where) if namespace_there else None
    if live and set(SECRET_KEYS) <= set(live.get("data", {})):
        return None

    def make():
        secret = new_secret(workspace)
        for value in secret["stringData"].values():
            keep_secret(value)
        if live is None:
            site.cluster.apply(secret)
        else:  # those that are there open a database that is there
            missing = {k: v for k, v in secret["stringData"].items() if k not in live.get("data", {})}
            site.cluster.patch("Secret", workspace.name, where, {"stringData": missing})

    return Change("create" if live is None else "update", "Secret", f"{where}/{workspace.name}", make,
                  note="passwords of the database and of the IDE, made when this is applied", undo=f"kubectl -n {where} delete secret {workspace.name}")


def _scale(site, name: str, owner: str, replicas: int, timeout: int = 300) -> Plan:
    if existing(site, name, owner)["spec"].get("replicas", 1) == replicas:
        return plan_of([None])
    where = namespace(owner)

    def perform():
        site.cluster.scale("StatefulSet", name, where, replicas)
        if replicas:
            settle(site, name, owner, timeout)
        else:
            site.cluster.wait("Pod", f"{name}-0", where, until=lambda pod: pod is None, timeout=60, what=f"workspace {owner}/{name} to stop")

    word = "start" if replicas else "stop"
    return plan_of([Change("scale", "Workspace", f"{where}/{name}", perform, note=word,
                           undo=f"runbook workspace {'stop' if replicas else 'start'} {name} --owner {owner}")])


def _fate(site, claim: dict) -> str:
    """What becomes of a claim's data when it is deleted."""
    volume = site.cluster.get("PersistentVolume", claim["spec"].get("volumeName") or "none")
    keeps = volume and volume["spec"].get("persistentVolumeReclaimPolicy") == "Retain"
    return f"its data stay on {claim['spec']['volumeName']}: step 03 gives them back or deletes them" if keeps else "its data are lost"


def _delete(site, kind: str, name: str, where: str, note: str = "") -> Change:
    def perform():
        site.cluster.delete(kind, name, where)
        site.cluster.wait(kind, name, where, until=lambda obj: obj is None, timeout=120, what=f"{kind} {name} to be gone")

    return Change("delete", kind, f"{where}/{name}" if where else name, perform, note=note)


def _others(site, where: str, names: set[str]) -> list[dict]:
    """What is in a namespace beside these workspaces."""
    return [o for kind in ("StatefulSet", "Deployment", "PersistentVolumeClaim") for o in site.cluster.list(kind, where)
            if o["metadata"].get("labels", {}).get(WORKSPACE) not in names]

"""Host and cluster, read once: a constant number of requests and commands, whatever the number of workspaces.

A snapshot is plain data (it can be written as JSON, and is what the signals are tested with). What could not be read is
in ``blind`` with its reason; everything else is still there.
"""

import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field

from runbook.cluster import Cluster
from runbook.diagnose import machine
from runbook.diagnose.trim import KEEP, trim
from runbook.errors import ClusterError, Forbidden, Invalid, NotFound, RunbookError, Unreachable

PAGE = 5000  #: objects a request: one request a kind up to there
MOST_LOGS, LOG_LINES = 12, 40  #: of that many crashed containers the last lines are read
UNFINISHED = "owner=helm,status in (pending-install,pending-upgrade,pending-rollback,failed)"
#: Lists beside those of :data:`KEEP`: what it is called in a snapshot → arguments of Cluster.list.
SPECIAL = {
    "Event": {"fields": "type=Warning"}, "Lease": {"namespace": "kube-node-lease"},
    "Certificate": {"kind": "Secret", "fields": "type=kubernetes.io/tls"}, "Release": {"kind": "Secret", "selector": UNFINISHED},
}


@dataclass
class Snapshot:
    """What was there at one moment.

    Attributes:
        taken: UTC time, ``2026-11-23T06:00:00Z``.
        objects: kind → trimmed objects.
        logs: ``"ws-alice/demo-0/main"`` → last lines of a crashed container.
        host: what :func:`runbook.diagnose.machine.look` saw of the server.
        metrics: the metrics API answers; ``None``: not asked.
        blind: what could not be seen, and why.
    """

    taken: str
    objects: dict[str, list[dict]] = field(default_factory=dict)
    logs: dict[str, str] = field(default_factory=dict)
    host: dict = field(default_factory=dict)
    metrics: bool | None = None
    blind: list[str] = field(default_factory=list)
    calls: int = 0
    version: str = ""
    replayed: str = ""

    def of(self, kind: str) -> list[dict]:
        """The objects of a kind; none when it could not be read."""
        return self.objects.get(kind, [])

    def saw(self, kind: str) -> bool:
        """Was that kind read at all?"""
        return kind in self.objects

    def events(self, obj: dict, kind: str = "") -> list[dict]:
        """Warnings about an object, newest first."""
        meta = obj["metadata"]
        key = (kind or obj["kind"], meta.get("namespace", ""), meta["name"])
        found = [e for e in self.of("Event") if (e["involvedObject"].get("kind"), e["involvedObject"].get("namespace", ""),
                                                 e["involvedObject"].get("name")) == key]
        return sorted(found, key=event_time, reverse=True)

    def age(self, moment: str) -> float:
        """Seconds from a UTC time until the snapshot was taken; 0 for an empty one."""
        return (parse(self.taken) - parse(moment)).total_seconds() if moment else 0.0

    def only(self, *namespaces: str) -> "Snapshot":
        """The same, without objects of other namespaces; what has no namespace stays (volumes: those of its claims)."""
        def mine(obj):
            namespace = obj["metadata"].get("namespace") or (obj.get("spec", {}).get("claimRef") or {}).get("namespace", "")
            return not namespace or namespace in (*namespaces, "kube-node-lease")
        objects = {kind: [o for o in items if mine(o)] for kind, items in self.objects.items()}
        return Snapshot(
            **{**vars(self), "objects": objects, "logs": {k: v for k, v in self.logs.items() if k.split("/")[0] in namespaces}}
        )

    def text(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self), indent=1, sort_keys=True, ensure_ascii=False)

    @classmethod
    def load(cls, text: str) -> "Snapshot":
        return cls(**json.loads(text))


def take(site, console=None, namespaces: tuple[str, ...] = ()) -> Snapshot:
    """Read host and cluster once.

    Args:
        site: its cluster may be ``None`` or not answer; the host is read all the same.
        console: the ``console`` section, if step 91 is used here.
        namespaces: keep only objects of these; all when empty.
    """
    shot = Snapshot(taken=_now(), replayed=site.host.replayed)
    machine.look(site, shot, console)
    if site.cluster is None:
        shot.blind.append("the cluster: no kubeconfig on this server yet (step 01)")
    else:
        before = site.cluster.calls
        shot = _read(site.cluster, shot, namespaces)
        shot.calls = site.cluster.calls - before
    return shot


def _read(cluster: Cluster, shot: Snapshot, namespaces: tuple[str, ...]) -> Snapshot:
    for name in [*KEEP, "Certificate", "Release"]:
        how = dict(SPECIAL.get(name, {}))
        try:
            shot.objects[name] = cluster.list(how.pop("kind", name), page=PAGE, trim=trim, **how)
        except Unreachable as error:
            shot.blind.append(f"the cluster: {error.what}")
            return shot
        except NotFound:
            shot.blind.append(f"{name}: this cluster does not serve it")
        except ClusterError as error:
            shot.blind.append(f"{name}: {'not allowed: ' if isinstance(error, Forbidden) else ''}{error.what}")
    try:
        shot.version = cluster.version
        shot.metrics = bool(cluster.usage("nodes")) or None  # no figures yet, as a minute after a start: not known
    except ClusterError as error:
        shot.metrics = None if cluster.replayed else False
        shot.blind += [f"usage: {error.what}"] if cluster.replayed else []
    except RunbookError as error:  # the rehearsal has no recording of it
        shot.blind.append(f"usage: {error.what}")
    if namespaces:
        shot = shot.only(*namespaces)
    for pod, container in _worst(shot):
        _log(cluster, shot, pod, container)
    return shot


def _worst(shot: Snapshot) -> Iterator[tuple[dict, dict]]:
    """Containers that ended badly, at most :data:`MOST_LOGS`: one of each image and namespace first, databases before others."""
    ended = [
        (pod, c) for pod in shot.of("Pod") if pod["status"].get("reason") != "Evicted" for c in statuses(pod) if _ended_badly(c)
    ]
    seen: dict[tuple, int] = {}
    ranked = []
    for pod, c in ended:
        key = (pod["metadata"]["namespace"], c.get("image", ""))
        seen[key] = seen.get(key, 0) + 1
        ranked.append((seen[key], "mariadb" not in key[1], len(ranked), pod, c))
    yield from ((pod, c) for *_, pod, c in sorted(ranked, key=lambda r: r[:3])[:MOST_LOGS])


def _ended_badly(container: dict) -> bool:
    states = (container.get("state") or {}, container.get("lastState") or {})
    return not container.get("ready") and any((s.get("terminated") or {}).get("exitCode", 0) != 0 for s in states)


def _log(cluster: Cluster, shot: Snapshot, pod: dict, container: dict) -> None:
    meta = pod["metadata"]
    previous = "terminated" not in (container.get("state") or {})
    try:
        shot.logs[f"{meta['namespace']}/{meta['name']}/{container['name']}"] = cluster.logs(
            meta["name"], meta["namespace"], container["name"], tail=LOG_LINES, previous=previous)
    except (Invalid, NotFound):
        return  # it is gone by now
    except RunbookError as error:
        shot.blind.append(f"log of {meta['namespace']}/{meta['name']}: {error.what}")


def statuses(pod: dict) -> list[dict]:
    """The states of a pod's containers, those of ``init`` first."""
    status = pod.get("status") or {}
    return [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]


def condition(obj: dict, kind: str) -> dict:
    """A condition of an object; empty when it has none of that type."""
    return next((c for c in (obj.get("status") or {}).get("conditions") or [] if c["type"] == kind), {})


def where(obj: dict) -> str:
    """``Pod ws-alice/demo-0``."""
    meta = obj["metadata"]
    return f"{obj.get('kind', '?')} " + "/".join(filter(None, (meta.get("namespace"), meta["name"])))


def event_time(event: dict) -> str:
    return event.get("lastTimestamp") or event.get("eventTime") or event["metadata"].get("creationTimestamp") or ""


def parse(moment: str) -> dt.datetime:
    """A Kubernetes time, with or without microseconds."""
    return dt.datetime.fromisoformat(moment.replace("Z", "+00:00"))


def _now() -> str:
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

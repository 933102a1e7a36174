"""Releases: what Helm would change, and the change itself. Waiting and taking back a failed one are Helm's own."""

import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import helm_python
import yaml

from runbook.cluster import Cluster, title
from runbook.errors import ClusterError, NotFound, ReleaseFailed
from runbook.helm.records import LOADER, TYPE, Release, newest, secret_name
from runbook.plans import Change, Field, diff

MANAGER = "helm"  #: Helm's field manager for server-side apply, the name of its program
KEEP = "helm.sh/resource-policy"
SAMPLE_SECONDS, HEARTBEAT_SECONDS = 2, 15
#: Reasons of a waiting container that do not mend themselves.
HOPELESS = {"InvalidImageName", "ErrImageNeverPull", "CreateContainerConfigError"}
LOG_LINES = 8
CLUSTER_WIDE = {"ClusterRole", "ClusterRoleBinding"}  #: those kinds of our charts that lie in no namespace

__all__ = ["Helm", "Release", "render", "troubles"]


def render(chart: Path, name: str, namespace: str, values: dict) -> list[dict]:
    """The objects of a release, as Helm would send them: rendered offline, checked against the chart's schema, marked as Helm's.

    Raises:
        ReleaseFailed: the values do not fit the chart's schema, or a template fails.
    """
    try:
        with helm_python.Chart.load(chart) as loaded:
            loaded.validate_schema(values)
            files = loaded.render(values, name=name, namespace=namespace)
    except helm_python.HelmError as error:
        raise ReleaseFailed(f"release {namespace}/{name}: chart {Path(chart).name}: {error}", do="mend the named value") from None
    objects = [o for path in sorted(files) if not path.endswith("NOTES.txt") for o in yaml.load_all(files[path], Loader=LOADER) if o]
    for obj in objects:
        meta = obj["metadata"]
        meta.setdefault("labels", {})["app.kubernetes.io/managed-by"] = "Helm"
        meta.setdefault("annotations", {}).update({"meta.helm.sh/release-name": name, "meta.helm.sh/release-namespace": namespace})
        if obj["kind"] not in CLUSTER_WIDE:
            meta.setdefault("namespace", namespace)
    return objects


class Helm:
    """Helm on one cluster. ``runner`` does what Helm does: the SDK on a real cluster, a stand-in on the rehearsal."""

    def __init__(self, cluster: Cluster, runner):
        self._cluster, self._runner = cluster, runner

    def releases(self, namespace: str = "") -> list[Release]:
        """The newest revision of every release, in one call whatever their number."""
        return newest(self._cluster.list("Secret", namespace, selector="owner=helm", fields=f"type={TYPE}"))

    def release(self, name: str, namespace: str) -> Release | None:
        found = newest(self._cluster.list("Secret", namespace, selector=f"owner=helm,name={name}"))
        return found[0] if found else None

    def ensure(self, chart: Path, name: str, namespace: str, values: dict, *, timeout: int = 300, new_namespace: bool = False,
               settle: Callable[[], object] | None = None) -> Change | None:
        """The change that brings a release to these values, or ``None`` if it is deployed so and nothing drifted.

        Args:
            timeout: seconds that Helm waits for its objects to be ready; then it takes back what it did.
            new_namespace: the same plan creates the namespace, so the server cannot check the objects yet.
            settle: waits in Helm's place, where not ready may be all right (a queued pod); what it raises takes the release back.

        Raises:
            FieldConflict: somebody else owns a field of an object of the release.
        """
        chart = Path(chart)
        wanted = render(chart, name, namespace, values)
        live = None if new_namespace else self.release(name, namespace)
        parts = [p for p in (self._part(obj, new_namespace) for obj in wanted) if p]
        if live:
            parts += self._dropped(live, wanted)
        fields = _release_fields(live, chart, values)
        if live and not parts and not fields:
            return None
        revision = live.revision + 1 if live else 1
        record = Change("create", "Secret", f"{namespace}/{secret_name(name, revision)}", note="Helm's record of the release")
        return Change(
            "update" if live else "create", "Release", f"{namespace}/{name}",
            lambda: self._perform(chart, name, namespace, values, timeout, settle), fields=fields if live else (), parts=(*parts, record),
            note=f"stuck in {live.status}: taken back first" if live and live.pending else "", undo=f"helm uninstall {name} -n {namespace}")

    def remove(self, name: str, namespace: str) -> Change | None:
        """The change that uninstalls a release, or ``None`` if there is none. What its chart keeps is named as kept."""
        live = self.release(name, namespace)
        if live is None:
            return None
        objects = live.objects()
        parts = tuple(Change("delete", o["kind"], f"{namespace}/{o['metadata']['name']}") for o in objects if not _kept(o))
        kept = ", ".join(title(o) for o in objects if _kept(o))
        return Change("delete", "Release", f"{namespace}/{name}", lambda: self._runner.run("uninstall", name, namespace, wait="watcher", timeout=120),
                      parts=parts, note=f"kept: {kept}" if kept else "")

    # -- the plan ------------------------------------------------------------

    def _part(self, obj: dict, new_namespace: bool) -> Change | None:
        meta, kind = obj["metadata"], f"{obj['apiVersion']}/{obj['kind']}"
        name = title(obj).split(" ", 1)[1]
        if new_namespace:
            return Change("create", obj["kind"], name, fields=diff(None, obj), note="not server-checked: its namespace is created by the same plan")
        live = self._cluster.get(kind, meta["name"], meta.get("namespace", ""))
        try:
            after = self._cluster.apply(obj, dry_run=True, manager=MANAGER)
        except NotFound:
            raise NotFound(f"namespace {meta.get('namespace')}: not there, and not planned", do="create it in the same plan") from None
        fields = diff(live, after)
        return Change("create" if live is None else "update", obj["kind"], name, fields=fields) if fields else None

    def _dropped(self, live: Release, wanted: list[dict]) -> list[Change]:
        names = {(o["kind"], o["metadata"]["name"]) for o in wanted}
        return [Change("delete", o["kind"], f"{live.namespace}/{o['metadata']['name']}")
                for o in live.objects() if (o["kind"], o["metadata"]["name"]) not in names and not _kept(o)]

    # -- the change ----------------------------------------------------------

    def _perform(self, chart: Path, name: str, namespace: str, values: dict, timeout: int, settle: Callable[[], object] | None) -> None:
        self._recover(name, namespace)
        action = "upgrade" if self.release(name, namespace) else "install"
        if settle:
            # Not rollback_on_failure: with it, Helm waits all the same.
            try:
                self._runner.run(action, name, namespace, chart=str(chart), values=values, timeout=timeout)
                settle()
            except BaseException:
                self._runner.run("rollback" if action == "upgrade" else "uninstall", name, namespace, timeout=120)
                raise
            return
        with _Watcher(self._cluster, name, namespace) as watcher:
            try:
                self._runner.run(action, name, namespace, chart=str(chart), values=values, timeout=timeout, wait="watcher",
                                 rollback_on_failure=True, stop=lambda: watcher.hopeless)
            except ReleaseFailed as error:
                raise ReleaseFailed(f"{error.what}\n{watcher.reason}".rstrip(), do=error.do, fix=error.fix) from None

    def _recover(self, name: str, namespace: str) -> None:
        """A release that a killed process left pending is taken back, so that Helm works on it again."""
        live = self.release(name, namespace)
        if live is None or not live.pending:
            return
        print(f"release {namespace}/{name} is stuck in {live.status}: taking it back first", flush=True)
        if live.status in ("pending-upgrade", "pending-rollback"):
            self._runner.run("rollback", name, namespace, timeout=120)
        else:
            self._runner.run("uninstall", name, namespace, timeout=120)


class _Watcher:
    """Looks at a release's pods while Helm waits: a failed release is taken back, and its reason with it."""

    def __init__(self, cluster: Cluster, name: str, namespace: str):
        self._cluster, self._name, self._namespace = cluster, name, namespace
        self._over = threading.Event()
        self.reason, self.hopeless = "", ""

    def __enter__(self) -> "_Watcher":
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._over.set()
        self._thread.join(SAMPLE_SECONDS)

    def _watch(self) -> None:
        started = told = time.monotonic()
        while not self._over.wait(SAMPLE_SECONDS):
            try:
                self._look()
            except ClusterError:
                continue  # only a look aside: Helm reports what goes wrong itself
            if time.monotonic() - told >= HEARTBEAT_SECONDS:
                told = time.monotonic()
                state = self.reason.splitlines()[0] if self.reason else "its pods"
                print(f"waiting for release {self._namespace}/{self._name}: {told - started:.0f} s, {state}", flush=True)
                sys.stdout.flush()

    def _look(self) -> None:
        found = []
        for pod in self._cluster.list("Pod", self._namespace, selector=f"app.kubernetes.io/instance={self._name}"):
            found += troubles(self._cluster, pod)
            for state in _container_states(pod):
                if state.get("waiting", {}).get("reason") in HOPELESS:
                    self.hopeless = state["waiting"]["reason"]
        if found:
            self.reason = "\n".join(found)


def _container_states(pod: dict) -> list[dict]:
    status = pod.get("status", {})
    return [c.get("state", {}) for c in status.get("initContainerStatuses", []) + status.get("containerStatuses", [])]


def troubles(cluster: Cluster, pod: dict) -> list[str]:
    """What is wrong with a pod that is not ready: its containers' reasons, last log lines, and its warnings."""
    name, namespace, status = pod["metadata"]["name"], pod["metadata"]["namespace"], pod.get("status", {})
    if any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions", [])):
        return []
    lines = []
    for c in status.get("initContainerStatuses", []) + status.get("containerStatuses", []):
        state = c.get("state", {})
        waiting, ended = state.get("waiting"), state.get("terminated") or c.get("lastState", {}).get("terminated")
        if waiting and waiting.get("reason") not in (None, "ContainerCreating", "PodInitializing"):
            lines.append(f"pod {namespace}/{name}, container {c['name']}: {waiting['reason']}: {waiting.get('message', '')}")
        if ended and ended.get("exitCode"):
            lines.append(f"pod {namespace}/{name}, container {c['name']}: ended with exit code {ended['exitCode']} ({ended.get('reason', '')})")
            log = cluster.logs(name, namespace, c["name"], tail=LOG_LINES, previous=bool(waiting))
            lines += [f"    {line}" for line in log.strip().splitlines()]
    warnings = [f"  {e.get('reason')}: {e.get('message', '').strip()}" for e in cluster.events(namespace, of=f"Pod/{name}") if e.get("type") == "Warning"]
    return lines + warnings[-4:]


def _kept(obj: dict) -> bool:
    return obj["metadata"].get("annotations", {}).get(KEEP) == "keep"


def _release_fields(live: Release | None, chart: Path, values: dict) -> tuple[Field, ...]:
    if live is None:
        return ()
    version = yaml.safe_load((chart / "Chart.yaml").read_text())["version"]
    found = [Field("status", live.status, "deployed")] if live.status != "deployed" else []
    found += [Field("chart", live.chart_version, version)] if live.chart_version != version else []
    return (*found, *(Field(f"values.{f.path}", f.before, f.after) for f in diff(live.values, values)))

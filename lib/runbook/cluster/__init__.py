"""A Kubernetes cluster, in kubectl's words: get, list, apply, delete, scale, wait, exec, logs, events, top."""

from __future__ import annotations  # `list` is a method here

import threading
import time
from collections.abc import Callable

from runbook.cluster.quantity import quantity
from runbook.cluster.transport import ApiFailure, Resource, Transport
from runbook.errors import ClusterError, FieldConflict, Forbidden, Invalid, NotFound, Unreachable, WaitFailed, WaitTimeout
from runbook.host import Result, expect
from runbook.secrets import mask

MANAGER = "runbook"
#: The API serves these kinds in several groups; this is the one that is meant.
WELL_KNOWN = {"Event": "v1/Event", "PodMetrics": "metrics.k8s.io/v1beta1/PodMetrics", "NodeMetrics": "metrics.k8s.io/v1beta1/NodeMetrics"}
RETRIES = (0.2, 0.5, 1, 2, 4)  #: seconds before each new try
TRANSIENT = {0, 408, 429, 500, 502, 503, 504}  #: 0 is "no answer"
GONE = 410  #: the version asked for is too old: read anew
#: Words of a 403 (seen on v1.36.2) that is no matter of rights → what to do.
NO_RIGHT_MISSING = {
    "it is being terminated": "wait until the namespace has gone, then run again",
    "exceeded quota": "delete something of that namespace, or raise the quota",
}
HEARTBEAT_SECONDS = 15
PAGE = 500

__all__ = ["Cluster", "quantity", "title"]


def title(obj: dict) -> str:
    """``StatefulSet ws-alice/demo``: how an object is named in every message."""
    meta = obj.get("metadata", {})
    return f"{obj.get('kind', '?')} " + "/".join(filter(None, (meta.get("namespace"), meta.get("name", "?"))))


class Cluster:
    """A cluster behind a transport. ``calls`` counts the API requests made."""

    def __init__(self, transport: Transport, pause: Callable[[float], object] | None = None):
        self._transport = transport
        self._pause = pause or threading.Event().wait
        self.calls = 0

    server = property(lambda self: self._transport.server)
    replayed = property(lambda self: self._transport.replayed)

    @property
    def version(self) -> str:
        """The API server's version, ``"v1.36.2"``."""
        return self._request("GET", "/version")["gitVersion"]

    # -- observing ---------------------------------------------------------

    def get(self, kind: str, name: str, namespace: str = "") -> dict | None:
        """One object as a dict, or ``None`` if there is none."""
        try:
            return self._request("GET", self._resource(kind).path(name, namespace), about=f"{kind} {_where(namespace, name)}")
        except NotFound:
            return None

    def list(self, kind: str, namespace: str = "", selector: str = "", fields: str = "", page: int = PAGE,
             trim: Callable[[dict], dict] = lambda obj: obj) -> list[dict]:
        """All objects of a kind: of one namespace, or of all when it is empty. ``selector``: labels; ``fields``: fields.

        ``page``: objects a request; ``trim``: called with each object as its page comes, so that no more than a page is held whole.
        """
        resource = self._resource(kind)
        query = {"limit": page} | ({"labelSelector": selector} if selector else {}) | ({"fieldSelector": fields} if fields else {})
        items, more = [], ""
        while True:
            try:
                answer = self._request("GET", resource.path(namespace=namespace), query | ({"continue": more} if more else {}),
                                       about=f"list of {resource.plural}")
            except Expired:
                items, more = [], ""
                continue
            items += (trim({"apiVersion": resource.api_version, "kind": resource.kind} | item) for item in answer["items"])
            more = answer.get("metadata", {}).get("continue", "")
            if not more:
                return items

    def events(self, namespace: str = "", of: str = "") -> list[dict]:
        """Events, oldest first; ``of="Pod/demo-0"`` of one object."""
        kind, _, name = of.partition("/")
        fields = f"involvedObject.kind={kind},involvedObject.name={name}" if of else ""
        found = self.list("Event", namespace, fields=fields)
        return sorted(found, key=lambda e: e.get("lastTimestamp") or e.get("eventTime") or e["metadata"].get("creationTimestamp") or "")

    def logs(self, pod: str, namespace: str, container: str = "", tail: int = 200, previous: bool = False) -> str:
        """The last ``tail`` lines of a container; ``previous``: of the one that ran before."""
        query = {"tailLines": tail} | ({"container": container} if container else {}) | ({"previous": "true"} if previous else {})
        path = self._resource("Pod").path(pod, namespace, "log")
        return self._retry(lambda: self._transport.text(path, query), f"log of pod {namespace}/{pod}")

    def usage(self, what: str, namespace: str = "") -> list[dict]:
        """CPU (cores) and memory (bytes) in use, of ``"pods"`` or ``"nodes"``, as metrics-server measured them.

        Returns a list of ``{"namespace", "name", "cpu", "memory", "containers": {name: {"cpu", "memory"}}}``.
        """
        found = self.list({"pods": "PodMetrics", "nodes": "NodeMetrics"}[what], namespace)
        rows = []
        for item in found:
            parts = {c["name"]: {k: quantity(v) for k, v in c["usage"].items() if k in ("cpu", "memory")} for c in item.get("containers", [])}
            sums = {k: quantity(item["usage"][k]) if "usage" in item else sum(p[k] for p in parts.values()) for k in ("cpu", "memory")}
            rows.append({"namespace": item["metadata"].get("namespace", ""), "name": item["metadata"]["name"], **sums, "containers": parts})
        return rows

    def proxy(self, namespace: str, service: str, port: int | str, path: str = "/", timeout: float = 10) -> tuple[int, str]:
        """GET a page of a Service through the API server: ``(HTTP status, body)``."""
        route = self._resource("Service").path(f"{service}:{port}", namespace, "proxy") + "/" + path.lstrip("/")
        return self._retry(lambda: self._transport.http(route, timeout), f"Service {namespace}/{service} port {port}")

    def exec(self, pod: str, argv: list[str], namespace: str, container: str = "", timeout: float = 60,
             input: str | None = None, check: bool = True) -> Result:
        """Run a command in a container; its exit code is its own. Raises CommandFailed with ``check``, WaitTimeout when it hangs."""
        where = f"pod {namespace}/{pod}" + (f" ({container})" if container else "")
        self.calls += 1
        try:
            result = self._transport.exec(namespace, pod, container, argv, timeout, input)
        except ApiFailure as failure:
            raise self._error(failure, f"exec in {where}") from None
        if result.exit_code == -1:
            raise WaitTimeout(mask(f"{where}: `{' '.join(argv)}` was still running after {timeout:.0f} s"), do="see why it hangs")
        return expect(result, where) if check else result

    def can(self, verb: str, resource: str, namespace: str = "", group: str = "") -> bool:
        """May this user do that? Asked as a dry run, so that plan mode writes nothing."""
        attributes = {"verb": verb, "resource": resource, "group": group} | ({"namespace": namespace} if namespace else {})
        review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": {"resourceAttributes": attributes}}
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        return bool(self._request("POST", path, {"dryRun": "All"}, review)["status"].get("allowed"))

    # -- changing ----------------------------------------------------------

    def apply(self, obj: dict, dry_run: bool = False, force: bool = False, manager: str = MANAGER) -> dict:
        """Server-side apply; what the object then is (or, as a dry run, would be).

        Raises:
            FieldConflict: another manager owns a field that ``obj`` sets, and ``force`` is not given.
        """
        meta = obj["metadata"]
        path = self._resource(f"{obj['apiVersion']}/{obj['kind']}").path(meta["name"], meta.get("namespace", ""))
        query = {"fieldManager": manager, "force": str(force).lower()} | ({"dryRun": "All"} if dry_run else {})
        return self._request("PATCH", path, query, obj, "application/apply-patch+yaml", about=title(obj))

    def patch(self, kind: str, name: str, namespace: str, body: dict, dry_run: bool = False) -> dict:
        """A merge patch of some fields."""
        query = {"fieldManager": MANAGER} | ({"dryRun": "All"} if dry_run else {})
        return self._request("PATCH", self._resource(kind).path(name, namespace), query, body, "application/merge-patch+json",
                             about=f"{kind} {_where(namespace, name)}")

    def delete(self, kind: str, name: str, namespace: str = "", dry_run: bool = False, missing_ok: bool = True) -> None:
        """Delete an object; what it owns goes in the background."""
        body = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"} | ({"dryRun": ["All"]} if dry_run else {})
        query = {"dryRun": "All"} if dry_run else {}
        try:
            self._request("DELETE", self._resource(kind).path(name, namespace), query, body, about=f"{kind} {_where(namespace, name)}")
        except NotFound:
            if not missing_ok:
                raise

    def scale(self, kind: str, name: str, namespace: str, replicas: int, dry_run: bool = False) -> None:
        """Set the replicas of a workload through its scale."""
        query = {"fieldManager": MANAGER} | ({"dryRun": "All"} if dry_run else {})
        self._request("PATCH", self._resource(kind).path(name, namespace, "scale"), query, {"spec": {"replicas": replicas}},
                      "application/merge-patch+json", about=f"{kind} {_where(namespace, name)}")

    # -- waiting -----------------------------------------------------------

    def wait(self, kind: str, name: str, namespace: str = "", *, until: Callable[[dict | None], bool],
             fail_on: Callable[[dict], str] | None = None, timeout: float, what: str) -> dict | None:
        """Wait until an object is as wanted.

        Args:
            until: called with the object (``None`` while there is none); true ends the wait.
            fail_on: called with the object; a non-empty reason ends the wait as failed.
            timeout: seconds.
            what: what is waited for, in words: ``"the database of demo to be ready"``.

        Raises:
            WaitFailed: ``fail_on`` gave a reason.
            WaitTimeout: the time is over. Both carry the object's last events.
        """
        end, told = time.monotonic() + timeout, time.monotonic()
        resource, where = self._resource(kind), f"{kind} {_where(namespace, name)}"
        while True:
            obj = self.get(kind, name, namespace)
            version = (obj or {}).get("metadata", {}).get("resourceVersion", "")
            for candidate in self._changes(obj, resource, namespace, name, version, end):
                if until(candidate):
                    return candidate
                reason = fail_on(candidate) if fail_on and candidate else ""
                if reason:
                    raise WaitFailed(f"waiting for {what}: {where} failed: {reason}{self._told_by_events(kind, name, namespace)}",
                                     do="read the events above", fix="90-diagnose")
            left = end - time.monotonic()
            if left <= 0 or self._transport.static:
                raise WaitTimeout(f"waiting for {what}: not within {timeout:.0f} s ({where})"
                                  f"{self._told_by_events(kind, name, namespace)}", do="read the events above", fix="90-diagnose")
            if time.monotonic() - told >= HEARTBEAT_SECONDS:
                told = time.monotonic()
                print(f"waiting for {what}: {timeout - left:.0f} s of at most {timeout:.0f} s", flush=True)

    def _changes(self, obj, resource: Resource, namespace, name, version, end):
        """The object as it is now, then as it becomes, until the watch ends."""
        yield obj
        left = end - time.monotonic()
        if left <= 0 or self._transport.static:
            return
        query = {"fieldSelector": f"metadata.name={name}", "timeoutSeconds": max(1, int(min(left, HEARTBEAT_SECONDS)))}
        if version:
            query["resourceVersion"] = version
        self.calls += 1
        try:
            for kind, changed in self._transport.watch(resource.path(namespace=namespace), query):
                yield None if kind == "DELETED" else changed
        except ApiFailure as failure:
            if failure.status not in TRANSIENT | {GONE}:
                raise self._error(failure, f"{resource.kind} {_where(namespace, name)}") from None
            self._pause(RETRIES[1])

    def _told_by_events(self, kind: str, name: str, namespace: str) -> str:
        try:
            told = [f"  {e.get('type')} {e.get('reason')}: {e.get('message', '').strip()}" for e in self.events(namespace, of=f"{kind}/{name}")]
        except ClusterError:
            return ""
        return "\n" + "\n".join(told[-6:]) if told else ""

    # -- the wire ----------------------------------------------------------

    def _resource(self, kind: str) -> Resource:
        return self._retry(lambda: self._transport.resource(WELL_KNOWN.get(kind, kind)), kind, count=False)

    def _request(self, method: str, path: str, query: dict | None = None, body: dict | None = None, content_type: str = "",
                 about: str = "") -> dict:
        return self._retry(lambda: self._transport.request(method, path, query, body, content_type), about or path)

    def _retry(self, call: Callable, about: str, count: bool = True):
        for pause in (*RETRIES, None):
            self.calls += count
            try:
                return call()
            except ApiFailure as failure:
                if failure.status not in TRANSIENT or pause is None or _malformed(failure):
                    raise self._error(failure, about) from None
                after = failure.body.get("details", {}).get("retryAfterSeconds") or 0
                self._pause(max(pause, min(after, 10)))

    def _error(self, failure: ApiFailure, about: str) -> ClusterError:
        text = mask(f"{about}: {failure.message}")
        if failure.status == 0:
            return Unreachable(f"the API server {self.server} does not answer: {failure.message}",
                               do="see that the server runs and that the kubeconfig names it", fix="90-diagnose")
        if failure.status in (401, 403):
            do = next((do for word, do in NO_RIGHT_MISSING.items() if word in failure.message), "use a kubeconfig whose user has this right")
            return Forbidden(text, do=do)
        if failure.status == 404:
            return NotFound(text, do="see that it was created, and that its namespace is right")
        if failure.status == 409:
            causes = failure.body.get("details", {}).get("causes", [])
            fields = "".join(f"\n  {c.get('field')}: {c.get('message')}" for c in causes)
            return FieldConflict(f"{about}: fields owned by others" + (fields or f": {failure.message}"),
                                 do="let their owner set these fields, or take them out of what we want")
        if failure.status == GONE:
            return Expired(text, do="read the list anew")
        if failure.status in (400, 422) or _malformed(failure):
            return Invalid(text, do="mend the named field")
        return ClusterError(text, do="try again; if it stays, look at the API server", fix="90-diagnose")


class Expired(ClusterError):
    """The API server no longer knows the version that a list was continued from."""


def _where(namespace: str, name: str) -> str:
    return f"{namespace}/{name}" if namespace else name


def _malformed(failure: ApiFailure) -> bool:
    """The API server answers an apply whose object is not of its schema with status 500, seen on v1.36.2."""
    return failure.status == 500 and "failed to create typed patch object" in failure.message

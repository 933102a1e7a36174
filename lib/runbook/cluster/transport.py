"""What a :class:`runbook.cluster.Cluster` speaks through: a real API server here, a store in memory in ``runbook.rehearsal``."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from runbook.host import Result


@dataclass(frozen=True)
class Resource:
    """A kind as the API server serves it: ``Resource("apps/v1", "StatefulSet", "statefulsets", True)``."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool

    def path(self, name: str = "", namespace: str = "", sub: str = "") -> str:
        """The REST path of one object, or of the list when ``name`` is empty."""
        root = f"/api/{self.api_version}" if "/" not in self.api_version else f"/apis/{self.api_version}"
        parts = [root]
        if self.namespaced and namespace:
            parts += ["namespaces", namespace]
        return "/".join(p for p in (*parts, self.plural, name, sub) if p)


class ApiFailure(Exception):
    """An answer other than 2xx. ``status`` is 0 when there was no answer at all; ``body`` is the decoded ``Status`` object."""

    def __init__(self, status: int, message: str, body: dict | None = None):
        super().__init__(message)
        self.status, self.message, self.body = status, message, body or {}


class Transport(Protocol):
    """What a target must answer. Paths and query names are those of the Kubernetes REST API."""

    server: str  #: address, for people
    replayed: str  #: why behaviour is not seen live here, empty when it is
    static: bool  #: nothing happens by itself: waiting longer shows nothing new

    def resource(self, kind: str) -> Resource:
        """Find a kind: ``"StatefulSet"`` or ``"traefik.io/v1alpha1/Middleware"``. Raises ApiFailure(404) if not served."""

    def request(self, method: str, path: str, query: dict | None = None, body: dict | None = None, content_type: str = "") -> dict:
        """One REST call, JSON in and out; :class:`ApiFailure` for every answer other than 2xx."""

    def text(self, path: str, query: dict | None = None) -> str:
        """One GET whose answer is text, such as a log."""

    def http(self, path: str, timeout: float) -> tuple[int, str]:
        """One GET through the API server's proxy: the status and body of whatever answered."""

    def watch(self, path: str, query: dict) -> Iterator[tuple[str, dict]]:
        """``(type, object)`` events until the server ends the watch."""

    def exec(self, namespace: str, pod: str, container: str, argv: list[str], timeout: float, input: str | None) -> Result:
        """Run a command in a container."""

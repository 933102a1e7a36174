"""The rehearsal's side of :class:`runbook.cluster.transport.Transport`."""

import functools
from collections.abc import Iterator

from runbook.cluster.transport import ApiFailure, Resource
from runbook.host import Result
from runbook.rehearsal import behaviour, faults
from runbook.rehearsal.api import Api
from runbook.rehearsal.schema import failure
from runbook.rehearsal.state import State, seed


def _taking_turns(method):
    """One thread at a time: an answer never shows a write half done."""
    @functools.wraps(method)
    def held(self, *arguments, **named):
        with self.state.lock:
            return method(self, *arguments, **named)

    return held


class RehearsalTransport:
    """A cluster whose objects live in a file. Behaviour is replayed from recordings."""

    server = "rehearsal"
    static = True

    def __init__(self, state: State):
        self.state = state
        self._api = Api(state)
        self.replayed = f"rehearsal: replayed, {seed()['about']}"

    @_taking_turns
    def resource(self, kind: str) -> Resource:
        faults.meet(self.state, "GET", "/apis")
        return self._api.resource(kind)

    @_taking_turns
    def request(self, method: str, path: str, query: dict | None = None, body: dict | None = None, content_type: str = "") -> dict:
        query = {k: str(v) for k, v in (query or {}).items()}
        faults.meet(self.state, method, path)
        if path.endswith("/selfsubjectaccessreviews"):
            return {**body, "status": {"allowed": faults.may(self.state, body["spec"]["resourceAttributes"]["verb"])}}
        if method == "GET":
            if "/metrics.k8s.io/" in path:
                return behaviour.usage(self.state, path, query)
            return self._api.get(path, query)
        return self._api.write(method, path, query, body or {}, content_type)

    @_taking_turns
    def text(self, path: str, query: dict | None = None) -> str:
        faults.meet(self.state, "GET", path)
        pod = self._api.get(path.removesuffix("/log"), {})
        return behaviour.logs(self.state, pod, {k: str(v) for k, v in (query or {}).items()})

    @_taking_turns
    def http(self, path: str, timeout: float) -> tuple[int, str]:
        try:
            faults.meet(self.state, "GET", path)
            return behaviour.http(self.state, self._api, path)
        except ApiFailure as answer:
            if answer.status == 0:
                raise
            return answer.status, answer.message

    def watch(self, path: str, query: dict) -> Iterator[tuple[str, dict]]:
        faults.meet(self.state, "GET", path)
        return iter(())  # nothing happens by itself

    @_taking_turns
    def exec(self, namespace: str, pod: str, container: str, argv: list[str], timeout: float, input: str | None) -> Result:
        path = f"/api/v1/namespaces/{namespace}/pods/{pod}"
        faults.meet(self.state, "POST", f"{path}/exec")
        found = self._api.get(path, {})
        names = [c["name"] for c in found["spec"]["containers"]]
        if container and container not in names + [c["name"] for c in found["spec"].get("initContainers") or []]:
            raise failure(400, f"container {container} is not valid for pod {pod}", "BadRequest")
        return behaviour.exec(self.state, found, container or names[0], argv, input)

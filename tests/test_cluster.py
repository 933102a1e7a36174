"""The cluster's own logic, over a transport that answers as told; the real one and the rehearsal meet in tests/contract."""

import pytest

from runbook.cluster import RETRIES, Cluster, quantity, title
from runbook.cluster.transport import ApiFailure, Resource
from runbook.errors import ClusterError, FieldConflict, Forbidden, Invalid, NotFound, Unreachable, WaitFailed, WaitTimeout

POD = Resource("v1", "Pod", "pods", True)
READY = {"kind": "Pod", "metadata": {"name": "a", "resourceVersion": "5"}, "status": {"phase": "Running"}}
PENDING = {"kind": "Pod", "metadata": {"name": "a", "resourceVersion": "4"}, "status": {"phase": "Pending"}}


class Told:
    """Answers in the order given; an exception is raised."""

    server, replayed, static = "https://test", "", False

    def __init__(self, *answers, watches=()):
        self.answers, self.watches, self.asked = list(answers), list(watches), []

    def resource(self, kind):
        return POD if kind == "Pod" else Resource("v1", "Event", "events", True)

    def request(self, method, path, query=None, body=None, content_type=""):
        self.asked.append((method, path, query or {}))
        if path.endswith("/events"):
            return {"items": [{"metadata": {"name": "e"}, "type": "Warning", "reason": "Failed", "message": "no such image"}]}
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def watch(self, path, query):
        answer = self.watches.pop(0) if self.watches else []
        if isinstance(answer, Exception):
            raise answer
        yield from answer


def cluster(*answers, watches=()):
    paused = []
    told = Told(*answers, watches=watches)
    return Cluster(told, pause=paused.append), told, paused


@pytest.mark.parametrize("status", [0, 408, 429, 500, 502, 503, 504])
def test_transient_failures_are_tried_again(status):
    c, told, paused = cluster(ApiFailure(status, "busy"), ApiFailure(status, "busy"), READY)
    assert c.get("Pod", "a", "ns") == READY
    assert paused == list(RETRIES[:2]) and c.calls == 3


def test_retries_end():
    c, told, paused = cluster(*[ApiFailure(0, "connection refused")] * 9)
    with pytest.raises(Unreachable, match="https://test does not answer: connection refused"):
        c.get("Pod", "a", "ns")
    assert paused == list(RETRIES)


def test_the_server_may_ask_for_a_longer_pause():
    c, _, paused = cluster(ApiFailure(429, "slow down", {"details": {"retryAfterSeconds": 3}}), READY)
    c.get("Pod", "a", "ns")
    assert paused == [3]


@pytest.mark.parametrize(("status", "error"), [(401, Forbidden), (403, Forbidden), (400, Invalid), (422, Invalid), (409, FieldConflict), (418, ClusterError)])
def test_permanent_failures_are_not_tried_again(status, error):
    c, told, paused = cluster(ApiFailure(status, "no"))
    with pytest.raises(error, match="Pod ns/a"):
        c.get("Pod", "a", "ns")
    assert not paused and c.calls == 1


@pytest.mark.parametrize("message, do", [
    ('configmaps "keeper" is forbidden: unable to create new content in namespace runbook-keeper because it is being terminated',
     "wait until the namespace has gone, then run again"),
    ('pods "big" is forbidden: exceeded quota: tight, requested: requests.cpu=2, used: requests.cpu=0, limited: requests.cpu=1',
     "delete something of that namespace, or raise the quota"),
    ('pods is forbidden: User "reader" cannot list resource "pods"', "use a kubeconfig whose user has this right"),
])
def test_a_refusal_says_what_to_do(message, do):
    c, *_ = cluster(ApiFailure(403, message))
    with pytest.raises(Forbidden) as refused:
        c.get("Pod", "a", "ns")
    assert refused.value.do == do


def test_what_is_not_there_is_none():
    c, *_ = cluster(ApiFailure(404, "not found"))
    assert c.get("Pod", "a", "ns") is None


def test_deleting_what_is_not_there_is_fine_unless_asked():
    c, *_ = cluster(ApiFailure(404, "not found"), ApiFailure(404, "not found"))
    c.delete("Pod", "a", "ns")
    with pytest.raises(NotFound):
        c.delete("Pod", "a", "ns", missing_ok=False)


def test_a_conflict_names_field_and_owner():
    causes = [{"reason": "FieldManagerConflict", "message": 'conflict with "helm"', "field": ".spec.replicas"}]
    c, *_ = cluster(ApiFailure(409, "conflict", {"details": {"causes": causes}}))
    with pytest.raises(FieldConflict, match=r'\.spec\.replicas: conflict with "helm"'):
        c.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "ns"}})


@pytest.mark.parametrize(("call", "method"), [
    (lambda c: c.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "ns"}}, dry_run=True), "PATCH"),
    (lambda c: c.patch("Pod", "a", "ns", {}, dry_run=True), "PATCH"), (lambda c: c.scale("Pod", "a", "ns", 0, dry_run=True), "PATCH"),
    (lambda c: c.delete("Pod", "a", "ns", dry_run=True), "DELETE"), (lambda c: c.can("create", "pods", "ns"), "POST"),
])
def test_a_dry_run_says_so_to_the_server(call, method):
    c, told, _ = cluster({"status": {"allowed": True}})
    call(c)
    [(asked, _, query)] = told.asked
    assert asked == method and query["dryRun"] == "All"


def test_lists_are_read_page_by_page_and_anew_when_expired():
    page = {"items": [{"metadata": {"name": "a"}}], "metadata": {"continue": "t"}}
    last = {"items": [{"metadata": {"name": "b"}}], "metadata": {}}
    c, told, _ = cluster(page, ApiFailure(410, "expired"), page, last)
    found = c.list("Pod", "ns", selector="x=y")
    assert [(o["kind"], o["metadata"]["name"]) for o in found] == [("Pod", "a"), ("Pod", "b")]
    assert [q.get("continue") for _, _, q in told.asked] == [None, "t", None, "t"]


def running(obj):
    return bool(obj) and obj["status"]["phase"] == "Running"


def test_a_wait_ends_at_once_when_it_is_so_already():
    c, *_ = cluster(READY)
    assert c.wait("Pod", "a", "ns", until=running, timeout=5, what="a to run") == READY


def test_a_wait_follows_the_watch():
    c, *_ = cluster(PENDING, watches=[[("MODIFIED", PENDING), ("MODIFIED", READY)]])
    assert c.wait("Pod", "a", "ns", until=running, timeout=5, what="a to run") == READY


def test_a_watch_that_expired_or_broke_is_begun_anew():
    c, *_ = cluster(PENDING, PENDING, READY, watches=[ApiFailure(410, "too old"), ApiFailure(500, "broke")])
    assert c.wait("Pod", "a", "ns", until=running, timeout=5, what="a to run") == READY


def test_a_wait_fails_early_with_the_reason_and_events():
    c, *_ = cluster(PENDING)
    with pytest.raises(WaitFailed, match=r"waiting for a to run: Pod ns/a failed: image(.|\n)*no such image"):
        c.wait("Pod", "a", "ns", until=running, fail_on=lambda o: "image", timeout=5, what="a to run")


def test_a_wait_ends_at_its_time_limit():
    c, *_ = cluster(*[PENDING] * 50)
    with pytest.raises(WaitTimeout, match="waiting for a to run: not within 0 s"):
        c.wait("Pod", "a", "ns", until=running, timeout=0, what="a to run")


def test_a_wait_for_something_to_go():
    c, *_ = cluster(READY, watches=[[("DELETED", READY)]])
    assert c.wait("Pod", "a", "ns", until=lambda o: o is None, timeout=5, what="a to go") is None


@pytest.mark.parametrize(("text", "value"), [("250m", 0.25), ("1Gi", 2**30), ("2", 2), (3, 3), ("1e3", 1000)])
def test_quantities(text, value):
    assert quantity(text) == value


def test_a_malformed_quantity_is_refused():
    with pytest.raises(ValueError):
        quantity("much")


def test_titles():
    assert title({"kind": "Pod", "metadata": {"name": "a", "namespace": "ns"}}) == "Pod ns/a"
    assert title({"kind": "Node", "metadata": {"name": "n"}}) == "Node n"

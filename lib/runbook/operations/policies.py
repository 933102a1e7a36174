"""Does the cluster enforce NetworkPolicies? Many accept them and do nothing. Tried with two pods and a policy that forbids all."""

from runbook.errors import ClusterError, NotRecorded

PORT = 8080
SERVER, CLIENT = "policy-server", "policy-client"
ENFORCED, IGNORED = "enforced", "not enforced"


def enforced(site, where: str, image: str, tries: int = 20) -> str:
    """``"enforced"``, ``"not enforced"``, or ``"not known: …"`` when it could not be tried (an image without PHP).

    The same connection is made before the policy, where it must succeed, and under it.
    """
    cluster = site.cluster
    pods = [_pod(SERVER, where, image, ["php", "-S", f"0.0.0.0:{PORT}", "-t", "/tmp"]), _pod(CLIENT, where, image, ["sleep", "300"])]
    try:
        for pod in pods:
            cluster.delete("Pod", pod["metadata"]["name"], where)
            cluster.wait("Pod", pod["metadata"]["name"], where, until=lambda obj: obj is None, timeout=60, what="the last try's pod to be gone")
            cluster.apply(pod)
        server, _ = [cluster.wait("Pod", pod["metadata"]["name"], where, until=_ready, fail_on=_ended, timeout=120, what="the try of policies")
                     for pod in pods]
        address = server["status"]["podIP"]
        if not any(_connects(cluster, where, address) for _ in range(tries)):
            return "not known: two pods do not reach each other without any policy"
        cluster.apply(forbid(where))
        return ENFORCED if any(not _connects(cluster, where, address) for _ in range(tries)) else IGNORED
    except NotRecorded:
        return "not known: the rehearsal has no recording of the try"
    except ClusterError as error:
        return f"not known: {error.what.splitlines()[0]}"
    finally:
        cluster.delete("NetworkPolicy", SERVER, where)
        for pod in pods:
            cluster.delete("Pod", pod["metadata"]["name"], where)


def forbid(where: str) -> dict:
    """Nobody may connect to the server."""
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": SERVER, "namespace": where},
            "spec": {"podSelector": {"matchLabels": {"runbook/try": SERVER}}, "policyTypes": ["Ingress"]}}


def _connects(cluster, where: str, address: str) -> bool:
    code = f'exit(@stream_socket_client("tcp://{address}:{PORT}", $n, $s, 1) ? 0 : 1);'
    done = cluster.exec(CLIENT, ["php", "-r", code], where, timeout=20, check=False)
    if not done.ok:  # a refused connection answers at once: do not ask faster than rules are written
        cluster.exec(CLIENT, ["sleep", "0.5"], where, timeout=20, check=False)
    return done.ok


def _pod(name: str, where: str, image: str, command: list[str]) -> dict:
    limits = {"cpu": "200m", "memory": "128Mi"}
    return {"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": where, "labels": {"app.kubernetes.io/managed-by": "runbook", "runbook/try": name}},
            "spec": {"restartPolicy": "Never", "automountServiceAccountToken": False, "terminationGracePeriodSeconds": 1,
                     "activeDeadlineSeconds": 300, "containers": [{
                         "name": "try", "image": image, "command": command,
                         "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": limits}}]}}


def _ready(pod: dict | None) -> bool:
    return bool(pod) and any(c["type"] == "Ready" and c["status"] == "True" for c in pod.get("status", {}).get("conditions", []))


def _ended(pod: dict) -> str:
    states = [c.get("state", {}) for c in pod.get("status", {}).get("containerStatuses", [])]
    reasons = [s.get("waiting", {}).get("reason", "") if s.get("waiting") else "ended" for s in states if not s.get("running")]
    return next((r for r in reasons if r not in ("", "ContainerCreating", "PodInitializing")), "")

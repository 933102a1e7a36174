"""Faults that the tables of several notebooks switch on."""

from .kit import World


def no_room(world: World, *_) -> None:
    """The nodes have next to nothing to give."""
    world.every_node(lambda node: node["status"]["allocatable"].update(cpu="10m", memory="16Mi"))


def unready(pod: dict) -> None:
    """A pod's condition Ready no longer holds."""
    for condition in pod["status"]["conditions"]:
        if condition["type"] in ("Ready", "ContainersReady"):
            condition["status"] = "False"


def fail(world: World, pod: str, namespace: str) -> None:
    """A container of a pod ends with an error again and again."""
    def crash(obj):
        unready(obj)
        obj["status"]["containerStatuses"][0] |= {"ready": False, "state": {"waiting": {
            "reason": "CrashLoopBackOff", "message": "back-off 5m0s restarting failed container"}}}

    world.change("Pod", pod, namespace, crash)


def open_door(world: World, namespace: str, pod: str) -> None:
    """A workspace gets through to another one's IDE."""
    script = "exec 3<>/dev/tcp/10.42.0.1/13337"  # any pod's address: the recordings' keys name none
    world.inside(namespace, f"StatefulSet/{pod}", "web", ["timeout", "3", "bash", "-c", script])


def label(world: World, kind: str, namespace: str | None, key: str = "app.kubernetes.io/part-of") -> None:
    """Somebody changes a label that the runbook owns."""
    world.every(kind, namespace, lambda obj: obj["metadata"].setdefault("labels", {}).update({key: "somebody"}))

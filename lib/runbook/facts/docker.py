"""Docker inside the workspaces, as it is: what the tries of its modes saw, and the daemons there are. Nothing is changed."""

import pandas as pd

from runbook import docker
from runbook.docker import RECORD, Try
from runbook.params import Docker, Workspaces
from runbook.workspaces import namespace


def tries(site, wanted: Docker, handler: str = "") -> dict[str, Try]:
    """The kept results of the tries, by mode; those made on another kernel, runtime or image do not count."""
    kept = _kept(site, wanted)
    if not kept or kept.get("of") != docker.fingerprint(site.cluster.list("Node"), wanted, handler):
        return {}
    return {mode: Try.of(mode, kept[mode]) for mode in docker.MODES if mode in kept}


def handler(site) -> str:
    """The RuntimeClass whose containers may write their cgroups; empty if there is none."""
    return docker.RUNTIME_CLASS if site.cluster and site.cluster.get("RuntimeClass", docker.RUNTIME_CLASS) else ""


def mode(site, wanted: Docker) -> str:
    """The mode that the tries leave: ``userns``, ``privileged`` or ``none``; empty while they have not been made."""
    return docker.chosen(wanted, tries(site, wanted, handler(site))) or ""


def modes(site, wanted: Docker) -> pd.DataFrame:
    """Each mode: ``mode``, ``outcome`` (works, refused, not tried), ``cause``, ``told``, ``means`` (for the server)."""
    found = tries(site, wanted, handler(site))
    rows = []
    for name, means in docker.MODES.items():
        t = found.get(name)
        if t:
            rows.append((name, "works" if t.ran else "refused", t.cause, t.told, means))
        elif name == "privileged" and not wanted.allow_privileged:
            rows.append((name, "not tried", "not accepted", "docker.allow_privileged is false", means))
        else:
            safer = next((m for m, s in found.items() if s.ran), "")
            rows.append((name, "not tried", "", f"{safer} works and is safer" if safer else "", means))
    return pd.DataFrame(rows, columns=["mode", "outcome", "cause", "told", "means"])


def seen(site, wanted: Docker) -> pd.DataFrame:
    """What the tries saw inside their pods: one row a mode, columns such as ``kernel``, ``cgroup``, ``cgroup_writable``, ``uid_map``, ``driver``."""
    rows = {name: {k: v for k, v in t.seen if k not in ("ran", "told")} for name, t in tries(site, wanted, handler(site)).items()}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("mode").reset_index()


def host_root(site, wanted: Docker) -> str:
    """The mapping of users of the mode that works, where it makes the daemon's root the server's; empty where it does not, or is not known."""
    works = next((t for t in tries(site, wanted, handler(site)).values() if t.ran), None)
    mapping = dict(works.seen).get("uid_map", "") if works else ""
    return mapping if mapping.startswith("0 0 ") else ""


def policies(site, wanted: Docker) -> str:
    """Why NetworkPolicies prove nothing here; empty where the cluster was seen to enforce them."""
    kept = _kept(site, wanted).get("policies", "not known: not tried yet")
    return "" if kept == "enforced" else f"NetworkPolicies of this cluster: {kept}"


def nodes(site) -> pd.DataFrame:
    """What the nodes say of themselves: ``node``, ``kernel``, ``runtime``, ``kubelet``, ``user namespaces`` (by the container runtime's word)."""
    rows = []
    for node in site.cluster.list("Node") if site.cluster else ():
        info, handlers = node["status"]["nodeInfo"], node["status"].get("runtimeHandlers", [])
        able = any(h.get("features", {}).get("userNamespaces") for h in handlers)
        rows.append((node["metadata"]["name"], info["kernelVersion"], info["containerRuntimeVersion"], info["kubeletVersion"], able))
    return pd.DataFrame(rows, columns=["node", "kernel", "runtime", "kubelet", "user namespaces"])


def daemons(site, workspaces: Workspaces) -> pd.DataFrame:
    """The workspaces' daemons: ``owner``, ``name``, ``mode``, ``state`` (ready, not ready, stopped), ``image``, ``volume`` (size), ``cpu``,
    ``memory``, ``disk`` (limits)."""
    rows = []
    for w in workspaces.list if site.cluster else ():
        where = namespace(w.owner)
        obj = site.cluster.get("StatefulSet", w.name, where)
        if obj is None:
            continue
        spec = obj["spec"]["template"]["spec"]
        c = next((c for c in spec["containers"] if c["name"] == "docker"), None)
        if c is None:
            rows.append((w.owner, w.name, "none", "", "", "", "", "", ""))
            continue
        limits = c["resources"]["limits"]
        claim = site.cluster.get("PersistentVolumeClaim", f"{w.name}-docker", where) or {}
        size = claim.get("spec", {}).get("resources", {}).get("requests", {}).get("storage", "")
        pod = site.cluster.get("Pod", f"{w.name}-0", where) or {}
        ready = any(s["name"] == "docker" and s.get("ready") for s in pod.get("status", {}).get("containerStatuses", []))
        state = "ready" if ready else "stopped" if obj["spec"].get("replicas", 1) == 0 else "not ready"
        rows.append((w.owner, w.name, "userns" if spec.get("hostUsers") is False else "privileged", state, c["image"], size,
                     limits.get("cpu", ""), limits.get("memory", ""), limits.get("ephemeral-storage", "")))
    return pd.DataFrame(rows, columns=["owner", "name", "mode", "state", "image", "volume", "cpu", "memory", "disk"])


def _kept(site, wanted: Docker) -> dict[str, str]:
    found = site.cluster.get("ConfigMap", RECORD, wanted.namespace) if site.cluster else None
    return (found or {}).get("data", {})

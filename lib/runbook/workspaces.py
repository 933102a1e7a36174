"""What a workspace is called and made of. Pure: parameters in, names and values of the chart out."""

import secrets

from runbook.gitpod import Gitpod, simple_name
from runbook.params import Workspace, Workspaces

#: Labels of everything that belongs to a workspace.
OWNER, WORKSPACE = "runbook/owner", "runbook/workspace"
#: Keys of a workspace's Secret; the chart takes them from there.
SECRET_KEYS = ("db-password", "db-root-password", "ide-password")
#: What stands beside a workspace's main container asks for: MariaDB's requests in the chart's values.
SIDECARS_CPU_MILLI, SIDECARS_MEMORY_MI = 25, 128
#: The release of lib/charts/keeper, and where it is; the chart `workspace` has the same.
KEEPER, KEEPER_NAMESPACE = "keeper", "runbook-keeper"
#: Keys of the chart's values that are this module's; the others (domain, ingress, docker…) belong to other steps and stay.
OWN_KEYS = ("owner", "image", "repo", "checkoutLocation", "workspaceLocation", "gitpod", "ide", "idle", "web", "mariadb", "adminer", "storage")


def namespace(owner: str) -> str:
    """The namespace of an owner: ``alice`` → ``ws-alice``."""
    return f"ws-{owner}"


def title(workspace: Workspace) -> str:
    """How a workspace is called in messages: ``alice/demo``."""
    return f"{workspace.owner}/{workspace.name}"


def labels(owner: str, workspace: str = "") -> dict[str, str]:
    """Labels of the library's own objects of an owner, or of one of the owner's workspaces."""
    return {"app.kubernetes.io/managed-by": "runbook", "app.kubernetes.io/part-of": "runbook", OWNER: owner} | (
        {WORKSPACE: workspace} if workspace else {})


def owner_objects(owner: str, wanted: Workspaces) -> list[dict]:
    """What an owner gets: a namespace, a quota over all the owner's workspaces, requests for pods that name none, and the keeper's leave to
    stop the owner's workspaces."""
    name, quota = namespace(owner), wanted.quota
    meta = {"name": "runbook", "namespace": name, "labels": labels(owner)}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels(owner)}},
        {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": meta, "spec": {"hard": {
            "count/statefulsets.apps": str(quota.workspaces), "requests.cpu": quota.cpu, "requests.memory": quota.memory,
            "requests.storage": quota.storage}}},
        {"apiVersion": "v1", "kind": "LimitRange", "metadata": meta, "spec": {"limits": [{
            "type": "Container", "defaultRequest": {"cpu": "10m", "memory": "32Mi"}, "default": {"cpu": "500m", "memory": "256Mi"}}]}},
        keeper_binding(owner),
    ]


def keeper_binding(owner: str) -> dict:
    """What lets the keeper stop an owner's workspaces, and nothing else there; the role is in its chart."""
    group = "rbac.authorization.k8s.io"
    return {"apiVersion": f"{group}/v1", "kind": "RoleBinding",
            "metadata": {"name": f"runbook-{KEEPER}", "namespace": namespace(owner), "labels": labels(owner)},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": f"runbook-{KEEPER}-stop"},
            "subjects": [{"kind": "ServiceAccount", "name": KEEPER, "namespace": KEEPER_NAMESPACE}]}


def new_secret(workspace: Workspace) -> dict:
    """The passwords of a workspace, made anew: an object to apply."""
    return {"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "stringData": {key: secrets.token_urlsafe(18) for key in SECRET_KEYS},
            "metadata": {"name": workspace.name, "namespace": namespace(workspace.owner), "labels": labels(workspace.owner, workspace.name)}}


def chart_values(workspace: Workspace, wanted: Workspaces, mount: str, gitpod: dict, grown: dict[str, str] | None = None) -> dict:
    """The values of a workspace's release.

    Args:
        mount: how the IDE gets there: ``image``, ``copy`` or ``none``.
        gitpod: what the repository's .gitpod.yml asks for, by :func:`gitpod_values`.
        grown: sizes of volumes that are larger than the parameters say: a volume never shrinks. ``{"home": "5Gi"}``
    """
    asked = dict(gitpod)
    image = workspace.image or asked.get("image") or wanted.image
    return {
        "owner": workspace.owner,
        "image": image,
        "repo": {"url": workspace.repo, "ref": workspace.ref, "secret": workspace.git_secret},
        "checkoutLocation": asked.pop("checkoutLocation", ""),
        "workspaceLocation": asked.pop("workspaceLocation", ""),
        "gitpod": {**asked, "initLimit": wanted.init_limit},
        "ide": {"enabled": mount != "none", "image": wanted.ide_image} | ({"mount": mount} if mount != "none" else {}),
        "idle": {"stopAfter": wanted.idle_stop},
        "web": {"documentRoot": wanted.document_root, "resources": {
            "requests": {"cpu": wanted.cpu, "memory": wanted.memory}, "limits": {"cpu": wanted.cpu_limit, "memory": wanted.memory_limit}}},
        "mariadb": {"image": wanted.mariadb_image},
        "adminer": {"enabled": wanted.adminer, "image": wanted.adminer_image},
        "storage": {"className": wanted.storage_class} | {
            name: {"size": (grown or {}).get(name, size)} for name, size in volume_sizes(wanted).items()},
    }


def volume_sizes(wanted: Workspaces) -> dict[str, str]:
    """The volumes of a workspace and the sizes that the parameters give them."""
    return {"workspace": wanted.storage, "home": wanted.home, "database": wanted.database}


def gitpod_values(asked: Gitpod, repo: str) -> dict:
    """What a .gitpod.yml asks for, as values of the chart; only what is not the default."""
    checkout = asked.checkout_location or simple_name(repo)
    values = {
        "image": asked.image,
        "checkoutLocation": checkout,
        "workspaceLocation": asked.workspace_location,
        "tasks": [{"name": t.name, "before": t.before, "init": t.init, "command": t.command, "env": dict(t.env)} for t in asked.tasks],
        "ports": [{"first": p.first, "last": p.last, "onOpen": p.on_open, "visibility": p.visibility, "name": p.name} for p in asked.ports],
        "env": dict(asked.env),
        "extensions": list(asked.extensions),
        "gitConfig": dict(asked.git_config),
    }
    return {key: value for key, value in values.items() if value}

"""The claims of 02-deploy-gitpod-lamp."""

from runbook.facts import original
from runbook.rehearsal.host import probe_key

from .faults import fail, label, no_room, open_door
from .kit import SITE, Table, Way, proof_of

WS = "ws-alice"
ORIGINAL = {"workspaces": SITE["workspaces"] | {"original": True}}


def gitpod(world, status=200):
    """A server on which Gitpod itself would be at home; what the registries answer of the last of its images."""
    world.every_node(lambda node: node["metadata"]["labels"].update(dict.fromkeys(original.LABELS, "true")))
    with world.objects() as objects:
        objects.put({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                     "metadata": {"name": original.CERT_MANAGER},
                     "spec": {"group": "cert-manager.io", "scope": "Cluster", "versions": [{"name": "v1", "served": True, "storage": True}],
                              "names": {"kind": "ClusterIssuer", "plural": "clusterissuers"}}})
    *others, last = original.IMAGES.values()
    for image, answer in [*dict.fromkeys(others, 200).items(), (last, status)]:
        world.answer(probe_key(["manifest", image]), {"status": answer, "error": ""})


TABLE = Table("02", proven=(Way(), Way(gitpod, given=ORIGINAL)), refuted={
    "the nodes have room for the workspaces that are not there yet": Way(no_room),
    "Gitpod's last self-hosted release finds all that it needs": Way(lambda world: gitpod(world, 404), given=ORIGINAL),
    "every workspace is ready, or stopped by its user, or queued for want of room":
        Way(at={"after =": lambda world, names: fail(world, "demo-0", WS)}),
    "Apache answers in each running workspace, an example page with data from its own database":
        Way(lambda world: world.page(WS, "demo", 80, "/?format=json", body='{"workspace":"demo","php":"8.2","mariadb":""}')),
    "each running workspace's IDE answers":
        Way(lambda world: (world.page(WS, "demo", 13337, "/healthz", 502),
                           world.log(WS, "StatefulSet/demo-0", "web", "no IDE\n"))),
    "no workspace reaches one of another owner": Way(lambda world: open_door(world, WS, "demo-0")),
    "the keeper runs, and may stop each of these workspaces":
        Way(at={"watched =": lambda world, names: world.remove("RoleBinding", "runbook-keeper", WS)}),
    "a second run of step 02 would change nothing": Way(at={"again =": lambda world, names: label(world, "ResourceQuota", WS)}),
})

test_proven, test_refuted = proof_of(TABLE)

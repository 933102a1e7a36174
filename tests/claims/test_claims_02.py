"""The claims of 02-deploy-gitpod-lamp."""

from .faults import fail, label, no_room, open_door
from .kit import Table, Way, proof_of

WS = "ws-alice"

TABLE = Table("02", proven=(Way(),), refuted={
    "the nodes have room for the workspaces that are not there yet": Way(no_room),
    "every workspace is ready, or stopped by its user, or queued for want of room":
        Way(at={"after =": lambda world, names: fail(world, "demo-0", WS)}),
    "Apache answers in each running workspace, an example page with data from its own database":
        Way(lambda world: world.page(WS, "demo", 80, "/?format=json", body='{"workspace":"demo","php":"8.2","mariadb":""}')),
    "each running workspace's IDE answers":
        Way(lambda world: (world.page(WS, "demo", 13337, "/healthz", 502), world.log(WS, "StatefulSet/demo-0", "web", "no IDE\n"))),
    "no workspace reaches one of another owner": Way(lambda world: open_door(world, WS, "demo-0")),
    "a second run of step 02 would change nothing": Way(at={"again =": lambda world, names: label(world, "ResourceQuota", WS)}),
})

test_proven, test_refuted = proof_of(TABLE)

"""The claims of 00-start-here."""

from .kit import Table, Way, proof_of


def small(world):
    world.file("/proc/meminfo", "MemTotal: 1048576 kB\n")


def full(world):
    world.every_node(lambda node: node["status"]["allocatable"].update(cpu="100m"))


TABLE = Table("00", proven=(Way(),), refuted={
    "nothing on this server stands in the way": Way(small),
    "what the workspaces ask for fits on the server": Way(full),
})

test_proven, test_refuted = proof_of(TABLE)

"""The claims of 93-storage-stuck."""

from runbook import rehearsal

from .kit import Table, Way, proof_of
from .test_claims_92 import THIS


def no_class(world, *_):
    """A claim names a class that is not there (recorded)."""
    rehearsal.break_("pvc-pending")


def still_waits(world, names):
    """The class that was made goes again, and the claim is as it was."""
    world.remove("StorageClass", next(c["metadata"]["name"] for c in names["site"].cluster.list("StorageClass") if c["reclaimPolicy"] == "Retain"))
    rehearsal.mend("pvc-pending")
    no_class(world)


TABLE = Table("93", proven=(Way(no_class),), refuted={
    THIS: Way(),
    "each claim that was mended binds, or waits for its pod": Way(no_class, at={"left =": still_waits}),
    "a second run would change nothing": Way(no_class, at={"again =": still_waits}),
})

test_proven, test_refuted = proof_of(TABLE)

"""The claims of 99-teardown."""

from runbook.operations import k3s

from .kit import Table, Way, proof_of

TYPED = {"confirm": "rehearsal"}


def back(world, names):
    """Somebody writes a file of step 01 again."""
    names["site"].host.write(k3s.CONFIG, "disable: []\n")


TABLE = Table("99", proven=(Way(after=("02",), given=TYPED),), refuted={
    "the site's name was typed": Way(after=("02",), given={"confirm": "rehearsals"}),
    "nothing of the steps is left": Way(after=("02",), given=TYPED, at={"left =": back}),
})

test_proven, test_refuted = proof_of(TABLE)

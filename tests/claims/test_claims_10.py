"""The claims of 10-use-the-codespace."""

from runbook.operations.tour import GUEST
from runbook.workspaces import namespace

from .faults import no_room
from .kit import Table, Way, proof_of

HOME = namespace(GUEST.owner)
STOP = {"workspaces": {"list": [{"name": "demo", "owner": "alice"}], "stop": ["alice/demo"]}}


def started(world, *_):
    """Somebody starts alice's workspace again."""
    import runbook

    runbook.connect("rehearsal", name="rehearsal", mode="apply").cluster.scale("StatefulSet", "demo", "ws-alice", 1)


def forgotten(world):
    """The note at home was not on a volume."""
    world.inside(HOME, "StatefulSet/tour-0", "web", ["/bin/sh", "-c", 'cat "$HOME/note.txt"'], 1, stderr="cat: note.txt: No such file or directory\n")


def remains(world, names):
    """A volume of the guest's is left, and the namespace with it."""
    kept = {}
    world.change("PersistentVolumeClaim", "tour-home", HOME, lambda claim: kept.update(claim))
    space = dict(next(o for o in _all(world, "Namespace") if o["metadata"]["name"] == HOME))
    apply = names["runbook"].apply

    def and_then(plan, mode):
        done = apply(plan, mode)
        with world.objects() as objects:
            objects.put(space)
            objects.put(kept)
        return done

    world.patch.setattr("runbook.apply", and_then)


def _all(world, kind):
    with world.objects() as objects:
        return objects.all(kind)


TABLE = Table("10", proven=(Way(after=("02",)),), refuted={
    "the nodes have room for one more workspace": Way(no_room, after=("02",)),
    "the named workspaces are started, stopped and deleted as asked": Way(after=("02",), given=STOP, at={"check(lambda: tour.as_asked": started}),
    "a file, a setting and a row are there again after stop and start": Way(forgotten, after=("02",)),
    "its page and its IDE answer after the start": Way(lambda world: world.page(HOME, "tour", 13337, "/healthz", 502), after=("02",)),
    "nothing of the guest's workspace is left": Way(after=("02",), at={"leaving =": remains}),
    "a second run of step 10 would change none of the named workspaces": Way(after=("02",), given=STOP, at={"again =": started}),
})

test_proven, test_refuted = proof_of(TABLE)

"""Run a notebook in this process, on a rehearsal of its own, and see how each of its claims comes out.

A table (one module a notebook) says for each claim by what fault it is refuted, and how all of them are proven. A fault changes the
world: objects of the store, recorded answers, the host, parameters. ``check`` is never touched, and never handed a result.

On the rehearsal many claims are *not shown*, since what they rest on is replayed. :meth:`World.trust` lifts that reason, in these tests
only: a replayed answer then counts as seen. What the claim does with the answer is the notebook's own code.
"""

import json
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from runbook import checks, paths, rehearsal
from runbook.errors import ClaimRefuted
from runbook.rehearsal import behaviour, host as hosts, recordings
from runbook.rehearsal.state import State
from runbook.rehearsal.world import World as Objects
from runbook.site import Site

from .books import cells, is_said, sentences

#: How the reasons begin that say: this was replayed.
REPLAYED = ("rehearsal: ", "replayed: ")
#: The parameters of a rehearsed run, by key; a notebook gets those that it declares.
SITE = yaml.safe_load((paths.params() / "rehearsal.yaml").read_text(encoding="utf-8"))


# The world ----------------------------------------------------------------------------------------------------------

class World:
    """One rehearsal: its state file, its recordings, and the hands that break it."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch):
        self.folder, self.patch, self.more = folder, patch, {}
        (folder / "reports").mkdir(parents=True, exist_ok=True)
        patch.setenv("RUNBOOK_REHEARSAL", str(folder))
        patch.setattr(paths, "reports", lambda: folder / "reports")

    @property
    def state(self) -> State:
        return State(rehearsal.state_path())

    @contextmanager
    def objects(self):
        """The objects of the store, to be changed: ``get(kind, name, namespace)``, ``all``, ``put``, ``remove``."""
        with self.state.change() as data:
            yield Objects(data)

    def change(self, kind: str, name: str, namespace: str, by: Callable[[dict], None]) -> None:
        """Change one object behind everybody's back."""
        with self.objects() as objects:
            found = objects.get(kind, name, namespace)
            assert found is not None, f"{kind} {namespace}/{name} is not there"
            by(found)
            objects.put(found)

    def remove(self, kind: str, name: str, namespace: str = "") -> None:
        """Take one object out."""
        with self.objects() as objects:
            found = objects.get(kind, name, namespace)
            assert found is not None, f"{kind} {namespace}/{name} is not there"
            objects.remove(found)

    def every(self, kind: str, namespace: str | None, by: Callable[[dict], None], labels: dict | None = None) -> None:
        """Change all objects of a kind (with these labels); there is one at least."""
        with self.objects() as objects:
            found = [o for o in objects.all(kind, namespace) if (labels or {}).items() <= (o["metadata"].get("labels") or {}).items()]
            assert found, f"no {kind} in {namespace}"
            for obj in found:
                by(obj)
                objects.put(obj)

    def every_node(self, by: Callable[[dict], None]) -> None:
        self.every("Node", None, by)

    def every_pod(self, namespace: str, labels: dict, by: Callable[[dict], None]) -> None:
        self.every("Pod", namespace, by, labels)

    # What is replayed

    def trust(self) -> None:
        """Take what is replayed for seen. Here only: see the head of this module."""
        seen = Site.seen
        self.patch.setattr(Site, "seen", lambda site, *results: _trusted(seen(site, *[r for r in results if not _trusted_away(r)])))

    def answer(self, key: str, *answers: dict) -> None:
        """What is replayed from now on for a key, before anything that was recorded."""
        self.more[key] = list(answers)
        folder = self.folder / "recordings"
        if not folder.exists():
            folder.mkdir()
            for path in recordings.FOLDER.glob("*.json"):
                (folder / path.name).symlink_to(path)
        (folder / "zz-test.json").unlink(missing_ok=True)
        (folder / "zz-test.json").write_text(json.dumps({"about": "written for this test", "answers": self.more}), encoding="utf-8")
        self.patch.setenv("RUNBOOK_RECORDINGS", str(folder))
        recordings._load.cache_clear()  # two writes within one tick of the clock look the same to it

    def replays(self, key: str) -> list[dict]:
        """What would be replayed for a key."""
        return recordings.recorded()[key][1]

    def page(self, namespace: str, service: str, port: int, path: str, status: int = 200, body: str = "") -> None:
        """What a page of a service answers."""
        self.answer(behaviour.http_key(namespace, service, str(port), path), {"status": status, "body": body})

    def command(self, argv: list[str], exit_code: int = 0, stdout: str = "", stderr: str = "") -> None:
        """What a command on the host prints."""
        self.answer(hosts.run_key(argv), {"exit_code": exit_code, "stdout": stdout, "stderr": stderr})

    def file(self, path: str, text: str) -> None:
        """What a file of the machine holds."""
        self.answer(hosts.read_key(path), {"text": text})

    def inside(self, namespace: str, workload: str, container: str, argv: list[str], exit_code: int = 0, stdout: str = "", stderr: str = "",
               input: str | None = None) -> None:
        """What a command in a container prints; ``workload`` as ``"StatefulSet/demo-0"``."""
        fed = [json.dumps(input)] if input is not None else []
        self.answer(recordings.key("exec", namespace, workload, container, json.dumps(argv), *fed),
                    {"exit_code": exit_code, "stdout": stdout, "stderr": stderr})

    def log(self, namespace: str, workload: str, container: str, text: str) -> None:
        """What a container has logged."""
        self.answer(recordings.key("logs", namespace, workload, container, "now"), {"text": text})

    def sockets(self, *sockets: dict) -> None:
        """Who listens on the machine, beside those that were recorded."""
        there = self.replays(recordings.key("sockets"))[0]["sockets"]
        self.answer(recordings.key("sockets"), {"sockets": there + list(sockets)})


def _trusted_away(result) -> bool:
    return str(result if isinstance(result, str) else getattr(result, "replayed", "")).startswith(REPLAYED)


def _trusted(reason: str) -> str:
    return "" if reason.startswith(REPLAYED) else reason


# Playing it ---------------------------------------------------------------------------------------------------------

@dataclass(frozen=True)
class Way:
    """How a notebook is played.

    Attributes:
        prepare: done to the world before.
        at: done when a cell is reached: a piece of its text → ``act(world, names)``, names being the notebook's.
        mode: of the run.
        given: parameters, over those of ``params/rehearsal.yaml``.
        after: steps that were applied before.
        trust: whether what is replayed counts as seen.
    """

    prepare: Callable[[World], None] = lambda world: None
    at: dict[str, Callable[[World, dict], None]] = field(default_factory=dict)
    mode: str = "apply"
    given: dict = field(default_factory=dict)
    after: tuple[str, ...] = ()
    trust: bool = True


def play(number: str, world: World, way: Way = Way()) -> list[dict]:
    """Run the cells of a notebook, one after the other; the claims as they were settled, up to the first that is refuted."""
    settled, names, due = [], {"__name__": "__main__"}, dict(way.at)

    def note(kind, record, text, html=""):
        if kind == "claim":
            settled.append(record)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checks, "emit", note)
        for cell in cells(number):
            for piece in [piece for piece in due if piece in cell.source]:
                due.pop(piece)(world, names)
            try:
                exec(cell.code, names)
            except ClaimRefuted:
                break
            if cell.parameters:
                given = {"mode": way.mode} | {k: v for k, v in (SITE | way.given).items() if k in names and k != "mode"}
                assert way.given.keys() <= names.keys(), f"not declared: {way.given.keys() - names.keys()}"
                names.update(given)
    assert not due or settled and settled[-1]["outcome"] == checks.REFUTED, f"no cell holds {list(due)}"
    return settled


# The tables ---------------------------------------------------------------------------------------------------------

@dataclass(frozen=True)
class Table:
    """What is known of one notebook's claims.

    Attributes:
        number: of the notebook.
        proven: the ways that together prove all of its claims.
        refuted: claim → the way that refutes it.
    """

    number: str
    proven: tuple[Way, ...]
    refuted: dict[str, Way]


class Stage:
    """Makes worlds; what steps leave is made once a session and copied."""

    def __init__(self, folder: Path):
        self.folder, self._made = folder, {}

    def world(self, folder: Path, patch: pytest.MonkeyPatch, after: tuple[str, ...] = ()) -> World:
        """A world in which these steps were applied."""
        world = World(folder, patch)
        if after:
            path = rehearsal.state_path()
            path.write_bytes(self._after(after))
        return world

    def _after(self, steps: tuple[str, ...]) -> bytes:
        if steps not in self._made:
            with pytest.MonkeyPatch.context() as patch:
                world = self.world(self.folder / "-".join(steps), patch, steps[:-1])
                play(steps[-1], world, Way(trust=False))
                self._made[steps] = rehearsal.state_path().read_bytes()
        return self._made[steps]


def run(stage: Stage, folder: Path, number: str, way: Way) -> list[dict]:
    """Play a notebook one way, in a new world; the claims as they were settled."""
    with pytest.MonkeyPatch.context() as patch:
        world = stage.world(folder, patch, way.after)
        if way.trust:
            world.trust()
        way.prepare(world)
        return play(number, world, way)


def assert_proven(stage: Stage, folder: Path, table: Table) -> None:
    """Every claim of the notebook is proven by one of the ways, and no way refutes any."""
    proven, reasons = set(), {}
    for i, way in enumerate(table.proven):
        for claim in run(stage, folder / str(i), table.number, way):
            said, = [s for s in sentences(table.number) if is_said(s, claim["claim"])]
            assert claim["outcome"] != checks.REFUTED, f"way {i}: {claim['claim']}: {claim['reason']}"
            proven |= {said} if claim["outcome"] == checks.PROVEN else set()
            reasons[said] = claim["reason"]
    assert not {s: reasons.get(s, "not reached") for s in sentences(table.number) if s not in proven}


def proof_of(table: Table):
    """The two tests of a table: ``test_proven, test_refuted = proof_of(TABLE)``."""
    def test_proven(stage, tmp_path):
        assert_proven(stage, tmp_path, table)

    @pytest.mark.parametrize("sentence", table.refuted)
    def test_refuted(stage, tmp_path, sentence):
        assert_refuted(stage, tmp_path, table, sentence)

    return test_proven, test_refuted


def assert_refuted(stage: Stage, folder: Path, table: Table, sentence: str) -> None:
    """The fault refutes that claim, and no earlier one: the notebook stops there, and says what to do."""
    settled = run(stage, folder, table.number, table.refuted[sentence])
    assert settled and settled[-1]["outcome"] == checks.REFUTED, [(c["outcome"], c["claim"], c["reason"]) for c in settled]
    assert is_said(sentence, settled[-1]["claim"]), f"refuted instead: {settled[-1]['claim']}: {settled[-1]['reason']}"
    assert settled[-1]["reason"].strip(), "it does not say what to do"

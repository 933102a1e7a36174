"""Notebook 20 on a real cluster, and its drill with a hole made on purpose: each ends as the claim refuted, none as an error."""

import os
import shutil

import pytest
from backup_kit import Lab
from claims.kit import Way, play

from runbook import backups
from runbook.operations import drill

pytestmark = [pytest.mark.cluster, pytest.mark.long]
PAIR = ("stor4", "drilled")


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    made = Lab(tmp_path_factory.mktemp("repository"), (PAIR,), keys="ws-stor4-keys")
    made.fill()
    yield made
    made.clear()


def settled(lab, now=()):
    """The claims of the notebook, as they come out on this cluster."""
    wanted = lab.wanted().model_dump() | {"now": list(now), "k3s": False}
    return play("20", None, Way(given={"name": "tests", "target": "local", "kubeconfig": os.environ["KUBECONFIG"], "backup": wanted}))


def with_script(monkeypatch, folder, name, line):
    """The scripts of backups, one of them with a line more before its last one."""
    shutil.copytree(backups.SCRIPTS, folder, dirs_exist_ok=True)
    *before, last = (folder / name).read_text().rstrip().splitlines()
    (folder / name).write_text("\n".join([*before, line, last]) + "\n")
    monkeypatch.setattr(backups, "SCRIPTS", folder)


def test_every_claim_of_the_drill_is_proven(lab):
    outcomes = {c["claim"]: (c["outcome"], c["reason"]) for c in settled(lab, now=["/".join(PAIR)])}
    hidden = {claim: reason for claim, (outcome, reason) in outcomes.items() if outcome != "proven"}
    assert set(hidden.values()) == {"backup.restore names no workspace", "backup.k3s is false"}


@pytest.mark.parametrize("name, line, claim, told", [
    ("replace.sh", 'rm "/data/workspace/a folder/7"', "every file is back with its hash", "a folder/7"),
    ("load.sh", "serve ours; sql -e 'DELETE FROM drill WHERE id = 7' $(sql -e \"SELECT table_schema FROM information_schema.tables WHERE table_name = 'drill'\")"
     "; unserve", "every row is back", "rows that are not back"),
    ("backup.sh", "give_up 'Fatal: repository contains errors'", "a new workspace is backed up and its repository checked", "the repository is damaged"),
    ("fetch.sh", "give_up 'Fatal: repository contains errors'", "every file is back with its hash", "the repository is damaged"),
], ids=["a file lost", "a row lost", "backup damaged", "restore damaged"])
def test_a_hole_refutes_its_claim(lab, monkeypatch, tmp_path, name, line, claim, told):
    with_script(monkeypatch, tmp_path / "scripts", name, line)
    last = settled(lab)[-1]
    assert (last["outcome"], last["claim"]) == ("refuted", claim) and told in last["reason"] and last["fix"]


def test_a_volume_that_stays_refutes_its_claim(lab, monkeypatch):
    with monkeypatch.context() as hole:
        hole.setattr(drill, "remove_all", lambda *_: None)
        last = settled(lab)[-1]
    drill.remove_all(lab.site, drill.WHERE)
    assert (last["outcome"], last["fix"]) == ("refuted", "93-storage-stuck") and last["claim"].startswith("nothing of the deleted workspace")

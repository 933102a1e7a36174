"""What workspaces answer, as their claims read it: each of them is seen refuted."""

from types import SimpleNamespace

import pandas as pd
import pytest

import runbook
from runbook.facts import workspaces as facts
from runbook.host import Result


def wanted(*listed):
    return runbook.section("workspaces", {"list": list(listed or ({"name": "demo", "owner": "alice"},))})


def answers(**changed):
    row = {"owner": "alice", "name": "demo", "page": "example", "status": 200, "php": "8.2", "mariadb": "11.4", "database": "app"} | changed
    return pd.DataFrame([row])


@pytest.mark.parametrize("answer, holds", [
    (answers(), True),
    (answers(page="own", status=404, mariadb=""), True),  # the person's own page says what it likes
    (answers(status=503, mariadb=""), False),  # the example page without its database
    (answers(page="own", status=0), False),
])
def test_pages_answer(answer, holds):
    assert facts.pages_answer(answer) is holds


EMPTY = (503, 'no endpoints available for service "demo"')


@pytest.mark.parametrize("answers, status, looks", [
    ([(200, '{"status": "alive"}')], 200, 1),
    ([EMPTY, EMPTY, (200, '{"status": "alive"}')], 200, 3),
    ([EMPTY] * 9, 503, 4),
    ([(503, "busy"), (200, "{}")], 503, 1),
])
def test_an_ide_whose_service_follows_a_moment_later(monkeypatch, answers, status, looks):
    monkeypatch.setattr(facts, "SETTLING", (0, 0, 0))
    left = list(answers)
    found = facts.ides(SimpleNamespace(cluster=SimpleNamespace(proxy=lambda *_: left.pop(0))), wanted())
    assert (found.status[0], len(answers) - len(left)) == (status, looks)


def test_whether_strangers_are_reached(site):
    def seen(ok):
        pods = {name: {"metadata": {}, "status": {"podIP": "10.0.0.1", "conditions": [{"type": "Ready", "status": "True"}]}} for name in ("a", "b")}
        cluster = SimpleNamespace(get=lambda kind, name, where: pods.get(where.removeprefix("ws-")),
                                  exec=lambda *_, **__: Result((), 0 if ok else 124, ""))
        return facts.strangers(SimpleNamespace(cluster=cluster), wanted({"name": "x", "owner": "a"}, {"name": "x", "owner": "b"}))

    assert list(seen(True).reached) == [True] and list(seen(False).reached) == [False]
    assert facts.strangers(site, wanted()).empty


def test_last_words_of_an_ide_that_does_not_answer(site):
    table = pd.DataFrame([("alice", "demo", 503, "")], columns=["owner", "name", "status", "activity"])
    said = facts.last_words(SimpleNamespace(cluster=SimpleNamespace(logs=lambda *_, **__: "no code-server at /opt/ide")), table)
    assert said == "alice/demo:\nno code-server at /opt/ide"
    assert facts.last_words(site, table[table.status == 200]) == ""

"""Changes carried out side by side: all, or none that had not begun."""

import threading

import pytest

from runbook.errors import RunbookError
from runbook.operations.together import Together
from runbook.plans import Change


def change(perform):
    return Change("create", "Thing", "x", perform)


def test_changes_are_carried_out_together():
    both = threading.Barrier(2, timeout=10)  # each waits for the other: one after the other would never end
    together = Together(2)
    first, second = (together.add(change(both.wait)) for _ in range(2))
    first.perform()
    second.perform()


def test_after_a_failure_none_is_begun():
    seen, together = [], Together(1)

    def fail():
        raise RunbookError("no room")

    changes = [together.add(change(f)) for f in (fail, lambda: seen.append("begun"))]
    with pytest.raises(RunbookError, match="no room"):
        changes[0].perform()
    with pytest.raises(RunbookError, match="not begun"):
        changes[1].perform()
    assert seen == []


def test_after_a_failure_those_under_way_come_to_their_end():
    both, seen, together = threading.Barrier(2, timeout=10), [], Together(2)

    def fail():
        both.wait()
        raise RunbookError("no room")

    def finish():
        both.wait()
        seen.append("finished")

    changes = [together.add(change(f)) for f in (fail, finish)]
    with pytest.raises(RunbookError, match="no room"):
        changes[0].perform()
    assert seen == ["finished"]

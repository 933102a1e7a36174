"""The claims of 00-start-here."""

import pytest

from .kit import Table, Way, assert_proven, assert_refuted


def small(world):
    world.file("/proc/meminfo", "MemTotal: 1048576 kB\n")


def full(world):
    world.every_node(lambda node: node["status"]["allocatable"].update(cpu="100m"))


TABLE = Table("00", proven=(Way(),), refuted={
    "nothing on this server stands in the way": Way(small),
    "what the workspaces ask for fits on the server": Way(full),
})


def test_proven(stage, tmp_path):
    assert_proven(stage, tmp_path, TABLE)


@pytest.mark.parametrize("sentence", TABLE.refuted)
def test_refuted(stage, tmp_path, sentence):
    assert_refuted(stage, tmp_path, TABLE, sentence)

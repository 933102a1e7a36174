"""One stage for all tables: what the steps leave is made once."""

import matplotlib
import pytest

from .kit import Stage


@pytest.fixture(scope="session")
def stage(tmp_path_factory):
    matplotlib.use("Agg")  # no notebook's kernel here: nothing is to be shown
    return Stage(tmp_path_factory.mktemp("stage"))

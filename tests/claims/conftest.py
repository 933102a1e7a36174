"""One stage for all tables: what the steps leave is made once."""

import matplotlib
import pytest

pytest.register_assert_rewrite(f"{__package__}.kit")


@pytest.fixture(scope="session")
def stage(tmp_path_factory):
    from .kit import Stage

    matplotlib.use("Agg")  # no notebook's kernel here: nothing is to be shown
    return Stage(tmp_path_factory.mktemp("stage"))

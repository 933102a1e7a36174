"""Which picture and which data belong together, when a cell shows several."""

import base64

import nbformat
import pytest

from runbook.journal import figures
from runbook.show import RECORD

PNG = [base64.b64encode(b"\x89PNG" + bytes([n])).decode() for n in range(3)]


def record(name):
    return {RECORD.format("figure"): {"name": name, "csv": f"name\n{name}\n"}}


def picture(n):
    return {"image/png": PNG[n]}


@pytest.mark.parametrize("outputs, found", [
    ([], []),
    ([{"text/plain": "x"}], []),
    ([record("a") | picture(0)], [("a", 0)]),
    ([record("a"), picture(0)], [("a", 0)]),  # a record, then matplotlib's own picture
    ([record("requests"), record("failures") | picture(1)], [("requests", None), ("failures", 1)]),  # data that nobody drew
    ([record("a"), picture(0), record("b"), picture(1)], [("a", 0), ("b", 1)]),
    ([picture(0), record("b") | picture(1)], [("b", 1), ("", 0)]),
    ([record("a")], [("a", None)]),
])
def test_a_picture_belongs_to_its_own_data(tmp_path, outputs, found):
    cell = nbformat.v4.new_code_cell("x", outputs=[nbformat.v4.new_output("display_data", o) for o in outputs])
    left = figures.extract(nbformat.v4.new_notebook(cells=[cell]), tmp_path, "06")
    assert [f["name"] for f in left] == [name for name, _ in found]
    for figure, (name, image) in zip(left, found, strict=True):
        assert bool(figure["png"]) == (image is not None) and bool(figure["csv"]) == bool(name)
        if image is not None:
            assert (tmp_path / figure["png"]).read_bytes() == base64.b64decode(PNG[image])
        if name:
            assert (tmp_path / figure["csv"]).read_text() == f"name\n{name}\n"

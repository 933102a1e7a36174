"""Every notebook follows the skeleton, is stored without outputs, and links only to what is there."""

import ast
import re

import nbformat
import pytest

from runbook import paths

STEP = ["Parameters", "The site", "Before", "What must hold first", "What we want", "What would change", "Change", "After",
        "Running this again changes nothing", "Done"]
TROUBLE = ["Parameters", "The site", "Meaning", "Impact", "Diagnosis", "Mitigation", "Diagnosis again", "Done"]
LOOKS_ONLY = {"00-start-here": {"Change", "After", "Running this again changes nothing"},
              "90-diagnose": {"Mitigation", "Diagnosis again"}}
BOOKS = sorted(paths.notebooks().glob("*.ipynb"))
LINK = re.compile(r"\]\(([^)#]+)")
WRITES = re.compile(r"runbook\.apply\(|\bapply\(plan")


def read(path):
    return nbformat.read(path, as_version=4)


def headings(book):
    return [m for c in book.cells if c.cell_type == "markdown" for m in re.findall(r"^## (.+)$", c.source, re.MULTILINE)]


@pytest.fixture(params=BOOKS, ids=lambda p: p.stem)
def path(request):
    return request.param


def test_has_the_skeleton(path):
    wanted = TROUBLE if path.stem >= "90" and path.stem < "99" else STEP
    wanted = [h for h in wanted if h not in LOOKS_ONLY.get(path.stem, ())]
    found = [h for h in headings(read(path)) if h in wanted]
    assert found == wanted


def test_title_promises_and_head_lists(path):
    first = read(path).cells[0].source
    assert first.startswith(f"# {path.stem[:2]} ")
    assert "Afterwards" in first or path.stem.startswith("9")
    for word in ("Needs", "Leaves", "Time", "Undo"):
        assert f"**{word}:**" in first, word


def test_is_stored_without_outputs(path):
    for cell in read(path).cells:
        if cell.cell_type == "code":
            assert not cell.outputs and cell.execution_count is None


def test_kernel_is_named_for_every_tool(path):
    spec = read(path).metadata.kernelspec
    assert (spec.name, spec.language) == ("python3", "python")


def test_parameters_are_literals_with_safe_defaults(path):
    cells = [c for c in read(path).cells if "parameters" in c.metadata.get("tags", [])]
    assert len(cells) == 1
    values = {}
    for node in ast.parse(cells[0].source).body:
        assert isinstance(node, ast.Assign), ast.unparse(node)
        values[node.targets[0].id] = ast.literal_eval(node.value)
    assert values["target"] == "rehearsal" and values["mode"] == "plan"
    assert {"name", "kubeconfig"} <= values.keys()


def test_code_is_plain(path):
    for cell in read(path).cells:
        if cell.cell_type != "code":
            continue
        tree = ast.parse(cell.source)  # no magics, no !commands: they hide their failures
        assert not any(isinstance(n, (ast.FunctionDef, ast.ClassDef, ast.While, ast.For, ast.Try)) for n in ast.walk(tree)), cell.source
        assert "input(" not in cell.source and "getpass" not in cell.source
        assert len(cell.source.splitlines()) <= 14, cell.source


def test_only_cells_tagged_change_write(path):
    for cell in read(path).cells:
        if cell.cell_type == "code":
            assert bool(WRITES.search(cell.source)) == ("change" in cell.metadata.get("tags", [])), cell.source


def test_prose_leads_to_code(path):
    book = read(path)
    for before, cell in zip(book.cells, book.cells[1:]):
        if cell.cell_type == "code" and before.cell_type == "markdown":
            assert before.source.rstrip()[-1] in ":.)|", before.source


def test_ends_with_the_sentinel(path):
    last = [c for c in read(path).cells if c.cell_type == "code"][-1]
    assert "runbook.done(" in last.source
    for name in re.findall(r'(?:next|trouble)="([^"]+)"', last.source):
        assert (paths.notebooks() / f"{name}.ipynb").exists(), name


def test_links_and_fixes_exist(path):
    for cell in read(path).cells:
        for target in LINK.findall(cell.source) if cell.cell_type == "markdown" else ():
            if "://" not in target:
                assert (paths.notebooks() / target).resolve().exists(), target
        for name in re.findall(r'fix="([^"]+)"', cell.source):
            assert (paths.notebooks() / f"{name}.ipynb").exists(), name


def test_fixes_named_by_the_library_exist():
    for source in (paths.root() / "lib" / "runbook").rglob("*.py"):
        for name in re.findall(r'fix="(\d\d-[a-z0-9-]+)"', source.read_text()):
            if not source.name == "errors.py":
                assert (paths.notebooks() / f"{name}.ipynb").exists(), f"{source.name}: {name}"

"""What the notebooks say: their code cells, and the sentences that these settle as claims."""

import ast
import functools
import re
from dataclasses import dataclass, field

import nbformat

from runbook import paths

BOOKS = {path.stem[:2]: path for path in sorted(paths.notebooks().glob("[0-9][0-9]-*.ipynb"))}
#: What settles a claim in a notebook, and which of its arguments is the sentence.
SETTLERS = {"check": 1, "settle": 3}


@dataclass(frozen=True)
class Cell:
    """A code cell: its id, its text, whether it is the parameters cell, and its compiled code."""

    id: str
    source: str
    parameters: bool
    code: object = field(compare=False, repr=False)


@functools.cache
def cells(number: str) -> tuple[Cell, ...]:
    """The code cells of a notebook, in order."""
    book = nbformat.read(BOOKS[number], as_version=4)
    return tuple(Cell(c.id, c.source, "parameters" in c.metadata.get("tags", []), compile(c.source, f"{BOOKS[number].stem} {c.id}", "exec"))
                 for c in book.cells if c.cell_type == "code")


@functools.cache
def sentences(number: str) -> tuple[str, ...]:
    """The claims of a notebook, in order; ``{…}`` stands for what is filled in."""
    calls = [(node, SETTLERS[node.func.id]) for cell in cells(number) for node in ast.walk(ast.parse(cell.source))
             if isinstance(node, ast.Call) and getattr(node.func, "id", "") in SETTLERS]
    return tuple(_sentence(call.args[place]) for call, place in calls)


def _sentence(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return node.value
    assert isinstance(node, ast.JoinedStr), f"not a sentence that can be read here: {ast.unparse(node)}"
    return "".join(part.value if isinstance(part, ast.Constant) else "{…}" for part in node.values)


def is_said(sentence: str, claim: str) -> bool:
    """Whether a claim that was settled is that sentence of the notebook."""
    return re.fullmatch(".*".join(map(re.escape, sentence.split("{…}"))), claim, re.DOTALL) is not None

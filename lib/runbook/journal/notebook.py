"""The stored notebooks: what each is called, declares and says about itself."""

import ast
import difflib
import re
from dataclasses import dataclass, field
from pathlib import Path

import nbformat

from runbook.errors import RunbookError

#: What runs when nothing is chosen: the action plan, daily use, the diagnosis.
DEFAULT_NUMBERS = ("00", "01", "02", "03", "04", "05", "06", "10", "90")
NAME = re.compile(r"^(\d\d)-[a-z0-9-]+$")
HEADING = re.compile(r"^#+\s+(.+?)\s*#*$", re.MULTILINE)


@dataclass(frozen=True)
class Step:
    """A numbered notebook: ``name`` is its file without ending, ``declared`` its parameters with their defaults."""

    path: Path
    name: str
    number: str
    title: str
    sentence: str
    declared: dict = field(compare=False, default_factory=dict)


def tags(cell) -> list[str]:
    """The tags of a cell."""
    return cell.get("metadata", {}).get("tags", [])


def headings(notebook) -> list[str]:
    """For each cell, the last heading at or above it, without Markdown signs; empty before the first."""
    found, now = [], ""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            all_here = HEADING.findall(cell.source)
            now = re.sub(r"[*`]", "", all_here[-1]) if all_here else now
        found.append(now)
    return found


def declared(notebook, name: str = "the notebook") -> dict:
    """The parameters that a notebook declares: the literals of its cell tagged ``parameters``.

    Raises:
        RunbookError: a value there is not a literal.
    """
    values = {}
    for cell in notebook.cells:
        if cell.cell_type != "code" or "parameters" not in tags(cell):
            continue
        for node in ast.parse(cell.source).body:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
            for target in targets:
                try:
                    values[target.id] = ast.literal_eval(node.value)
                except (ValueError, AttributeError) as error:
                    raise RunbookError(f"{name}: line {node.lineno} of its parameters cell is not a literal",
                                       do="write a plain value there; compute in a later cell") from error
    return values


def read(path: Path) -> Step:
    """What a notebook says about itself.

    Raises:
        RunbookError: the file is no notebook.
    """
    try:
        notebook = nbformat.read(path, as_version=4)
    except Exception as error:  # nbformat raises many kinds for a file that is none
        raise RunbookError(f"{path.name}: not a notebook ({error.__class__.__name__})", do="take it out of the folder") from error
    first = next((cell.source for cell in notebook.cells if cell.cell_type == "markdown"), "")
    title = HEADING.search(first)
    text = HEADING.sub("", first, count=1).strip().split("\n\n")[0].replace("\n", " ")
    return Step(
        path=path, name=path.stem, number=path.stem[:2],
        title=re.sub(r"^\d\d\s*[-–:.]?\s*", "", title[1]) if title else path.stem[3:].replace("-", " "),
        sentence=re.sub(r"\[([^]]*)]\([^)]*\)|[*`]", r"\1", text),
        declared=declared(notebook, path.name),
    )


def steps(folder: Path) -> list[Step]:
    """All numbered notebooks of a folder, in order.

    Raises:
        RunbookError: there are none.
    """
    found = [read(path) for path in sorted(folder.glob("*.ipynb")) if NAME.match(path.stem)]
    if not found:
        raise RunbookError(f"no notebooks in {folder}", do="change into the cloned folder")
    return found


def one(word: str, known: list[Step]) -> Step:
    """The step meant by a number (``2``, ``02``), a name, a file name, or a part of a name that only one has.

    Raises:
        RunbookError: none, or more than one; the nearest is named.
    """
    word = Path(word).name.removesuffix(".ipynb")
    number = word.zfill(2) if word.isdigit() else word
    exact = [step for step in known if number in (step.number, step.name)]
    found = exact or [step for step in known if word and word in step.name]
    if len(found) == 1:
        return found[0]
    if found:
        raise RunbookError(f"“{word}” could be " + ", ".join(step.name for step in found), do="give its number")
    near = difflib.get_close_matches(word, [step.name for step in known] + [step.name[3:] for step in known], 1, 0.4)
    raise RunbookError(f"no notebook “{word}”", do=(f"did you mean {near[0]}? " if near else "") + "`runbook list` shows them all")


def select(known: list[Step], only: list[str] = (), start: str = "") -> list[Step]:
    """The steps to run, in order: those named by ``only``, else the default ones; from ``start`` on.

    Raises:
        RunbookError: a word means none of them, or nothing is left.
    """
    if only:
        wanted = {one(word, known).name for words in only for word in words.split(",") if word}
        chosen = [step for step in known if step.name in wanted]
    else:
        chosen = [step for step in known if step.number in DEFAULT_NUMBERS]
    if start:
        first = one(start, known)
        chosen = [step for step in chosen if step.name >= first.name]
    if not chosen:
        raise RunbookError("nothing to run", do="`runbook list` shows the notebooks")
    return chosen

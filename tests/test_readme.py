"""What the READMEs say is so: commands, options, targets, notebooks, parameters, packages and links exist."""

import re
import tomllib

import nbformat
import pytest
import typer.main

from runbook import paths, reference
from runbook.cli import app
from runbook.guide import Guide

ROOT = paths.root()
FRONT = [p for p in (ROOT / "README.md", ROOT / "README.fr.md") if p.exists()]
READMES = [*FRONT, ROOT / "lib" / "README.md"]
BOOKS = sorted(paths.notebooks().glob("*.ipynb"))
SPAN = re.compile(r"`([^`\n]+(?:\n[^`\n]+)?)`")
BLOCK = re.compile(r"^ {4}(\S.*)$", re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")
TITLE = re.compile(r"^#+ (.+)$", re.MULTILINE)


def named(path):
    return str(path.relative_to(ROOT))


readmes = pytest.mark.parametrize("path", READMES, ids=named)
fronts = pytest.mark.parametrize("path", FRONT, ids=named)


def code(text):
    """What stands in code: spans of a line or two, indented lines."""
    return [" ".join(found.split()) for found in [*SPAN.findall(text), *BLOCK.findall(text)]]


def prose(path):
    """The text of a README, or the Markdown of a notebook."""
    if path.suffix == ".ipynb":
        return "\n\n".join(c.source for c in nbformat.read(path, as_version=4).cells if c.cell_type == "markdown")
    return path.read_text(encoding="utf-8")


def commands(text):
    """The command lines ``runbook …`` in a text, as words."""
    return [re.sub(r"[\[\]|]", " ", line.partition("#")[0]).split() for line in code(text) if line.startswith("runbook ")]


def check_command(words):
    """Walk the words down the tree of commands; what is left must be its options and arguments."""
    command, rest = typer.main.get_command(app), words[1:]
    while hasattr(command, "commands"):
        assert rest and rest[0] in command.commands, f"no command: {' '.join(words)}"
        command, rest = command.commands[rest[0]], rest[1:]
    options = {o for p in command.params for o in [*p.opts, *p.secondary_opts]} | {"--help"}
    assert not [w for w in rest if w.startswith("-") and w not in options], " ".join(words)


@pytest.mark.parametrize("path", [*READMES, *BOOKS], ids=named)
def test_the_commands_exist(path):
    for words in commands(prose(path)):
        if "·" not in words:  # several commands, told apart below
            check_command(words)
            continue
        group = words[: words.index("·") - 1]
        for name in [words[words.index("·") - 1], *(b for a, b in zip(words, words[1:]) if a == "·")]:
            check_command([*group, name])


@readmes
def test_the_targets_of_make_exist(path):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    variables = set(re.findall(r"^([A-Z]+) \?=", makefile, re.MULTILINE))
    for line in code(prose(path)):
        if line.startswith("make "):
            words = line.partition("#")[0].split()
            assert words[1] in targets, line
            assert {w.partition("=")[0] for w in words if re.match("[A-Z]+=", w)} <= variables, line


def test_the_two_front_pages_say_the_same():
    """The same commands and links in both languages; comments and placeholders may be translated. The table of parameters is in one."""
    said, linked = [], []
    for path in (ROOT / "README.md", ROOT / "README.fr.md"):
        lines = [line.partition("#")[0] for line in code(prose(path)) if re.match("runbook |make |cp |papermill ", line)]
        said.append({" ".join(re.sub(r"<[^>]*>", "<…>", line).split()) for line in lines})
        linked.append({link.partition("#")[0] for link in LINK.findall(prose(path))} - {path.name, "README.md", "README.fr.md"})
    assert said[0] == said[1]
    assert linked[0] <= linked[1]


@fronts
def test_every_notebook_is_in_the_table(path):
    rows = [line for line in prose(path).splitlines() if line.startswith("| [")]
    linked = {target for row in rows for target in LINK.findall(row)}
    assert {f"notebooks/{book.name}" for book in BOOKS} <= linked


def between(name, text):
    begin, end = (mark.format(name) for mark in reference.MADE)
    return text.partition(begin)[2].partition(end)[0].strip()


def test_the_made_tables_are_those_that_are_made_now():
    text = prose(ROOT / "README.md")
    assert between("parameters", text) == reference.table(), "run python -m runbook.reference"
    assert between("page", text) == Guide().table(), "run python -m runbook.reference"
    assert reference.insert(text) == text


def test_the_french_page_for_those_who_work_here_says_the_same():
    french = prose(ROOT / "README.fr.md").partition("| vous voulez |")[2].partition("\n\n")[0]
    spans = [[re.findall(r"`([^`]+)`", row) for row in table.splitlines()[-8:]] for table in (french, Guide().table())]
    assert spans[0] == spans[1]


def test_every_dependency_is_named_with_its_reason(path=ROOT / "README.md"):
    wanted = {re.split(r"[=<>~ \[]", line)[0] for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
              if line.strip() and not line.startswith("#")}
    assert not {name for name in wanted if not re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", prose(path))}


def test_what_is_required_is_what_is_installed():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["tool"]["setuptools"]["dynamic"]["dependencies"] == {"file": ["requirements.txt"]}


@readmes
def test_the_links_resolve(path):
    for target in LINK.findall(prose(path)):
        if "://" in target:
            continue
        place, _, anchor = target.partition("#")
        there = (path.parent / place).resolve() if place else path
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), target


def anchors(path):
    """The anchors that a forge makes of the headings."""
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in TITLE.findall(prose(path))}


@readmes
def test_named_files_exist(path):
    """Paths in code that begin with a folder of the project."""
    folders = ("notebooks/", "lib/", "params/", "tests/", "charts/", "runbook/", "operations/", "facts/")
    for word in {w for line in code(prose(path)) for w in line.split()}:
        if word.startswith(folders) and not re.search(r"[…<*]|mine\.yaml", word):
            places = [ROOT / word, path.parent / word, ROOT / "lib" / word, ROOT / "lib" / "runbook" / word]
            assert any(p.exists() for p in places), word

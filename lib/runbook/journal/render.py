"""The pages of a run: one for each executed notebook, and one of the run.

Made from the executed notebooks, which are not executed again. They load nothing from anywhere: style and images
are in the page, scripts are refused by its Content-Security-Policy, so a page opened offline in ten years looks the same.
"""

import os
import re
from datetime import datetime
from functools import lru_cache
from pathlib import Path

import nbformat
import yaml
from jinja2 import Environment, FileSystemLoader, select_autoescape
from markupsafe import Markup
from nbconvert import HTMLExporter

from runbook import paths
from runbook.checks import MARKS
from runbook.journal import atomic, record
from runbook.journal.copies import MARKED
from runbook.journal.progress import seconds

TEMPLATES = Path(__file__).parent / "templates"
LINK = re.compile(r'href="([\w.-]+)\.ipynb(#[^"]*)?"')
TITLE = re.compile(r"\A\s*#\s.*\n?")
BANNERS = {
    "REHEARSAL": "nothing was changed anywhere; what things answered is replayed from recordings of a real run",
    "LAB": "a real Kubernetes for tests, with stand-in images",
}


def when(iso: str) -> str:
    """``2026-11-23 05:54 UTC`` of an ISO time; the text itself if it is none."""
    try:
        return f"{datetime.fromisoformat(iso):%Y-%m-%d %H:%M} UTC"
    except ValueError:
        return iso


@lru_cache
def environment() -> Environment:
    """Jinja2 with our templates and filters."""
    made = Environment(loader=FileSystemLoader([TEMPLATES, TEMPLATES / "step"]), autoescape=select_autoescape(default=True),
                       trim_blocks=True, lstrip_blocks=True)
    made.filters.update(seconds=seconds, when=when, yaml=lambda value: yaml.safe_dump(value, sort_keys=False, allow_unicode=True))
    made.globals.update(common())
    return made


def common() -> dict:
    """What every template may use."""
    return {"style": Markup((TEMPLATES / "style.css").read_text(encoding="utf-8")), "marks": MARKS, "banners": BANNERS,
            "claims_of": record.claims, "total": record.total, "problem_of": record.problem}


@lru_cache
def exporter() -> HTMLExporter:
    """nbconvert's exporter with our template, which builds on its classic one."""
    made = HTMLExporter(template_name="step", extra_template_basedirs=[str(TEMPLATES)])
    made.register_filter("seconds", seconds)
    made.register_filter("when", when)
    return made


def page(notebook, run: dict, name: str, folder: Path) -> str:
    """The page of one executed notebook."""
    names = [step["notebook"] for step in run["steps"]]
    shown = [step["notebook"] for step in run["steps"] if (folder / f"{step['notebook']}.ipynb").exists()]
    at = shown.index(name)
    copy = nbformat.from_dict(notebook)
    copy.cells = [cell for cell in copy.cells if MARKED not in cell.metadata.get("tags", [])]
    if copy.cells and copy.cells[0].cell_type == "markdown":  # the page's own title says it
        copy.cells[0].source = TITLE.sub("", copy.cells[0].source, count=1)
    steps = {step["notebook"]: step for step in run["steps"]}
    away = os.path.relpath(paths.notebooks(), folder).replace(os.sep, "/")
    context = {**common(), "run": run, "step": steps[name], "number": name[:2], "away": away,
               "before": steps.get(shown[at - 1]) if at else None, "after": steps.get(shown[at + 1]) if at + 1 < len(shown) else None,
               "names": shown, "all": names}
    html, _ = exporter().from_notebook_node(copy, resources={"runbook": context})
    return LINK.sub(lambda m: f'href="{m[1]}.html{m[2] or ""}"' if m[1] in shown else f'href="{away}/{m[1]}.ipynb{m[2] or ""}"', html)


def write(folder: Path, run: dict) -> None:
    """Make all pages of a run, whole or not at all."""
    for step in run["steps"]:
        path = folder / f"{step['notebook']}.ipynb"
        if path.exists():
            atomic.write_text(path.with_suffix(".html"), page(nbformat.read(path, as_version=4), run, step["notebook"], folder))
    shown = [step["notebook"] for step in run["steps"] if (folder / f"{step['notebook']}.ipynb").exists()]
    atomic.write_text(folder / "index.html", environment().get_template("run.html.j2").render(
        run=run, names=shown, away=os.path.relpath(paths.notebooks(), folder).replace(os.sep, "/")))

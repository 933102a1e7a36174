"""The whole runbook on the rehearsal, as a newcomer runs it: real kernels, a folder whose path has a space; twice.

The project is a copy, so that neither its journal nor its rehearsal is touched. nbval goes through all notebooks beside the runs.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml

from runbook import paths
from runbook.journal.notebook import DEFAULT_NUMBERS

BOOKS = sorted(paths.notebooks().glob("[0-9][0-9]-*.ipynb"))
BY_DEFAULT = [p.stem for p in BOOKS if p.stem[:2] in DEFAULT_NUMBERS]
BY_NAME = [p.stem for p in BOOKS if p.stem[:2] not in DEFAULT_NUMBERS]
#: A load that takes seconds; what it shows is tested elsewhere.
SHORT = {"knee_rates": [2, 4], "knee_seconds": 2, "rollout_rate": 2, "rollout_seconds": 10,
         "stages": [{"name": "quiet", "seconds": 2, "rate": 1}, {"name": "more", "seconds": 2, "rate": 4}, {"name": "quiet again", "seconds": 2, "rate": 1}]}
SECONDS = 900  #: after which something hangs


class Project:
    """A copy of the project, and the programs that run in it."""

    def __init__(self, folder: Path):
        self.root = folder / "a project"
        for part in ("notebooks", "lib", "params"):
            shutil.copytree(paths.root() / part, self.root / part, ignore=shutil.ignore_patterns("*.egg-info", "__pycache__", ".ipynb_checkpoints"))
        shutil.copy(paths.root() / "pyproject.toml", self.root)
        self.stored = {path.name: path.read_bytes() for path in (self.root / "notebooks").glob("*.ipynb")}
        self.site = self.root / "params" / "short.yaml"
        self.site.write_text(yaml.safe_dump(yaml.safe_load((self.root / "params" / "rehearsal.yaml").read_text()) | {"load": SHORT}))
        clean = {k: v for k, v in os.environ.items() if not k.startswith("RUNBOOK") and k not in ("KUBECONFIG", "MPLBACKEND")}
        self.environment = clean | {"PYTHONPATH": str(self.root / "lib"), "IPYTHONDIR": str(folder / "ipython"), "CI": "true"}

    def start(self, *words: str, folder: Path | None = None, **more: str) -> subprocess.Popen:
        """Start a Python module with words, its output kept."""
        return subprocess.Popen([sys.executable, "-m", *map(str, words)], cwd=folder or self.root, env=self.environment | more, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def call(self, *words: str, folder: Path | None = None, **more: str) -> tuple[int, str]:
        """Its exit code and what it printed."""
        process = self.start(*words, folder=folder, **more)
        try:
            said, _ = process.communicate(timeout=SECONDS)
        finally:
            process.kill()
        return process.returncode, said

    def runs(self) -> list[Path]:
        """The runs in the journal, oldest first."""
        return sorted(path.parent for path in (self.root / "reports").glob("*/run.json"))


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return Project(tmp_path_factory.mktemp("clone"))


@pytest.fixture(scope="module")
def nbval(project, tmp_path_factory):
    """nbval over all notebooks, on a rehearsal of its own; it goes on beside the runs."""
    own = tmp_path_factory.mktemp("nbval")
    with open(own / "said", "w", encoding="utf-8") as said:
        argv = [sys.executable, "-m", "pytest", "--nbval-lax", "-p", "no:cacheprovider", "-o", "addopts=", "--color=no", "notebooks"]
        process = subprocess.Popen(argv, cwd=project.root, env=project.environment | {"RUNBOOK_REHEARSAL": str(own)},
                                   stdout=said, stderr=said)
    yield process, own / "said"
    process.kill()


@pytest.fixture(scope="module")
def twice(project, nbval):
    """The default run, two times: exit code, what it printed, its record."""
    done = []
    for _ in range(2):
        before = project.runs()
        code, said = project.call("runbook.cli", "run", "--params", project.site)
        folder, = [path for path in project.runs() if path not in before]
        done.append((code, said, folder, json.loads((folder / "run.json").read_text(encoding="utf-8"))))
    return done


def test_both_runs_end_well(twice):
    for code, said, folder, run in twice:
        assert code == 0, said
        assert run["result"] == "ok" and folder.name.endswith("-ok"), said
        assert [step["notebook"] for step in run["steps"]] == BY_DEFAULT
        assert {step["outcome"] for step in run["steps"]} == {"ok"}


@pytest.mark.parametrize("name", ["README.md", "README.fr.md"])
def test_the_readme_shows_what_is_printed(twice, name):
    text = (paths.root() / name).read_text(encoding="utf-8")
    sample = re.search(r"^ {4}rehearsal · .+?(?=\n\n)", text, re.MULTILINE | re.DOTALL).group().splitlines()
    printed, shown = ({timeless(line) for line in lines} for lines in (twice[0][1].splitlines(), sample))
    assert len(sample) > 5 and shown - printed == {"…"}
    assert re.search(r"`(0 changed, \d+ unchanged)`", text).group(1) in twice[1][1]


def timeless(line: str) -> str:
    """A printed line without what differs from run to run: times, and where the report is."""
    return re.sub(r".*/reports/.*", "the report", re.sub(r"([\d.]+ (min|s)\b ?)+", "time ", line.strip()))


def test_the_first_changes_and_the_second_changes_nothing(twice):
    first, second = ({s["notebook"]: sum(o["changed"] for o in s["outcomes"]) for s in run["steps"]} for *_, run in twice)
    assert first["02-deploy-gitpod-lamp"] > 0
    assert second == {name: 0 for name in second}
    assert re.search(r"^0 changed, ", twice[1][1], re.MULTILINE)


def test_no_claim_is_refuted_and_none_that_rests_on_a_replay_is_proven(twice):
    *_, run = twice[0]
    claims = {c["claim"]: c for step in run["steps"] for c in step["claims"]}
    assert not [c for c in claims.values() if c["outcome"] == "refuted"]
    assert claims["every node is Ready"]["outcome"] == "not shown"
    assert "replayed" in claims["each running workspace's IDE answers"]["reason"]


def test_every_page_is_linked_and_says_rehearsal(project, twice):
    index = (project.root / "reports" / "index.html").read_text(encoding="utf-8")
    for _, _, folder, run in twice:
        for page in ["index", *(step["notebook"] for step in run["steps"])]:
            text = (folder / f"{page}.html").read_text(encoding="utf-8")
            assert "REHEARSAL" in text, page
            assert page == "index" or f'href="{folder.name}/{page}.html"' in index, page


def test_pages_load_nothing_and_their_links_resolve(twice):
    *_, folder, _ = twice[0]
    for page in folder.glob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert not re.search(r'<(?:script|link|img|iframe)[^>]+(?:src|href)="(?:https?:)?//', text), page.name
        for target in re.findall(r'href="([^"#:]+)(?:#[^"]*)?"', text):
            assert (folder / target).exists(), f"{page.name}: {target}"


def test_replayed_values_are_labelled(twice):
    *_, folder, _ = twice[0]
    text = (folder / "02-deploy-gitpod-lamp.html").read_text(encoding="utf-8")
    assert "replayed, recorded" in text


def test_no_path_of_this_machine_is_in_the_report(project, twice):
    *_, folder, _ = twice[0]
    for path in [*folder.glob("*.html"), *folder.glob("*.ipynb"), folder / "run.json"]:
        assert str(project.root) not in path.read_text(encoding="utf-8"), path.name


def test_the_stored_notebooks_are_untouched(project, twice):
    assert {path.name: path.read_bytes() for path in (project.root / "notebooks").iterdir() if path.is_file()} == project.stored


@pytest.mark.parametrize("name", BY_NAME)
def test_a_notebook_runs_by_papermill_alone_from_another_folder(project, twice, tmp_path, name):
    code, said = project.call("papermill", project.root / "notebooks" / f"{name}.ipynb", "out.ipynb", "-f", project.root / "params" / "rehearsal.yaml",
                              "-p", "mode", "plan", "--no-progress-bar", folder=tmp_path, RUNBOOK_ROOT=str(project.root))
    assert code == 0, said
    book = nbformat.read(tmp_path / "out.ipynb", as_version=4)
    outputs = [o for c in book.cells for o in c.get("outputs", ())]
    assert any("application/vnd.runbook.done+json" in o.get("data", {}) for o in outputs)
    assert not [o for o in outputs if o.output_type == "error"]
    assert {path.name for path in tmp_path.iterdir()} == {"out.ipynb"}


def test_nbval_finds_nothing(nbval):
    process, said = nbval
    process.wait(SECONDS)
    text = said.read_text(encoding="utf-8")
    assert process.returncode == 0 and " passed" in text, text[-4000:]

"""The command line: what it refuses before anything starts, what it prints, how it exits. No kernels."""

import pytest
from journal_kit import claim, executed, project, store

from runbook import cli, paths
from runbook.errors import RunbookError
from runbook.journal import engine, record


@pytest.fixture
def root(tmp_path, monkeypatch):
    made = project(tmp_path)
    monkeypatch.setenv("RUNBOOK_ROOT", str(made))
    monkeypatch.setenv("COLUMNS", "200")
    for name in ("00-start-here", "02-deploy-gitpod-lamp", "91-kots-admin-console"):
        store(made, name, "1")
    return made


@pytest.fixture
def ends(monkeypatch):
    how = {}
    monkeypatch.setattr(engine, "execute", lambda prepared, path, **more: (how.get(path.stem, executed(claims=[claim()])), 2.0, None))
    return how


def call(*words) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main([str(word) for word in words])
    return ended.value.code


@pytest.mark.parametrize("text, words, message", [
    ("workspases: {}", [], "unknown section or key 'workspases'; did you mean workspaces?"),
    ("workspaces: {cpus: '1'}", [], "did you mean cpu?"),
    ("k3s: {version: 1.30}", [], "parameters: k3s.version"),
    ("name: x\nname: y", [], "is given twice"),
    ("- a", [], "a mapping of sections is expected"),
    ("name: x", ["--mode", "aply"], "mode"),
    ("name: x", ["-p", "k3s.versoin=1"], "did you mean version?"),
    ("name: x", ["-p", "k3s"], "section.key=value is expected"),
    ("target: local", [], "a real site needs its own"),
    ("name: x", ["--only", "deplyo-gitpod-lamp"], "did you mean deploy-gitpod-lamp?"),
    ("name: x", ["--resume"], "nothing to resume"),
])
def test_bad_input_is_refused_before_anything_starts(root, ends, capsys, text, words, message):
    (root / "site.yaml").write_text(text)
    assert call("run", "--params", root / "site.yaml", *words) == 1
    said = capsys.readouterr().err
    assert message in said and "Traceback" not in said and said.startswith("✘ ")
    assert not (root / "reports").exists() or not list((root / "reports").iterdir())


def test_a_missing_file_is_one_message(root, capsys):
    assert call("run", "--params", "nowhere.yaml") == 1
    assert "parameter file nowhere.yaml: No such file or directory" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["run", "--nope"], ["walk"], ["close"], ["run", "--cell-timeout", "0"], ["run", "--resume", "--only", "02"]])
def test_a_wrong_command_line_exits_2(root, words):
    assert call(*words) == 2


def test_versions_stay_strings(root, monkeypatch):
    given = cli.site_parameters(None, None, ["k3s.version=1.30", "docker.allow_privileged=true", "name=x"])
    assert given["k3s"]["version"] == "1.30" and given["docker"]["allow_privileged"] is True


def test_without_a_file_it_is_the_rehearsal_and_mode_can_be_given(root):
    assert cli.site_parameters(None, None, []) == {"name": "rehearsal", "target": "rehearsal", "mode": "apply"}
    assert cli.site_parameters(None, "plan", [])["mode"] == "plan"
    (root / "params").mkdir()
    (root / "params" / "rehearsal.yaml").write_text("docker: {mode: none}")
    assert cli.site_parameters(None, None, [])["docker"] == {"mode": "none"}


def test_a_real_site_is_planned_unless_told_otherwise(root):
    (root / "site.yaml").write_text("name: server\ntarget: local")
    assert cli.site_parameters(root / "site.yaml", None, [])["mode"] == "plan"


def test_run_prints_steps_and_ends_with_the_page(root, ends, capsys):
    assert call("run") == 0
    said = capsys.readouterr().out
    page, = (root / "reports").glob("2*/index.html")
    assert "[1/2] 00 Start here" in said and "✔ 02 Deploy gitpod lamp  2.0 s · 1 proven" in said and said.strip().endswith(str(page))
    assert call("run") == 0
    assert "about 2.0 s" in capsys.readouterr().out


def test_a_failed_run_exits_1_says_why_and_resumes_there(root, ends, capsys):
    ends["02-deploy-gitpod-lamp"] = executed(claims=[claim("refuted", "the page answers", "look at 92", "92-x")], done=False)
    assert call("run") == 1
    said = capsys.readouterr().out
    assert "refuted: the page answers" in said and "Do this: look at 92" in said and "See: 92-x.ipynb" in said
    ends.clear()
    assert call("run", "--resume") == 0
    resumed, = (root / "reports").glob("2*-ok")
    failed, = (root / "reports").glob("2*-failed")
    assert record.read(resumed)["resumed_from"] == failed.name
    assert [s["notebook"] for s in record.read(resumed)["steps"]] == ["02-deploy-gitpod-lamp"]


def test_list_names_every_notebook_and_its_newest_run(root, ends, capsys):
    call("run", "--only", "00")
    capsys.readouterr()
    call("list")
    said = capsys.readouterr().out
    assert "91-kots-admin-console" in said and "ok, apply on rehearsal, 2.0 s" in said


def test_report_draft_and_close(root, ends, capsys):
    call("run", "--only", "00")
    page, = (root / "reports").glob("2*/index.html")
    page.unlink()
    assert call("report") == 0 and page.exists()
    capsys.readouterr()
    assert call("draft", "--only", "00") == 0
    assert "runbook close" in capsys.readouterr().out
    assert call("draft", "--only", "00", "--quiet") == 0
    folder = capsys.readouterr().out.strip()
    assert folder.endswith("-draft")
    assert call("close", folder) == 1
    assert "no cell was executed" in capsys.readouterr().err


def test_an_error_not_foreseen_is_one_message_too(root, monkeypatch, capsys):
    def broken(*_):
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("runbook.journal.notebook.steps", broken)
    assert call("list") == 1
    assert "not foreseen: ZeroDivisionError" in capsys.readouterr().err
    with pytest.raises(ZeroDivisionError):
        cli.main(["list", "--traceback"])


@pytest.mark.parametrize("command, words", [
    ("", ["run", "list", "report", "draft", "close", "--traceback"]),
    ("run", ["--params", "--mode", "--only", "--from", "--resume", "--reports", "SECTION.KEY=VALUE"]),
    ("close", ["DRAFT"]),
])
def test_help_names_commands_and_options(capsys, command, words):
    assert call(*command.split(), "--help") == 0
    said = capsys.readouterr().out
    assert not [word for word in words if word not in said]


def test_the_root_is_found_from_any_folder_below(root, monkeypatch, tmp_path):
    monkeypatch.delenv("RUNBOOK_ROOT")
    monkeypatch.chdir(root / "notebooks")
    assert paths.root() == root
    monkeypatch.chdir(tmp_path)
    assert (paths.root() / "lib" / "runbook" / "paths.py").exists()
    monkeypatch.setenv("RUNBOOK_ROOT", str(tmp_path))
    with pytest.raises(RunbookError, match="no pyproject.toml of runbook there"):
        paths.root()

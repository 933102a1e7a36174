"""`runbook workspace`: the life of one, and what is refused."""

import pytest

from runbook import cli
from runbook.facts import workspaces as facts


@pytest.fixture
def command(site, tmp_path, capsys):
    params = tmp_path / "params.yaml"
    params.write_text("name: rehearsal\ntarget: rehearsal\nmode: apply\n")

    def run(*words):
        capsys.readouterr()
        try:
            cli.main(["workspace", *words, "--params", str(params)])
            code = 0
        except SystemExit as ended:
            code = int(ended.code or 0)
        return code, "".join(capsys.readouterr())

    return run


def test_life_of_a_workspace_from_the_command_line(site, command):
    code, said = command("create", "demo", "--owner", "alice")
    assert code == 0 and "Open:" in said and "get secret demo" in said
    code, said = command("list")
    assert code == 0 and "alice" in said and "ready" in said
    assert command("stop", "demo", "--owner", "alice")[0] == 0
    assert "is stopped; start it with" in command("logs", "demo", "--owner", "alice")[1]
    assert command("start", "demo", "--owner", "alice")[0] == 0
    assert command("open", "demo", "--owner", "alice")[0] == 0
    code, said = command("delete", "demo", "--owner", "alice")
    assert code == 1 and "its name was not typed; nothing was deleted" in said
    assert command("delete", "demo", "--owner", "alice", "--confirm", "demo")[0] == 0
    assert facts.table(site).empty


@pytest.mark.parametrize("words, said", [
    (("create", "Demo", "--owner", "alice"), "workspaces.list.0.name"),
    (("create", "demo", "--owner", "al-ice"), "workspaces.list.0.owner"),
    (("create", "demo", "--owner", "alice", "--repo", "not a url"), "workspaces.list.0.repo"),
    (("create", "demo", "--owner", "alice", "--repo", "https://me:word@example.org/x"), "without a password"),
    (("stop", "demo", "--owner", "alice"), "alice has no workspace"),
    (("delete", "demo", "--owner", "alice"), "there is none"),
    (("logs", "demo", "--owner", "alice"), "there is none"),
])
def test_what_the_command_line_refuses(site, command, words, said):
    code, text = command(*words)
    assert code == 1 and said in text and "Do this:" in text
    assert site.cluster.get("Namespace", "ws-alice") is None

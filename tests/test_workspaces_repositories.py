"""Reading `.gitpod.yml` from a workspace's repository: without a shell, a prompt or a password in sight."""

from types import SimpleNamespace

import pytest

from runbook.errors import RunbookError
from runbook.facts import repositories
from runbook.host import Result
from runbook.params import Workspace

ALICE = {"name": "demo", "owner": "alice"}


def git_says(stderr="", code=128, shown=""):
    """A site whose git fails with these words, or clones and shows a file."""
    calls = []

    def run(argv, **options):
        calls.append((argv, options))
        return Result(tuple(argv), 0, shown) if "show" in argv else Result(tuple(argv), code, "", stderr)

    return SimpleNamespace(host=SimpleNamespace(run=run), calls=calls, cluster=None)


# Messages as git 2.39 printed them against servers made for it.
@pytest.mark.parametrize("said, advice", [
    ("fatal: could not read Username for 'http://10.0.0.1': terminal prompts disabled", "git_secret"),
    ("remote: Invalid credentials\nfatal: Authentication failed for 'http://10.0.0.1/x.git/'", "git_secret"),
    ("fatal: remote error: access denied or repository not exported: /nothing.git", "the URL"),
    ("fatal: repository 'http://10.0.0.1/x.git/' not found", "the URL"),
    ("fatal: unable to access 'https://no.such.host/x.git/': Could not resolve host: no.such.host", "reaches that host"),
    ("warning: Could not find remote branch v9 to clone.\nfatal: Remote branch v9 not found in upstream origin", "correct ref"),
    ("fatal: something else", "git's words"),
])
def test_a_repository_that_cannot_be_read(said, advice):
    with pytest.raises(RunbookError) as refused:
        repositories.gitpod_file(git_says(said), Workspace(**ALICE, repo="https://example.org/x.git"))
    assert said.splitlines()[-1] in str(refused.value)
    assert advice in refused.value.do


def test_the_file_is_read_without_shell_or_prompt():
    site = git_says(code=0, shown="tasks: []")
    assert repositories.gitpod_file(site, Workspace(**ALICE, repo="https://example.org/x.git", ref="v1")) == "tasks: []"
    argv, options = site.calls[0]
    assert argv[:3] == ["git", "clone", "--quiet"] and argv[-2] == "https://example.org/x.git" and "v1" in argv
    assert options["env"]["GIT_TERMINAL_PROMPT"] == "0" and options["timeout"] <= 60


def test_the_password_of_a_repository_comes_by_reference():
    site = git_says(code=0)
    secret = {"data": {"username": "cmVhZGVy", "password": "c2VjcmV0LXBhc3N3b3Jk"}}
    site.cluster = SimpleNamespace(get=lambda kind, name, where: secret if (name, where) == ("git", "ws-alice") else None)
    repositories.gitpod_file(site, Workspace(**ALICE, repo="https://example.org/x.git", git_secret="git"))
    argv, options = site.calls[0]
    assert options["env"]["RUNBOOK_GIT_PASSWORD"] == "secret-password"
    assert "secret-password" not in " ".join(argv)
    with pytest.raises(RunbookError, match="Secret ws-alice/other does not exist"):
        repositories.gitpod_file(site, Workspace(**ALICE, repo="https://example.org/x.git", git_secret="other"))

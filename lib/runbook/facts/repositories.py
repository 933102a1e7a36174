"""What lies in a git repository, read by the git of this server. Nothing is changed, and nothing is cloned into a workspace."""

import base64
import tempfile

from runbook.errors import CommandTimeout, RunbookError
from runbook.gitpod import FILE
from runbook.params import Workspace
from runbook.secrets import keep_secret
from runbook.workspaces import namespace

SECONDS = 60
#: A credential helper that hands git the two variables, so that no password is in an argument or a file.
HELPER = '!f() { test "$1" = get && echo "username=$RUNBOOK_GIT_USER" && echo "password=$RUNBOOK_GIT_PASSWORD"; }; f'
#: git's words, and what a person does about them.
ADVICE = (
    (("Remote branch", "could not find remote branch"), "correct ref: a branch or a tag of the repository"),
    (("could not read Username", "Authentication failed", "terminal prompts disabled", "Permission denied", "403"),
     "it asks for a password: put username and password (a token) into a Secret of the owner's namespace and name it in git_secret"),
    (("not found", "does not appear to be a git repository", "repository not exported", "404"), "see that the URL is the one that git clone takes"),
    (("Could not resolve host", "unable to connect", "Failed to connect", "Connection refused", "timed out"),
     "see that this server reaches that host"),
)


def gitpod_file(site, workspace: Workspace) -> str:
    """The text of the repository's .gitpod.yml at the wanted ref; empty if it has none.

    Raises:
        RunbookError: the repository cannot be read, with git's own words and what to do.
    """
    with tempfile.TemporaryDirectory(prefix="runbook-git-") as folder:
        ref = ["--branch", workspace.ref] if workspace.ref else []
        clone = ["clone", "--quiet", "--no-checkout", "--depth", "1", *ref, "--", workspace.repo, folder]
        try:
            cloned = _git(site, workspace, clone)
            if not cloned.ok and "shallow" in cloned.stderr:  # a plain file server cannot cut history off
                cloned = _git(site, workspace, [a for a in clone if a not in ("--depth", "1")])
        except CommandTimeout:
            raise _unreadable(workspace, f"no answer within {SECONDS} s", "see that this server reaches that host") from None
        if not cloned.ok:
            said = cloned.last_lines()
            advice = next((do for words, do in ADVICE if any(w.lower() in said.lower() for w in words)), "read git's words above")
            raise _unreadable(workspace, said, advice)
        shown = site.host.run(["git", "-C", folder, "show", f"HEAD:{FILE}"], timeout=SECONDS, check=False)
        return shown.stdout if shown.ok else ""


def _git(site, workspace: Workspace, arguments: list[str]):
    env = {"GIT_TERMINAL_PROMPT": "0", "GIT_ALLOW_PROTOCOL": "https:http:ssh:git", "GIT_SSH_COMMAND": "ssh -o BatchMode=yes -o ConnectTimeout=10"}
    helper = []
    if workspace.git_secret:
        user, password = _credentials(site, workspace)
        env |= {"RUNBOOK_GIT_USER": user, "RUNBOOK_GIT_PASSWORD": password}
        helper = ["-c", "credential.helper=", "-c", f"credential.helper={HELPER}"]
    return site.host.run(["git", *helper, *arguments], timeout=SECONDS, env=env, check=False)


def _credentials(site, workspace: Workspace) -> tuple[str, str]:
    where = namespace(workspace.owner)
    secret = site.cluster.get("Secret", workspace.git_secret, where)
    data = (secret or {}).get("data", {})
    missing = [key for key in ("username", "password") if key not in data]
    if secret is None or missing:
        raise RunbookError(
            f"workspace {workspace.name}: Secret {where}/{workspace.git_secret} " + (f"has no {' and no '.join(missing)}" if secret else "does not exist"),
            do=f"kubectl -n {where} create secret generic {workspace.git_secret} --from-literal=username=… --from-literal=password=…")
    user, password = (base64.b64decode(data[key]).decode() for key in ("username", "password"))
    return user, keep_secret(password)


def _unreadable(workspace: Workspace, said: str, do: str) -> RunbookError:
    return RunbookError(f"workspace {workspace.name}: repository {workspace.repo} cannot be read: {said}", do=do)

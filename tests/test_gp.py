"""The workspace's own `gp`, as a shell runs it: what it prints, what it refuses. What needs a workspace is tested on a cluster."""

import os
import subprocess

import pytest

from runbook import paths

GP = paths.charts() / "workspace" / "files" / "gp"
SITED = {"WORKSPACE_URL": "https://demo-alice.ws.example.org", "VSCODE_PROXY_URI": "https://{{port}}-demo-alice.ws.example.org"}
BARE = {"WORKSPACE_URL": "", "VSCODE_PROXY_URI": ""}


def gp(home, *words, **env):
    ours = {"HOME": str(home), "PATH": os.environ["PATH"], "WORKSPACE_NAME": "demo", "WORKSPACE_OWNER": "alice", "WORKSPACE_FOLDER": "/workspace/demo",
            "WORKSPACE_IMAGE": "php:8", "WORKSPACE_KEEPER": "http://keeper", "IDE_ROOT": "/nowhere"}
    return subprocess.run(["sh", str(GP), *words], capture_output=True, text=True, timeout=30, env={**ours, **SITED, **env})


@pytest.mark.parametrize("words, env, said", [
    (["url"], {}, "https://demo-alice.ws.example.org\n"),
    (["url", "3000"], {}, "https://3000-demo-alice.ws.example.org\n"),
    (["info"], {}, "workspace  demo\nowner      alice\nfolder     /workspace/demo\nurl        https://demo-alice.ws.example.org\n"
                   "repository none\nimage      php:8\ndatabase   \n"),
    (["info"], {**BARE, "DB_HOST": "127.0.0.1", "DB_PORT": "3306", "DB_USERNAME": "app", "DB_DATABASE": "app", "WORKSPACE_REPO": "https://x"},
     "workspace  demo\nowner      alice\nfolder     /workspace/demo\nurl        none yet\nrepository https://x\nimage      php:8\n"
     "database   app@127.0.0.1:3306/app\n"),
    (["env"], {}, ""),
])
def test_what_it_prints(tmp_path, words, env, said):
    done = gp(tmp_path, *words, **env)
    assert (done.returncode, done.stdout, done.stderr) == (0, said, "")


@pytest.mark.parametrize("words, env, said", [
    (["url"], BARE, "no URL yet"), (["url", "3000"], BARE, "no URL yet"), (["url", "x"], {}, "x is not a port"), (["url", ""], {}, "is not a port"),
    (["ports", "await", "x"], {}, "x is not a port"), (["ports", "close"], {}, "ports list"), (["env", "A"], {}, "expected NAME=VALUE"),
    (["env", "1A=x"], {}, "1A is not the name"), (["env", "GITPOD_X=1"], {}, "reserved"), (["env", "A=one\ntwo"], {}, "several lines"),
    (["sync-done"], {}, "give a name"), (["sync-done", "../x"], {}, "give a name"), (["sync-await", "a b"], {}, "give a name"),
    (["tasks", "list"], {}, "no tasks"), (["tasks", "stop"], {}, "tasks list"), (["open"], {}, "open FILE"), (["stop"], {}, "without IDE"),
])
def test_what_it_refuses(tmp_path, words, env, said):
    done = gp(tmp_path, *words, **env)
    assert done.returncode == 1 and done.stdout == "" and done.stderr.startswith("gp: ") and said in done.stderr


def test_an_unknown_word_shows_the_usage(tmp_path):
    done = gp(tmp_path, "prebuild")
    assert done.returncode == 2 and "gp stop" in done.stderr
    assert gp(tmp_path, "help").stdout == done.stderr


def test_variables_are_kept_changed_and_forgotten(tmp_path):
    assert gp(tmp_path, "env", "COLOUR=it's blue", "SIZE=1").returncode == 0
    assert gp(tmp_path, "env", "SIZE=2 = two").returncode == 0
    evaluated = subprocess.run(["sh", "-c", gp(tmp_path, "env", "-e").stdout + 'printf "%s|%s" "$COLOUR" "$SIZE"'], capture_output=True, text=True)
    assert evaluated.stdout == "it's blue|2 = two"
    assert gp(tmp_path, "env", "-u", "COLOUR").returncode == 0 and gp(tmp_path, "env").stdout == "SIZE=2 = two\n"
    assert oct((tmp_path / ".config/runbook/env").stat().st_mode & 0o777) == "0o600"

"""`.gitpod.yml`: tables drawn from Gitpod's public schema, supervisor and documentation (sources: runbook.gitpod)."""

import subprocess

import pytest

from runbook.errors import ParameterError
from runbook.gitpod import Gitpod, Port, Task, parse, simple_name


# tasks.go, getCommands: init → before, init, command; from a backup (restart) → before, command.
@pytest.mark.parametrize("task, first, restart", [
    (Task(before="b", init="i", command="c"), ["b", "i", "c"], ["b", "c"]),
    (Task(init="i", command="c"), ["i", "c"], ["c"]),
    (Task(before="b", init="i"), ["b", "i"], ["b"]),
    (Task(command="c"), ["c"], ["c"]),
    (Task(init="i"), ["i"], []),
    (Task(init="  \n", command="c"), ["c"], ["c"]),  # composeCommand leaves blanks out
    (Task(name="only a terminal"), [], []),
])
def test_what_runs_when(task, first, restart):
    assert task.commands(first=True) == first
    assert task.commands(first=False) == restart


# composeCommand with format "{\n%s\n}" and separator " && ".
def test_commands_are_joined_as_gitpod_joins_them():
    assert Task(before="b", command="c").script(first=True) == "{\nb\n} && {\nc\n}"
    assert Task().script(first=True) == ""


@pytest.mark.parametrize("task, printed, code", [
    (Task(before="echo b", init="echo i", command="echo c"), "b\ni\nc\n", 0),
    (Task(before="false", init="echo i", command="echo c"), "", 1),  # "if it fails, the following commands will not be executed"
    (Task(init="echo i\nfalse", command="echo c"), "i\n", 1),
    (Task(init="false\necho i # the last line decides", command="echo c"), "i\nc\n", 0),
    (Task(before="export A=1", command="echo $A"), "1\n", 0),
    (Task(init="cd /", command="pwd"), "/\n", 0),
])
def test_a_failure_stops_the_task(task, printed, code):
    done = subprocess.run(["sh", "-c", task.script(first=True)], capture_output=True, text=True)
    assert (done.stdout, done.returncode) == (printed, code)


@pytest.mark.parametrize("text", ["", "\n", "# nothing\n", "{}"])
def test_an_empty_file_asks_for_nothing(text):
    assert parse(text) == Gitpod()


def test_everything_that_is_supported():
    assert parse("""
image: docker.io/library/node:22
checkoutLocation: src/shop
workspaceLocation: /workspace/src/shop/web
env: {STAGE: dev, WORKERS: 2}
gitConfig: {alias.st: status, core.autocrlf: input}
tasks:
  - name: Server
    before: export PATH=$PATH:bin
    init: npm ci
    command: npm start
    env: {PORT: 3000, DEBUG: true, LIST: [1, 2]}
  - command: npm test
ports:
  - {port: 3000, onOpen: open-preview, visibility: public, name: Shop, description: the shop}
  - port: 8000-8010
  - {port: "9000:9001", onOpen: ignore}
vscode:
  extensions: [Felixfbecker.php-debug, bmewburn.vscode-intelephense-client@1.10.1:abc==]
""") == Gitpod(
        image="docker.io/library/node:22", checkout_location="src/shop", workspace_location="src/shop/web",
        env=(("STAGE", "dev"), ("WORKERS", "2")), git_config=(("alias.st", "status"), ("core.autocrlf", "input")),
        tasks=(Task("Server", "export PATH=$PATH:bin", "npm ci", "npm start",
                    (("PORT", "3000"), ("DEBUG", "true"), ("LIST", "[1, 2]"))),
               Task(command="npm test")),
        ports=(Port(3000, 3000, "open-preview", "public", "Shop"), Port(8000, 8010), Port(9000, 9001, "ignore")),
        extensions=("felixfbecker.php-debug", "bmewburn.vscode-intelephense-client@1.10.1"))


# One row a key of the schema that is not acted on, and the unknown ones; each gives one warning that names it.
@pytest.mark.parametrize("text, named", [
    ("github: {prebuilds: {master: true, branches: true}}", "github"),
    ("jetbrains: {plugins: [a]}", "jetbrains"),
    ("additionalRepositories: [{url: 'https://h/r'}]", "additionalRepositories"),
    ("subRepositories: [{url: 'https://h/r'}]", "subRepositories"),
    ("mainConfiguration: https://h/r", "mainConfiguration"),
    ("mainRepository: https://h/r", "mainRepository"),
    ("experimentalNetwork: true", "experimentalNetwork"),
    ("coreDump: {enabled: true}", "coreDump"),
    ("image: {file: .gitpod.Dockerfile, context: .}", "image.file"),
    ("tasks: [{prebuild: make}]", "tasks[0].prebuild"),
    ("tasks: [{openIn: main}]", "tasks[0].openIn"),
    ("tasks: [{command: a}, {openMode: split-right}]", "tasks[1].openMode"),
    ("tasks: [{comand: a}]", "tasks[0].comand"),
    ("ports: [{port: 1, protocol: https}]", "ports[0].protocol"),
    ("ports: [{port: 1, label: x}]", "ports[0].label"),
    ("vscode: {settings: {}}", "vscode.settings"),
    ("vscode: {extensions: ['https://h/x.vsix']}", "vscode.extensions[0]"),
    ("env: {GITPOD_X: 1}", "env.GITPOD_X"),
    ("imgae: x", "imgae"),
])
def test_each_unsupported_key_gives_one_warning(text, named):
    warnings = parse(text).warnings
    assert len(warnings) == 1
    assert warnings[0].startswith(f".gitpod.yml: {named}: ")


@pytest.mark.parametrize("text, said", [
    ("tasks: [", "not valid YAML"),
    ("a: b: c", "line 1, column 5"),
    ("- a", "expected keys and values"),
    ("tasks: {}", "tasks: expected a list"),
    ("tasks: [make]", "tasks[0]: expected keys"),
    ("tasks: [{init: [a]}]", "tasks[0].init: expected text"),
    ("tasks: [{openMode: wide}]", "tasks[0].openMode: expected one of tab-after"),
    ("tasks: [{env: {A-B: 1}}]", "tasks[0].env"),
    ("ports: [{}]", "ports[0].port"),
    ("ports: [{port: 0}]", "ports[0].port"),
    ("ports: [{port: 70000}]", "ports[0].port"),
    ("ports: [{port: 9-3}]", "ports[0].port"),
    ("ports: [{port: true}]", "ports[0].port"),
    ("ports: [{port: 1, onOpen: show}]", "ports[0].onOpen"),
    ("ports: [{port: 1, visibility: mine}]", "ports[0].visibility"),
    ("image: 3", "image: expected text"),
    ("image: 'a b'", "image: expected the name"),
    ("image: {context: .}", "image.file"),
    ("checkoutLocation: ../../etc", "checkoutLocation"),
    ("workspaceLocation: /etc", "workspaceLocation"),
    ("vscode: {extensions: [php]}", "vscode.extensions[0]"),
    ("gitConfig: {a: {}}", "gitConfig.a"),
])
def test_malformed_files_are_refused_by_place(text, said):
    with pytest.raises(ParameterError, match=r".gitpod.yml") as refused:
        parse(text)
    assert said in str(refused.value)


@pytest.mark.parametrize("url, name", [
    ("https://example.org/team/shop.git", "shop"),
    ("https://example.org/team/shop/", "shop"),
    ("git@example.org:team/shop.git", "shop"),
    ("ssh://git@example.org:2222/shop", "shop"),
    ("git://10.0.0.1/shop.git", "shop"),
])
def test_folder_of_a_repository(url, name):
    assert simple_name(url) == name


@pytest.mark.parametrize("url", ["https://example.org", "https://example.org/..", "git@example.org:", ""])
def test_urls_without_a_name(url):
    with pytest.raises(ParameterError, match="repo"):
        simple_name(url)

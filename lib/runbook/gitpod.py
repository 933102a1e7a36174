"""What a `.gitpod.yml` asks for. Pure: text in, tasks, ports and warnings out.

Rules and names are Gitpod's own, read in its public repositories:

- the schema, `gitpod-io/gitpod: components/gitpod-protocol/data/gitpod-schema.json` (commit a7c30a4);
- what runs when, and how commands are joined, `gitpod-io/gitpod: components/supervisor/pkg/supervisor/tasks.go`
  (commit ca51c38: ``getCommands``, ``composeCommand``);
- the reference, `gitpod-io/website: src/routes/docs/references/gitpod-yml.md` and `docs/config-start-tasks.md`.
"""

import json
import posixpath
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

import yaml

from runbook.errors import ParameterError

FILE = ".gitpod.yml"
ON_OPEN = ("notify", "open-browser", "open-preview", "ignore", "ignore-completely")
VISIBILITY = ("private", "public")
OPEN_MODES = ("tab-after", "tab-before", "split-left", "split-right", "split-top", "split-bottom")
#: Keys that Gitpod knows and a workspace here does not act on, with what that means.
UNSUPPORTED = {
    "github": "prebuilds are not made here; init runs on the first start",
    "jetbrains": "the IDE here is code-server",
    "additionalRepositories": "only the main repository is cloned; clone the others in an init task",
    "subRepositories": "only the main repository is cloned; clone the others in an init task",
    "mainConfiguration": "the configuration of the repository itself is used",
    "mainRepository": "the configuration of the repository itself is used",
    "experimentalNetwork": "Gitpod itself gave it up",
    "coreDump": "core dumps are left as the image has them",
}
SUPPORTED = ("image", "tasks", "ports", "vscode", "env", "gitConfig", "checkoutLocation", "workspaceLocation")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
#: publisher.name, then @version, then the hash that old Gitpod files carry.
EXTENSION = re.compile(r"(?P<id>[A-Za-z0-9][\w-]*\.[A-Za-z0-9][\w.-]*)(@(?P<version>[\w.+-]+)(:.*)?)?")
IMAGE = re.compile(r"[a-z0-9][A-Za-z0-9._:/@-]*")


@dataclass(frozen=True)
class Task:
    """One task: a terminal of its own. Commands that are not given are empty."""

    name: str = ""
    before: str = ""
    init: str = ""
    command: str = ""
    env: tuple[tuple[str, str], ...] = ()

    def commands(self, first: bool) -> list[str]:
        """What runs, in order: before, init, command on the first start; before, command on a restart."""
        wanted = [self.before, self.init, self.command] if first else [self.before, self.command]
        return [c for c in wanted if c.strip()]

    def script(self, first: bool) -> str:
        """The commands as one, each a group of its own, joined so that the first failure stops the task."""
        return " && ".join(f"{{\n{c}\n}}" for c in self.commands(first))


@dataclass(frozen=True)
class Port:
    """A port, or the range ``first`` to ``last``."""

    first: int
    last: int
    on_open: str = "notify"
    visibility: str = "private"
    name: str = ""


@dataclass(frozen=True)
class Gitpod:
    """A `.gitpod.yml`, read. Locations are relative to /workspace; empty: Gitpod's default.

    ``warnings`` has one sentence for each key that is known and not acted on, or not known at all.
    """

    image: str = ""
    tasks: tuple[Task, ...] = ()
    ports: tuple[Port, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    extensions: tuple[str, ...] = ()
    git_config: tuple[tuple[str, str], ...] = ()
    checkout_location: str = ""
    workspace_location: str = ""
    warnings: tuple[str, ...] = ()


def parse(text: str, source: str = FILE) -> Gitpod:
    """Read a `.gitpod.yml`.

    Args:
        text: its text; an empty one asks for nothing.
        source: how errors call it.

    Raises:
        ParameterError: not YAML, or a value of the wrong type; the message names the place.
    """
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise _wrong(source + where, f"not valid YAML: {getattr(error, 'problem', None) or error}") from None
    reader = _Reader(source)
    data = reader.mapping("", data)
    for key in data:
        if key in UNSUPPORTED:
            reader.warn(key, UNSUPPORTED[key])
        elif key not in SUPPORTED:
            reader.warn(key, "no such key in Gitpod's schema; it is ignored")
    vscode = reader.mapping("vscode", data.get("vscode"))
    reader.unknown("vscode", vscode, ("extensions",))
    return Gitpod(
        image=reader.image(data.get("image")),
        tasks=tuple(reader.task(i, t) for i, t in enumerate(reader.list("tasks", data.get("tasks")))),
        ports=tuple(reader.port(i, p) for i, p in enumerate(reader.list("ports", data.get("ports")))),
        env=reader.variables("env", data.get("env")),
        extensions=tuple(filter(None, (reader.extension(i, e) for i, e in enumerate(
            reader.list("vscode.extensions", vscode.get("extensions")))))),
        git_config=reader.git_config(data.get("gitConfig")),
        checkout_location=reader.location("checkoutLocation", data.get("checkoutLocation")),
        workspace_location=reader.location("workspaceLocation", data.get("workspaceLocation")),
        warnings=tuple(reader.warnings),
    )


def simple_name(url: str) -> str:
    """The folder that git makes of a repository's URL, Gitpod's default checkout location: ``https://h/a/b.git`` → ``b``.

    Raises:
        ParameterError: no name can be taken from it.
    """
    path = urlsplit(url).path if "://" in url else url.rpartition(":")[2]
    name = posixpath.basename(path.rstrip("/")).removesuffix(".git")
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", name):
        raise ParameterError(f"repo {url!r}: no repository name at its end", do="give the URL that `git clone` takes")
    return name


class _Reader:
    """Reads values, checks their types, gathers warnings."""

    def __init__(self, source: str):
        self.source, self.warnings = source, []

    def warn(self, key: str, text: str) -> None:
        self.warnings.append(f"{self.source}: {key}: {text}")

    def unknown(self, path: str, value: dict, known: tuple[str, ...]) -> None:
        for key in value:
            if key not in known:
                self.warn(f"{path}.{key}", "no such key in Gitpod's schema; it is ignored")

    def wrong(self, path: str, expected: str, value) -> ParameterError:
        return _wrong(self.source, f"{path or 'the file'}: expected {expected}, found {json.dumps(value, default=str)[:80]}")

    def mapping(self, path: str, value) -> dict:
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise self.wrong(path, "keys and values", value)
        return value

    def list(self, path: str, value) -> list:
        if value is None:
            return []
        if not isinstance(value, list):
            raise self.wrong(path, "a list", value)
        return value

    def text(self, path: str, value) -> str:
        if value is None:
            return ""
        if not isinstance(value, str):
            raise self.wrong(path, "text", value)
        return value

    def scalar(self, path: str, value) -> str:
        """Text as it is; what YAML made a number or a boolean is written as YAML has it."""
        if isinstance(value, dict | list) or value is None:
            raise self.wrong(path, "text", value)
        return value if isinstance(value, str) else json.dumps(value, default=str)

    def choice(self, path: str, value, choices: tuple[str, ...]) -> str:
        if value is None:
            return choices[0]
        if value not in choices:
            raise self.wrong(path, "one of " + ", ".join(choices), value)
        return value

    def variables(self, path: str, value) -> tuple[tuple[str, str], ...]:
        found = []
        for name, content in self.mapping(path, value).items():
            if not (isinstance(name, str) and VARIABLE.fullmatch(name)):
                raise self.wrong(path, "names of environment variables", name)
            if name.startswith("GITPOD_"):
                self.warn(f"{path}.{name}", "names that begin with GITPOD_ are Gitpod's own; it is ignored")
                continue
            found.append((name, content if isinstance(content, str) else json.dumps(content, default=str)))
        return tuple(found)

    def git_config(self, value) -> tuple[tuple[str, str], ...]:
        return tuple((str(k), self.scalar(f"gitConfig.{k}", v)) for k, v in self.mapping("gitConfig", value).items())

    def image(self, value) -> str:
        if isinstance(value, dict):
            if not isinstance(value.get("file"), str):
                raise self.wrong("image.file", "the path of a Dockerfile", value.get("file"))
            self.warn("image.file", f"{value['file']} is not built here, the default image is used; "
                                    "build it, push it to a registry and give its name as `image`")
            return ""
        image = self.text("image", value)
        if image and not IMAGE.fullmatch(image):
            raise self.wrong("image", "the name of an image", image)
        return image

    def task(self, index: int, value) -> Task:
        path = f"tasks[{index}]"
        value = self.mapping(path, value)
        self.unknown(path, value, ("name", "before", "init", "prebuild", "command", "env", "openIn", "openMode"))
        if value.get("prebuild"):
            self.warn(f"{path}.prebuild", "prebuilds are not made here; it does not run")
        if value.get("openIn"):
            self.warn(f"{path}.openIn", "terminals open in the panel")
        if self.choice(f"{path}.openMode", value.get("openMode"), OPEN_MODES) != OPEN_MODES[0]:
            self.warn(f"{path}.openMode", "each terminal opens in a tab after the previous one")
        commands = {k: self.text(f"{path}.{k}", value.get(k)) for k in ("name", "before", "init", "command")}
        return Task(**commands, env=self.variables(f"{path}.env", value.get("env")))

    def port(self, index: int, value) -> Port:
        path = f"ports[{index}]"
        value = self.mapping(path, value)
        self.unknown(path, value, ("port", "onOpen", "visibility", "name", "protocol", "description"))
        if str(value.get("protocol", "http")).lower() != "http":
            self.warn(f"{path}.protocol", "ports are reached by HTTP")
        port = value.get("port")
        match = re.fullmatch(r"(\d+)(?:[:-](\d+))?", str(port))
        first, last = (int(match[1]), int(match[2] or match[1])) if match and not isinstance(port, bool) else (0, 0)
        if not 1 <= first <= last <= 65535:
            raise self.wrong(f"{path}.port", "a port or a range of ports within 1-65535", port)
        return Port(
            first, last, self.choice(f"{path}.onOpen", value.get("onOpen"), ON_OPEN),
            self.choice(f"{path}.visibility", value.get("visibility"), VISIBILITY), self.text(f"{path}.name", value.get("name")))

    def extension(self, index: int, value) -> str:
        path = f"vscode.extensions[{index}]"
        text = self.text(path, value).strip()
        if text.startswith(("http://", "https://")):
            self.warn(path, "only extensions of Open VSX are installed, by publisher.name; this URL is left out")
            return ""
        match = EXTENSION.fullmatch(text)
        if not match:
            raise self.wrong(path, "publisher.name", value)
        return match["id"].lower() + (f"@{match['version']}" if match["version"] else "")

    def location(self, path: str, value) -> str:
        text = self.text(path, value).strip()
        if not text:
            return ""
        inside = posixpath.normpath(posixpath.join("/workspace", text))
        if not re.fullmatch(r"/workspace(/[A-Za-z0-9_][A-Za-z0-9._-]*)*", inside):
            raise self.wrong(path, "a path below /workspace", value)
        return inside.removeprefix("/workspace").strip("/")


def _wrong(source: str, what: str) -> ParameterError:
    return ParameterError(f"{source}: {what}", do="correct it in the repository, or create the workspace without it")

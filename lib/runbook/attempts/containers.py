"""What the Docker of a workspace can do, seen by doing it, as its user would; each attempt takes away what it made."""

import base64
import re
from pathlib import Path

import pandas as pd

from runbook import docker, urls, wire
from runbook.attempts import UNHEARD, table
from runbook.errors import ClusterError, NotRecorded, WaitTimeout
from runbook.facts import ingress as names
from runbook.host import Result
from runbook.params import Ingress, Workspace, Workspaces
from runbook.secrets import keep_secret
from runbook.workspaces import namespace

CLIENT = "/opt/runbook/docker"
FOLDER = "/workspace/.runbook/docker-sample"
SAMPLE = Path(__file__).parent.parent / "samples" / "compose"
PORT = 8099  #: of the sample's page
SAYS = r"^PHP \S+ and MariaDB \S+ in containers$"
#: An image of the daemon's own shell and its libraries: no registry is needed.
OWN_IMAGE = """docker -H unix://$DOCKER_SOCKET rmi -f runbook/try >/dev/null 2>&1
cd "$(mktemp -d)" && for f in /bin/sh $(ldd /bin/sh | grep -o '/[^ )]*'); do mkdir -p ".$(dirname $f)" && cp -L $f ".$f"; done
tar -c . | docker -H unix://$DOCKER_SOCKET import - runbook/try"""
PUT = 'cd "$1" && mkdir -p app && printf %s "$2" >compose.yaml && printf %s "$3" >app/Dockerfile && printf %s "$4" >app/index.php'
BUILD = 'cd "$1" && printf "FROM %s\\nRUN echo built >/built\\nCMD cat /built\\n" "$2" | docker build -q -t runbook/built - && docker run --rm runbook/built'
UP = 'cd "$1" && docker compose -p sample up -d --build --quiet-pull 2>&1'
#: The database takes some seconds to be made; asked again until the page answers, at most so often.
PAGE = 'for i in $(seq 60); do curl -fsS -m 5 "http://127.0.0.1:$1/" 2>/dev/null && exit 0; sleep 1; done; curl -sS -m 5 "http://127.0.0.1:$1/"; exit 1'
END = "kill -TERM 1"
DOWN = 'cd "$1" && docker compose -p sample down -v --rmi local 2>&1; rm -rf "$1"; docker rmi runbook/built runbook/try >/dev/null 2>&1; exit 0'
WITHIN = """docker -H unix://$DOCKER_SOCKET run -di --rm --name runbook-within runbook/try /bin/sh -c 'read x' >/dev/null &&
pid=$(docker -H unix://$DOCKER_SOCKET inspect -f '{{.State.Pid}}' runbook-within) && cat /proc/self/cgroup && echo -- && cat /proc/$pid/cgroup
docker -H unix://$DOCKER_SOCKET rm -f runbook-within >/dev/null"""


def works(site, workspace: Workspace, workspaces: Workspaces, ingress: Ingress | None = None) -> pd.DataFrame:
    """In one workspace: ``run``, ``pull``, ``build``, ``compose up``, ``its page``, ``its URL``, ``images kept``, ``limits``.

    An attempt that needs one that failed is left out. A pull that failed is said with what is wrong and the setting that helps.
    """
    php, db = short(workspace.image or workspaces.image), short(workspaces.mariadb_image)
    files = [(SAMPLE / f).read_text() for f in ("compose.yaml", "app/Dockerfile", "app/index.php")]
    env = f"export PORT={PORT} PHP_IMAGE={php} MARIADB_IMAGE={db}"
    hello = "docker run --rm runbook/try /bin/sh -c 'echo it runs'"
    rows = [_row("run", [_daemon(site, workspace, OWN_IMAGE), _user(site, workspace, hello)], "^it runs$"), within(site, workspace),
            kept(site, workspace), _row("pull", [_user(site, workspace, f"docker pull -q {php} && docker pull -q {db}", timeout=900)])]
    if rows[-1][1]:
        rows.append(_row("build", [_user(site, workspace, BUILD, FOLDER, php, make=True, timeout=600)], "^built$"))
        rows.append(_row("compose up", [_user(site, workspace, PUT, FOLDER, *files, make=True),
                                        _user(site, workspace, f"{env}; {UP}", FOLDER, timeout=900)]))
        if rows[-1][1]:
            rows.append(_row("its page", [_user(site, workspace, PAGE, str(PORT), timeout=400)], SAYS))
            if ingress is not None and has_url(site, workspace):
                rows.append(port_url(site, workspace, ingress))
        _user(site, workspace, f"{env}; {DOWN}", FOLDER, timeout=180)
    return table(rows)


def has_url(site, w: Workspace) -> bool:
    """Whether step 05 has told this workspace its URL."""
    obj = (site.cluster.get("StatefulSet", w.name, namespace(w.owner)) if site.cluster else None) or {"spec": {"template": {"spec": {"containers": [{}]}}}}
    env = obj["spec"]["template"]["spec"]["containers"][0].get("env", [])
    return any(e["name"] == "WORKSPACE_URL" and e.get("value") for e in env)


def port_url(site, w: Workspace, wanted: Ingress) -> tuple:
    """The sample's page by its port's URL, as its owner signed in to the workspace sees it."""
    domain, to, trusted = names.domain(site, wanted), names.probe_address(site, wanted), names.authority(site, wanted)
    secret = site.cluster.get("Secret", w.name, namespace(w.owner)) or {}
    password = base64.b64decode(secret.get("data", {}).get("ide-password", "")).decode()
    host = urls.host(domain, w.name, w.owner, PORT)

    def look() -> dict:
        cookie, answer = wire.sign_in(urls.host(domain, w.name, w.owner), to, keep_secret(password), port=wanted.probe_port, authority=trusted,
                                      verify=False)
        if cookie:
            answer = wire.request(host, to, port=wanted.probe_port, authority=trusted, verify=False, headers={"Cookie": keep_secret(cookie)})
        return names.kept(answer)

    said, label = names.probe(site, ["get", f"https://{host}/", "docker"], look)
    body = str(said.get("body", "")).strip()
    ok = bool(re.search(SAYS, body, re.MULTILINE))
    return "its URL", ok or not said, f"https://{host}/ {body[:200] if ok else said}", label


def within(site, workspace: Workspace) -> tuple:
    """What Docker runs lies in the daemon's own control groups, so that the daemon's limits hold for both."""
    result = _daemon(site, workspace, WITHIN)
    inner = result.stdout.partition("--\n")[2].strip().splitlines()
    said = next((line for line in inner if ":memory:" in line), inner[-1] if inner else result.last_lines(3))
    return "limits", bool(result.replayed) or lies_within(result.stdout), said, result.replayed


def lies_within(text: str) -> bool:
    """Whether each group of the container (after ``--``) lies below the daemon's own of the same controller: its limits then hold for both."""
    outer, _, inner = text.partition("--\n")
    outer, inner = ({line.split(":")[1]: line.split(":", 2)[2] for line in part.strip().splitlines() if line.count(":") >= 2}
                    for part in (outer, inner))
    checked = {k for k in inner if k in outer and set(k.split(",")) & {"memory", "cpu", "pids"}}
    checked = checked or inner.keys() & outer.keys() & {""}  # v2 has one group for all
    # With a cgroup namespace (v2) the daemon's own group is the root, in which it may have moved itself to a child such as /init.
    return bool(checked) and all(not inner[k].startswith("/..") and inner[k].startswith(_above(outer[k])) for k in checked)


def kept(site, workspace: Workspace) -> tuple:
    """The images are still there after the daemon was ended, and started again by the kubelet."""
    before = _user(site, workspace, "docker images --no-trunc -q")
    where, pod = namespace(workspace.owner), f"{workspace.name}-0"
    count = _restarts(site, where, pod)
    ended = _daemon(site, workspace, END)
    if ended.replayed:  # nothing was ended: nothing starts again
        return "images kept", True, "", ended.replayed
    try:
        site.cluster.wait("Pod", pod, where, until=lambda obj: obj is not None and _started(obj, count), timeout=120,
                          what="the daemon to be started again")
    except ClusterError as error:
        return "images kept", False, error.what.splitlines()[0], ""
    after = _user(site, workspace, "docker images --no-trunc -q")
    lost = set(before.stdout.split()) - set(after.stdout.split())
    return "images kept", before.ok and after.ok and bool(before.stdout.split()) and not lost, f"lost: {', '.join(sorted(lost)) or 'none'}", after.replayed


def short(image: str) -> str:
    """An image's name as people write it, which a mirror of Docker Hub serves: ``docker.io/library/php:8`` → ``php:8``."""
    return re.sub(r"^docker\.io/(library/)?", "", image)


def _user(site, w: Workspace, script: str, *arguments: str, make: bool = False, timeout: float = 120) -> Result:
    """A script as the workspace's user, in its main container."""
    script = f'PATH=$PATH:{CLIENT.rpartition("/")[0]}\n' + ('mkdir -p "$1"\n' if make else "") + script
    return _exec(site, w, "web", script, arguments, timeout)


def _daemon(site, w: Workspace, script: str, timeout: float = 120) -> Result:
    """A script beside the daemon, in its container."""
    return _exec(site, w, "docker", script, (), timeout)


def _exec(site, w: Workspace, container: str, script: str, arguments: tuple, timeout: float) -> Result:
    argv = ["/bin/sh", "-c", script, "docker", *arguments]
    try:
        return site.cluster.exec(f"{w.name}-0", argv, namespace(w.owner), container, timeout=timeout, check=False)
    except WaitTimeout as error:
        return Result(tuple(argv), -1, "", error.what, timeout)
    except NotRecorded:
        return Result(tuple(argv), -1, "", UNHEARD, 0, UNHEARD)


def _row(attempt: str, results: list[Result], pattern: str = "") -> tuple:
    last = next((r for r in results if not r.ok), results[-1])
    ok = last.ok and (not pattern or bool(re.search(pattern, last.stdout.strip(), re.MULTILINE)))
    said = (last.stdout + last.stderr).strip()
    replayed = next((r.replayed for r in results if r.replayed), "")
    # What nobody recorded is no failure: it is not shown.
    unheard = any(r.exit_code == -1 and r.replayed for r in results)
    trouble = "" if ok else docker.registry_trouble(said)
    return attempt, ok or unheard, "\n".join(filter(None, [trouble, *said.splitlines()[-2:]])), replayed


def _above(group: str) -> str:
    return "/" if group in ("/", "/init") else group.rstrip("/") + "/"


def _restarts(site, where: str, pod: str) -> int:
    obj = site.cluster.get("Pod", pod, where) or {}
    return next((c.get("restartCount", 0) for c in obj.get("status", {}).get("containerStatuses", []) if c["name"] == "docker"), 0)


def _started(pod: dict, count: int) -> bool:
    return any(c["name"] == "docker" and c.get("restartCount", 0) > count and c.get("started") for c in pod["status"].get("containerStatuses", []))

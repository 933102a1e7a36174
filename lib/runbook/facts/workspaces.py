"""The workspaces as they are: who has which, what state it is in, what it uses, what its pages answer."""

import json
import re
import time
from datetime import datetime, timezone

import pandas as pd

from runbook.cluster import quantity
from runbook.errors import ClusterError
from runbook.helm import troubles
from runbook.params import Workspace, Workspaces
from runbook.workspaces import OWNER, SIDECARS_CPU_MILLI, SIDECARS_MEMORY_MI, WORKSPACE, namespace

COLUMNS = ["owner", "name", "state", "age", "cpu", "memory", "storage", "url", "why"]
SELECTOR = "app.kubernetes.io/name=workspace,app.kubernetes.io/part-of=runbook"
IDE_PORT = 13337
#: Seconds between looks at a pod that has just become ready: its Service follows a moment later (seen on v1.36.2 under load).
SETTLING = (0.5, 1, 2)
#: From these versions on, image volumes are there unless somebody turned them off.
#: https://kubernetes.io/docs/tasks/configure-pod-container/image-volumes (1.35: "beta, enabled by default");
#: containerd's release notes of 2.1.0: "Add OCI/Image Volume Source support".
IMAGE_VOLUMES = {"kubelet": (1, 35), "containerd": (2, 1)}


def table(site, owner: str = "") -> pd.DataFrame:
    """All workspaces, or those of one owner.

    Returns columns ``owner``, ``name``, ``state`` (ready, starting, queued, failing, stopped), ``age`` (seconds since it was made),
    ``cpu`` (cores in use), ``memory`` (MiB in use), ``storage`` (GiB, size of its volumes), ``url``, ``why`` (what it waits for or
    fails of). ``cpu`` and ``memory`` are NaN where nothing is measured.
    """
    where = namespace(owner) if owner else ""
    sets = site.cluster.list("StatefulSet", where, selector=SELECTOR)
    pods = {_key(p): p for p in site.cluster.list("Pod", where, selector=SELECTOR)}
    sizes: dict[tuple[str, str], float] = {}
    for claim in site.cluster.list("PersistentVolumeClaim", where, selector=SELECTOR):
        sizes[_key(claim)] = sizes.get(_key(claim), 0) + float(quantity(claim["spec"]["resources"]["requests"]["storage"]))
    usage = {(u["namespace"], u["name"]): u for u in _usage(site, where)}
    rows = []
    for obj in sets:
        key = _key(obj)
        pod = pods.get(key)
        state, why = state_of(obj, pod)
        if state == "failing" or state == "starting" and pod is None:
            why = why or refusal(site, obj)
        used = usage.get((key[0], f"{key[1]}-0"), {})
        rows.append((obj["metadata"]["labels"][OWNER], key[1], state, _age(obj), float(used.get("cpu", float("nan"))),
                     round(float(used.get("memory", float("nan"))) / 2**20, 1), round(sizes.get(key, 0) / 2**30, 2), _url(obj), why))
    return pd.DataFrame(rows, columns=COLUMNS).sort_values(["owner", "name"], ignore_index=True)


def state_of(workload: dict, pod: dict | None) -> tuple[str, str]:
    """The state of a workspace and why it is so: from its StatefulSet and its pod."""
    if workload["spec"].get("replicas", 1) == 0:
        return ("stopped", "") if pod is None else ("stopping", "")
    if pod is None:
        return "starting", ""
    if pod["metadata"].get("deletionTimestamp"):
        return "restarting", ""
    status = pod.get("status", {})
    conditions = {c["type"]: c for c in status.get("conditions", [])}
    if conditions.get("Ready", {}).get("status") == "True":
        return "ready", ""
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("status") == "False":
        return "queued", scheduled.get("message", "")
    for c in status.get("initContainerStatuses", []) + status.get("containerStatuses", []):
        waiting = c.get("state", {}).get("waiting", {})
        if waiting.get("reason") not in (None, "ContainerCreating", "PodInitializing"):
            return "failing", f"{c['name']}: {waiting['reason']}: {waiting.get('message', '')}".strip(": ")
        if waiting.get("message"):
            return "starting", f"{c['name']}: {waiting['message']}"
    return "starting", ""


def trouble(site, name: str, owner: str) -> str:
    """Why a workspace is not ready, in the cluster's own words: its containers' reasons, last log lines and warnings."""
    pod = site.cluster.get("Pod", f"{name}-0", namespace(owner))
    if pod:
        return "\n".join(troubles(site.cluster, pod))
    obj = site.cluster.get("StatefulSet", name, namespace(owner))
    return refusal(site, obj) if obj else ""


def refusals(site, workload: dict) -> list[tuple[str, int]]:
    """What the API server refused a StatefulSet, as an exceeded quota does: its words, and how often; oldest first."""
    return [told for told in _warnings(site, workload) if "forbidden" in told[0]]


def refusal(site, workload: dict) -> str:
    """Why a StatefulSet has no pod: the last that it is warned of; empty if there is nothing."""
    return next((message for message, _ in reversed(_warnings(site, workload))), "")


def _warnings(site, workload: dict) -> list[tuple[str, int]]:
    meta = workload["metadata"]
    return [(e.get("message", ""), e.get("count") or 1) for e in site.cluster.events(meta["namespace"], of=f"StatefulSet/{meta['name']}")
            if e.get("type") == "Warning"]


def pages(site, wanted: Workspaces) -> pd.DataFrame:
    """What Apache answers in each workspace, fetched through its Service.

    Columns ``owner``, ``name``, ``page`` (example: the page of an empty workspace; own: the person's), ``status`` (HTTP; 0: no answer),
    ``php``, ``mariadb``, ``database`` (what the example page says of itself).
    """
    rows = []
    for w in wanted.list:
        status, body = _get(site, w.owner, w.name, 80, "/?format=json")
        try:
            said = json.loads(body)
        except ValueError:
            said = {}
        said = said if isinstance(said, dict) and said.get("workspace") == w.name else {}
        rows.append((w.owner, w.name, "example" if said else "own", status, said.get("php", ""), said.get("mariadb", ""), said.get("database", "")))
    return pd.DataFrame(rows, columns=["owner", "name", "page", "status", "php", "mariadb", "database"])


def pages_answer(answers: pd.DataFrame) -> bool:
    """Whether every page of :func:`pages` answers; the example pages with data from their own database."""
    example = answers.page == "example"
    return bool((answers.status > 0).all() and ((answers.status == 200) & (answers.mariadb != ""))[example].all())


def ides(site, wanted: Workspaces) -> pd.DataFrame:
    """What the IDE of each workspace answers. Columns ``owner``, ``name``, ``status`` (HTTP; 0: no answer), ``activity`` (code-server's word)."""
    rows = []
    for w in wanted.list:
        status, body = _get(site, w.owner, w.name, IDE_PORT, "/healthz")
        rows.append((w.owner, w.name, status, json.loads(body).get("status", "") if status == 200 else ""))
    return pd.DataFrame(rows, columns=["owner", "name", "status", "activity"])


def running(site, wanted: Workspaces) -> list[Workspace]:
    """Those of the listed workspaces that are ready."""
    states = {(r.owner, r.name): r.state for r in table(site).itertuples()}
    return [w for w in wanted.list if states.get((w.owner, w.name)) == "ready"]


def settled(states: pd.DataFrame, wanted: Workspaces) -> bool:
    """Whether every listed workspace is in :func:`table`, and ready, stopped or queued."""
    found = {(r.owner, r.name): r.state for r in states.itertuples()}
    return all(found.get((w.owner, w.name)) in ("ready", "stopped", "queued") for w in wanted.list)


def last_words(site, answers: pd.DataFrame) -> str:
    """The last log lines of the workspaces whose IDE does not answer: the answers of :func:`ides`."""
    silent = [] if answers is None else [r for r in answers.itertuples() if r.status != 200]
    return "\n".join(f"{r.owner}/{r.name}:\n{site.cluster.logs(f'{r.name}-0', namespace(r.owner), 'web', tail=12)}" for r in silent)


def tasks(site, name: str, owner: str) -> pd.DataFrame:
    """The tasks of a running workspace's .gitpod.yml. Columns ``task``, ``name``, ``state``, ``init``."""
    done = site.cluster.exec(f"{name}-0", ["/bin/sh", "-c", "exec /opt/runbook/gp tasks list"],
                             namespace(owner), "web", check=False)
    rows = [line.split("\t") for line in done.stdout.splitlines()] if done.ok else []
    return pd.DataFrame([(r + ["", "", ""])[:4] for r in rows], columns=["task", "name", "state", "init"])


def room(site, wanted: Workspaces) -> pd.DataFrame:
    """What the listed workspaces that are not there yet ask for, against what the nodes have free.

    Columns ``resource`` (cpu in cores, memory in GiB, pods), ``asked``, ``free`` (the sum over the nodes), ``enough``.
    """
    there = {_key(s) for s in site.cluster.list("StatefulSet", selector=SELECTOR)}
    new = sum((namespace(w.owner), w.name) not in there for w in wanted.list)
    asked = {"cpu": new * float(quantity(wanted.cpu) + quantity(f"{SIDECARS_CPU_MILLI}m")),
             "memory": new * float(quantity(wanted.memory) + quantity(f"{SIDECARS_MEMORY_MI}Mi")) / 2**30, "pods": float(new)}
    nodes, pods = site.cluster.list("Node"), site.cluster.list("Pod")
    pods = [p for p in pods if p.get("status", {}).get("phase") not in ("Succeeded", "Failed") and p["spec"].get("nodeName")]
    free = {"pods": sum(float(quantity(n["status"]["allocatable"]["pods"])) for n in nodes) - len(pods)}
    for resource, unit in (("cpu", 1), ("memory", 2**30)):
        used = sum(float(quantity(c.get("resources", {}).get("requests", {}).get(resource, "0"))) for p in pods for c in p["spec"]["containers"])
        free[resource] = (sum(float(quantity(n["status"]["allocatable"][resource])) for n in nodes) - used) / unit
    rows = [(r, round(asked[r], 2), round(free[r], 2), asked[r] <= free[r]) for r in ("cpu", "memory", "pods")]
    return pd.DataFrame(rows, columns=["resource", "asked", "free", "enough"])


def strangers(site, wanted: Workspaces) -> pd.DataFrame:
    """Whether a workspace reaches another owner's: the first of one owner tries the pods of every other.

    Columns ``from``, ``to``, ``reached``. Empty if there are no two owners with running workspaces.
    """
    running = []
    for w in wanted.list:
        pod = site.cluster.get("Pod", f"{w.name}-0", namespace(w.owner))
        if pod and pod.get("status", {}).get("podIP") and state_of({"spec": {}}, pod)[0] == "ready":
            running.append((w, pod["status"]["podIP"]))
    rows = []
    for here, _ in running[:1]:
        for there, address in running:
            if there.owner != here.owner:
                script = f"exec 3<>/dev/tcp/{address}/{IDE_PORT}"  # bash's own; the image need not have curl
                tried = site.cluster.exec(f"{here.name}-0", ["timeout", "3", "bash", "-c", script], namespace(here.owner), "web", check=False)
                rows.append((f"{here.owner}/{here.name}", f"{there.owner}/{there.name}", tried.ok))
    return pd.DataFrame(rows, columns=["from", "to", "reached"])


def kept(site, name: str, owner: str) -> pd.DataFrame:
    """What step 10's tour left in a workspace. Columns ``where`` (folder, home, database), ``text`` (empty: not there), ``replayed``."""
    asked = {
        "folder": 'cat "$WORKSPACE_FOLDER/note.txt"', "home": 'cat "$HOME/note.txt"',
        "database": """php -r 'echo (new PDO("mysql:host=" . getenv("DB_HOST") . ";dbname=" . getenv("DB_DATABASE"), getenv("DB_USERNAME"),"""
                    """ getenv("DB_PASSWORD")))->query("SELECT text FROM notes")->fetchColumn();'"""}
    rows = []
    for place, script in asked.items():
        found = site.cluster.exec(f"{name}-0", ["/bin/sh", "-c", script], namespace(owner), "web", check=False)
        rows.append((place, found.stdout.strip() if found.ok else "", found.replayed))
    return pd.DataFrame(rows, columns=["where", "text", "replayed"])


def password_commands(wanted: Workspaces) -> pd.DataFrame:
    """The commands that show the passwords of the listed workspaces. Columns ``owner``, ``name``, ``command``."""
    return pd.DataFrame([(w.owner, w.name, password_command(w.name, w.owner)) for w in wanted.list], columns=["owner", "name", "command"])


def password_command(name: str, owner: str) -> str:
    """The command that shows the password of a workspace's IDE. The password itself is never printed here."""
    return f"kubectl -n {namespace(owner)} get secret {name} -o jsonpath='{{.data.ide-password}}' | base64 -d"


def ide_mount(site, wanted: Workspaces) -> str:
    """How the IDE gets beside the image: ``image`` where every node has image volumes, else ``copy``; or what the parameters say."""
    if wanted.ide != "auto":
        return wanted.ide
    infos = [node["status"]["nodeInfo"] for node in site.cluster.list("Node")]
    return "image" if infos and all(has_image_volumes(i["kubeletVersion"], i["containerRuntimeVersion"]) for i in infos) else "copy"


def has_image_volumes(kubelet: str, runtime: str) -> bool:
    """Whether a node of these versions mounts image volumes: ``("v1.36.2", "containerd://2.4.0")``."""
    name, _, version = runtime.partition("://")
    return name == "containerd" and _version(kubelet) >= IMAGE_VOLUMES["kubelet"] and _version(version) >= IMAGE_VOLUMES["containerd"]


def _version(text: str) -> tuple[int, int]:
    found = re.match(r"v?(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _key(obj: dict) -> tuple[str, str]:
    return obj["metadata"]["namespace"], obj["metadata"]["labels"].get(WORKSPACE, "")


def _age(obj: dict) -> int:
    made = obj["metadata"].get("creationTimestamp")
    return int((datetime.now(timezone.utc) - datetime.fromisoformat(made)).total_seconds()) if made else 0


def _url(obj: dict) -> str:
    env = obj["spec"]["template"]["spec"]["containers"][0].get("env", [])
    return next((e.get("value", "") for e in env if e["name"] == "WORKSPACE_URL"), "")


def _usage(site, where: str) -> list[dict]:
    try:
        return site.cluster.usage("pods", where)
    except ClusterError:  # metrics-server is not there, or has not measured yet
        return []


def _get(site, owner: str, name: str, port: int, path: str) -> tuple[int, str]:
    """A page of a workspace's Service: status (0: no answer) and body."""
    for pause in (*SETTLING, None):
        try:
            status, body = site.cluster.proxy(namespace(owner), name, port, path)
        except ClusterError:
            return 0, ""
        if pause is None or status != 503 or "no endpoints available" not in body:
            return status, body
        time.sleep(pause)

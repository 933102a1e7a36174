"""The way of a request, hop by hop: name → address and port → certificate → ingress → gateway → Service → endpoint → container.

Each hop is looked at for itself, in the cluster and on the wire, so that the one that breaks is told from those behind it. Six lists and two
Secrets are read, however many URLs there are; probes go out side by side.
"""

import dataclasses
import ssl

import pandas as pd

from runbook import certs, urls, wire
from runbook.facts import ingress as facts
from runbook.params import Ingress
from runbook.urls import Url

HOPS = ("name", "port", "certificate", "ingress", "gateway", "service", "endpoint", "container")
OK, BROKEN, UNKNOWN = "ok", "broken", "not shown"
COLUMNS = ["url", "hop", "what", "state", "observed", "otherwise"]


@dataclasses.dataclass
class Seen:
    """All that the hops are judged by: what the cluster says, listed once."""

    wanted: Ingress
    to: str  #: the address that the names must lead to
    at: str  #: the address that probes connect to
    authority: str
    classes: list[dict]
    ingresses: list[dict]
    services: dict[tuple[str, str], dict]
    ready: dict[tuple[str, str], int]  #: ready endpoints of a Service
    pods: list[dict]
    controller_pods: list[dict]


def look(site, wanted: Ingress) -> Seen:
    """Read from the cluster what every hop is judged by."""
    ready: dict[tuple[str, str], int] = {}
    for s in site.cluster.list("EndpointSlice", selector=facts.PART):
        key = s["metadata"]["namespace"], s["metadata"]["labels"].get("kubernetes.io/service-name", "")
        ready[key] = ready.get(key, 0) + sum(e.get("conditions", {}).get("ready") is not False for e in s.get("endpoints") or [])
    return Seen(
        wanted, facts.address(site, wanted), facts.probe_address(site, wanted), facts.authority(site, wanted),
        site.cluster.list("IngressClass"), site.cluster.list("Ingress"),
        {(s["metadata"]["namespace"], s["metadata"]["name"]): s for s in site.cluster.list("Service", selector=facts.PART)},
        ready, site.cluster.list("Pod", selector=facts.PART),
        [p for n in wanted.controller_namespaces for p in site.cluster.list("Pod", n)])


def table(site, wanted: Ingress, only: str = "") -> pd.DataFrame:
    """The hops of every URL, or of one host.

    Columns ``url``, ``hop``, ``what`` (which object or address), ``state`` (ok, broken, not shown), ``observed``, ``otherwise`` (what to do).
    """
    seen, domain = look(site, wanted), facts.domain(site, wanted)
    found = facts.select([s for s in seen.services.values() if "runbook/workspace" in s["metadata"]["labels"]], wanted, domain)
    if only:
        # A name that nothing is known of has a way, too: how far a request for it comes.
        found = [u for u in found if u.host == only] or [_unlisted(only, domain)]
    port = facts.probe(site, ["connect", seen.at, str(wanted.probe_port)], lambda: {"error": wire.connect(seen.at, wanted.probe_port)})
    holder = _holder(site, seen)
    jobs = wire.each(lambda u: (u, _on_the_wire(site, seen, u)), found, wanted.at_once)
    return pd.DataFrame([(u.url, *hop) for u, answers in jobs for hop in hops(seen, u, port, holder, *answers)], columns=COLUMNS)


def broken(found: pd.DataFrame) -> pd.DataFrame:
    """The first broken hop of each URL that has one."""
    return found[found.state == BROKEN].drop_duplicates("url").reset_index(drop=True)


def before_workspaces(found: pd.DataFrame) -> pd.DataFrame:
    """The broken hops that are the server's: from the port to the gateway. Names are DNS's, what comes later is a workspace's own."""
    return found[(found.state == BROKEN) & found.hop.isin(HOPS[1:5])].reset_index(drop=True)


def why_not(found: pd.DataFrame, *names: str) -> str:
    """Why these hops cannot be told here: the first reason; empty if all of them are told."""
    untold = found[found.hop.isin(names or HOPS) & (found.state == UNKNOWN)]
    return "" if untold.empty else str(untold.otherwise.iloc[0] or untold.observed.iloc[0])


def hops(seen: Seen, u: Url, port: tuple[dict, str], holder: str, names: wire.Names, shown: tuple[dict, str],
         answer: tuple[dict, str]) -> list[tuple]:
    """Judge each hop: ``(hop, what, state, observed, otherwise)``. Pure."""
    said, why = answer
    way = _ingress_of(seen, u.host)
    at_port = _port(*port, holder, said)
    if at_port[0] == BROKEN:  # whatever was shown and answered there, it was not ours
        said, why, shown = {}, "not reached", ({}, "not reached")
    at_ingress = _ingress(seen, way, said, why)
    if at_ingress[0] == BROKEN:  # a controller shows a certificate of its own for a name that it was not told of
        shown = {}, "not ours: the controller does not know this name"
    return [
        ("name", u.host, *_name(seen, names)),
        ("port", f"{seen.at}:{seen.wanted.probe_port}", *at_port),
        ("certificate", f"{seen.wanted.namespace}/{facts.CERTIFICATE}", *_certificate(seen, *shown)),
        ("ingress", _title(way) if way else "no Ingress", *at_ingress),
        ("gateway", f"{seen.wanted.namespace}/{facts.GATEWAY}", *_gateway(seen)),
        *_workspace(seen, u, said),
    ]


# -- one hop after the other -------------------------------------------------


def _name(seen: Seen, found: wire.Names) -> tuple[str, str, str]:
    ok, why = facts.judge_names(found, seen.to, seen.wanted)
    observed = ", ".join(found.addresses) or found.error
    if ok is None:
        return UNKNOWN, observed, why
    return (OK, observed, "") if ok else (
        BROKEN, observed, f"{why}: make a record *.ws.<domain> that leads to {seen.to}, or set ingress.address if that is not where it should lead")


def _port(found: dict, why: str, holder: str, said: dict) -> tuple[str, str, str]:
    if not found:
        return UNKNOWN, "–", why
    if found["error"]:
        return BROKEN, found["error"], holder or "see that the ingress controller runs, and that no firewall closes the port"
    if holder and not said.get("mark"):
        return BROKEN, "something else answers", holder
    return OK, "accepts connections", ""


def _certificate(seen: Seen, found: dict, why: str) -> tuple[str, str, str]:
    if not found:
        return UNKNOWN, "–", why or "not reached"
    if found["error"]:
        return BROKEN, found["error"], "what answers there speaks no TLS: see the hop before"
    if not found["refused"]:
        return OK, f"{found['days_left']:.0f} days left, for {found['names']}", ""
    return BROKEN, found["refused"], (
        "run step 05 again: it renews what is ours" if seen.wanted.certificate == "private" else "see where this certificate comes from")


def _ingress(seen: Seen, way: dict | None, said: dict, why: str) -> tuple[str, str, str]:
    if way is None:
        return BROKEN, "no Ingress has this name", "run step 05 in apply mode"
    names = {c["metadata"]["name"]: c for c in seen.classes}
    asked = way["spec"].get("ingressClassName") or next(
        (n for n, c in names.items() if c["metadata"].get("annotations", {}).get("ingressclass.kubernetes.io/is-default-class") == "true"), "")
    known = ", ".join(names) or "none"
    if not asked:
        return BROKEN, "it has no IngressClass, and none is the default", f"set ingress.class_name to one of: {known}"
    if asked not in names:
        return BROKEN, f"its IngressClass {asked} does not exist", f"set ingress.class_name to one of: {known}"
    if not said:
        return UNKNOWN, "–", why or "not reached"
    if said["mark"]:
        return OK, f"IngressClass {asked}", ""
    if not said["status"]:
        return UNKNOWN, said["error"], "not reached"
    if not seen.ready.get((seen.wanted.namespace, facts.GATEWAY)):
        return OK, f"IngressClass {asked}; HTTP {said['status']} for want of a gateway", ""
    return BROKEN, f"HTTP {said['status']} from what answers on the port: it does not serve IngressClass {asked} ({names[asked]['spec'].get('controller')})", (
        f"set ingress.class_name to the class of the controller that runs here; there are: {known}")


def _gateway(seen: Seen) -> tuple[str, str, str]:
    key = seen.wanted.namespace, facts.GATEWAY
    if key not in seen.services:
        return BROKEN, "there is no such Service", "run step 05 in apply mode"
    count = seen.ready.get(key, 0)
    if count:
        return OK, f"{count} ready", ""
    pods = [p for p in seen.pods if p["metadata"]["labels"].get("app.kubernetes.io/name") == facts.GATEWAY and p["metadata"]["namespace"] == key[0]]
    return BROKEN, "no ready endpoint" + (f": {_state(pods[0])}" if pods else ", no pod"), f"kubectl -n {key[0]} describe pods"


def _workspace(seen: Seen, u: Url, said: dict) -> list[tuple]:
    key = f"ws-{u.owner}", u.workspace
    what = "/".join(key)
    if not u.owner or key not in seen.services:
        gone = (BROKEN, "there is no such Service", "see the names in the table of URLs; step 02 makes workspaces")
        return [("service", what if u.owner else "–", *gone), ("endpoint", "–", UNKNOWN, "–", "not reached"), ("container", "–", UNKNOWN, "–", "not reached")]
    numbers = {p["port"] for p in seen.services[key]["spec"]["ports"]}
    service = ("service", what, OK, f"ports {', '.join(map(str, sorted(numbers)))}", "")
    pod = next((p for p in seen.pods if facts.whose(p) == (u.owner, u.workspace)), None) if u.owner else None
    count = seen.ready.get(key, 0)
    if not count:
        why = "there is no pod: the workspace is stopped" if pod is None else f"its pod is not ready: {_state(pod)}"
        do = f"runbook workspace start {u.workspace} --owner {u.owner}" if pod is None else "see its pod, in 92-workspace-does-not-start"
        if pod is not None and _is_ready(pod):
            why, do = "a pod is ready, but the Service selects none", f"run step 02 again: the selector of Service {what} is not its own"
        return [service, ("endpoint", what, BROKEN, f"no ready endpoint; {why}", do), ("container", _pod_title(pod), UNKNOWN, "–", "not reached")]
    return [service, ("endpoint", what, OK, f"{count} ready", ""), ("container", _pod_title(pod), *_container(u, pod, said))]


def _container(u: Url, pod: dict | None, said: dict) -> tuple[str, str, str]:
    if not said.get("mark"):
        return (OK, _state(pod), "") if pod and _is_ready(pod) else (UNKNOWN, _state(pod), "not reached")
    if said["mark"] in ("no-endpoint", "broken"):
        return BROKEN, "nothing listens on the port" if u.port else "the IDE does not answer", (
            f"start the program, and let it listen on 0.0.0.0:{u.port}" if u.port else "restart the workspace")
    if said["mark"] == "ide" and said["status"] >= 500:
        return BROKEN, f"HTTP {said['status']}", "see the IDE's log: kubectl logs of the container web"
    return OK, {"ide": "the IDE answers", "private": "the IDE answers, and asks for the password", "public": f"HTTP {said['status']}"}.get(
        said["mark"], f"HTTP {said['status']} {said['mark']}"), ""


# -- parts -------------------------------------------------------------------


def _on_the_wire(site, seen: Seen, u: Url) -> tuple:
    names = facts.resolve(site, u.host, seen.wanted)
    if _ingress_of(seen, u.host) is None:  # nothing of ours is asked there
        return names, ({}, ""), ({}, "")
    shown = facts.probe(site, ["certificate", u.host], lambda: _shown(seen, u.host))
    answer = facts.probe(site, ["path", u.url], lambda: facts.kept(
        wire.request(u.host, seen.at, port=seen.wanted.probe_port, verify=False)))
    return names, shown, answer


def _shown(seen: Seen, host: str) -> dict:
    """The certificate that is shown for a name, and why a browser that trusts our authority (or the machine's) would refuse it."""
    der, error = wire.shown_certificate(seen.at, seen.wanted.probe_port, host)
    if not der:
        return {"error": error or "no certificate", "refused": "", "names": "", "days_left": 0.0}
    said = certs.describe(der)
    # Our own words first: they name what is wrong, and what it is instead. What TLS itself says comes last, and decides.
    wrong = certs.problems(ssl.DER_cert_to_PEM_cert(der), [host], seen.authority)
    refused = wire.handshake(seen.at, seen.wanted.probe_port, host, seen.authority)
    return {"error": "", "refused": "; ".join(wrong) or refused, "names": ", ".join(said.names) or said.subject, "days_left": round(said.days_left(), 1)}


def _holder(site, seen: Seen) -> str:
    """Who holds the port instead of the ingress controller; empty if nobody is seen to."""
    for pod in seen.controller_pods:
        for c in pod.get("status", {}).get("conditions", []):
            if c["type"] == "PodScheduled" and c["status"] == "False" and "free ports" in c.get("message", ""):
                return _waits(pod, seen.wanted.probe_port, site.cluster.list("Pod"), c["message"])
    try:
        found = [s for s in site.host.sockets() if s["port"] == seen.wanted.probe_port and s["program"]]
    except Exception:  # of another machine, or not recorded: no help from there
        return ""
    return f"{found[0]['program']} (process {found[0]['pid']}) holds port {found[0]['port']}: stop it, or move it to another port" if found else ""


def _waits(waiting: dict, port: int, pods: list[dict], why: str) -> str:
    """A pod that gets no node because its port is taken, and the pods that have that port of the host."""
    holders = [_title(p) for p in pods if p["spec"].get("nodeName") and p.get("status", {}).get("phase") not in ("Succeeded", "Failed")
               and any(port == n.get("hostPort") for c in p["spec"]["containers"] for n in c.get("ports") or [])]
    return f"pod {_title(waiting)} waits for the port" + (
        f", which pod {', '.join(holders)} holds: delete what made it, or give it another hostPort" if holders else f": {why}")


def _ingress_of(seen: Seen, host: str) -> dict | None:
    """The Ingress that has a rule for a host: the exact name before a wildcard of one label."""
    below = "*." + host.partition(".")[2]
    for name in (host, below):
        for i in seen.ingresses:
            if any(r.get("host") == name for r in i["spec"].get("rules") or []):
                return i
    return None


def _unlisted(host: str, domain: str) -> Url:
    port, workspace, owner = urls.read(host, domain) or (0, "", "")
    return Url(owner, workspace, port, "private" if port else "ide", host)


def _title(obj: dict) -> str:
    return f"{obj['metadata']['namespace']}/{obj['metadata']['name']}"


def _pod_title(pod: dict | None) -> str:
    return f"{_title(pod)} web" if pod else "no pod"


def _is_ready(pod: dict) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod.get("status", {}).get("conditions", []))


def _state(pod: dict | None) -> str:
    """A pod in a few words: its phase, or what its containers wait for."""
    if pod is None:
        return "no pod"
    status = pod.get("status", {})
    waiting = [f"{c['name']}: {c['state']['waiting'].get('reason', 'waiting')}"
               for c in status.get("initContainerStatuses", []) + status.get("containerStatuses", []) if c.get("state", {}).get("waiting")]
    unready = [c["name"] for c in status.get("containerStatuses", []) if not c.get("ready")]
    return "; ".join(waiting) or (f"not ready: {', '.join(unready)}" if unready else status.get("phase", "unknown"))

"""Names, certificates and URLs as they are: what would be asked for, what answers, who gets in, and where the way breaks.

The number of API calls does not depend on the number of workspaces: everything is listed once. Probes go out side by side.
"""

import base64
import dataclasses

import pandas as pd

from runbook import certs, urls, wire
from runbook.errors import NotRecorded, RunbookError
from runbook.params import Ingress
from runbook.secrets import keep_secret
from runbook.urls import Url

#: Names of our objects in ``ingress.namespace``.
GATEWAY, AUTHORITY, CERTIFICATE = "gateway", "runbook-authority", "workspaces-tls"
PART = "app.kubernetes.io/part-of=runbook"
MARK = "x-runbook-gateway"  #: header of everything that the gateway answers
WHO = ("anonymous", "signed in", "another user")


# -- what is asked for -------------------------------------------------------


def address(site, wanted: Ingress) -> str:
    """The address that the names must lead to: the parameters' or the first node's, the external one if it has one."""
    if wanted.address:
        return wanted.address
    return _node_address(site.cluster.list("Node"))


def domain(site, wanted: Ingress) -> str:
    """The domain: the parameters', or one made of the address."""
    return wanted.domain if wanted.domain != "auto" else urls.domain_of(address(site, wanted))


def classes(site) -> pd.DataFrame:
    """The IngressClasses. Columns ``name``, ``controller``, ``default``."""
    rows = [(c["metadata"]["name"], c["spec"].get("controller", ""),
             c["metadata"].get("annotations", {}).get("ingressclass.kubernetes.io/is-default-class") == "true")
            for c in site.cluster.list("IngressClass")]
    return pd.DataFrame(rows, columns=["name", "controller", "default"])


def class_name(site, wanted: Ingress) -> str:
    """The IngressClass that will be used: the parameters', or the cluster's default; empty when there is none."""
    found = classes(site)
    names = found[found.name == wanted.class_name] if wanted.class_name else found[found.default]
    return "" if names.empty else str(names.name.iloc[0])


def table(site, wanted: Ingress) -> pd.DataFrame:
    """Every URL. Columns ``owner``, ``workspace``, ``port`` (0: the IDE), ``visibility`` (ide, private, public), ``url``."""
    rows = [(u.owner, u.workspace, u.port, u.visibility, u.url) for u in allselect(site, wanted)]
    return pd.DataFrame(rows, columns=["owner", "workspace", "port", "visibility", "url"])


def allselect(site, wanted: Ingress) -> list[Url]:
    """The URLs of the workspaces of ``ingress.owners``, or of all: two API calls."""
    return select(site.cluster.list("Service", selector=f"{PART},runbook/workspace"), wanted, domain(site, wanted))


def records(site, wanted: Ingress) -> pd.DataFrame:
    """The DNS records that must be there, as a resolver answers them.

    Columns ``record``, ``expected``, ``observed``, ``ok`` (``None``: cannot be told here), ``otherwise``.
    """
    to, name = address(site, wanted), urls.base(domain(site, wanted))
    kind = "AAAA" if ":" in to else "A"
    rows = []
    for record, asked in ((f"{name} {kind}", name), (f"*.{name} {kind}", f"any-name.{name}")):
        found = resolve(site, asked, wanted)
        ok, why = judge_names(found, to, wanted)
        rows.append((record, to, ", ".join(found.addresses) or found.error, ok, _record_advice(record, to, ok, why)))
    return pd.DataFrame(rows, columns=["record", "expected", "observed", "ok", "otherwise"])


def judge_names(found: wire.Names, to: str, wanted: Ingress) -> tuple[bool | None, str]:
    """Whether what a resolver said leads to ``to``, and if not, why. ``None``: cannot be told here."""
    if to in found.addresses:
        return True, ""
    if found.addresses:
        return False, f"the name leads to {', '.join(found.addresses)}, not to {to}"
    if found.silent:
        return None, found.error
    if wanted.domain == "auto" and not wanted.resolver:
        return None, f"this machine's resolver does not answer for {urls.ADDRESS_SERVICE} ({found.error}); clients need one that does"
    return False, found.error


# -- certificates ------------------------------------------------------------


def pair(secret: dict | None) -> certs.Pair | None:
    """The certificate and key of a Secret of type ``kubernetes.io/tls``; its key is masked from now on wherever output is made."""
    if not secret or not {"tls.crt", "tls.key"} <= set(secret.get("data") or {}):
        return None
    chain, key = (base64.b64decode(secret["data"][k]).decode(errors="replace") for k in ("tls.crt", "tls.key"))
    return certs.Pair(chain, keep_secret(key))


def authority(site, wanted: Ingress) -> str:
    """The certificate (PEM) of our private authority; empty where there is none, or where the parameters ask for another."""
    if wanted.certificate != "private":
        return ""
    found = pair(site.cluster.get("Secret", AUTHORITY, wanted.namespace))
    return found.certificate if found else ""


def certificate(site, wanted: Ingress) -> pd.DataFrame:
    """The certificate that the ingress controller is given, and our authority. Columns ``what``, ``names``, ``issuer``, ``ends``,
    ``days_left``, ``fingerprint`` (SHA-256), ``problems``."""
    base, trusted = urls.base(domain(site, wanted)), authority(site, wanted)
    found = pair(site.cluster.get("Secret", CERTIFICATE, wanted.namespace))
    rows = []
    if found:
        rows.append(_certificate_row("wildcard", found.certificate, certs.problems(found.certificate, [f"*.{base}", base], trusted, found.key)))
    if trusted:
        rows.append(_certificate_row("authority", trusted, [] if certs.permits(trusted, base) else [f"it may not sign for {base}"]))
    return pd.DataFrame(rows, columns=["what", "names", "issuer", "ends", "days_left", "fingerprint", "problems"])


def _certificate_row(what: str, pem: str, wrong: list[str]) -> tuple:
    said = certs.describe(pem)
    return (what, ", ".join(said.names) or said.subject, said.issuer, f"{said.not_after:%Y-%m-%d}", round(said.days_left(), 1), said.fingerprint,
            "; ".join(wrong))


# -- who gets in -------------------------------------------------------------


def access(site, wanted: Ingress) -> pd.DataFrame:
    """Every URL × who asks: nobody in particular, its owner signed in, the owner of another workspace signed in there.

    Columns ``url``, ``visibility``, ``who``, ``expected``, ``observed``, ``ok`` (``None``: cannot be told here), ``why``. A name that is
    nobody's and the way over plain HTTP are asked, too.
    """
    found, base, trusted = allselect(site, wanted), urls.base(domain(site, wanted)), authority(site, wanted)
    to = probe_address(site, wanted)
    ready = running(site.cluster.list("Pod", selector=f"{PART},runbook/workspace"))
    passwords = {whose(s): base64.b64decode(s["data"]["ide-password"]).decode() for s in site.cluster.list("Secret", selector="runbook/workspace")
                 if "ide-password" in (s.get("data") or {})}
    ides = [u for u in found if u.visibility == "ide" and (u.owner, u.workspace) in ready & set(passwords)]
    cookies: dict[tuple[str, str], str] = {}

    def sign_in(u: Url) -> tuple[tuple, str]:
        def look() -> dict:
            cookie, answer = wire.sign_in(u.host, to, keep_secret(passwords[u.owner, u.workspace]), port=wanted.probe_port, authority=trusted,
                                          verify=False)
            cookies[u.owner, u.workspace] = keep_secret(cookie)
            return {"signed_in": bool(cookie), "error": "" if cookie else answer.error or f"HTTP {answer.status} {answer.header(MARK)}"}
        return (u.owner, u.workspace), probe(site, ["sign-in", u.host], look)

    signed = dict(wire.each(sign_in, ides, wanted.at_once))
    names = [Url("", "", 0, "nobody's", f"nobody-here-{'x' * 24}.{base}")] if found else []
    http = [dataclasses.replace(u, visibility="http") for u in found if u.visibility == "ide"][:1]

    def ask(job: tuple[Url, str]) -> tuple:
        u, who = job
        its = (u.owner, u.workspace)
        other = next((k for k in signed if k[0] != u.owner), None)
        by = {"anonymous": None, "signed in": its if u.owner else other, "another user": other}[who]
        expected = "another address: HTTPS" if u.visibility == "http" else EXPECTED[u.visibility, "in" if who == "signed in" else "out"]
        shown = u.url.replace("https:", "http:") if u.visibility == "http" else u.url
        row = lambda observed, ok, why: (shown, u.visibility, who, expected, observed, ok, why)
        if u.owner and its not in ready:
            return row("the workspace is stopped", None, "it is stopped: start it to see")
        if who != "anonymous" and by not in signed:  # a workspace may come or go between two looks
            return row("–", None, "no workspace of another owner runs" if who == "another user" else "its password is not known here")
        if by and not signed[by][0].get("signed_in"):
            said, why = signed[by]
            return row("–", False if said else None, f"sign-in to {'/'.join(by)} failed: {said['error']}" if said else why)
        tls = u.visibility != "http"
        look = lambda: kept(wire.request(u.host, to, tls=tls, port=wanted.probe_port if tls else wanted.probe_http_port, authority=trusted,
                                         verify=False, headers={"Cookie": cookies[by]} if by else {}))
        said, why = probe(site, ["get", shown, who], look)
        observed = observe(said) if said else "–"
        return row(observed, observed in ANSWERS[expected] if said else None, why)

    jobs = [(u, who) for u in found + names + http for who in WHO]
    return pd.DataFrame(wire.each(ask, jobs, wanted.at_once), columns=["url", "visibility", "who", "expected", "observed", "ok", "why"])


def of_visitor(found: pd.DataFrame | None, who: str) -> pd.DataFrame | None:
    """The rows of :func:`access` of one kind of visitor."""
    return None if found is None else found[found.who == who]


def why_not(found: pd.DataFrame | None) -> str:
    """Why nothing of a table with ``ok`` can be told here: the first reason; empty if something is told."""
    if found is None or found.empty:
        return "there is no workspace yet"
    return "" if found.ok.notna().any() else str(found.iloc[0].get("why") or found.iloc[0].get("otherwise"))


def wrong(found: pd.DataFrame | None) -> str:
    """What of a table with ``ok`` is not as expected, in words; empty if nothing is."""
    bad = [] if found is None else found[found.ok.eq(False)].to_dict("records")
    return "; ".join(r.get("otherwise") or r.get("why") or f"{r['url']}: {r['observed']}, not {r['expected']}" for r in bad[:3])


#: What a URL must say to somebody who is signed in to it, and to everybody else.
EXPECTED = {("ide", "in"): "the IDE", ("ide", "out"): "the sign-in page", ("private", "in"): "the port", ("private", "out"): "the sign-in page",
            ("public", "in"): "the public port", ("public", "out"): "the public port", ("nobody's", "in"): "404", ("nobody's", "out"): "404"}
#: Which observations are that.
ANSWERS = {"the IDE": {"the IDE"}, "the sign-in page": {"the sign-in page"}, "the port": {"the port", "the port, where nothing listens"},
           "the public port": {"the public port", "the port, where nothing listens"}, "404": {"404"}, "another address: HTTPS": {"HTTPS"}}
REDIRECTS = (301, 302, 307, 308)


def observe(said: dict) -> str:
    """In words, what an answer is: ``{"status", "mark", "location", "body", "error"}``."""
    status, mark, location = said["status"], said["mark"], said["location"]
    if not status:
        return said["error"]
    if status in REDIRECTS and location.startswith("https://") and mark in ("", "https"):  # the controller's own, or the gateway's
        return "HTTPS"
    if not mark:
        return f"HTTP {status}, not from the gateway"
    if status == 302 and location.lstrip("./").startswith("login") and mark in ("ide", "private"):
        return "the sign-in page"
    if mark in ("unknown", "no-workspace"):
        return str(status)
    if mark == "no-endpoint" or (mark == "private" and status == 500 and "ECONNREFUSED" in said["body"]):
        return "the port, where nothing listens"
    if status in (401, 403, 429):
        return f"refused (HTTP {status})"
    return {"ide": "the IDE", "private": "the port", "public": "the public port"}.get(mark, f"HTTP {status} ({mark})")


# -- parts -------------------------------------------------------------------


def select(services: list[dict], wanted: Ingress, domain: str) -> list[Url]:
    found = [u for s in services for u in urls.of_service(s, domain) if not wanted.owners or u.owner in wanted.owners]
    return sorted(found, key=lambda u: (u.owner, u.workspace, u.port))


def _node_address(nodes: list[dict]) -> str:
    found = {a["type"]: a["address"] for n in reversed(nodes) for a in n.get("status", {}).get("addresses", [])}
    if not found.keys() & {"ExternalIP", "InternalIP"}:
        raise RunbookError("no node of the cluster has an address", do="see that step 01 is done, or set ingress.address", fix="90-diagnose")
    return found.get("ExternalIP") or found["InternalIP"]


def probe_address(site, wanted: Ingress) -> str:
    return wanted.probe or _node_address(site.cluster.list("Node"))


def resolve(site, name: str, wanted: Ingress) -> wire.Names:
    """What the parameters' resolver, or the system's, says of a name."""
    said, why = probe(site, ["resolve", name, wanted.resolver], lambda: dataclasses.asdict(wire.resolve(name, wanted.resolver)))
    return wire.Names(tuple(said["addresses"]), said["error"], said["silent"]) if said else wire.Names(silent=True, error=why)


def probe(site, asked: list[str], look) -> tuple[dict, str]:
    """What a probe found; or nothing, and why: on the rehearsal, where it was never recorded."""
    try:
        return site.host.probe([a for a in asked if a], look)[0], ""
    except NotRecorded as error:
        return {}, error.what


def kept(answer: wire.Answer) -> dict:
    """Of an answer what is judged by; a recording keeps this, and no cookie."""
    return {"status": answer.status, "mark": answer.header(MARK), "location": answer.header("location"), "body": answer.body[:200],
            "error": answer.error, "seconds": round(answer.seconds, 3)}


def _record_advice(record: str, to: str, ok: bool | None, why: str) -> str:
    return "" if ok else why if ok is None else f"{why}: at your DNS provider, make the record {record} {to}"


def whose(obj: dict) -> tuple[str, str]:
    """Owner and workspace of one of a workspace's objects; empty texts of any other object."""
    labels = obj["metadata"].get("labels", {})
    return labels.get("runbook/owner", ""), labels.get("runbook/workspace", "")


def running(pods: list[dict]) -> set[tuple[str, str]]:
    return {whose(p) for p in pods if any(c["type"] == "Ready" and c["status"] == "True" for c in p.get("status", {}).get("conditions", []))}

"""Names and certificates: the authority and the wildcard certificate, the gateway, Traefik's limits, the domain of each workspace."""

import base64
from functools import partial

from runbook import certs, controllers, urls
from runbook.cluster import title
from runbook.errors import FieldConflict, RunbookError
from runbook.facts import ingress as facts
from runbook.facts.ingress import AUTHORITY, CERTIFICATE, GATEWAY
from runbook.helm.records import TYPE, newest
from runbook.operations.objects import delete_objects, ensure_object, ensure_objects
from runbook.operations.together import Together
from runbook.operations.settle import settle
from runbook.params import Ingress
from runbook.paths import charts
from runbook.plans import Change, Field, Plan, plan_of
from runbook.secrets import keep_secret

LABELS = {"app.kubernetes.io/managed-by": "runbook", "app.kubernetes.io/part-of": "runbook"}
HELM_CHART, HELM_CONFIG = "helm.cattle.io/v1/HelmChart", "helm.cattle.io/v1/HelmChartConfig"
READ_TIMEOUT = "respondingTimeouts.readTimeout=0s"


def ensure_ingress(site, wanted: Ingress) -> Plan:
    """Bring names and certificates to what the parameters say.

    A certificate of our authority is made when there is none, and anew when it is for other names, belongs to another authority or has fewer
    than ``renew_days`` left. A workspace whose domain changes is restarted, because its programs are told their URLs at start.

    Raises:
        RunbookError: the certificate that is given does not serve the names, cert-manager is not installed, or somebody else
            configures k3s's Traefik.
    """
    base = urls.base(facts.domain(site, wanted))
    there = site.cluster.get("Namespace", wanted.namespace) is not None
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": wanted.namespace, "labels": LABELS}}
    changes, ca = _certificate(site, wanted, base, there)
    gateway = site.helm.ensure(charts() / "gateway", GATEWAY, wanted.namespace, gateway_values(site, wanted, base, ca), timeout=180,
                               new_namespace=not there)
    return ensure_objects(site.cluster, [namespace]) + plan_of([*changes, gateway, *_traefik(site, wanted), *_domains(site, wanted)])


def undo(site, wanted: Ingress, delete_data: bool = False) -> Plan:
    """No URLs: the gateway, its certificate and Traefik's limits go.

    The authority stays, because people have come to trust it; with ``delete_data`` it goes, too, and the namespace. The workspaces
    go on running; they keep the URLs that they were told until step 02 or 05 tells them others.
    """
    in_namespace = partial(_object, namespace=wanted.namespace)
    gone = [_object(HELM_CONFIG, "traefik", "kube-system")] if _our_config(site) else []
    gone += [in_namespace("cert-manager.io/v1/Certificate", CERTIFICATE)] if wanted.certificate == "cert-manager" else []
    gone += [in_namespace("v1/Secret", CERTIFICATE)]
    gone += [in_namespace("v1/Secret", AUTHORITY), _object("v1/Namespace", wanted.namespace)] if delete_data else []
    return plan_of([site.helm.remove(GATEWAY, wanted.namespace)]) + delete_objects(site.cluster, gone)


def gateway_values(site, wanted: Ingress, base: str, ca: str) -> dict:
    """The values of the gateway's release: what the parameters say, and what the controller of the IngressClass wants to be told."""
    classes = facts.classes(site)
    name = facts.class_name(site, wanted) or wanted.class_name
    controller = next(iter(classes[classes.name == name].controller), "")
    return {
        "domain": base, "image": wanted.image, "replicas": wanted.replicas, "ca": ca,
        "ingress": {"className": wanted.class_name, "tlsSecret": CERTIFICATE,
                    "annotations": controllers.ANNOTATIONS.get(controller, {}) | wanted.annotations},
        "networkPolicy": {"ingressNamespaces": wanted.controller_namespaces},
    }


# -- certificates ------------------------------------------------------------


def _certificate(site, wanted: Ingress, base: str, there: bool) -> tuple[list[Change | None], str]:
    """The changes that give the ingress controller its certificate, and the authority (PEM) that clients must trust, if it is ours."""
    names = [f"*.{base}", base]
    live = facts.pair(site.cluster.get("Secret", CERTIFICATE, wanted.namespace)) if there else None
    if wanted.certificate == "cert-manager":
        return [_by_cert_manager(site, wanted, names, there)], ""
    if wanted.certificate == "own":
        own = _own(site, wanted, names)
        return [_tls_change(site, wanted, CERTIFICATE, own, live, "as given") if own != live else None], ""
    authority = facts.pair(site.cluster.get("Secret", AUTHORITY, wanted.namespace)) if there else None
    why = _unfit(authority, base, wanted)
    changes = []
    if why:
        fresh = certs.new_authority(base)
        changes.append(_tls_change(site, wanted, AUTHORITY, fresh, authority, why + "; whoever trusted the old one must trust this one" * bool(authority)))
        authority = fresh
    else:
        changes.append(None)
    why = _unfit_leaf(live, names, authority, wanted)
    changes.append(_tls_change(site, wanted, CERTIFICATE, certs.issue(authority, names), live, why) if why else None)
    return changes, authority.certificate


def _unfit(authority: certs.Pair | None, base: str, wanted: Ingress) -> str:
    if authority is None:
        return "there is none"
    if not certs.permits(authority.certificate, base):
        return f"the one there may not sign for {base}"
    return _ends_soon(authority, wanted)


def _unfit_leaf(live: certs.Pair | None, names: list[str], authority: certs.Pair, wanted: Ingress) -> str:
    if live is None:
        return "there is none"
    return "; ".join(certs.problems(live.certificate, names, authority.certificate, live.key)) or _ends_soon(live, wanted)


def _ends_soon(found: certs.Pair, wanted: Ingress) -> str:
    left = certs.describe(found.certificate).days_left()
    return f"{left:.0f} days left, fewer than {wanted.renew_days}" if left < wanted.renew_days else ""


def _own(site, wanted: Ingress, names: list[str]) -> certs.Pair:
    """The operator's own certificate, seen to serve the names. Raises RunbookError if it does not."""
    texts = [site.host.read(path) for path in (wanted.cert_file, wanted.key_file)]
    for path, text in zip((wanted.cert_file, wanted.key_file), texts, strict=True):
        if text is None:
            raise RunbookError(f"certificate file {path}: no such file", do="correct ingress.cert_file and ingress.key_file")
    own = certs.Pair(texts[0], keep_secret(texts[1]))
    wrong = certs.problems(own.certificate, names, "", own.key)
    if wrong:
        raise RunbookError(f"certificate {wanted.cert_file}: {'; '.join(wrong)}", do=f"give a valid one for {' and '.join(names)}")
    return own


def _tls_change(site, wanted: Ingress, name: str, pair: certs.Pair, live: certs.Pair | None, why: str) -> Change:
    keep_secret(pair.key)
    secret = {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": {"name": name, "namespace": wanted.namespace, "labels": LABELS},
              "data": {"tls.crt": _encoded(pair.certificate), "tls.key": _encoded(pair.key)}}
    before, after = (_words(p) for p in (live, pair))
    undo = f"kubectl -n {wanted.namespace} delete secret {name}" if live is None else ""
    # The Secret is ours, whoever wrote into it by hand: a certificate that has ended is replaced.
    return Change("update" if live else "create", "Secret", f"{wanted.namespace}/{name}", lambda: site.cluster.apply(secret, force=True),
                  (Field("certificate", before, after),), note=why, undo=undo)


def _words(pair: certs.Pair | None) -> str | None:
    """A certificate in a diff."""
    try:
        said = certs.describe(pair.certificate) if pair else None
    except RunbookError as error:
        return error.what
    return said and f"{said.fingerprint[:23]}…, until {said.not_after:%Y-%m-%d}"


def _by_cert_manager(site, wanted: Ingress, names: list[str], there: bool) -> Change | None:
    """A Certificate for cert-manager, which keeps the Secret. Fields: https://cert-manager.io/docs/usage/certificate."""
    if site.cluster.get("CustomResourceDefinition", "certificates.cert-manager.io") is None:
        raise RunbookError("cert-manager is not installed: there is no kind Certificate",
                           do=f"install it (https://cert-manager.io/docs/installation) with a ClusterIssuer {wanted.issuer} that solves DNS-01: "
                              "a wildcard can be had in no other way")
    return ensure_object(site.cluster, {
        "apiVersion": "cert-manager.io/v1", "kind": "Certificate", "metadata": {"name": CERTIFICATE, "namespace": wanted.namespace, "labels": LABELS},
        "spec": {"secretName": CERTIFICATE, "dnsNames": names, "issuerRef": {"name": wanted.issuer, "kind": "ClusterIssuer", "group": "cert-manager.io"}},
    }, set() if there else {wanted.namespace})


# -- the controller ----------------------------------------------------------


def _traefik(site, wanted: Ingress) -> list[Change | None]:
    """The values of the Traefik that k3s ships; nothing on a cluster where k3s's Helm controller did not install it."""
    chart = site.cluster.get(HELM_CHART, "traefik", "kube-system") if wanted.traefik else None
    if chart is None:
        return []
    release = site.helm.release("traefik", "kube-system")
    version = release.chart_version if release else controllers.chart_version(chart["spec"].get("chart", ""))
    try:
        values = controllers.traefik_values(version, wanted.redirect_all)
    except ValueError as error:
        raise RunbookError(f"HelmChart kube-system/traefik: {error}", do="set ingress.traefik to false, and configure it yourself") from None
    obj = {"apiVersion": "helm.cattle.io/v1", "kind": "HelmChartConfig", "metadata": {"name": "traefik", "namespace": "kube-system"},
           "spec": {"valuesContent": values}}
    try:
        change = ensure_object(site.cluster, obj)
    except FieldConflict as error:
        raise RunbookError(f"{title(obj)} is somebody else's: {error.what}",
                           do="add these values there, and set ingress.traefik to false:\n" + values) from None
    return [change and Change(change.action, change.kind, change.name, lambda: _rolled_out(site, obj), change.fields,
                              note=f"keys of chart {version}; Traefik restarts", undo=change.undo)]


def _rolled_out(site, obj: dict) -> None:
    """Apply, then wait until k3s has installed the chart anew and the new Traefik serves."""
    site.cluster.apply(obj)

    def served(deployment: dict | None) -> bool:
        if deployment is None:
            return False
        status, wanted = deployment.get("status", {}), deployment["spec"].get("replicas", 1)
        new = any(READ_TIMEOUT in a for c in deployment["spec"]["template"]["spec"]["containers"] for a in c.get("args", []))
        return new and status.get("observedGeneration") == deployment["metadata"].get("generation") and status.get("availableReplicas", 0) >= wanted

    site.cluster.wait("Deployment", "traefik", "kube-system", until=served, timeout=240, what="Traefik to run with its new values")


def _our_config(site) -> bool:
    found = site.cluster.get(HELM_CONFIG, "traefik", "kube-system")
    return bool(found) and any(m.get("manager") == "runbook" for m in found["metadata"].get("managedFields", []))


# -- the workspaces ----------------------------------------------------------


def _domains(site, wanted: Ingress) -> list[Change | None]:
    """Every workspace's release knows its domain, and lets the gateway in."""
    domain, together, changes = facts.domain(site, wanted), Together(), []
    records = site.cluster.list("Secret", selector="owner=helm", fields=f"type={TYPE}")
    for release in newest([r for r in records if _owner(r) and (not wanted.owners or _owner(r) in wanted.owners)]):
        owner = release.namespace.removeprefix("ws-")
        if release.chart != "workspace":
            continue
        policy = {"networkPolicy": {**release.values.get("networkPolicy", {}), "ingressNamespaces": [wanted.namespace]}}
        # The chart's default is the usual namespace: nothing is said about it then.
        keep = wanted.namespace == Ingress.model_fields["namespace"].default and "networkPolicy" not in release.values
        values = {**release.values, "domain": domain} | ({} if keep else policy)
        if release.values == values:
            changes.append(None)
            continue
        change = site.helm.ensure(charts() / "workspace", release.name, release.namespace, values, timeout=300,
                                  settle=lambda name=release.name, owner=owner: settle(site, name, owner, 300))
        changes.append(change and together.add(change))
    return changes


# -- parts -------------------------------------------------------------------


def _object(kind: str, name: str, namespace: str = "") -> dict:
    version, _, short = kind.rpartition("/")
    return {"apiVersion": version, "kind": short, "metadata": {"name": name} | ({"namespace": namespace} if namespace else {})}


def _owner(obj: dict) -> str:
    namespace = obj["metadata"]["namespace"]
    return namespace.removeprefix("ws-") if namespace.startswith("ws-") else ""


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()

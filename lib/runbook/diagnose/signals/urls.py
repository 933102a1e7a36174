"""Why a URL answers 404, 502 or with a wrong certificate: followed hop by hop, Ingress → class → Service → pods → certificate."""

from collections.abc import Iterator

from runbook.diagnose.findings import CRITICAL, NOTICE, WARNING, Case, Finding
from runbook.diagnose.snapshot import Snapshot, where

FIX = "94-url-unreachable"
LOOKS_FOR = "URLs: class, Service, port, pods and certificate behind each Ingress; the ingress controller itself"
NO_CLASS = Case("url-no-class", CRITICAL, "an Ingress has a class that nobody serves", "its URLs answer 404",
            "use the class of this cluster's controller (traefik)", FIX)
NO_SERVICE = Case("url-no-service", CRITICAL, "an Ingress leads to a Service that is not there", "its URLs answer 404 or 503",
            "run step 02 or 05 again; its release makes the Service", FIX)
WRONG_PORT = Case("url-wrong-port", CRITICAL, "an Ingress leads to a port that its Service does not have",
            "its URLs answer 404 or 502", "mend the port in the Ingress", FIX)
NO_POD = Case("url-no-pod", CRITICAL, "no pod stands behind the Service of a URL", "its URLs answer 503",
            "start the workspace; if it runs, the Service's selector does not meet its labels", FIX,
            r"no endpoints available for service|no available server")
STOPPED = Case("url-stopped", NOTICE, "the workspace of a URL is stopped", "its URLs answer 503 until it is started",
            "start it if somebody wants to work: runbook workspace start", FIX)
NOT_READY = Case("url-pod-not-ready", WARNING, "pods stand behind a URL, but none is ready", "its URLs answer 503",
            "see why it does not become ready", "92-workspace-does-not-start")
WRONG_TARGET = Case("url-wrong-target", CRITICAL, "a Service leads to a port that no container declares or listens on",
            "its URLs answer 502", "mend targetPort, or let the program listen on 0.0.0.0 and that port", FIX,
            r"502 Bad Gateway|connect: connection refused.*upstream|dial tcp [\d.:]+(?<!:10250): connect: connection refused")
NO_CERT = Case("certificate-missing", WARNING, "the certificate of a URL is not there",
            "browsers warn: they are shown the controller's own certificate", "run step 05 again", FIX,
            r"TRAEFIK DEFAULT CERT|secret .*tls.* does not exist")
WRONG_CERT = Case("certificate-wrong-name", WARNING, "a certificate does not have the name of its URL",
            "browsers refuse the page",
            "make a certificate for *.<domain>: one label deep, `3000-demo.ws.example.org` under `*.ws.example.org`", FIX,
            r"x509: certificate is valid for .*, not |ERR_CERT_COMMON_NAME_INVALID|no alternative certificate subject "
            r"name matches|hostname mismatch")
EXPIRED = Case("certificate-expired", CRITICAL, "a certificate has expired", "browsers refuse the page",
            "run step 05 again: it makes a new one", FIX)
SOON = Case("certificate-ends-soon", WARNING, "a certificate ends within two weeks", "then browsers refuse the page",
            "run step 05 again: it makes a new one", FIX)
UNREADABLE = Case("certificate-unreadable", CRITICAL, "a certificate's Secret holds no certificate", "browsers warn",
            "run step 05 again", FIX)
CONTROLLER = Case("ingress-down", CRITICAL, "the ingress controller does not run", "no URL of any workspace answers",
            "see its pods in kube-system", FIX, r"(:80|:443|port (80|443)).*(connection refused|Failed to connect)")

CASES = (
    WRONG_CERT,
    NO_CERT,
    EXPIRED,
    SOON,
    UNREADABLE,
    NO_POD,
    CONTROLLER,
    WRONG_TARGET,
    NO_CLASS,
    NO_SERVICE,
    WRONG_PORT,
    STOPPED,
    NOT_READY,
)
SOON_SECONDS = 14 * 86400


def look(shot: Snapshot) -> Iterator[Finding]:
    services = {_key(s): s for s in shot.of("Service")}
    certificates = {_key(c): c for c in shot.of("Certificate")}
    classes = {c["metadata"]["name"] for c in shot.of("IngressClass")}
    slices: dict[tuple, list[dict]] = {}
    for piece in shot.of("EndpointSlice"):
        slices.setdefault(
            (piece["metadata"].get("namespace"), (piece["metadata"].get("labels") or {}).get("kubernetes.io/service-name")), []
        ).append(piece)
    pods: dict[str, list[dict]] = {}
    for pod in shot.of("Pod"):
        pods.setdefault(pod["metadata"]["namespace"], []).append(pod)
    for ingress in shot.of("Ingress"):
        wanted = ingress["spec"].get("ingressClassName")
        if wanted and shot.saw("IngressClass") and wanted not in classes:
            yield NO_CLASS.at(where(ingress), evidence=f"class {wanted}; there are: {', '.join(sorted(classes)) or 'none'}")
        for host, name, port in sorted(set(_backends(ingress))):
            yield from _behind(
                shot, ingress, host, services.get((ingress["metadata"]["namespace"], name)), name, port, slices, pods
            )
        for tls in ingress["spec"].get("tls") or []:
            if tls.get("secretName") and shot.saw("Certificate"):
                yield from _certificate(
                    shot, ingress, tls, certificates.get((ingress["metadata"]["namespace"], tls["secretName"]))
                )
    for deployment in shot.of("Deployment"):
        if (
            "traefik" in deployment["metadata"]["name"]
            and deployment["spec"].get("replicas", 1)
            and not (deployment.get("status") or {}).get("readyReplicas")
        ):
            yield CONTROLLER.at(where(deployment))


def _key(obj: dict) -> tuple:
    return obj["metadata"].get("namespace"), obj["metadata"]["name"]


def _backends(ingress: dict) -> Iterator[tuple[str, str, str]]:
    for rule in ingress["spec"].get("rules") or []:
        for path in (rule.get("http") or {}).get("paths") or []:
            service = (path.get("backend") or {}).get("service") or {}
            port = service.get("port") or {}
            if service:
                yield rule.get("host", "*"), service["name"], str(port.get("name") or port.get("number") or "")


def _behind(shot, ingress, host, service, name, port, slices, pods) -> Iterator[Finding]:
    place = f"{where(ingress)} ({host})"
    namespace = ingress["metadata"]["namespace"]
    if not shot.saw("Service"):
        return
    if service is None:
        yield NO_SERVICE.at(place, evidence=f"Service {namespace}/{name} is not there")
        return
    ports = service["spec"].get("ports") or []
    if port and not any(port in (str(p.get("port")), p.get("name")) for p in ports):
        yield WRONG_PORT.at(place, evidence=f"port {port}; {name} has {', '.join(str(p.get('port')) for p in ports)}")
        return
    if service["spec"].get("type") == "ExternalName" or not shot.saw("EndpointSlice"):
        return
    points = [e for piece in slices.get((namespace, name), []) for e in piece.get("endpoints") or []]
    selector = service["spec"].get("selector") or {}
    chosen = [p for p in pods.get(namespace, []) if selector and selector.items() <= (p["metadata"].get("labels") or {}).items()]
    if any((e.get("conditions") or {}).get("ready") for e in points):
        yield from _target(place, service, port, chosen)
    elif points or chosen:
        old = all(shot.age(p["metadata"].get("creationTimestamp", "")) > 120 for p in chosen)
        if old:
            yield NOT_READY.at(place, evidence=f"{len(points) or len(chosen)} behind {name}, none ready")
    else:
        stopped = any(
            s["spec"].get("replicas") == 0
            and selector.items() <= ((s["spec"].get("template") or {}).get("metadata") or {}).get("labels", {}).items()
            for kind in ("StatefulSet", "Deployment")
            for s in shot.of(kind)
            if s["metadata"]["namespace"] == namespace
        )
        yield (STOPPED if stopped and selector else NO_POD).at(
            place, evidence=f"Service {namespace}/{name} selects {selector or 'nothing'}: no pod"
        )


def _target(place: str, service: dict, port: str, chosen: list[dict]) -> Iterator[Finding]:
    """A target port that no container declares; only told when the containers declare any."""
    for p in service["spec"].get("ports") or []:
        if port and port not in (str(p.get("port")), p.get("name")):
            continue
        target = p.get("targetPort", p.get("port"))
        declared = [d for pod in chosen for c in pod["spec"].get("containers") or [] for d in c.get("ports") or []]
        if declared and not any(target in (d.get("name"), d.get("containerPort")) for d in declared):
            yield WRONG_TARGET.at(
                place, evidence=f"targetPort {target}; the containers have {sorted({d.get('containerPort') for d in declared})}"
            )


def _certificate(shot: Snapshot, ingress: dict, tls: dict, certificate: dict | None) -> Iterator[Finding]:
    place = f"{where(ingress)} (Secret {tls['secretName']})"
    if certificate is None:
        yield NO_CERT.at(place)
    elif "until" not in certificate:
        yield UNREADABLE.at(place, evidence=certificate.get("unreadable", ""))
    else:
        left = -shot.age(certificate["until"])
        if left < SOON_SECONDS:
            yield (EXPIRED if left <= 0 else SOON).at(place, certificate["until"], f"until {certificate['until']}")
        wrong = [h for h in tls.get("hosts") or [] if not any(covers(n, h) for n in certificate.get("names", []))]
        if wrong:
            yield WRONG_CERT.at(place, evidence=f"{', '.join(wrong)} not in {', '.join(certificate.get('names', []))}")


def covers(pattern: str, host: str) -> bool:
    """Does a certificate's name cover a host? A ``*`` stands for exactly one label, the first."""
    if pattern == host:
        return True
    return (
        pattern.startswith("*.")
        and host.partition(".")[2] == pattern[2:]
        and bool(host.partition(".")[0])
        and not host.startswith("*")
    )

"""The plan of step 05 on a rehearsal of its own."""

import base64
import datetime
import json
import shutil
from datetime import timedelta

import pytest

from runbook import apply, certs, controllers, params, paths, rehearsal, wire
from runbook.errors import RunbookError
from runbook.facts import ingress as facts
from runbook.facts import request_path
from runbook.helm.records import Release, encode
from runbook.operations.ingress import LABELS, ensure_ingress, undo
from runbook.operations.workspaces import ensure_workspaces
from runbook.rehearsal.state import State

BASE = "ws.10-88-99-1.sslip.io"
NAMES = [f"*.{BASE}", BASE]


def wanted(**more):
    return params.section("ingress", more)


def opened(path):
    return rehearsal.connect(mode="apply", state=State(path))


@pytest.fixture(scope="module")
def states(tmp_path_factory):
    """Two states of the rehearsal, made once: after step 02, and after step 05."""
    before, after = (tmp_path_factory.mktemp("states") / f"{name}.json" for name in ("before", "after"))
    apply(ensure_workspaces(opened(before), params.section("workspaces", {})), "apply")
    shutil.copy(before, after)
    apply(ensure_ingress(opened(after), wanted()), "apply")
    return before, after


@pytest.fixture
def site(states, tmp_path):
    """After step 02."""
    return opened(shutil.copy(states[0], tmp_path / "state.json"))


@pytest.fixture
def done(states, tmp_path):
    """After step 05."""
    return opened(shutil.copy(states[1], tmp_path / "state.json"))


def titles(plan) -> list[str]:
    return [c.title for c in plan]


def secret(site, name) -> certs.Pair:
    return facts.pair(site.cluster.get("Secret", name, "runbook-system"))


def put(site, name, pair: certs.Pair) -> None:
    data = {"tls.crt": base64.b64encode(pair.certificate.encode()).decode(), "tls.key": base64.b64encode(pair.key.encode()).decode()}
    site.cluster.apply({"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "data": data,
                        "metadata": {"name": name, "namespace": "runbook-system", "labels": LABELS}}, force=True)


def test_from_nothing_then_nothing(site):
    plan = ensure_ingress(site, wanted())
    assert titles(plan) == ["create Namespace runbook-system", "create Secret runbook-system/runbook-authority", "create Secret runbook-system/workspaces-tls",
                            "create Release runbook-system/gateway", "update Release ws-alice/demo"]
    apply(plan, "apply")
    assert not ensure_ingress(site, wanted())
    authority, leaf = secret(site, facts.AUTHORITY), secret(site, facts.CERTIFICATE)
    assert certs.problems(leaf.certificate, [*NAMES, f"demo-alice.{BASE}"], authority.certificate, leaf.key) == []
    assert site.helm.release("demo", "ws-alice").values["domain"] == "10-88-99-1.sslip.io"
    assert not facts.certificate(site, wanted()).problems.any()


def test_no_report_holds_a_key(site):
    plan = ensure_ingress(site, wanted())
    apply(plan, "apply")
    shown = json.dumps(plan.record()) + str(plan) + plan._html() + repr(ensure_ingress(site, wanted(renew_days=300))) + str(facts.certificate(site, wanted()))
    for name in (facts.AUTHORITY, facts.CERTIFICATE):
        body = secret(site, name).key.splitlines()[1]
        assert body not in shown and base64.b64encode(body.encode()).decode()[:40] not in shown


def test_step_02_leaves_the_domain_alone(done):
    assert not ensure_workspaces(done, params.section("workspaces", {}))


def days_from_now(days):
    return datetime.datetime.now(datetime.timezone.utc) + timedelta(days=days)


@pytest.mark.parametrize("case, why", [
    ("expired", "it expired on"), ("soon", "20 days left, fewer than 30"), ("other names", "not for *.ws.10-88-99-1"), ("another authority", "not by our authority"),
    ("another key", "its private key is another's"), ("garbage", "no certificate")])
def test_a_certificate_is_renewed_when_it_must_be(done, case, why):
    authority, leaf = secret(done, facts.AUTHORITY), secret(done, facts.CERTIFICATE)
    put(done, facts.CERTIFICATE, {
        "expired": certs.issue(authority, NAMES, days=10, now=days_from_now(-20)), "soon": certs.issue(authority, NAMES, days=20),
        "other names": certs.issue(authority, [f"*.x.{BASE}"]), "another authority": certs.issue(certs.new_authority(BASE), NAMES),
        "another key": certs.Pair(leaf.certificate, authority.key), "garbage": certs.Pair("-----BEGIN", leaf.key)}[case])
    plan = ensure_ingress(done, wanted())
    assert titles(plan) == ["update Secret runbook-system/workspaces-tls"] and why in plan.changes[0].note
    apply(plan, "apply")
    assert not ensure_ingress(done, wanted())
    assert secret(done, facts.AUTHORITY).certificate == authority.certificate, "the authority that people trust stays"


def test_an_authority_of_another_domain_signs_nothing_here(done):
    plan = ensure_ingress(done, wanted(domain="code.example.org"))
    assert titles(plan)[:2] == ["update Secret runbook-system/runbook-authority", "update Secret runbook-system/workspaces-tls"]
    assert "may not sign for ws.code.example.org" in plan.changes[0].note and "must trust this one" in plan.changes[0].note
    apply(plan, "apply")
    assert not ensure_ingress(done, wanted(domain="code.example.org"))


def own_files(site, pair):
    site.host.write("/etc/ssl/own.crt", pair.certificate)
    site.host.write("/etc/ssl/own.key", pair.key, 0o600)
    return wanted(certificate="own", cert_file="/etc/ssl/own.crt", key_file="/etc/ssl/own.key", domain="code.example.org")


def test_a_wildcard_of_ones_own(site):
    names = ["*.ws.code.example.org", "ws.code.example.org"]
    given = certs.issue(certs.new_authority("example.org"), names)
    section = own_files(site, given)
    plan = ensure_ingress(site, section)
    assert "create Secret runbook-system/runbook-authority" not in titles(plan) and "create Secret runbook-system/workspaces-tls" in titles(plan)
    apply(plan, "apply")
    assert secret(site, facts.CERTIFICATE) == given and not ensure_ingress(site, section)
    assert site.helm.release("gateway", "runbook-system").values["ca"] == ""


@pytest.mark.parametrize("pair, why", [
    (lambda a: certs.issue(a, ["ws.code.example.org"]), r"not for \*.ws.code.example.org"),
    (lambda a: certs.Pair(certs.issue(a, ["*.ws.code.example.org", "ws.code.example.org"]).certificate, a.key), "its private key is another's"),
    (lambda a: certs.Pair("nothing", "nothing"), "no certificate in PEM form")])
def test_ones_own_wildcard_must_serve(site, pair, why):
    with pytest.raises(RunbookError, match=why):
        ensure_ingress(site, own_files(site, pair(certs.new_authority("example.org"))))


def test_a_certificate_file_that_is_not_there(site):
    with pytest.raises(RunbookError, match="/nowhere.crt: no such file"):
        ensure_ingress(site, wanted(certificate="own", cert_file="/nowhere.crt", key_file="/nowhere.key"))


def test_cert_manager_must_be_there(site):
    with pytest.raises(RunbookError, match="cert-manager is not installed"):
        ensure_ingress(site, wanted(certificate="cert-manager", issuer="letsencrypt", domain="code.example.org"))


class Extended:
    """A cluster that knows further kinds, which the rehearsal has no schema of: kept by kind and name."""

    def __init__(self, cluster, **objects):
        self._cluster, self.kept = cluster, objects

    def __getattr__(self, name):
        return getattr(self._cluster, name)

    def _ours(self, kind):
        return kind.rpartition("/")[2] in ("HelmChart", "HelmChartConfig", "Certificate", "CustomResourceDefinition")

    def get(self, kind, name, namespace=""):
        return self.kept.get(kind.rpartition("/")[2]) if self._ours(kind) else self._cluster.get(kind, name, namespace)

    def apply(self, obj, dry_run=False, **more):
        if not self._ours(obj["kind"]):
            return self._cluster.apply(obj, dry_run=dry_run, **more)
        if not dry_run:
            self.kept[obj["kind"]] = json.loads(json.dumps(obj)) | {"metadata": obj["metadata"] | {"managedFields": [{"manager": "runbook"}]}}
        return obj

    def wait(self, kind, name, namespace="", *, until, **more):
        if kind != "Deployment" or name != "traefik":
            return self._cluster.wait(kind, name, namespace, until=until, **more)
        argument = "--entryPoints.websecure.transport.respondingTimeouts.readTimeout=0s"
        old = {"metadata": {"generation": 1}, "spec": {"template": {"spec": {"containers": [{"args": []}]}}}, "status": {"observedGeneration": 1, "availableReplicas": 1}}
        new = {"metadata": {"generation": 2}, "spec": {"template": {"spec": {"containers": [{"args": [argument]}]}}}, "status": {"observedGeneration": 2, "availableReplicas": 1}}
        rolling = new | {"status": {"observedGeneration": 2, "availableReplicas": 0}}
        assert not until(None) and not until(old) and not until(rolling) and until(new)
        return new

    def delete(self, kind, name, namespace="", **more):
        return self.kept.pop(kind.rpartition("/")[2]) if self._ours(kind) else self._cluster.delete(kind, name, namespace, **more)


def test_a_certificate_by_cert_manager(site):
    site.cluster = Extended(site.cluster, CustomResourceDefinition={"metadata": {"name": "certificates.cert-manager.io"}})
    section = wanted(certificate="cert-manager", issuer="letsencrypt", domain="code.example.org")
    plan = ensure_ingress(site, section)
    assert "create Certificate runbook-system/workspaces-tls" in titles(plan)
    apply(plan, "apply")
    assert site.cluster.kept["Certificate"]["spec"] == {
        "secretName": "workspaces-tls", "dnsNames": ["*.ws.code.example.org", "ws.code.example.org"],
        "issuerRef": {"name": "letsencrypt", "kind": "ClusterIssuer", "group": "cert-manager.io"}}
    assert "delete Certificate runbook-system/workspaces-tls" in titles(undo(site, section))


def test_k3s_traefik_is_told_in_the_words_of_its_chart(site):
    site.cluster = Extended(site.cluster, HelmChart={"spec": {"chart": "https://x/static/charts/traefik-34.2.1+up34.2.0.tgz"}})
    section = wanted(redirect_all=True)
    assert "create HelmChartConfig kube-system/traefik" in titles(ensure_ingress(site, section))
    # The release says which chart runs; what the HelmChart asks for may not be there yet.
    site.cluster.apply(encode(Release("traefik", "kube-system", 3, "deployed", "traefik", "39.0.501+up39.0.5", {}, "", "")))
    plan = ensure_ingress(site, section)
    apply(plan, "apply")
    assert controllers.traefik_values("39.0.5", True) == site.cluster.kept["HelmChartConfig"]["spec"]["valuesContent"]
    assert not ensure_ingress(site, section)
    assert "delete HelmChartConfig kube-system/traefik" in titles(undo(site, section))
    assert not any("HelmChartConfig" in t for t in titles(ensure_ingress(site, wanted(traefik=False))))


def test_a_chart_of_unknown_keys_is_left_alone(site):
    site.cluster = Extended(site.cluster, HelmChart={"spec": {"chart": "traefik"}})
    with pytest.raises(RunbookError, match="its keys are known from 25 on"):
        ensure_ingress(site, wanted())


def test_a_foreign_helm_record_does_not_stand_in_the_way(site):
    site.cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "elsewhere"}})
    site.cluster.apply({"apiVersion": "v1", "kind": "Secret", "type": "helm.sh/release.v1", "stringData": {"release": "x"},
                        "metadata": {"name": "sh.helm.release.v1.x.v1", "namespace": "elsewhere", "labels": {"owner": "helm", "name": "x", "version": "1"}}})
    assert ensure_ingress(site, wanted())


def test_only_some_owners(site):
    assert not any("ws-alice" in t for t in titles(ensure_ingress(site, wanted(owners=["bob"]))))
    assert facts.table(site, wanted(owners=["bob"])).empty and len(facts.table(site, wanted(owners=["alice"]))) == 2


def test_another_namespace_is_let_in(site):
    apply(ensure_ingress(site, wanted(namespace="edge")), "apply")
    assert site.helm.release("demo", "ws-alice").values["networkPolicy"] == {"ingressNamespaces": ["edge"]}
    assert not ensure_ingress(site, wanted(namespace="edge"))


def test_what_nginx_wants_to_be_told(site):
    site.cluster.apply({"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": {"name": "nginx"}, "spec": {"controller": "k8s.io/ingress-nginx"}})
    apply(ensure_ingress(site, wanted(class_name="nginx", annotations={"x/y": "z"})), "apply")
    found = site.cluster.get("Ingress", "gateway", "runbook-system")
    assert found["metadata"]["annotations"].items() >= {"nginx.ingress.kubernetes.io/proxy-body-size": "0", "x/y": "z"}.items()
    assert facts.class_name(site, wanted(class_name="nope")) == "" and facts.class_name(site, wanted()) == "traefik"


def test_undo_keeps_what_people_trust(done):
    trusted = secret(done, facts.AUTHORITY).certificate
    apply(undo(done, wanted()), "apply")
    assert done.cluster.get("Ingress", "gateway", "runbook-system") is None and secret(done, facts.CERTIFICATE) is None
    assert secret(done, facts.AUTHORITY).certificate == trusted
    apply(ensure_ingress(done, wanted()), "apply")
    assert secret(done, facts.AUTHORITY).certificate == trusted
    apply(undo(done, wanted(), delete_data=True), "apply")
    assert done.cluster.get("Namespace", "runbook-system") is None and not undo(done, wanted(), delete_data=True)


# -- many --------------------------------------------------------------------


def many(site, count: int) -> None:
    """Services of so many workspaces, as the chart makes them."""
    for n in range(count):
        owner, labels = f"u{n}", {"app.kubernetes.io/part-of": "runbook", "runbook/owner": f"u{n}", "runbook/workspace": "demo"}
        site.cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"ws-{owner}"}})
        site.cluster.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "demo", "namespace": f"ws-{owner}", "labels": labels},
                            "spec": {"selector": labels, "ports": [{"name": "ide", "port": 13337}, {"name": "http", "port": 80}]}})


def test_fifty_workspaces_cost_as_many_calls_as_two(done, monkeypatch):
    monkeypatch.setattr(type(done.host), "probe", lambda self, asked, look: (look(), ""))
    monkeypatch.setattr(wire, "resolve", lambda name, server="": wire.Names(("10.88.99.1",)))
    monkeypatch.setattr(wire, "connect", lambda *a: "")
    monkeypatch.setattr(wire, "shown_certificate", lambda *a: (b"", "nothing"))
    asked = []
    monkeypatch.setattr(wire, "request", lambda host, *a, **k: asked.append(host) or wire.Answer(503, {facts.MARK: "no-endpoint"}))

    def calls(look) -> int:
        before = done.cluster.calls
        look(done, wanted())
        return done.cluster.calls - before

    many(done, 1)
    looks = (facts.table, request_path.table, facts.access)
    few = [calls(look) for look in looks]
    many(done, 49)
    assert [calls(look) for look in looks] == few and max(few) < 15
    assert len(facts.table(done, wanted())) == 100 and len(set(asked)) >= 100
    found = request_path.table(done, wanted())
    assert found.groupby("url").size().eq(len(request_path.HOPS)).all() and found.url.nunique() == 100


def test_the_notebook_is_the_step():
    text = (paths.notebooks() / "05-ingress-and-domains.ipynb").read_text()
    assert "runbook undo 05" in text and "PRIVATE KEY" not in text

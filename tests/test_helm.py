import pytest

from runbook.errors import ReleaseFailed
from runbook.helm import records, render
from runbook.helm.records import Release

RELEASE = Release("demo", "ws-alice", 2, "deployed", "tiny", "0.1.0", {"a": 1}, "kind: ConfigMap\nmetadata: {name: x}\n---\n", "2026-01-01T00:00:00Z")


@pytest.fixture
def chart(tmp_path):
    (tmp_path / "templates").mkdir()
    (tmp_path / "Chart.yaml").write_text("apiVersion: v2\nname: tiny\nversion: 0.1.0\n")
    (tmp_path / "values.schema.json").write_text('{"type": "object", "properties": {"greeting": {"type": "string"}}, "additionalProperties": false}')
    (tmp_path / "templates" / "all.yaml").write_text(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Release.Name }}}\ndata: {greeting: {{ required \"a greeting\" .Values.greeting }}}\n")
    (tmp_path / "templates" / "NOTES.txt").write_text("Hello\n")
    return tmp_path


def test_a_record_survives_encoding():
    assert records.decode(records.encode(RELEASE)) == RELEASE


def test_the_newest_revision_counts_by_number():
    secrets = [records.encode(Release(**{**RELEASE.__dict__, "revision": n})) for n in (9, 10, 2)]
    assert [r.revision for r in records.newest(secrets)] == [10]
    assert records.newest([]) == []


@pytest.mark.parametrize(("status", "pending"), [
    ("deployed", False), ("failed", False), ("pending-install", True), ("pending-upgrade", True), ("pending-rollback", True), ("uninstalling", True)])
def test_pending_is_told_from_the_status(status, pending):
    assert Release(**{**RELEASE.__dict__, "status": status}).pending is pending


def test_objects_of_a_manifest():
    assert RELEASE.objects() == [{"kind": "ConfigMap", "metadata": {"name": "x"}}]


def test_objects_are_rendered_as_helm_marks_them(chart):
    [obj] = render(chart, "demo", "ws-alice", {"greeting": "hello"})
    assert obj["metadata"]["namespace"] == "ws-alice" and obj["data"] == {"greeting": "hello"}
    assert obj["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "Helm"
    assert obj["metadata"]["annotations"] == {"meta.helm.sh/release-name": "demo", "meta.helm.sh/release-namespace": "ws-alice"}


@pytest.mark.parametrize(("values", "said"), [({"greeting": 3}, "greeting"), ({"greting": "x"}, "greting"), ({}, "a greeting")])
def test_values_that_do_not_fit_are_refused_by_name(chart, values, said):
    with pytest.raises(ReleaseFailed, match=f"release ws-alice/demo(.|\n)*{said}"):
        render(chart, "demo", "ws-alice", values)

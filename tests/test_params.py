import pytest

from runbook import params
from runbook.errors import ParameterError

BAD = {
    "unknown section": ({"workspace": {}}, ["unknown section or key 'workspace'", "did you mean workspaces?"]),
    "unknown section, nothing near": ({"zzz": {}}, ["unknown section or key 'zzz'", "use one of"]),
    "unknown key": ({"docker": {"allow_priviledged": True}}, ["docker.allow_priviledged", "did you mean allow_privileged?"]),
    "unknown key in a list": ({"workspaces": {"list": [{"name": "demo", "owner": "alice", "repository": ""}]}},
                              ["workspaces.list.0.repository", "did you mean repo?"]),
    "number for text": ({"k3s": {"version": 1.3}}, ["k3s.version", "string", "1.3"]),
    "text for number": ({"k3s": {"min_cores": "2"}}, ["k3s.min_cores", "integer"]),
    "bool for text": ({"name": True}, ["name", "string"]),
    "not a mapping": ({"k3s": ["version"]}, ["k3s: a mapping of keys is expected, not list"]),
    "unknown target": ({"target": "ssh"}, ["target", "rehearsal or local"]),
    "unknown mode": ({"mode": "dry-run"}, ["mode", "plan"]),
    "malformed workspace name": ({"workspaces": {"list": [{"name": "My Shop", "owner": "bob"}]}}, ["workspaces.list.0.name", "small letters"]),
    "workspace name that begins with a digit": ({"workspaces": {"list": [{"name": "3000-shop", "owner": "bob"}]}}, ["workspaces.list.0.name"]),
    "owner with a hyphen": ({"workspaces": {"list": [{"name": "shop", "owner": "bob-b"}]}}, ["workspaces.list.0.owner", "no hyphen"]),
    "owner missing": ({"workspaces": {"list": [{"name": "shop"}]}}, ["workspaces.list.0.owner"]),
    "the same workspace twice": ({"workspaces": {"list": [{"name": "a", "owner": "b"}] * 2}}, ["workspace a of b is listed twice"]),
    "port out of range": ({"console": {"port": 70000}}, ["console.port", "65535"]),
    "not a network": ({"console": {"allow": "100.64.85.0"}}, ["console.allow", "a network"]),
    "not a choice": ({"docker": {"mode": "rootless"}}, ["docker.mode", "userns"]),
    "a section that is a number": ({"load": 3}, ["load: a mapping"]),
    "unknown key in storage": ({"storage": {"classname": "x"}}, ["storage.classname", "did you mean class_name?"]),
    "growth by a number": ({"storage": {"grow": {"ws-alice/demo-home": 5}}}, ["storage.grow"]),
    "days that are none": ({"storage": {"warn_days": 0}}, ["storage.warn_days", "greater than or equal to 1"]),
    "own certificate without files": ({"ingress": {"certificate": "own"}}, ["certificate own needs cert_file and key_file"]),
    "a domain with a scheme": ({"ingress": {"domain": "https://example.org"}}, ["ingress.domain"]),
    "unknown key in ingress": ({"ingress": {"domains": "x"}}, ["ingress.domains", "did you mean domain?"]),
    "password in a repository": ({"backup": {"repository": "s3:https://user:pw@host/x"}}, ["backup"]),
    "a key that is no Secret": ({"backup": {"key": "hunter2"}}, ["backup.key"]),
    "a schedule that is a number": ({"backup": {"schedule": 3}}, ["backup.schedule", "string"]),
    "unknown key in load": ({"load": {"stage": []}}, ["load.stage", "did you mean stages?"]),
    "unknown key in trouble": ({"trouble": {"namespace": ["a"]}}, ["trouble.namespace", "did you mean namespaces?"]),
    "a load elsewhere": ({"load": {"target": "h"}}, ["load.target"]),
}


@pytest.mark.parametrize(("site", "said"), BAD.values(), ids=BAD.keys())
def test_bad_input_is_refused_by_name(site, said):
    with pytest.raises(ParameterError) as refused:
        params.validate(site)
    for words in said:
        assert words in str(refused.value)


def test_every_section_is_in_the_table():
    assert {key for site, _ in BAD.values() for key in site} >= params.SECTIONS.keys()


def test_nothing_given_means_the_defaults():
    assert params.validate({}) == {}
    for name in params.SECTIONS:
        assert params.section(name) == params.section(name, {})


@pytest.mark.parametrize(("text", "said"), [
    ("a: 1\na: 2\n", "given twice"), ("workspaces: [", "parameter file"), ("- a\n", "a mapping of sections is expected, not list"),
])
def test_bad_files_are_refused(tmp_path, text, said):
    file = tmp_path / "site.yaml"
    file.write_text(text)
    with pytest.raises(ParameterError, match=said):
        params.load_file(file)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ParameterError, match="none.yaml: No such file"):
        params.load_file(tmp_path / "none.yaml")


@pytest.mark.parametrize(("assignment", "section", "key", "value"), [
    ("k3s.version=1.30", "k3s", "version", "1.30"), ("k3s.node_name=08", "k3s", "node_name", "08"),
    ("docker.allow_privileged=true", "docker", "allow_privileged", True), ("k3s.min_cores=4", "k3s", "min_cores", 4),
    ("k3s.installer=http://a/?b=c", "k3s", "installer", "http://a/?b=c"),
])
def test_an_override_keeps_text_text(assignment, section, key, value):
    before = {section: {}}
    after = params.override(before, assignment)
    assert after[section][key] == value and before == {section: {}}
    params.validate(after)


def test_a_key_on_top_may_be_set():
    assert params.override({}, "mode=apply") == {"mode": "apply"}


@pytest.mark.parametrize("assignment", ["k3s.version", "=x", "a.b.c=1", ".x=1"])
def test_a_malformed_override_is_refused(assignment):
    with pytest.raises(ParameterError, match="section.key=value is expected"):
        params.override({}, assignment)


def test_the_files_that_come_with_it_are_valid():
    from runbook import paths

    files = sorted(paths.params().glob("*.yaml"))
    assert {f.stem for f in files} >= {"rehearsal", "server"}
    for file in files:
        params.validate(params.load_file(file))

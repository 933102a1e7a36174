"""Docker inside workspaces: what the node of a k3s server is brought to, and back."""

import tomllib

import pytest
import yaml

import runbook
from runbook import plans
from runbook.host import Result
from runbook.operations import cgroups


def wanted(**keys):
    return runbook.section("docker", keys)


def names(plan):
    return [c.title for c in plan]


class Server:
    """A k3s server in memory."""

    def __init__(self, **files):
        self.files, self.ran = files, []

    def read(self, path):
        return self.files.get(path)

    def exists(self, path):
        return path in self.files

    def mode(self, path):
        return 0o644 if path in self.files else None

    def write(self, path, text, mode=0o644):
        self.files[path] = text

    def remove(self, path):
        self.files.pop(path, None)

    def run(self, argv, **_):
        self.ran.append(argv)
        return Result(tuple(argv), 0, "")


IMPORTS = f'version = 3\nimports = ["{cgroups.CONTAINERD}/config-v3.toml.d/*.toml"]\n  SystemdCgroup = true\n'


def place(site, rendered, v2=True, **files):
    """The rehearsal's cluster on that server."""
    site.host = Server(**({cgroups.RENDERED: rendered} if rendered else {}), **({cgroups.CGROUP_V2: "cpu"} if v2 else {}), **files)
    return site




@pytest.mark.parametrize(("rendered", "v2", "keys", "titles"), [
    ("", True, {}, []),  # not our k3s
    (IMPORTS, False, {}, [f"create File {cgroups.KUBELET}", "run Command systemctl restart k3s"]),  # containerd refuses the setting on v1
    ("version = 2\n", True, {}, [f"create File {cgroups.KUBELET}", "run Command systemctl restart k3s"]),
    (IMPORTS, True, {"mode": "privileged", "allow_privileged": True}, [f"create File {cgroups.KUBELET}", "run Command systemctl restart k3s"]),
    (IMPORTS, True, {}, [f"create File {cgroups.KUBELET}", f"create File {cgroups.DROP_IN}", "run Command systemctl restart k3s",
                         "create RuntimeClass runbook-docker"]),
    ("version = 3\n", True, {}, [f"create File {cgroups.KUBELET}", f"create File {cgroups.TEMPLATE}", "run Command systemctl restart k3s",
                                 "create RuntimeClass runbook-docker"]),
])
def test_what_a_node_needs(site, rendered, v2, keys, titles):
    place(site, rendered, v2)
    assert names(cgroups.ensure_node(site, wanted(**keys))) == titles
    plans.apply(cgroups.ensure_node(site, wanted(**keys)), "apply")
    assert not cgroups.ensure_node(site, wanted(**keys))  # a second run finds nothing to do
    plans.apply(plans.plan_of(cgroups.remove_node(site)), "apply")
    assert set(site.host.files) <= {cgroups.RENDERED, cgroups.CGROUP_V2}


def test_a_template_of_the_operators_own_is_kept(site):
    place(site, "version = 3\n", **{cgroups.TEMPLATE: cgroups.BASE + "[mine]\n"})
    plans.apply(cgroups.ensure_node(site, wanted()), "apply")
    assert site.host.files[cgroups.TEMPLATE].startswith(cgroups.BASE + "[mine]\n") and not cgroups.ensure_node(site, wanted())
    plans.apply(plans.plan_of(cgroups.remove_node(site)), "apply")
    assert site.host.files[cgroups.TEMPLATE] == cgroups.BASE + "[mine]\n"


@pytest.mark.parametrize("systemd", [True, False])
def test_the_handlers_settings(systemd):
    runtimes = tomllib.loads(cgroups.handler(systemd))["plugins"]["io.containerd.cri.v1.runtime"]["containerd"]["runtimes"]
    assert runtimes == {"runbook-docker": {"runtime_type": "io.containerd.runc.v2", "cgroup_writable": True, "options": {"SystemdCgroup": systemd}}}
    assert cgroups.runtime_class()["handler"] in runtimes
    assert yaml.safe_load(cgroups.kubelet(4096))["podPidsLimit"] == 4096

"""Docker inside workspaces: what the attempts of step 04 mean, and the claims that they settle."""

import pytest
import yaml

from runbook.attempts import containers, settle, table
from runbook.errors import ClaimRefuted
from runbook.host import Result


OUTER = "4:memory:/kubepods/pod1/c\n1:cpu:/kubepods/pod1/c\n0::/kubepods/pod1/c\n--\n"


@pytest.mark.parametrize(("text", "within"), [
    (OUTER + "4:memory:/kubepods/pod1/c/docker/x\n1:cpu:/kubepods/pod1/c/docker/x\n0::/kubepods/pod1/c\n", True),
    (OUTER + "4:memory:/docker/x\n1:cpu:/kubepods/pod1/c/docker/x\n", False),
    (OUTER + "4:memory:/kubepods/pod1/cc/docker/x\n", False),
    ("0::/init\n--\n0::/docker/x\n", True), ("0::/init\n--\n0::/../other/docker/x\n", False), ("", False), (OUTER, False),
])
def test_limits_hold_for_what_lies_below(text, within):
    assert containers.lies_within(text) is within


@pytest.mark.parametrize(("image", "name"), [("docker.io/library/php:8.2-apache", "php:8.2-apache"), ("docker.io/team/x:1", "team/x:1"),
                                             ("ghcr.io/team/x:1", "ghcr.io/team/x:1")])
def test_names_that_a_mirror_serves(image, name):
    assert containers.short(image) == name


def test_a_failed_pull_says_the_setting():
    row = containers._row("pull", [Result(("docker",), 1, "", "Error response from daemon: toomanyrequests: You have reached your pull rate limit.")])
    assert row[1] is False and "docker.mirror" in row[2]


def test_the_sample_is_a_compose_file():
    sample = yaml.safe_load((containers.SAMPLE / "compose.yaml").read_text())
    assert set(sample["services"]) == {"web", "db"} and sample["services"]["web"]["depends_on"] == ["db"]


def claims(capsys):
    return [line.split(":")[0] for line in capsys.readouterr().out.splitlines() if line]


def test_a_claim_by_an_attempt(site, capsys):
    rows = table([("good", True, "it runs", ""), ("bad", False, "no", ""), ("heard", True, "", "replayed")])
    settle(site, rows, "good", "good works", "mend it")
    settle(site, rows, "heard", "heard works", "mend it")
    settle(site, rows, "left out", "left out works", "mend it")
    settle(site, None, "good", "good works", "mend it", absent="no Docker")
    assert claims(capsys) == ["✔ proven", "– not shown", "– not shown", "– not shown"]
    with pytest.raises(ClaimRefuted, match="mend it; seen: no"):
        settle(site, rows, "bad", "bad works", "mend it")

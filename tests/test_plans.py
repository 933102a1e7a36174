import pytest

from runbook import checks, secrets
from runbook.errors import ClaimRefuted, ParameterError
from runbook.plans import Change, Field, Plan, apply, diff, plan_of

DEPLOYMENT = {"kind": "Deployment", "metadata": {"name": "a", "uid": "1", "resourceVersion": "7"}, "spec": {"replicas": 1, "containers": [
    {"name": "web", "image": "x:1"}, {"name": "db", "image": "y:1"}]}, "status": {"ready": 1}}


def changed(**spec):
    return {**DEPLOYMENT, "spec": {**DEPLOYMENT["spec"], **spec}}


@pytest.mark.parametrize(("before", "after", "fields"), [
    (DEPLOYMENT, DEPLOYMENT, []),
    (DEPLOYMENT, {**DEPLOYMENT, "status": {"ready": 0}, "metadata": {"name": "a", "uid": "2", "resourceVersion": "8"}}, []),
    (DEPLOYMENT, changed(replicas=2), [("spec.replicas", 1, 2)]),
    (DEPLOYMENT, changed(containers=DEPLOYMENT["spec"]["containers"][::-1]), []),
    (DEPLOYMENT, changed(containers=[{"name": "web", "image": "x:2"}, {"name": "db", "image": "y:1"}]), [("spec.containers.[web].image", "x:1", "x:2")]),
    (DEPLOYMENT, changed(paused=None, strategy={}, hosts=[]), []),
    ({"kind": "Secret", "data": {"a": "MQ=="}}, {"kind": "Secret", "data": {"a": "Mg=="}}, [("data.a", secrets.MASK, secrets.MASK)]),
    ({"kind": "X", "spec": {"password": "old"}}, {"kind": "X", "spec": {"password": "new"}}, [("spec.password", secrets.MASK, secrets.MASK)]),
    (None, {"kind": "X", "data": {"a": 1}}, [("data.a", None, 1), ("kind", None, "X")]),
])
def test_a_diff_names_the_fields(before, after, fields):
    assert [(f.path, f.before, f.after) for f in diff(before, after)] == fields


def test_an_empty_plan_is_falsy_and_says_so():
    plan = plan_of([None, None])
    assert not plan and len(plan) == 0
    assert str(plan) == "Nothing to change: 2 things as wanted."
    assert apply(plan, "apply").record() | {"seconds": 0} == {
        "mode": "apply", "changed": 0, "planned": 0, "unchanged": 2, "tried": 0, "items": [], "seconds": 0, "failed": ""}


def test_plan_mode_performs_nothing():
    def never():
        raise AssertionError("performed")

    outcome = apply(plan_of([Change("create", "File", "/x", never), None]), "plan")
    assert (outcome.planned, outcome.changed, outcome.unchanged) == (["create File /x"], [], 1)


def test_apply_goes_in_order_and_stops_at_the_first_failure(capsys):
    done = []

    def fail():
        raise RuntimeError("no")

    plan = plan_of([Change("create", "A", "1", lambda: done.append(1)), Change("update", "B", "2", fail), Change("delete", "C", "3", lambda: done.append(3))])
    with pytest.raises(RuntimeError):
        apply(plan, "apply")
    assert done == [1]
    assert "Stopped at: update B 2" in capsys.readouterr().out


def test_an_unknown_mode_is_refused():
    with pytest.raises(ParameterError, match="'dry' is not one of plan, apply"):
        apply(Plan(), "dry")


def test_a_plan_shows_its_diff_without_secrets():
    secrets.keep_secret("hunter22")
    plan = plan_of([Change("update", "ConfigMap", "ns/a", fields=(Field("data.x", "<old>", "hunter22"),), note="drifted")])
    html, text = plan._repr_mimebundle_()["text/html"], str(plan)
    assert "&lt;old&gt;" in html and "data.x" in text and "drifted" in text
    for shown in (html, text, str(plan.record())):
        assert "hunter22" not in shown


def test_parts_are_shown_below_their_change():
    inner = Change("create", "Service", "ns/a")
    plan = plan_of([Change("create", "Release", "ns/r", parts=(inner,))])
    assert str(plan).splitlines() == ["+ create Release ns/r", "  + create Service ns/a"]
    assert plan.record()["changes"][0]["parts"][0]["kind"] == "Service"


@pytest.mark.parametrize(("ok", "shown", "outcome"), [
    (True, "", "proven"), (True, "plan mode", "not shown"), (False, "", "refuted"), (False, "replayed", "refuted"),
    (lambda: True, "", "proven"), (lambda: 1 / 0, "no cluster yet", "not shown"), (lambda: False, "", "refuted"),
])
def test_a_claim_has_one_of_three_outcomes(ok, shown, outcome, capsys):
    if outcome == "refuted":
        with pytest.raises(ClaimRefuted, match="refuted: it holds"):
            checks.check(ok, "it holds", "make it hold", fix="90-diagnose", shown=shown)
    else:
        checks.check(ok, "it holds", "make it hold", shown=shown)
    printed = capsys.readouterr().out
    assert f"{outcome}: it holds" in printed
    assert sum(word in printed for word in ("proven", "refuted", "not shown")) == 1


def test_masking_leaves_other_text_alone():
    secrets.keep_secret("s3cr3t-value")
    assert secrets.mask("a s3cr3t-value b") == f"a {secrets.MASK} b"
    assert secrets.mask("nothing here") == "nothing here"
    assert secrets.keep_secret("") == ""


def test_what_is_taken_away_again_is_counted_apart():
    done = []
    plan = plan_of([Change("create", "Workspace", "ws/trial", lambda: done.append(1)), None]).as_passing() + plan_of([
        Change("create", "File", "/kept", lambda: done.append(2))])
    outcome = apply(plan, "apply")
    assert done == [1, 2] and outcome.changed == ["create File /kept"]
    assert (outcome.record()["changed"], outcome.record()["tried"], outcome.record()["unchanged"]) == (1, 1, 1)
    assert "1 tried and taken away again" in str(outcome)
    assert apply(plan, "plan").planned == ["create Workspace ws/trial", "create File /kept"]

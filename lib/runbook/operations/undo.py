"""Taking back what the steps did, the last one first."""

from importlib import import_module

from runbook import params
from runbook.errors import ParameterError
from runbook.operations.storage import refuse_in_use
from runbook.plans import Plan

#: Step → where its undo is and which section it takes: ``undo(site, wanted, delete_data) -> Plan``. In the order of undoing.
UNDO = {
    "91": ("console", "console"), "20": ("backup", "backup"), "06": ("scaling", "load"), "05": ("ingress", "ingress"),
    "04": ("docker", "docker"), "02": ("workspaces", "workspaces"), "03": ("storage", "storage"), "01": ("k3s", "k3s"),
}


def sections(**given: dict) -> dict[str, params.Section]:
    """The sections of the parameters, resolved."""
    return {name: params.section(name, value) for name, value in given.items()}


def undo(step: str, site, wanted: dict[str, params.Section], delete_data: bool = False) -> Plan:
    """What takes one step back: ``"02"``. Data stay unless ``delete_data``.

    Raises:
        ParameterError: a step that leaves nothing, or none at all; volumes that workspaces still use.
    """
    if step not in UNDO:
        raise ParameterError(f"step {step}: it leaves nothing to undo", do=f"undo one of {', '.join(sorted(UNDO))}")
    if step == "03" and delete_data:
        refuse_in_use(site)
    return _undo(step, site, wanted, delete_data)


def _undo(step: str, site, wanted: dict[str, params.Section], delete_data: bool) -> Plan:
    module, section = UNDO[step]
    return import_module(f"runbook.operations.{module}").undo(site, wanted[section], delete_data)


def undo_all(site, wanted: dict[str, params.Section], delete_data: bool = False) -> Plan:
    """What takes every step back, the last one first. A cluster that was given (not installed by step 01) stays.

    Raises:
        ParameterError: volumes that the workspaces of others than the listed owners use.
    """
    if delete_data and site.cluster:
        refuse_in_use(site, going={w.owner for w in wanted["workspaces"].list})
    plan = Plan()
    for step in UNDO:
        if site.cluster is None and step not in ("01", "91"):
            continue
        plan += _undo(step, site, wanted, delete_data)
    return plan

"""The life of a workspace, once through: made, written to, stopped, started again; and the daily starts, stops and deletions."""

from runbook.errors import ParameterError
from runbook.facts import workspaces as facts
from runbook.operations import workspaces
from runbook.params import Workspace, Workspaces
from runbook.plans import Change, Plan, plan_of
from runbook.workspaces import namespace

#: The workspace of the tour: nobody's, made and deleted by step 10.
GUEST = Workspace(name="tour", owner="guest")
TEXT = "written by step 10"
#: Leave a file in the folder, a setting at home and a row in the database; each is written once.
LEAVE = f"""set -e
echo '{TEXT}' >"$WORKSPACE_FOLDER/note.txt"
echo '{TEXT}' >"$HOME/note.txt"
exec php -r '
$database = new PDO("mysql:host=" . getenv("DB_HOST") . ";dbname=" . getenv("DB_DATABASE"), getenv("DB_USERNAME"), getenv("DB_PASSWORD"));
$database->exec("CREATE TABLE IF NOT EXISTS notes (text VARCHAR(99) PRIMARY KEY)");
$database->prepare("REPLACE INTO notes VALUES (?)")->execute(["{TEXT}"]);'
"""


def tour(site, wanted: Workspaces) -> Plan:
    """Make the guest's workspace, write into it, stop it, start it."""
    guest = wanted.model_copy(update={"list": [GUEST]})
    where, name = namespace(GUEST.owner), f"{namespace(GUEST.owner)}/{GUEST.name}"

    def write():
        site.cluster.exec(f"{GUEST.name}-0", ["/bin/sh", "-c", LEAVE], where, "web")

    def turn(make):
        # What it takes is known only then: this plan makes the workspace.
        return lambda: [change.perform() for change in make()]

    return (workspaces.ensure_workspaces(site, guest) + plan_of([
        Change("run", "Command", f"{name}: write a file in its folder, one at home, and a row in its database", write),
        Change("scale", "Workspace", name, turn(lambda: workspaces.stop(site, GUEST.name, GUEST.owner)), note="stop"),
        Change("scale", "Workspace", name, turn(lambda: workspaces.start(site, GUEST.name, GUEST.owner, wanted.timeout)), note="start"),
    ])).as_passing()


def end(site) -> Plan:
    """The guest's workspace and all its data gone."""
    return workspaces.delete(site, GUEST.name, GUEST.owner).as_passing()


def daily(site, wanted: Workspaces, confirm: str = "") -> Plan:
    """Start, stop and delete the workspaces that the parameters name.

    Args:
        confirm: the site's name, typed. A plan that deletes needs none; applying it does.

    Raises:
        ParameterError: to be deleted and not confirmed.
        RunbookError: there is no such workspace.
    """
    if wanted.delete and site.mode == "apply" and confirm != site.name:
        raise ParameterError(f"{', '.join(wanted.delete)}: deleting loses their data for good", do=f'set confirm to "{site.name}"')
    plan = Plan()
    for title in wanted.start:
        plan += workspaces.start(site, *_split(title), wanted.timeout)
    for title in wanted.stop:
        plan += workspaces.stop(site, *_split(title))
    for title in wanted.delete:
        plan += workspaces.delete(site, *_split(title))
    return plan


def as_asked(site, wanted: Workspaces) -> bool:
    """Whether the workspaces that :func:`daily` names are as it leaves them."""
    states = {f"{r.owner}/{r.name}": r.state for r in facts.table(site).itertuples()}
    return (all(states.get(t) in ("ready", "queued") for t in wanted.start) and all(states.get(t) == "stopped" for t in wanted.stop)
            and not any(t in states for t in wanted.delete))


def _split(title: str) -> tuple[str, str]:
    owner, _, name = title.partition("/")
    return name, owner

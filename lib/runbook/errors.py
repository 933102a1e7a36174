"""What can go wrong, drawn once.

::

    RunbookError                    every error: what happened to which object, what to do next
    ├── ParameterError              a section, key or value of the parameters is not acceptable
    ├── ClaimRefuted                a claim of a notebook does not hold; the step stops
    ├── HostError                   something on the server
    │   ├── CommandFailed           a command ended with another exit code than 0
    │   ├── CommandTimeout          a command was still running at its time limit, and was ended
    │   └── MissingRight            this user may not do that on the host
    ├── ClusterError                something in Kubernetes
    │   ├── Unreachable             no answer from the API server, after retries
    │   ├── Forbidden               the API server refuses this user
    │   ├── NotFound                the object, or its kind, does not exist
    │   ├── FieldConflict           another field manager owns what we want to set
    │   ├── Invalid                 the API server refuses the object
    │   ├── WaitFailed              what we waited for has failed
    │   └── WaitTimeout             what we waited for did not come in time
    ├── ReleaseFailed               Helm could not bring a release to what was asked
    ├── BackupFailed                a backup or restore did not end well; ``result`` says which of the known ways
    ├── LoadError                   a load test that could not be run, or whose result is refused
    └── NotRecorded                 the rehearsal has no recording of what was asked

A message names the object first. ``do`` is the next action in a sentence; ``fix`` is the name of the notebook
that mends it (``"93-storage-stuck"``), without its ending.
"""


class RunbookError(Exception):
    """An error that a person can act on.

    Args:
        what: what happened, to which object.
        do: the next action, in a sentence.
        fix: the notebook that mends it, without ``.ipynb``; empty if there is none.
    """

    def __init__(self, what: str, *, do: str = "", fix: str = ""):
        self.what, self.do, self.fix = what, do, fix
        super().__init__(what)

    def __str__(self) -> str:
        lines = [self.what]
        if self.do:
            lines.append(f"Do this: {self.do}")
        if self.fix:
            lines.append(f"See: {self.fix}.ipynb")
        return "\n".join(lines)


class ParameterError(RunbookError):
    """A section, key or value of the parameters is not acceptable."""


class ClaimRefuted(RunbookError):
    """A claim of a notebook does not hold."""


class HostError(RunbookError):
    """Something on the server went wrong."""


class CommandFailed(HostError):
    """A command ended with another exit code than 0; ``result`` is its :class:`runbook.host.Result`."""

    def __init__(self, what: str, *, result=None, do: str = "", fix: str = ""):
        super().__init__(what, do=do, fix=fix)
        self.result = result


class CommandTimeout(CommandFailed):
    """A command was still running at its time limit; it and its children were ended."""


class MissingRight(HostError):
    """This user may not do that on the host."""


class ClusterError(RunbookError):
    """Something in Kubernetes went wrong."""


class Unreachable(ClusterError):
    """No answer from the API server, after retries."""


class Forbidden(ClusterError):
    """The API server refuses this user."""


class NotFound(ClusterError):
    """The object, or its kind, does not exist."""


class FieldConflict(ClusterError):
    """Another field manager owns what we want to set; the message names fields and owners."""


class Invalid(ClusterError):
    """The API server refuses the object as it is."""


class WaitFailed(ClusterError):
    """What we waited for has failed; the message carries its events and last log lines."""


class WaitTimeout(ClusterError):
    """What we waited for did not come within its time limit."""


class ReleaseFailed(RunbookError):
    """Helm could not bring a release to what was asked; the message carries the reason from the cluster."""


class BackupFailed(RunbookError):
    """A backup or restore did not end well; ``result`` is a key of :data:`runbook.facts.backup.PROBLEMS`."""

    def __init__(self, what: str, *, result: str, do: str = "", fix: str = ""):
        super().__init__(what, do=do, fix=fix)
        self.result = result


class LoadError(RunbookError):
    """A load test could not be run, or its result is refused."""


class NotRecorded(RunbookError):
    """The rehearsal has no recording of what was asked; what rests on it is "not shown", for the reason ``what``."""

"""What to send when asking for help: findings, the trimmed snapshot, logs and journal, without secrets."""

import json
import zipfile
from pathlib import Path

from runbook.diagnose.findings import Report
from runbook.diagnose.redact import redact, redact_all
from runbook.diagnose.snapshot import Snapshot
from runbook.errors import HostError

README = """What `runbook doctor` saw on {taken}.

findings.txt, findings.json   what was found, and what could not be seen
snapshot.json                 objects without environment, annotations and contents of Secrets;
                              the server's disks, limits, listeners, certificates' dates
logs/                         last lines of containers that ended badly
k3s.log                       last lines of k3s

Values that are known to be secrets, and what looks like one, are masked; read it before you send it all the same.
Names of workspaces, owners, hosts and images are in it.
"""


def write(path: Path, shot: Snapshot, report: Report) -> Path:
    """Write the ZIP file; hand its path back.

    Raises:
        HostError: it cannot be written there.
    """
    state = json.loads(shot.text())
    journal, logs = state["host"].pop("journal", ""), state.pop("logs")
    files = {
        "README.txt": README.format(taken=shot.taken),
        "findings.txt": redact(str(report)),
        "findings.json": json.dumps(redact_all(report.record()), indent=1, ensure_ascii=False),
        "snapshot.json": json.dumps(redact_all(state), indent=1, sort_keys=True, ensure_ascii=False),
        "k3s.log": redact(journal),
    } | {f"logs/{name.replace('/', '_')}.log": redact(text) for name, text in logs.items()}
    try:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bundle:
            for name, text in files.items():
                bundle.writestr(name, text)
    except OSError as error:
        raise HostError(f"{path}: {error.strerror}", do="name a file in a folder that you may write to") from None
    return path

"""Step 20's section: where the copies go, when, and what to restore."""

import re
from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from runbook.params.base import PATTERNS, Section

#: A folder, SFTP, S3 or restic's REST server, as restic names them; nothing that could be taken for an option or a shell's word.
RepositoryPlace = Annotated[str, StringConstraints(pattern=r"^(/[A-Za-z0-9._/-]+|(sftp|s3|rest|b2|azure|gs):[A-Za-z0-9._~:/@-]+)$")]
SecretName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]+/[a-z0-9.-]+$")]
WorkspaceTitle = Annotated[str, StringConstraints(pattern=r"^([a-z][a-z0-9]{0,19}/[a-z]([a-z0-9-]{0,28}[a-z0-9])?)?$")]
#: What `restic check --read-data-subset` takes: a share, or a part of several.
Subset = Annotated[str, StringConstraints(pattern=r"^([0-9]{1,2}(\.[0-9]+)?%|100%|[0-9]+/[0-9]+)$")]


class Backup(Section):
    """Step 20: copies of the users' data, elsewhere."""

    repository: RepositoryPlace = Field(
        "/var/lib/runbook/backup", description="where: a folder of the node, sftp:user@host:/path, s3:https://host/bucket")
    key: SecretName = Field(
        "runbook-backup/backup-key", description="Secret (namespace/name) whose `password` encrypts; its other keys go to restic as variables")
    image: str = Field("docker.io/restic/restic:0.18.1", description="image with restic, https://hub.docker.com/r/restic/restic")
    only: list[WorkspaceTitle] = Field(
        [], description="the only workspaces (owner/name) that the step looks at; schedules of others stay; none named: all")
    schedule: str = Field("H 3 * * *", min_length=9, description="cron's five fields; H is a minute of each workspace's own")
    keep_last: int = Field(3, ge=1, description="snapshots kept in any case")
    keep_daily: int = Field(7, ge=0, description="days of which the last snapshot is kept")
    keep_weekly: int = Field(4, ge=0, description="the same, weeks")
    keep_monthly: int = Field(6, ge=0, description="the same, months")
    check: Subset = Field("10%", description="share of the stored data that is read again after each backup")
    overdue_hours: int = Field(26, ge=1, description="age from which on a workspace's last backup is too old")
    timeout: int = Field(1800, ge=30, le=86400, description="seconds that one backup or restore may take")
    now: list[WorkspaceTitle] = Field([], description="workspaces to back up at once, besides the schedule")
    restore: WorkspaceTitle = Field("", description="workspace to restore (owner/name)")
    restore_to: WorkspaceTitle = Field("", description="restore it under this name; empty: the same")
    snapshot: Annotated[str, StringConstraints(pattern=r"^(latest|[0-9a-f]{8,64})$")] = Field(
        "latest", description="snapshot to restore")
    overwrite: WorkspaceTitle = Field("", description="typed name (owner/name) of a workspace that a restore may replace")
    drill: bool = Field(True, description="make a scratch workspace, back it up, delete it entirely, restore it, prove it")
    k3s: bool = Field(True, description="also copy the state of k3s (datastore and token), where k3s is on this host")

    @model_validator(mode="after")
    def _no_password(self):
        if re.search(r"//[^/@]*:[^/@]*@", self.repository):
            raise ValueError("repository: no password in it; put RESTIC_REST_PASSWORD into the Secret that `key` names")
        return self


PATTERNS |= {
    RepositoryPlace.__metadata__[0].pattern: "a folder (/srv/backup), sftp:user@host:/path, s3:https://host/bucket or another of restic's",
    SecretName.__metadata__[0].pattern: "namespace/name of a Secret",
    WorkspaceTitle.__metadata__[0].pattern: "owner/name of a workspace",
    Subset.__metadata__[0].pattern: 'a share such as "10%", or a part such as "1/7"',
}

"""Helm's own records of its releases: one Secret a revision, as ``helm ls`` reads them.

Source of the format: Helm's storage driver (``pkg/storage/driver/secrets.go`` and ``util.go``): type ``helm.sh/release.v1``, label
``owner=helm``, ``data.release`` = base64 of (base64 of gzip of JSON).
"""

import base64
import gzip
import json
from dataclasses import dataclass

import yaml

TYPE = "helm.sh/release.v1"
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  #: libyaml where the wheel carries it: ten times as fast


@dataclass(frozen=True)
class Release:
    """The newest revision of a release."""

    name: str
    namespace: str
    revision: int
    status: str  #: deployed, failed, pending-install, pending-upgrade, pending-rollback, uninstalling…
    chart: str
    chart_version: str
    values: dict
    manifest: str
    updated: str

    @property
    def pending(self) -> bool:
        return self.status.startswith("pending-") or self.status == "uninstalling"

    def objects(self) -> list[dict]:
        """The objects of its manifest."""
        return [o for o in yaml.load_all(self.manifest, Loader=LOADER) if o]


def decode(secret: dict) -> Release:
    """Read a release out of its Secret."""
    data = json.loads(gzip.decompress(base64.b64decode(base64.b64decode(secret["data"]["release"]))))
    chart = data["chart"]["metadata"]
    return Release(data["name"], data["namespace"], data["version"], data["info"]["status"], chart["name"], chart["version"],
                   data.get("config") or {}, data.get("manifest", ""), data["info"].get("last_deployed", ""))


def encode(release: Release) -> dict:
    """The Secret that Helm would keep of a release."""
    data = {"name": release.name, "namespace": release.namespace, "version": release.revision, "config": release.values,
            "manifest": release.manifest, "chart": {"metadata": {"name": release.chart, "version": release.chart_version}},
            "info": {"status": release.status, "last_deployed": release.updated}}
    text = base64.b64encode(base64.b64encode(gzip.compress(json.dumps(data).encode(), mtime=0))).decode()
    return {"apiVersion": "v1", "kind": "Secret", "type": TYPE, "data": {"release": text}, "metadata": {
        "name": secret_name(release.name, release.revision), "namespace": release.namespace,
        "labels": {"owner": "helm", "name": release.name, "status": release.status, "version": str(release.revision)}}}


def secret_name(name: str, revision: int) -> str:
    return f"sh.helm.release.v1.{name}.v{revision}"


def newest(secrets: list[dict]) -> list[Release]:
    """The newest revision of each release, by namespace and name. Only those are unpacked."""
    latest: dict[tuple[str, str], dict] = {}
    for secret in secrets:
        meta = secret["metadata"]
        key = (meta["namespace"], meta["labels"]["name"])
        if key not in latest or int(meta["labels"]["version"]) > int(latest[key]["metadata"]["labels"]["version"]):
            latest[key] = secret
    return [decode(latest[key]) for key in sorted(latest)]

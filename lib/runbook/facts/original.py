"""Gitpod itself: what its last self-hosted release asks of a cluster, and whether its images can still be had. Reads only.

Everything named here stands in https://github.com/gitpod-io/gitpod at the tag 2022.11.3 (June 2023), the last self-hosted
release: the images in kots-app.yaml and gitpod-installer-job.yaml of install/kots/manifests, the limits and labels in checks.go and
affinity.go of install/installer/pkg/cluster.
"""

import json
import re
from urllib.parse import urlencode, urlsplit

import pandas as pd

from runbook import wire
from runbook.facts.ingress import probe

RELEASE = "release-2022.11.3"
BUILD = "eu.gcr.io/gitpod-core-dev/build"
#: One image of each part; without one of them the rest is of no use.
IMAGES = {
    "installer": f"{BUILD}/installer:{RELEASE}",
    "server": f"{BUILD}/server:commit-5efe589918bf26024480f39e43ed47733ff8ca87",
    "dashboard": f"{BUILD}/dashboard:commit-6c7af05e1362e600bbaf73b57d0e318fc8b97abc",
    "workspace manager": f"{BUILD}/ws-manager:commit-668e50f9f635342acb4eb52115be71fa0dee2a51",
    "workspace daemon": f"{BUILD}/ws-daemon:commit-668e50f9f635342acb4eb52115be71fa0dee2a51",
    "IDE": f"{BUILD}/ide/code:commit-a65f065d070fcf91a9491e806d9fff26d962e873",
    "database": "docker.io/bitnami/mysql:5.7.34-debian-10-r55",
    "workspace image": "docker.io/gitpod/workspace-full:latest",
}
KERNEL, KUBERNETES = (5, 4), (1, 21)
PARTS = ("meta", "ide", "workspace_services", "workspace_regular", "workspace_headless")
LABELS = tuple(f"gitpod.io/workload_{part}" for part in PARTS)
CERT_MANAGER = "clusterissuers.cert-manager.io"
#: Where the names of Docker Hub lead; as containerd asks for them.
REGISTRIES = {"docker.io": "registry-1.docker.io"}
#: https://github.com/opencontainers/distribution-spec/blob/main/spec.md and Docker's older kinds of manifest.
MANIFESTS = ", ".join(f"application/vnd.{kind}+json" for kind in (
    "oci.image.index.v1", "oci.image.manifest.v1", "docker.distribution.manifest.list.v2", "docker.distribution.manifest.v2"))
ANSWERS = {200: "there", 401: "not public (401)", 403: "not public (403)", 404: "gone (404)", 429: "too many requests (429)"}
SECONDS = 6  #: that a registry may take to answer
COLUMNS = ["piece", "needed", "found", "verdict"]  #: verdict: there, missing, or not known


def pieces(site, ask: bool = True) -> pd.DataFrame:
    """What Gitpod's last self-hosted release needs, and what of it is here; columns piece, needed, found, verdict.

    Args:
        ask: ask the registries for its images; a server tells strangers nothing unless its operator wants that.
    """
    return pd.DataFrame([*_cluster(site), *(_images(site) if ask else _unasked())], columns=COLUMNS)


def lacking(table: pd.DataFrame) -> str:
    """The rows that are not there, as one sentence; empty if all are."""
    return "; ".join(f"{r.piece}: {r.found}" for r in table[table.verdict != "there"].itertuples())


def _cluster(site):
    nodes = site.cluster.list("Node") if site.cluster else []
    infos, wanted = [n["status"]["nodeInfo"] for n in nodes], "on every node"
    yield "Kubernetes", "1.21 or newer", site.version or "none yet", _verdict(_number(site.version) >= KUBERNETES, nodes)
    kernels = sorted({i["kernelVersion"] for i in infos})
    yield "kernel", f"5.4 or newer {wanted}", ", ".join(kernels), _verdict(all(_number(k) >= KERNEL for k in kernels), nodes)
    runtimes = sorted({i["containerRuntimeVersion"] for i in infos})
    yield "runtime", f"containerd {wanted}", ", ".join(runtimes), _verdict(all("containerd" in r for r in runtimes), nodes)
    absent = [label for label in LABELS if not any(label in n["metadata"].get("labels", {}) for n in nodes)]
    yield "node labels", ", ".join(LABELS), f"no node has {', '.join(absent)}" if absent else "all", _verdict(not absent, nodes)
    there = bool(site.cluster and site.cluster.get("CustomResourceDefinition", CERT_MANAGER))
    yield "cert-manager", CERT_MANAGER, "there" if there else "not installed", _verdict(there, nodes)


def _verdict(there: bool, nodes: list) -> str:
    return ("there" if there else "missing") if nodes else "not known"


def _number(version: str) -> tuple[int, int]:
    found = re.match(r"v?(\d+)\.(\d+)", version)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _images(site):
    answers = wire.each(lambda image: probe(site, ["manifest", image], lambda: manifest(image)), IMAGES.values())
    for (piece, image), (said, why) in zip(IMAGES.items(), answers):
        status = said.get("status", 0)
        silent = why or f"the registry cannot be reached: {said['error']}"
        found = ANSWERS.get(status, f"the registry answers {status}") if status else silent
        yield piece, image, found, {200: "there", 404: "missing"}.get(status, "not known")


def _unasked():
    return ((piece, image, "not asked: workspaces.original is not set", "not known") for piece, image in IMAGES.items())


def manifest(image: str) -> dict:
    """What a registry says of an image to somebody without a password: ``{"status", "error"}``, status 0 if it did not answer."""
    place, _, rest = image.partition("/")
    name, _, tag = rest.rpartition(":")
    host, _, port = REGISTRIES.get(place, place).partition(":")
    here = host == "127.0.0.1"  # a registry of this machine speaks no TLS

    def ask(**headers) -> wire.Answer:
        return wire.request(host, host, method="HEAD", path=f"/v2/{name}/manifests/{tag}", tls=not here, port=int(port or 0),
                            headers={"Accept": MANIFESTS, **headers}, timeout=SECONDS)

    answer = ask()
    if answer.status == 401 and (token := _token(answer.header("www-authenticate"))):
        answer = ask(Authorization=f"Bearer {token}")
    return {"status": answer.status, "error": answer.error}


def _token(challenge: str) -> str:
    """The token that a registry gives to anybody; empty if it gives none. https://distribution.github.io/distribution/spec/auth/token/"""
    said = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
    if not challenge.startswith("Bearer ") or "realm" not in said:
        return ""
    realm = urlsplit(said["realm"])
    path = f"{realm.path}?{urlencode({k: said[k] for k in ('service', 'scope') if k in said})}"
    answer = wire.request(realm.hostname, realm.hostname, path=path, tls=realm.scheme == "https", port=realm.port or 0,
                          timeout=SECONDS)
    try:
        given = json.loads(answer.body)
        return given.get("token") or given.get("access_token") or ""
    except (ValueError, AttributeError):
        return ""

"""Take the rehearsal's starting point from a real cluster: ``python -m runbook.rehearsal.seed --kubeconfig … [--out …]``.

Kept: the kinds served, nodes, the system namespaces and what runs in them, classes. Left out: Secrets, certificates,
leases, events, and all other namespaces.
"""

import argparse
import json
import re
from datetime import datetime, timezone

from runbook.cluster.kube import KubeTransport
from runbook.rehearsal.state import SEED

NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")
CLUSTER_KINDS = ("nodes", "namespaces", "storageclasses", "ingressclasses", "priorityclasses", "runtimeclasses", "customresourcedefinitions")
NAMESPACED_KINDS = ("pods", "services", "endpoints", "configmaps", "serviceaccounts", "deployments", "replicasets", "daemonsets", "statefulsets",
                    "endpointslices", "ingresses", "controllerrevisions", "poddisruptionbudgets")
#: Not part of a bare cluster: what the contract tests make, and measurements (which are behaviour).
TESTS = "ct-"
CERTIFICATE = re.compile(r"-----BEGIN [A-Z ]+-----.*?-----END [A-Z ]+-----", re.DOTALL)


def kinds(transport: KubeTransport) -> list[dict]:
    """Every kind the cluster serves, the core group first, then in the server's order of preference."""
    groups = [("/api/v1", "v1")]
    for group in transport.request("GET", "/apis")["groups"]:
        preferred = group["preferredVersion"]["groupVersion"]
        versions = [v["groupVersion"] for v in group["versions"]]
        groups += [(f"/apis/{v}", v) for v in sorted(versions, key=lambda v: v != preferred)]
    found = []
    for path, version in groups:
        resources = transport.request("GET", path)["resources"]
        subs = {r["name"] for r in resources if "/" in r["name"]}
        for r in resources:
            if "/" not in r["name"]:
                found.append({"apiVersion": version, "kind": r["kind"], "plural": r["name"], "namespaced": r["namespaced"], "verbs": r["verbs"],
                              "status": f"{r['name']}/status" in subs, "scale": f"{r['name']}/scale" in subs})
    return found


def objects(transport: KubeTransport, served: list[dict]) -> list[dict]:
    """What a new rehearsal holds."""
    found = []
    for kind in served:
        path = ("/apis/" if "/" in kind["apiVersion"] else "/api/") + kind["apiVersion"]
        if kind["plural"] in CLUSTER_KINDS and kind["apiVersion"].startswith(("v1", "storage", "networking", "scheduling", "node", "apiext")):
            items = transport.request("GET", f"{path}/{kind['plural']}")["items"]
        elif kind["plural"] in NAMESPACED_KINDS and not kind["apiVersion"].startswith("metrics"):
            items = [i for ns in NAMESPACES for i in transport.request("GET", f"{path}/namespaces/{ns}/{kind['plural']}")["items"]]
        else:
            continue
        if kind["plural"] == "namespaces":
            items = [i for i in items if i["metadata"]["name"] in NAMESPACES]
        items = [i for i in items if not i["metadata"]["name"].startswith(TESTS)]
        found += [trimmed({"apiVersion": kind["apiVersion"], "kind": kind["kind"]} | item) for item in items]
    return found


def images(transport: KubeTransport) -> dict[str, str]:
    """The id of each image that some container runs."""
    pods = transport.request("GET", "/api/v1/pods")["items"]
    return {c["image"]: c["imageID"] for p in pods for c in p["status"].get("containerStatuses", []) if c["imageID"] and ":" in c["image"]}


def trimmed(obj: dict) -> dict:
    """Without managed fields, certificates, and what names only the moment of recording."""
    obj["metadata"].pop("managedFields", None)
    obj["metadata"].get("annotations", {}).pop("kubectl.kubernetes.io/last-applied-configuration", None)
    if not obj["metadata"].get("annotations", True):
        del obj["metadata"]["annotations"]
    return json.loads(CERTIFICATE.sub("(certificate left out)", json.dumps(obj).replace("\\n", "\n").replace("\n", "\\n")))


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kubeconfig", required=True)
    parser.add_argument("--out", default=str(SEED))
    given = parser.parse_args(argv)
    transport = KubeTransport(given.kubeconfig)
    version = transport.request("GET", "/version")["gitVersion"]
    served = kinds(transport)
    today = datetime.now(timezone.utc).date().isoformat()
    seed = {"about": f"recorded {today} on Kubernetes {version} (lab)", "recorded": today, "version": version, "server": "rehearsal",
            "images": images(transport), "answer": transport.request("GET", "/version"), "kinds": served, "objects": objects(transport, served)}
    with open(given.out, "w", encoding="utf-8") as file:
        json.dump(seed, file, indent=1, sort_keys=True, ensure_ascii=False)
        file.write("\n")
    print(f"{len(seed['objects'])} objects, {len(served)} kinds of Kubernetes {version} in {given.out}")


if __name__ == "__main__":
    main()

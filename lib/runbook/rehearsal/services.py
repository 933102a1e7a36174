"""Services: addresses, and the endpoints that their selectors find."""

from runbook.rehearsal.state import now, suffix
from runbook.rehearsal.values import at, matches
from runbook.rehearsal.world import World
from runbook.rehearsal.workloads import ready


def admit(world: World, service: dict) -> None:
    """Give a service the addresses and ports that it has none of yet."""
    spec = service["spec"]
    if spec["type"] == "ExternalName":
        return
    if not spec.get("clusterIP"):
        number = world.address("service")
        spec["clusterIP"] = f"10.43.{number >> 8 & 255}.{number & 255}"
    spec.setdefault("clusterIPs", [spec["clusterIP"]])
    if spec["type"] in ("NodePort", "LoadBalancer") and spec.get("allocateLoadBalancerNodePorts") is not False:
        for port in spec.get("ports") or []:
            if not port.get("nodePort"):
                port["nodePort"] = world.address("port")


def endpoints(world: World, namespace: str) -> None:
    for service in world.all("Service", namespace):
        if service["spec"].get("selector") and service["spec"]["type"] != "ExternalName":
            _endpoints(world, service)
    for found in world.all("Endpoints", namespace):
        if not world.get("Service", found["metadata"]["name"], namespace):
            world.remove(found)


def _endpoints(world: World, service: dict) -> None:
    meta, spec = service["metadata"], service["spec"]
    namespace, headless = meta["namespace"], spec.get("clusterIP") == "None"
    found = [p for p in world.all("Pod", namespace) if matches({"matchLabels": spec["selector"]}, p["metadata"].get("labels")) and at(p, "status", "podIP")
             and at(p, "status", "phase") == "Running"]
    up = lambda p: ready(p) or bool(spec.get("publishNotReadyAddresses"))
    ports = [_port(p, found) for p in spec.get("ports") or []]
    addresses = {True: [], False: []}
    slices = []
    for pod in found:
        reference = {"kind": "Pod", "name": pod["metadata"]["name"], "namespace": namespace, "uid": pod["metadata"]["uid"]}
        host = {"hostname": pod["spec"]["hostname"]} if pod["spec"].get("subdomain") == meta["name"] and pod["spec"].get("hostname") else {}
        addresses[up(pod)].append({**host, "ip": pod["status"]["podIP"], "nodeName": pod["spec"]["nodeName"], "targetRef": reference})
        slices.append({"addresses": [pod["status"]["podIP"]], "conditions": {"ready": up(pod), "serving": ready(pod), "terminating": False}, **host,
                       "nodeName": pod["spec"]["nodeName"], "targetRef": reference})
    subset = {**({"addresses": addresses[True]} if addresses[True] else {}),
              **({"notReadyAddresses": addresses[False]} if addresses[False] else {}), **({"ports": ports} if ports else {})}
    own = {**(meta.get("labels") or {}), **({"service.kubernetes.io/headless": ""} if headless else {})}
    _put(world, service, "v1", "Endpoints", meta["name"], {"subsets": [subset]} if found else {},
         {**own, "endpoints.kubernetes.io/managed-by": "endpoint-controller"}, None)
    _put(world, service, "discovery.k8s.io/v1", "EndpointSlice", "",
         {"addressType": "IPv4", "endpoints": slices or None, "ports": ports if found and ports else None},
         {**own, "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io", "kubernetes.io/service-name": meta["name"]}, service)


def _port(port: dict, found: list[dict]) -> dict:
    """A service's port as its pods have it: a name is looked up in the containers' ports."""
    target = port.get("targetPort", port["port"])
    if isinstance(target, str):
        named = [p["containerPort"] for pod in found for c in pod["spec"]["containers"] for p in c.get("ports") or [] if p.get("name") == target]
        target = named[0] if named else port["port"]
    return {**({"name": port["name"]} if port.get("name") else {}), "port": target, "protocol": port.get("protocol", "TCP")}


def _put(world: World, service: dict, api_version: str, kind: str, name: str, parts: dict, labels: dict, owner: dict | None) -> None:
    namespace = service["metadata"]["namespace"]
    old = world.get(kind, name, namespace) if name else next(iter(world.owned(kind, service)), None)
    if old is None:
        generated = {} if name else {"generateName": f"{service['metadata']['name']}-", "generation": 1}
        world.create(api_version, kind, name or f"{service['metadata']['name']}-{suffix()}", namespace, owner, **parts, metadata={
            **generated, "labels": labels, "annotations": {"endpoints.kubernetes.io/last-change-trigger-time": now()}})
        return
    body = {k: v for k, v in old.items() if k not in ("apiVersion", "kind", "metadata")}
    if body != parts or old["metadata"].get("labels") != labels:
        fresh = {"apiVersion": api_version, "kind": kind, "metadata": {**old["metadata"], "labels": labels}, **parts}
        if "generation" in fresh["metadata"]:
            fresh["metadata"]["generation"] += 1
        world.put(fresh)

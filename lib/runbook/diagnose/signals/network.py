"""DNS and the internet from pods, ports of the ingress, pods across nodes."""

from collections.abc import Iterator

from runbook.diagnose.findings import CRITICAL, Case, Finding
from runbook.diagnose.snapshot import Snapshot, condition, where

LOOKS_FOR = "the network: DNS and internet from pods, packet rules after a firewall's reload, pods across nodes"
DNS = Case("dns-dead", CRITICAL, "names are not resolved in pods",
           "clones, composer, apt and the database's name fail in every workspace",
           "see that coredns runs, and that a firewall lets pods (10.42.0.0/16) reach it: "
           "https://docs.k3s.io/installation/requirements", "94-url-unreachable",
           r"Temporary failure in name resolution|lookup [\w.-]+( on [\d.:]+)?: (i/o timeout|server misbehaving)|"
           r"dial udp [\d.]+:53|10\.43\.0\.10:53: i/o timeout|Could not resolve host|getaddrinfo (EAI_AGAIN|"
           r"ENOTFOUND)|plugin/errors: 2 .*i/o timeout")
COREDNS = Case("coredns-down", CRITICAL, "the cluster's name server does not run", "names are not resolved in any workspace",
            "see its pods in kube-system", "94-url-unreachable")
FORWARD = Case("pods-no-internet", CRITICAL, "this server forwards no packets", "pods reach nothing outside of this server",
            "sysctl -w net.ipv4.ip_forward=1, and find out who set it to 0")
RULES = Case("rules-flushed", CRITICAL, "the cluster's packet rules are gone, as after a firewall's reload",
            "80 and 443 are dead, and so are names in pods",
            "systemctl restart k3s, then delete the pods behind 80 and 443 (kubectl -n kube-system delete pod -l "
            "app.kubernetes.io/name=traefik): their hostPort rules are only made when they start", "94-url-unreachable")
HOSTPORTS = Case("hostports-flushed", CRITICAL,
            "the rules that lead a port of this server to a pod are gone, as after a firewall's reload",
            "80 and 443 are dead, though Traefik runs",
            "delete the pods of that port once: their rules are only made when they start (kubectl -n kube-system "
            "delete pod -l app.kubernetes.io/name=traefik, or svclb-traefik)", "94-url-unreachable")
ACROSS = Case("pods-across-nodes", CRITICAL, "a node's pod network is not up",
            "workspaces on that node reach no service, and are not reached",
            "let UDP 8472 (flannel VXLAN) and TCP 10250 through between the nodes: "
            "https://docs.k3s.io/installation/requirements", "94-url-unreachable",
            r"no route to host|NetworkPluginNotReady|cni plugin not initialized|failed to find plugin \"flannel\"|"
            r"/run/flannel/subnet.env: no such file")
IDE = Case("ide-disconnects", CRITICAL, "the IDE loses its connection",
           "the editor shows “reconnecting”; what is typed meanwhile is lost",
           "a proxy between browser and workspace drops WebSockets: it must pass Upgrade, Host and Origin, and "
           "allow an hour of idleness", "94-url-unreachable",
           r"WebSocket close with status code 1006|workbench failed to connect to the server|host and origin "
           r"(headers )?do not match|Unexpected server response: (400|403|502).*[Ww]eb[Ss]ocket")

CASES = (IDE, DNS, ACROSS, COREDNS, FORWARD, RULES, HOSTPORTS)


def look(shot: Snapshot) -> Iterator[Finding]:
    for deployment in shot.of("Deployment"):
        meta, status = deployment["metadata"], deployment.get("status") or {}
        if meta["name"] == "coredns" and not status.get("readyReplicas"):
            yield COREDNS.at(where(deployment), condition(deployment, "Available").get("lastTransitionTime", ""),
                             condition(deployment, "Available").get("message", ""))
    for key, log in shot.logs.items():
        if "coredns" in key and DNS.matches(log):
            yield DNS.at(key, evidence=next(line for line in log.splitlines() if DNS.matches(line)))
        if IDE.matches(log):
            yield IDE.at(key, evidence=next(line for line in log.splitlines() if IDE.matches(line)))
    if shot.host.get("sysctl", {}).get("net.ipv4.ip_forward") == 0 and shot.of("Node"):
        yield FORWARD.at("this server", evidence="net.ipv4.ip_forward = 0")
    filters = shot.host.get("filters")
    if (
        filters
        and shot.of("Service")
        and not filters.get("kube-proxy")
        and shot.host.get("units", {}).get("k3s.service", {}).get("ActiveState") == "active"
    ):
        yield RULES.at("this server", evidence=f"rules: {filters}; none of kube-proxy's")
    published = [p for p in shot.of("Pod") if p["status"].get("phase") == "Running" and any(
        port.get("hostPort") for c in p["spec"].get("containers") or [] for port in c.get("ports") or [])]
    if filters and filters.get("kube-proxy") and not filters.get("hostPorts") and published and len(shot.of("Node")) == 1:
        yield HOSTPORTS.at(
            where(published[0]), evidence=f"it publishes a port of this server; rules: {filters}; none of hostPorts"
        )
    for node in shot.of("Node"):
        down = condition(node, "NetworkUnavailable")
        ready = condition(node, "Ready")
        if down.get("status") == "True":
            yield ACROSS.at(where(node), down.get("lastTransitionTime", ""), down.get("message", ""))
        elif ready.get("status") == "False" and ACROSS.matches(ready.get("message", "")):
            yield ACROSS.at(where(node), ready.get("lastTransitionTime", ""), ready.get("message", ""))

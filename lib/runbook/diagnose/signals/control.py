"""k3s itself, its nodes, certificates, datastore and clock."""

from collections.abc import Iterator

from runbook.diagnose.findings import CRITICAL, NOTICE, WARNING, Case, Finding, first_match
from runbook.diagnose.snapshot import Snapshot, condition, where

LOOKS_FOR = "k3s: its unit and journal, nodes that are gone or cordoned, certificates, datastore, clock, cgroups, limits"
DOWN = "nothing of the cluster can be changed; what runs goes on until it falls"
TOKEN = Case("k3s-token", CRITICAL, "k3s was started with another token than its data were made with", DOWN,
            "put the old token back: /var/lib/rancher/k3s/server/token, or token: in /etc/rancher/k3s/config.yaml", "",
            r"encrypted with different token|bootstrap data already found")
CA = Case("k3s-ca", CRITICAL, "a node or client trusts another CA than this cluster's",
          "that node or client is out; the others are not hurt",
          "take token and kubeconfig anew from the server; a CA is only changed by `k3s certificate rotate-ca`", "",
          r"token CA hash does not match|(cacerts|kube-apiserver|6443|6444|cluster).*x509: certificate signed by "
          r"unknown authority|Unable to connect to the server: x509: certificate signed by unknown authority")
GHOST = Case("node-password", CRITICAL, "a node is refused because its name is taken",
            "that node does not join; its workspaces stay down",
            "if it was installed anew: kubectl -n kube-system delete secret NODE.node-password.k3s; otherwise give "
            "it its own k3s.node_name", "", r"Node password rejected|duplicate hostname")
CGROUP = Case("cgroup-missing", CRITICAL, "the kernel has no memory cgroup", DOWN,
            "add cgroup_memory=1 cgroup_enable=memory to the kernel's command line and reboot", "",
            r"failed to find memory cgroup|Failed to find (memory|cpuset|pids) cgroup")
PORT = Case("port-taken", CRITICAL, "a port that is needed is taken by another program",
            "the service that needs it does not start", "see who listens: ss -ltnp; stop it, or give one of them another port",
            "", r"bind: address already in use|unable to listen on any of the requested ports|didn't have free ports for "
            r"the requested pod ports|provided port is already allocated")
SKEW = Case("clock-skew", CRITICAL, "clocks differ", "certificates are refused, logins and leases fail",
            "let a time service keep the clock: timedatectl set-ntp true", "",
            r"certificate has expired or is not yet valid: current time \S+ is before|clock skew|clock is " r"unsynchronized")
CERT = Case("k3s-certificate-expired", CRITICAL, "a certificate of the cluster has expired", DOWN,
            "systemctl restart k3s renews them (from 120 days before their end on); take the kubeconfig anew", "",
            r"certificate has expired|x509: .*is after")
SOON = Case("k3s-certificate-ends-soon", WARNING, "a certificate of the cluster ends within a month",
            "then nothing of the cluster can be changed", "systemctl restart k3s renews it")
SLOW = Case("datastore-slow", WARNING, "the cluster's datastore is slow",
            "everything takes long; leases may be lost, and pods restarted",
            "its disk is too slow or shared with something busy: move /var/lib/rancher/k3s/server/db to an SSD", "",
            r"Slow SQL|apply request took too long|etcdserver: request timed out|leader failed to send out heartbeat")
INOTIFY = Case("inotify", CRITICAL, "the kernel gives out no more inotify watches",
            "IDEs do not see changed files, `kubectl logs -f` and new pods fail",
            "sysctl -w fs.inotify.max_user_instances=8192 fs.inotify.max_user_watches=1048576, and keep it in "
            "/etc/sysctl.d", "",
            r"inotify_init: too many open files|fsnotify watcher: too many open files|inotify.*(no space left|limit)|"
            r"ENOSPC: System limit for number of file watchers")
FILES = Case("open-files", CRITICAL, "too many files are open", "programs fail at random",
            "raise fs.file-max, or LimitNOFILE of the unit that needs it", "", r"too many open files|file table overflow")
STOPPED = Case("k3s-down", CRITICAL, "k3s does not run", DOWN, "see why: journalctl -u k3s -n 50", "01-install-k3s",
            r"the API server .* does not answer|connection to the server .*was refused|6443: connect: connection " r"refused")
NOT_READY = Case("node-not-ready", CRITICAL, "a node is not ready",
            "its workspaces are not reached, and do not move by themselves if their volumes lie there",
            "see k3s on that node; a node that will not come back or has another name now: kubectl delete node NAME", "",
            r"node\(s\) (had|were) .*not-ready|NodeNotReady|error dialing backend: dial tcp \S+:10250: connect: connection refused")
CORDONED = Case("node-cordoned", WARNING, "a node takes no new pods", "workspaces that stop on it do not start again",
            "kubectl uncordon NODE, when its upgrade is over", "")
NO_NTP = Case("clock-not-kept", NOTICE, "no time service keeps this server's clock",
            "nobody is hurt yet; certificates fail when it drifts", "timedatectl set-ntp true", "")

CASES = (TOKEN, CA, GHOST, CGROUP, PORT, SKEW, CERT, SLOW, INOTIFY, FILES, STOPPED, NOT_READY, CORDONED, SOON, NO_NTP)
FROM_JOURNAL = (TOKEN, CA, GHOST, CGROUP, PORT, SKEW, CERT, INOTIFY, FILES)
SLOW_LINES = 3  #: slow statements in the journal's last lines before that is told
LEASE_LATE, LEASE_AHEAD = 300, 60  #: seconds
MONTH = 30 * 86400


def look(shot: Snapshot) -> Iterator[Finding]:
    yield from _journal(shot)
    for name, unit in shot.host.get("units", {}).items():
        if (
            name.startswith("k3s")
            and unit.get("UnitFileState") == "enabled"
            and unit.get("ActiveState") in ("failed", "inactive", "activating")
        ):
            yield STOPPED.at(
                f"{name} of this server",
                evidence=f"{unit.get('ActiveState')}, {unit.get('SubState', '')}: {unit.get('Result', '')}",
            )
    leases = {lease["metadata"]["name"]: lease["spec"].get("renewTime", "") for lease in shot.of("Lease")}
    for node in shot.of("Node"):
        ready = condition(node, "Ready")
        renewed = leases.get(node["metadata"]["name"], "")
        if ready.get("status") != "True":
            last = f"; last heard of {renewed}" if renewed else ""
            yield NOT_READY.at(
                where(node), ready.get("lastTransitionTime", ""), f"{ready.get('reason', '')}: {ready.get('message', '')}{last}"
            )
        elif renewed and shot.age(renewed) < -LEASE_AHEAD:
            yield SKEW.at(where(node), evidence=f"its clock is {-shot.age(renewed):.0f} s ahead of this server's")
        if node["spec"].get("unschedulable"):
            yield CORDONED.at(where(node))
    for certificate in shot.host.get("certificates", []):
        left = -shot.age(certificate["until"])
        if shot.age(certificate["from"]) < 0:
            yield SKEW.at(certificate["place"], evidence=f"valid from {certificate['from']} on, and it is {shot.taken}")
        elif left < MONTH:
            yield (CERT if left <= 0 else SOON).at(certificate["place"], certificate["until"], f"until {certificate['until']}")
    clock = shot.host.get("clock", {})
    if clock and clock.get("NTP") != "yes" and clock.get("NTPSynchronized") != "yes":
        yield NO_NTP.at("this server", evidence=" ".join(f"{k}={v}" for k, v in clock.items()))
    controllers = shot.host.get("cgroup")
    if controllers and "memory" not in controllers:
        yield CGROUP.at("this server", evidence=f"controllers: {' '.join(controllers)}")
    files = shot.host.get("files") or {}
    if files.get("limit") and files["open"] > 0.9 * files["limit"]:
        yield FILES.at("this server", evidence=f"{files['open']} of {files['limit']} file handles in use")


def _journal(shot: Snapshot) -> Iterator[Finding]:
    lines = shot.host.get("journal", "").splitlines()
    slow = [line for line in lines if SLOW.matches(line)]
    if len(slow) >= SLOW_LINES:
        yield SLOW.at("k3s of this server", evidence=f"{len(slow)} of the last {len(lines)} lines: {slow[-1]}")
    told = set()
    for line in reversed(lines):
        case = first_match(FROM_JOURNAL, line)
        if (
            case
            and case.name not in told
            and any(
                w in line.lower() for w in ("fatal", "error", "panic", "reject", "failed", "level=error", "e0", "e1", "bind:")
            )
        ):
            told.add(case.name)
            yield case.at("k3s of this server", evidence=line)

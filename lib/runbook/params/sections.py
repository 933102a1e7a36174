"""The sections of the parameters, a model each. A key's description is what the README's table says of it."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from runbook.params.backup import Backup
from runbook.params.base import (
    Cidr, DOMAIN, NAMESPACE, Name, NameList, Owner, OwnerList, PATTERNS, Port, Quantity, Repository, Section, Title,
)
from runbook.params.load import Load


class K3s(Section):
    """Step 01: the Kubernetes of this server. With ``kubeconfig`` given, that cluster is verified instead."""

    version: str = Field("", description='release to install, such as "v1.xx.y+k3s1" (k3s.io); required to install')
    installer: str = Field("https://get.k3s.io", description="where the installer script comes from")
    installer_sha256: str = Field("", description="checksum of the installer that you have read; required to install")
    node_name: str = Field("", description="name of the node; the host's name when empty")
    tls_san: list[str] = Field([], description="further names and addresses in the API server's certificate")
    write_kubeconfig_mode: str = Field("0600", description="mode of /etc/rancher/k3s/k3s.yaml")
    disable: list[str] = Field([], description="packaged components to leave out, such as traefik")
    min_cores: int = Field(2, ge=1, description="cores that the preflight asks for")
    min_memory: Quantity = Field("2Gi", description="memory that the preflight asks for")
    min_disk: Quantity = Field("10Gi", description="free disk that the preflight asks for")


class Workspace(Section):
    """One workspace: one user's IDE, Apache, MariaDB and PHP."""

    name: Name = Field(description="its name, unique among its owner's: lower-case letters, digits and hyphens")
    owner: Owner = Field(description="whose it is; in its URL and in the namespace ws-<owner>")
    repo: Repository = Field("", description="URL of a git repository to clone; empty for an empty workspace")
    ref: str = Field("", pattern=r"^([A-Za-z0-9_][A-Za-z0-9._/-]*)?$", description="branch or tag; the repository's own when empty")
    git_secret: str = Field("", description="Secret of the owner's namespace with username and password, for a repository that asks")
    image: str = Field("", description="image of the main container; empty: .gitpod.yml's, else workspaces.image")


class Quota(Section):
    """What one owner may use; the sum over the owner's workspaces."""

    workspaces: int = Field(3, ge=1, le=100, description="workspaces of one owner")
    cpu: Quantity = Field("2", description="CPU that they may ask for together")
    memory: Quantity = Field("4Gi", description="memory that they may ask for together")
    storage: Quantity = Field("30Gi", description="size of all their volumes together")


WorkspaceList, Titles = list[Workspace], list[Title]  # named, because a key below is called list


class Workspaces(Section):
    """Steps 02 and 10: who gets which workspace, and of what."""

    list: WorkspaceList = Field([Workspace(name="demo", owner="alice")], description="the workspaces")
    original: bool = Field(False, description="step 02: ask for Gitpod's own last release, and stop with what it lacks")
    image: str = Field("docker.io/library/php:8.2-apache", description="main container: any image; with Apache and PHP by default")
    mariadb_image: str = Field("docker.io/library/mariadb:11", description="the database beside it")
    ide_image: str = Field("docker.io/codercom/code-server:4", description="the IDE beside it: an image of code-server")
    ide: Literal["auto", "image", "copy", "none"] = Field("auto", description="how the IDE gets there; auto asks the nodes")
    adminer: bool = Field(False, description="Adminer beside the database, reached through the IDE")
    adminer_image: str = Field("docker.io/library/adminer:5", description="its image")
    document_root: str = Field("", description="folder that Apache serves, below what the IDE opens")
    cpu: Quantity = Field("50m", description="CPU that a workspace's main container asks for")
    memory: Quantity = Field("256Mi", description="memory that it asks for")
    cpu_limit: Quantity = Field("2", description="CPU that it may use at most")
    memory_limit: Quantity = Field("2Gi", description="memory that it may use at most")
    storage: Quantity = Field("2Gi", description="size of /workspace")
    home: Quantity = Field("1Gi", description="size of the home folder")
    database: Quantity = Field("1Gi", description="size of the database's volume")
    storage_class: str = Field("", description="StorageClass of new volumes; empty: the cluster's default")
    idle_stop: int = Field(3600, ge=0, description="seconds without anybody in the IDE after which the keeper stops a workspace; 0: never")
    init_limit: int = Field(600, ge=1, description="seconds after which an init task that has not ended is taken for endless")
    start: Titles = Field([], description="step 10: workspaces to start, as owner/name")
    stop: Titles = Field([], description="step 10: workspaces to stop")
    delete: Titles = Field([], description="step 10: workspaces to delete with their data; asks for confirm")
    tour: bool = Field(True, description="step 10: make a guest's workspace, use it, stop it, start it, delete it")
    quota: Quota = Field(Quota(), description="what one owner may use")
    timeout: int = Field(300, ge=10, le=3600, description="seconds that a workspace may take to be ready")

    @model_validator(mode="after")
    def _unique(self):
        seen = set()
        for w in self.list:
            if (w.owner, w.name) in seen:
                raise ValueError(f"workspace {w.name} of {w.owner} is listed twice")
            seen.add((w.owner, w.name))
        if 0 < self.idle_stop < 120:
            raise ValueError("idle_stop: code-server notes activity once a minute, so at least 120 (or 0: never)")
        return self


class Storage(Section):
    """Step 03: where the users' data lie."""

    class_name: Name = Field("runbook-retain", description="name of our StorageClass")
    make_default: bool = Field(False, description="make it the class of claims that name none; else the cluster's default stays")
    retain_existing: bool = Field(True, description="also keep the data of volumes that other classes would delete with their claim")
    warn_share: float = Field(0.8, gt=0, description="share of the asked size from which on a volume is warned about")
    warn_days: int = Field(30, ge=1, description="days before the disk is full from which on that is warned about")
    grow: dict[str, Quantity] = Field({}, description='claims to enlarge: {"ws-alice/demo-home": "5Gi"}')
    take_back: list[str] = Field([], description="released volumes to give back to the claim that they had")
    delete: list[str] = Field([], description="released volumes (pvc-…) or claims without workspace (namespace/name) to delete with their data")
    proof: bool = Field(True, description="make a scratch workspace, and end it in every way, to see that its data survive")
    restart_kubelet: list[str] = Field(
        [], description='command that restarts the kubelet, also tried in that proof, such as ["systemctl", "restart", "k3s"]; none: not tried')


class Docker(Section):
    """Step 04: Docker inside the workspaces."""

    mode: Literal["auto", "userns", "privileged", "none"] = Field("auto", description="how the daemon runs; auto probes, safest first")
    allow_privileged: bool = Field(False, description="privileged containers are root on the host: only if you accept that")
    image: str = Field("docker.io/library/docker:28-dind", description="the daemon: Docker Hub's official image, or one like it")
    mirror: Annotated[str, StringConstraints(pattern=r"^(https?://[A-Za-z0-9.:_/-]+)?$")] = Field(
        "", description="URL of a mirror of Docker Hub, for the daemons; empty: Docker Hub itself")
    storage: Quantity = Field("5Gi", description="size of a workspace's volume for images and containers")
    cpu: Quantity = Field("50m", description="CPU that a daemon asks for")
    memory: Quantity = Field("128Mi", description="memory that it asks for")
    cpu_limit: Quantity = Field("2", description="CPU that it and its containers may use together")
    memory_limit: Quantity = Field("2Gi", description="memory that it and its containers may use together")
    disk_limit: Quantity = Field("2Gi", description="what any container of a workspace may write outside its volumes")
    pids: int = Field(4096, ge=256, le=32768, description="processes of one pod, where step 01 installed k3s")
    timeout: int = Field(180, ge=20, le=1800, description="seconds that one try of a mode may take")
    namespace: Name = Field("runbook-docker", description="where the tries run and their results are kept")


class Ingress(Section):
    """Step 05: the names and certificates of the workspaces."""

    domain: Annotated[str, StringConstraints(pattern=DOMAIN)] = Field(
        "auto", description="workspaces are <name>-<owner>.ws.<domain>; auto: a name made of the node's address, which needs no DNS of yours")
    address: str = Field("", description="the address that the names must lead to; empty: the node's (give the public one behind NAT)")
    probe: str = Field("", description="the address that this step's probes connect to; empty: the node's")
    resolver: str = Field("", description="a DNS server to ask, such as 9.9.9.9; empty: the system's")
    class_name: str = Field("", description="IngressClass; empty: the cluster's default")
    annotations: dict[str, str] = Field({}, description="further annotations of the Ingress, for a controller that this step does not know")
    traefik: bool = Field(True, description="configure the Traefik that k3s ships (HelmChartConfig); no effect elsewhere")
    redirect_all: bool = Field(False, description="with that Traefik: every name of this server goes to HTTPS, not the workspaces' only")
    certificate: Literal["private", "own", "cert-manager"] = Field(
        "private", description="private: an authority of ours; own: a wildcard of yours; cert-manager: ACME by DNS-01")
    cert_file: str = Field("", description="own: path of the certificate and its chain (PEM), on the server")
    key_file: str = Field("", description="own: path of its private key (PEM), on the server")
    issuer: str = Field("", description="cert-manager: the ClusterIssuer, with a DNS-01 solver")
    renew_days: int = Field(30, ge=1, le=300, description="private: renewed when fewer days are left")
    image: str = Field("docker.io/codercom/code-server:4", description="image with the Node that the gateway runs on")
    replicas: int = Field(1, ge=1, le=10, description="how many gateways")
    namespace: Annotated[str, StringConstraints(pattern=NAMESPACE)] = Field("runbook-system", description="where gateway and certificates are")
    owners: OwnerList = Field([], description="only the workspaces of these owners; empty: of everybody")
    at_once: int = Field(16, ge=1, le=64, description="how many probes side by side")
    probe_port: Port = Field(443, description="the port that probes connect to")
    probe_http_port: Port = Field(80, description="the same, of the way without TLS, which must lead to HTTPS")
    controller_namespaces: NameList = Field(["kube-system"], description="where the ingress controller runs; only it reaches the gateway")

    @model_validator(mode="after")
    def _certificate_is_whole(self):
        if self.certificate == "own" and not (self.cert_file and self.key_file):
            raise ValueError("certificate own needs cert_file and key_file")
        if self.certificate == "cert-manager" and not self.issuer:
            raise ValueError("certificate cert-manager needs issuer")
        return self


class Console(Section):
    """Step 91: a console stuck on 127.0.0.1."""

    namespace: str = Field("default", description="namespace of the console's Service")
    service: str = Field("kotsadm", description="its Service")
    port: Port = Field(8800, description="port to reach it on")
    target_port: Port = Field(3000, description="port of the Service")
    allow: Cidr = Field("100.64.85.0/24", description="the only network that may")
    listen: str = Field("", description="address to listen on; empty: the server's own in that network, else 0.0.0.0")
    probe: str = Field("", description="an address of that network that nobody uses: a test client takes it for a moment; empty: not tried")


class Trouble(Section):
    """The 9x notebooks: where to look."""

    namespaces: list[str] = Field([], description="only these namespaces; all when empty")
    start: bool = Field(False, description="94: start the stopped workspaces whose URLs answer 503")
    seconds: int = Field(120, ge=1, le=1800, description="how long a mended thing may take to come back")


SECTIONS: dict[str, type[Section]] = {
    "k3s": K3s, "workspaces": Workspaces, "storage": Storage, "docker": Docker, "ingress": Ingress, "load": Load,
    "backup": Backup, "console": Console, "trouble": Trouble,
}


class Site(Section):
    """The keys on top of a parameter file."""

    name: Name = Field("rehearsal", description="name of the site; in the names of its runs")
    target: Annotated[str, StringConstraints(pattern=r"^(rehearsal|local)$")] = Field("rehearsal", description="rehearsal or local (this server)")
    mode: Literal["plan", "apply"] = Field("plan", description="plan shows what would change, apply changes it")
    kubeconfig: str = Field("", description="path of a cluster's kubeconfig; empty: the k3s that step 01 installs")
    confirm: str = Field("", description="the site's name, typed, where a step deletes")


PATTERNS[r"^(rehearsal|local)$"] = "rehearsal or local"

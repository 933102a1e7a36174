"""k3s on this server: its configuration in one file, its version pinned, its installer checked.

Sources: https://docs.k3s.io/installation/configuration (config.yaml, INSTALL_K3S_VERSION) and
https://docs.k3s.io/installation/uninstall (k3s-uninstall.sh).
"""

import hashlib
import re

import yaml

from runbook.errors import HostError, ParameterError
from runbook.operations.host import ensure_file, remove_file, run_command
from runbook.params import K3s
from runbook.plans import Change, Plan, plan_of

CONFIG = "/etc/rancher/k3s/config.yaml"
KUBECONFIG = "/etc/rancher/k3s/k3s.yaml"
PROGRAM = "/usr/local/bin/k3s"
UNINSTALL = "/usr/local/bin/k3s-uninstall.sh"
INSTALLER = "/var/lib/runbook/k3s-install.sh"
STORAGE = "/var/lib/rancher/k3s/storage"  #: where local-path keeps the volumes; k3s-uninstall.sh deletes it
KEPT = "/var/lib/runbook/kept-storage"


def installed_version(host) -> str:
    """``"v1.xx.y+k3s1"`` as ``k3s --version`` says; empty if there is none."""
    if not host.which("k3s"):
        return ""
    match = re.search(r"k3s version (\S+)", host.run(["k3s", "--version"]).stdout)
    return match.group(1) if match else ""


def config(wanted: K3s) -> str:
    """The text of ``config.yaml``. Configuration lives there only: the installer run again without its flags would lose them."""
    settings = {"write-kubeconfig-mode": wanted.write_kubeconfig_mode}
    settings |= {"node-name": wanted.node_name} if wanted.node_name else {}
    settings |= {"tls-san": list(wanted.tls_san)} if wanted.tls_san else {}
    settings |= {"disable": list(wanted.disable)} if wanted.disable else {}
    return "# Written by the runbook, step 01. Change params, not this file.\n" + yaml.safe_dump(settings, sort_keys=True)


def ensure_k3s(host, wanted: K3s) -> Plan:
    """k3s of the wanted version with the wanted configuration, running.

    Nothing is downloaded when that version is there; without a version in the parameters, what is there is kept.

    Raises:
        ParameterError: nothing is installed, and version or checksum of the installer are not given.
    """
    version = installed_version(host)
    file = ensure_file(host, CONFIG, config(wanted), 0o600)
    if version and version == (wanted.version or version):
        restart = run_command(host, ["systemctl", "restart", "k3s"], note="reads its new configuration") if file else None
        return plan_of([file, None, restart] if file else [file, None])
    if not (wanted.version and wanted.installer_sha256):
        raise ParameterError("k3s: version and installer_sha256 are required to install it",
                             do="choose a release of github.com/k3s-io/k3s, read its installer, and give both in the parameters")
    return plan_of([file, _download(host, wanted), _install(host, wanted)])


def undo(site, wanted: K3s, delete_data: bool = False) -> Plan:
    """No k3s. Its volumes are copied aside first, unless they are to be deleted, too: its uninstaller deletes them.

    A cluster that step 01 did not install is left alone.
    """
    host = site.host
    leftovers = [remove_file(host, CONFIG), remove_file(host, INSTALLER)]
    if not host.exists(UNINSTALL):
        return plan_of(leftovers)
    keep = [] if delete_data or not host.exists(STORAGE) else [
        run_command(host, ["mkdir", "-p", KEPT]), run_command(host, ["cp", "-a", "--reflink=auto", STORAGE, KEPT], timeout=3600, note="the users' data")]
    return plan_of([*keep, run_command(host, [UNINSTALL], timeout=600, gone=[PROGRAM, UNINSTALL, KUBECONFIG]), *leftovers])


def _download(host, wanted: K3s) -> Change | None:
    if _checksum(host.read(INSTALLER)) == wanted.installer_sha256:
        return None
    return Change("create", "File", INSTALLER, lambda: _fetch(host, wanted), note=f"from {wanted.installer}, sha256 {wanted.installer_sha256[:12]}…",
                  undo=f"rm {INSTALLER}")


def _fetch(host, wanted: K3s) -> None:
    text = host.download(wanted.installer)
    found = _checksum(text)
    if found != wanted.installer_sha256:
        raise HostError(f"{wanted.installer}: its sha256 is {found}, not the one of the parameters",
                        do="read the installer that is served now; if you trust it, give its checksum as k3s.installer_sha256")
    host.write(INSTALLER, text, 0o700)


def _install(host, wanted: K3s) -> Change:
    return run_command(host, ["sh", INSTALLER], timeout=900, env={"INSTALL_K3S_VERSION": wanted.version}, leaves=[PROGRAM, UNINSTALL, KUBECONFIG],
                       note=f"k3s {wanted.version}, configured by {CONFIG}", undo=UNINSTALL)


def _checksum(text: str | None) -> str:
    return hashlib.sha256(text.encode()).hexdigest() if text is not None else ""

"""A stand-in for restic's image, for a node of this machine that reaches no registry. Made of Debian packages; needs root, mmdebstrap and ctr.

    CONTAINERD_ADDRESS=… python tests/cluster/restic_image.py [PROGRAM]

PROGRAM is the restic to put in, statically linked; Debian's own if none is named. Prints the image's name: upstream's, with the version
that the program tells. As in the official image the tools are busybox's, and there is an ssh; the label says that it is a stand-in.
"""

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

LABELS = {"org.opencontainers.image.description": "offline stand-in built from Debian packages"}
PATH = "/busybox:/usr/bin:/bin"


def root(folder: Path, program: str) -> str:
    """The files of the image; the version of its restic."""
    include = ",".join(["busybox-static", "ca-certificates", "openssh-client", *([] if program else ["restic"])])
    subprocess.run(["mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", f"--include={include}", '--aptopt=Apt::Install-Recommends "false"',
                    "--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/locale/*", "bookworm", str(folder)], check=True)
    if program:
        shutil.copy(program, folder / "usr/bin/restic")
    tools = folder / "busybox"
    tools.mkdir()
    for name in subprocess.run([folder / "bin/busybox", "--list"], check=True, capture_output=True, text=True).stdout.split():
        (tools / name).symlink_to("/bin/busybox")
    said = subprocess.run(["chroot", str(folder), "/usr/bin/restic", "version"], check=True, capture_output=True, text=True).stdout
    return said.split()[1]  # restic 0.18.1 compiled with …


def archive(folder: Path, version: str, to: Path) -> str:
    """An image archive of one layer, as `docker save` writes it; the image's name."""
    name, layer = f"docker.io/restic/restic:{version}", to.with_suffix(".layer")
    subprocess.run(["tar", "-C", str(folder), "--numeric-owner", "-cf", str(layer), "."], check=True)
    with layer.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]}, "config": {
        "Entrypoint": ["/usr/bin/restic"], "Env": [f"PATH={PATH}"], "Labels": LABELS | {"org.opencontainers.image.title": name}}}).encode()
    file = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = json.dumps([{"Config": file, "RepoTags": [name], "Layers": ["layer.tar"]}]).encode()
    with tarfile.open(to, "w") as tar:
        for title, data in ((file, config), ("manifest.json", manifest)):
            entry = tarfile.TarInfo(title)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
        tar.add(layer, "layer.tar")
    return name


def main(program: str = "") -> str:
    with tempfile.TemporaryDirectory(prefix="restic-image-") as work:
        folder, to = Path(work, "root"), Path(work, "image.tar")
        name = archive(folder, root(folder, program), to)
        subprocess.run(["ctr", "--namespace", "k8s.io", "images", "import", str(to)], check=True, stdout=subprocess.DEVNULL)
    return name


if __name__ == "__main__":
    os.environ.setdefault("CONTAINERD_ADDRESS", "/run/containerd/containerd.sock")
    print(main(*sys.argv[1:]))

"""A server and its clients made of network namespaces, and just enough of systemd to start, stop and restart a unit.

The namespaces, addresses, packets and nftables are real. systemd is not: :class:`Machine` reads the unit files that step 91
wrote and runs their ``ExecStart`` in the server's namespace, restarting it as ``Restart=always`` says.
"""

import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from runbook.host import Host, Result

INSIDE, OUTSIDE, SERVER_IN, SERVER_OUT = "100.64.85.2", "198.51.100.2", "100.64.85.1", "198.51.100.1"
SERVER6, INSIDE6 = "fd00:85::1", "fd00:85::2"

#: What kubectl port-forward does, seen from the network: listens on each address and answers HTTP.
LISTENER = '''
import sys, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import socket
class Page(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b"console")
    def log_message(self, *a): pass
class Six(ThreadingHTTPServer):
    address_family = socket.AF_INET6
def serve(address, port):
    server = (Six if ":" in address else ThreadingHTTPServer)((address, port), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
words = sys.argv[1:]
port = int(words[-1].split(":")[0])
for address in words[words.index("--address") + 1].split(","):
    serve(address, port)
threading.Event().wait()
'''


def sh(*argv, check=True) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30)
    assert not check or done.returncode == 0, f"{argv}: {done.stderr}"
    return done.stdout


class Network:
    """Three namespaces: a server, a client in 100.64.85.0/24, one outside of it."""

    def __init__(self, tag: str):
        self.server, self.inside, self.outside = (f"{tag}-{part}" for part in ("srv", "in", "out"))

    def __enter__(self):
        for name in self.all:
            sh("ip", "netns", "add", name)
            sh("ip", "-n", name, "link", "set", "lo", "up")
        self._link(self.inside, SERVER_IN, INSIDE, "in")
        self._link(self.outside, SERVER_OUT, OUTSIDE, "out")
        for name, dev, address in ((self.server, "in", SERVER6), (self.inside, "eth0", INSIDE6)):
            sh("ip", "-n", name, "address", "add", f"{address}/64", "dev", dev, "nodad")
        return self

    def __exit__(self, *_):
        for name in self.all:
            for pid in sh("ip", "netns", "pids", name, check=False).split():
                os.kill(int(pid), signal.SIGKILL)
            sh("ip", "netns", "delete", name, check=False)

    all = property(lambda self: (self.server, self.inside, self.outside))

    def _link(self, client, server_address, client_address, device):
        sh("ip", "-n", client, "link", "add", "eth0", "type", "veth", "peer", "name", device, "netns", self.server)
        for name, dev, address in ((self.server, device, server_address), (client, "eth0", client_address)):
            sh("ip", "-n", name, "address", "add", f"{address}/24", "dev", dev)
            sh("ip", "-n", name, "link", "set", dev, "up")

    def get(self, client: str, address: str, port: int) -> str:
        """What a client gets: ``HTTP 200``, ``refused`` (a reset) or ``no answer`` (dropped)."""
        where = f"[{address}]" if ":" in address else address
        done = subprocess.run(
            [
                "ip",
                "netns",
                "exec",
                client,
                "curl",
                "-s",
                "-o",
                "/dev/null",
                "-w",
                "%{http_code}",
                "--max-time",
                "1",
                f"http://{where}:{port}/",
            ],
            capture_output=True,
            text=True,
            timeout=20,
        )
        return (
            f"HTTP {done.stdout}"
            if done.returncode == 0
            else {7: "refused", 28: "no answer"}.get(done.returncode, str(done.returncode))
        )

    def listen(self, address: str, port: int) -> subprocess.Popen:
        """A server of somebody else's, in the server's namespace."""
        process = subprocess.Popen(
            ["ip", "netns", "exec", self.server, sys.executable, "-c", LISTENER, "--address", address, f"{port}:1"]
        )
        self.wait(port)
        return process

    def wait(self, port: int, there: bool = True, seconds: float = 15):
        end = time.monotonic() + seconds
        while bool(sh("ip", "netns", "exec", self.server, "ss", "-Hltn", f"sport = :{port}")) != there:
            assert time.monotonic() < end, f"port {port}: not {'open' if there else 'closed'} within {seconds} s"
            threading.Event().wait(0.1)


class Machine(Host):
    """The server's namespace as a Host: its files under ``root``, its commands by nsenter, its units by :class:`Units`.

    Without ``namespace`` it is this machine itself; without ``kubectl`` a small HTTP server listens in its place.
    """

    def __init__(self, root: Path, namespace: str = "", kubectl: str = ""):
        self.root, self.kubectl = root, kubectl
        self.within = ["nsenter", f"--net=/run/netns/{namespace}"] if namespace else []
        self.units = Units(self)
        if not kubectl:
            (root / "bin").mkdir(parents=True)
            self.kubectl = str(root / "bin/kubectl")
            Path(self.kubectl).write_text(f"#!{sys.executable}\n{LISTENER}")
            Path(self.kubectl).chmod(0o755)

    def path(self, path: str) -> str:
        return str(self.root) + path

    def run(self, argv, **how):
        argv = [str(a) for a in argv]
        if argv[0] == "systemctl":
            return self.units.systemctl(argv[1:])
        if argv[0].rsplit("/", 1)[-1] in ("find", "rmdir", "nft"):
            argv = [self.path(a) if a.startswith("/etc/") else a for a in argv]
        result = super().run([*self.within, *argv], **how)
        return Result(result.argv, result.exit_code, result.stdout.replace(str(self.root), ""), result.stderr, result.seconds)

    def which(self, program):
        return self.kubectl if program == "kubectl" else super().which(program)

    def read(self, path):
        return super().read(self.path(path))

    def exists(self, path):
        return super().exists(self.path(path))

    def mode(self, path):
        return super().mode(self.path(path))

    def write(self, path, text, mode=0o644):
        super().write(self.path(path), text, mode)

    def remove(self, path):
        super().remove(self.path(path))

    def sockets(self):
        code = "import json; from runbook.host import Host; print(json.dumps(Host().sockets()))"
        return json.loads(self.run([sys.executable, "-c", code]).stdout)

    def unit(self, name):
        return self.units.show(name)


class Units:
    """start, stop, restart, enable, disable of units that step 91 writes; oneshots run, others are kept running."""

    def __init__(self, machine: Machine):
        self.machine, self.enabled, self.active, self.running = machine, set(), set(), {}

    def systemctl(self, words):
        verb, *names = words
        names = [n for n in names if not n.startswith("-")]
        for name in names:
            if verb in ("enable", "disable"):
                (self.enabled.add if verb == "enable" else self.enabled.discard)(name)
            if verb in ("stop", "restart") or "--now" in words:
                self.stop(name)
            if verb in ("start", "restart"):
                self.start(name)
        return Result(("systemctl", *words), 0, "")

    def show(self, name):
        there = self.machine.exists(f"/etc/systemd/system/{name}")
        return {"LoadState": "loaded" if there else "not-found", "UnitFileState": "enabled" if name in self.enabled else "",
                "ActiveState": "active" if name in self.active else "inactive", "SubState": "", "Result": "success"}

    def setting(self, name, key):
        lines = self.machine.read(f"/etc/systemd/system/{name}").splitlines()
        return next((line.split("=", 1)[1] for line in lines if line.startswith(key + "=")), "")

    def start(self, name):
        for needed in self.setting(name, "Requires").split():
            if needed not in self.active:
                self.start(needed)
        argv = shlex.split(self.setting(name, "ExecStart"))
        if self.setting(name, "Type") == "oneshot":
            self.machine.run(argv)
        else:
            self.running[name] = self._keep(name, argv)
        self.active.add(name)

    def stop(self, name):
        self.active.discard(name)
        process = self.running.pop(name, None)
        if process:
            process.kill()
            process.wait()

    def _keep(self, name, argv):
        process = subprocess.Popen([*self.machine.within, *argv], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def restart():
            process.wait()
            if name in self.active and self.running.get(name) is process and self.setting(name, "Restart") == "always":
                self.running[name] = self._keep(name, argv)

        threading.Thread(target=restart, daemon=True).start()
        return process

    def boot(self):
        """As after a reboot: what is enabled is started, rules first because they are required."""
        for name in sorted(self.active):
            self.stop(name)
        for name in sorted(self.enabled):
            if name not in self.active:
                self.start(name)

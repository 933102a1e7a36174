"""What the rehearsal knows, in one JSON file: objects, files, units, releases, faults.

Steps run in kernels of their own, one after the other or at once; the file is what they share. It is replaced
whole, under a lock, and read again when another process has written it.
"""

import fcntl
import json
import os
import random
import tempfile
import threading
import uuid
from contextlib import contextmanager
from datetime import datetime, timezone
from functools import lru_cache
from pathlib import Path

from runbook.errors import RunbookError
from runbook.rehearsal.values import clone

SEED = Path(__file__).resolve().parent.parent / "recordings" / "cluster-seed.json"
FORMAT = 1
#: What a server with k3s has, each with its mode; the contents are nobody's business here.
FILES = {"/usr/local/bin/k3s": 0o755, "/usr/local/bin/k3s-uninstall.sh": 0o755, "/etc/rancher/k3s/k3s.yaml": 0o600}
#: The letters of generated names. Source: k8s.io/apimachinery/pkg/util/rand.
SAFE = "bcdfghjklmnpqrstvwxz2456789"


@lru_cache
def seed() -> dict:
    """The recorded cluster that a new rehearsal starts from: ``about``, ``version``, ``kinds``, ``objects``."""
    return json.loads(SEED.read_text(encoding="utf-8"))


class State:
    """The state file; created from the seed when it is missing.

    ``data`` holds ``objects`` (by ``[plural.group][namespace/name]``), ``files``, ``units``, ``releases``, ``faults``, ``heard``.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)
        self.data: dict = {}
        self._stamp: tuple = ()
        self._depth = 0
        #: Held by whoever reads or changes from this process: threads take turns.
        self.lock = threading.RLock()

    def read(self) -> dict:
        """The data as it is now. Not to be changed: see :meth:`change`."""
        with self.lock:
            if self._depth == 0:
                self._load()
            return self.data

    @contextmanager
    def change(self):
        """Hold the lock, hand out the data, write it at the end; nothing is written when an error leaves the block."""
        with self.lock:
            if self._depth:
                yield self.data
                return
            with self._changing() as data:
                yield data

    @contextmanager
    def _changing(self):
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(f"{self.path}.lock", "a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._load()
            self._depth += 1
            try:
                yield self.data
                self._save()
            except BaseException:
                self._stamp = ()  # what was changed in memory is not what the file says
                raise
            finally:
                self._depth -= 1

    def reset(self) -> None:
        """Start again from the seed."""
        with self.change() as data:
            data.clear()
            data.update(_fresh())

    def _load(self) -> None:
        try:
            found = os.stat(self.path)
        except FileNotFoundError:
            if self._stamp != ("new",):
                self.data, self._stamp = _fresh(), ("new",)
            return
        stamp = (found.st_ino, found.st_mtime_ns, found.st_size)
        if stamp == self._stamp:
            return
        try:
            data = json.loads(self.path.read_text(encoding="utf-8"))
            if data["format"] != FORMAT or data["seed"] != seed()["about"]:
                data = _fresh()  # made by another version of the rehearsal: its objects may not fit
        except (ValueError, KeyError, TypeError) as error:
            raise RunbookError(f"the rehearsal's state {self.path} cannot be read: {error}", do="delete that file; the rehearsal starts anew") from None
        self.data, self._stamp = data, stamp

    def _save(self) -> None:
        handle, temporary = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(json.dumps(self.data, separators=(",", ":"), ensure_ascii=False))
            os.replace(temporary, self.path)
        except BaseException:
            os.unlink(temporary)
            raise
        found = os.stat(self.path)
        self._stamp = (found.st_ino, found.st_mtime_ns, found.st_size)


def _fresh() -> dict:
    start = seed()
    data = {"format": FORMAT, "seed": start["about"], "version": 1000, "objects": {}, "files": {}, "units": {}, "releases": {}, "faults": {},
            "heard": {}, "addresses": {"pod": 100, "service": 0x6400, "port": 30100}}
    data["objects"] = fresh_objects()
    data["files"] = {path: {"text": "", "mode": mode, "time": start["recorded"]} for path, mode in FILES.items()}
    return data


def fresh_objects() -> dict:
    """The objects of the seed, by kind and name."""
    start = seed()
    objects: dict = {resource_key(kind["apiVersion"], kind["plural"]): {} for kind in start["kinds"]}
    plurals = {(k["apiVersion"], k["kind"]): resource_key(k["apiVersion"], k["plural"]) for k in start["kinds"]}
    for obj in clone(start["objects"]):
        meta = obj["metadata"]
        objects[plurals[obj["apiVersion"], obj["kind"]]][f"{meta.get('namespace', '')}/{meta['name']}"] = obj
    return objects


def resource_key(api_version: str, plural: str) -> str:
    """``"statefulsets.apps"``, ``"pods"``: a kind whatever its version."""
    group = api_version.rpartition("/")[0]
    return f"{plural}.{group}" if group else plural


def now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def new_uid() -> str:
    return str(uuid.uuid4())


def suffix(n: int = 5) -> str:
    """The random end of a generated name."""
    return "".join(random.choices(SAFE, k=n))



"""Papermill's engine with our stops, time limits, progress, and a notebook file that is always whole.

Papermill 2.7 injects the parameters, starts the kernel and runs the cells. It is not asked whether all went well:
see :mod:`runbook.journal.judge`.
"""

import logging
import os
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import nbformat
import papermill
from nbclient.exceptions import CellExecutionError, DeadKernelError
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, NotebookExecutionManager, papermill_engines

from runbook.journal import atomic
from runbook.journal.hide import Hide
from runbook.journal.stop import MARK, Stopper, end_children


class Stopped(Exception):
    """The run is to stop; the :class:`Stopper` says why."""


class Watcher:
    """What is told of the progress; this one says nothing."""

    def cell(self, notebook, index: int) -> None:
        """Cell ``index`` starts."""


class _Keeper(NotebookExecutionManager):
    """Papermill's bookkeeper, which saves atomically and masked, and keeps the first failure to save for the end."""

    def __init__(self, nb, path: Path, hide: Hide):
        super().__init__(nb, output_path=None, progress_bar=False)
        self.path, self.hide, self.failed, self._held = path, hide, None, False

    def cell_start(self, cell, cell_index=None, **kwargs):
        """As papermill's; only code cells are worth a save."""
        with self._hold(cell.cell_type != "code"):
            super().cell_start(cell, cell_index, **kwargs)

    def cell_complete(self, cell, cell_index=None, **kwargs):
        """As papermill's; the start of the next cell, or the end, saves what this one left."""
        with self._hold(True):
            super().cell_complete(cell, cell_index, **kwargs)

    @contextmanager
    def _hold(self, held: bool):
        self._held = held
        try:
            yield
        finally:
            self._held = False

    def save(self, **kwargs):
        if self._held:
            return
        self.last_save_time = self.now()
        try:
            save(self.hide.notebook(self.nb), self.path, durable=False)
        except atomic.NotWritten as error:
            self.failed = self.failed or error

    def notebook_complete(self, **kwargs):
        """As papermill's, but what was not run stays pending: papermill 2.7 notes it as completed."""
        self.end_time = self.now()
        self.nb.metadata.papermill.update(end_time=self.end_time.isoformat(), duration=(self.end_time - self.start_time).total_seconds())
        self.save()


class _Client(PapermillNotebookClient):
    """Papermill's client, which stops where it was told to, before a cell starts."""

    def __init__(self, keeper, stopper: Stopper, watcher: Watcher, cell_timeout: float, **traits):
        super().__init__(keeper, **traits)
        self._stopper, self._watcher, self._cell_timeout = stopper, watcher, cell_timeout

    def papermill_execute_cells(self):
        process = self.km.provisioner.process  # the kernel leads a session and a group of its own (jupyter_client)
        self._stopper.watch(process.pid)
        try:
            super().papermill_execute_cells()
        except DeadKernelError as error:
            code = process.poll()
            how = f"killed by signal {-code}" if code and code < 0 else f"ended by itself with exit code {code}"
            raise DeadKernelError(f"the kernel was gone: {how}") from error
        finally:
            self._stopper.watch(0)

    def execute_cell(self, cell, cell_index, **kwargs):
        if self._stopper.kind:
            raise Stopped
        if self.nb_man.failed:
            raise self.nb_man.failed
        if cell.cell_type == "code" and cell.source.strip():
            self._watcher.cell(self.nb, cell_index)
            self._stopper.limit(self._cell_timeout, "the cell")
        try:
            return super().execute_cell(cell, cell_index, **kwargs)
        except CellExecutionError:
            raise  # papermill notes it
        except Exception:
            self.nb_man.cell_exception(cell, cell_index)
            raise
        finally:
            self._stopper.limit(0, "")


class _Engine(NBClientEngine):
    """Registered with papermill as ``runbook``."""

    @classmethod
    def execute_notebook(cls, nb, kernel_name, *, keep, stopper, watcher, cell_timeout, start, **ignored):
        keeper = keep(nb)
        keeper.notebook_start()
        try:
            _Client(keeper, stopper, watcher, cell_timeout, timeout=None, startup_timeout=60, kernel_name=kernel_name,
                    shutdown_kernel="immediate", log=logging.getLogger("runbook.kernel")).execute(**start)
        finally:
            keeper.notebook_complete()
        if keeper.failed:
            raise keeper.failed
        return keeper.nb


papermill_engines.register("runbook", _Engine)


def save(notebook, path: Path, *, durable: bool = True) -> None:
    """Write a notebook whole or not at all; not ``durable``: quickly, as another save will follow."""
    text = nbformat.writes(notebook) if durable else nbformat.v4.writes(notebook)  # the latter does not validate
    atomic.write_text(path, text + "\n", durable=durable)


def prepare(source: Path, parameters: dict):
    """A stored notebook with its parameters injected, not executed (an ``nbformat`` node).

    Papermill notes the files' places in the metadata; here only their names, as a report is read elsewhere.
    """
    stored = nbformat.read(source, as_version=4)  # not by its path: papermill takes braces in a path for a template
    notebook = papermill.execute_notebook(stored, None, parameters, prepare_only=True, progress_bar=False)
    notebook.metadata.papermill.update(input_path=f"notebooks/{source.name}", output_path=source.name)
    return notebook


def execute(notebook, path: Path, *, stopper: Stopper, watcher: Watcher, hide: Hide, mark: str, cell_timeout: float = 1800.0):
    """Execute a prepared notebook into the file ``path``.

    Args:
        notebook: from :func:`prepare`.
        stopper: what stops it, from outside or at its time limit.
        hide: what must not be written.
        mark: the run, by which its processes are found.
        cell_timeout: seconds for one cell.

    Returns:
        The executed notebook, the seconds it took, and the exception that ended it early (None if none did).
        Whether it succeeded is not said here.
    """
    kept, started, error = [], time.monotonic(), None

    def keep(nb):
        kept.append(_Keeper(nb, path, hide))
        return kept[0]

    try:
        papermill_engines.execute_notebook_with_engine(
            "runbook", notebook, kernel_name="python3", keep=keep, stopper=stopper, watcher=watcher, cell_timeout=cell_timeout,
            start={"env": kernel_environment(mark), "cwd": str(path.parent), "stderr": subprocess.DEVNULL})
    except Stopped:
        pass  # the stopper knows why
    except Exception as caught:  # a dead kernel, one that did not start, a full disk: the judge gets it
        error = caught
    finally:
        end_children(mark)
    return (kept[0].nb if kept else notebook), time.monotonic() - started, error


def kernel_environment(mark: str) -> dict:
    """The environment of a kernel: ours, with the run's mark.

    ``MPLBACKEND`` is left to the kernel (``Agg`` there makes plots vanish); the debugger's note on frozen modules is off.
    """
    environment = {**os.environ, MARK: mark, "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
    environment.pop("MPLBACKEND", None)
    return environment

"""Changes that do not depend on one another, carried out a few at a time, though planned and announced one by one."""

import dataclasses
from concurrent.futures import Future, ThreadPoolExecutor

from runbook.errors import RunbookError
from runbook.plans import Change

AT_ONCE = 4


class Together:
    """Add changes, put what :meth:`add` hands back into the plan. The first that is performed starts them all."""

    def __init__(self, at_once: int = AT_ONCE):
        self._at_once, self._changes, self._begun, self._failed = at_once, [], [], False

    def add(self, change: Change) -> Change:
        """The same change, to be performed together with the others."""
        index = len(self._changes)
        self._changes.append(change)
        return dataclasses.replace(change, perform=lambda: self._perform(index))

    def _perform(self, index: int) -> object:
        if not self._begun:
            pool = ThreadPoolExecutor(self._at_once, thread_name_prefix="change")
            self._begun: list[Future] = [pool.submit(self._one, c) for c in self._changes]
            pool.shutdown(wait=False)
        try:
            return self._begun[index].result()
        except BaseException:
            # None is left half-made: those under way come to their end, those not begun never do.
            self._failed = True
            for future in self._begun:
                future.exception()
            raise

    def _one(self, change: Change) -> object:
        if self._failed:
            raise RunbookError(f"{change.title}: not begun, for another one failed", do="mend that one and run the step again")
        try:
            return change.perform()
        except BaseException:
            self._failed = True
            raise

"""Ending runs whose handlers did not end by themselves when they were to be cancelled."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Iterable
from contextlib import suppress

from apps.tasks import claims, conf
from apps.tasks.holdings import Holding
from apps.tasks.worker.mainloop import MainLoop

logger = logging.getLogger(__name__)


class Cancellations:
    """The runs of a worker that are to be cancelled, and until when their handlers may do it themselves."""

    def __init__(self, loop: MainLoop, worker: str) -> None:
        self._loop = loop
        self._worker = worker
        self._due: dict[uuid.UUID, tuple[Holding, float]] = {}

    @property
    def next_due(self) -> float:
        """The moment (monotonic seconds) at which the next handler is to be ended."""
        return min((due for _, due in self._due.values()), default=float("inf"))

    def note(self, held: Iterable[Holding]) -> None:
        """Take what the worker holds now: new cancellations begin, ended runs are forgotten."""
        wanted = {one.run_id: one for one in held if one.cancel_requested}
        due = time.monotonic() + conf.cancel_grace()
        before = self._due
        self._due = {}
        for run_id, holding in wanted.items():
            known = before.get(run_id)
            self._due[run_id] = known if known and known[0] == holding else (holding, due)

    def act(self, submit: Callable[[Callable[[], None]], None]) -> None:
        """End the handlers whose time is up; *submit* is given what is to be recorded after that."""
        now = time.monotonic()
        for holding, due in list(self._due.values()):
            if now < due:
                continue
            del self._due[holding.run_id]
            if self._loop.can_kill:
                self._loop.end(holding.run_id, lambda one=holding: submit(lambda: self._record(one)))  # type: ignore[misc]
            else:
                logger.warning(
                    "run %s: this pool cannot end a handler that does not look for its cancellation",
                    holding.run_id,
                )

    def _record(self, holding: Holding) -> None:
        with suppress(KeyError):
            del self._due[holding.run_id]
        if claims.revoke(run_id=holding.run_id, fence=holding.fence):
            logger.warning("run %s: its handler was killed, the run is cancelled", holding.run_id)

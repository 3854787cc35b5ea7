"""Ending a worker in time, so that nothing has to wait for a lease to run out."""

from __future__ import annotations

import logging
import os
import time

import psycopg
from django.db import DatabaseError, InterfaceError

from apps.tasks import claims, conf
from apps.tasks.holdings import holdings
from apps.tasks.worker.mainloop import MainLoop

logger = logging.getLogger(__name__)

#: Seconds for which the main loop may be silent before it counts as hanging.
_ANSWER = 5.0
#: Seconds that the end may take once everything is settled.
_EXIT = 10.0
#: Seconds beyond the grace time after which the watchdog ends the process, whatever hangs.
_MARGIN = 20.0
#: The exit status of a worker that did not end as it should: sysexits' EX_SOFTWARE.
EXIT = 70


class Shutdown:
    """The end of a worker, step by step. `step` is called by the agent's thread, the rest by any.

    1. At once, nothing more is received, and messages that no process of the pool has begun are given back.
    2. Handlers that are running may finish within the grace time. Polls that are still open are waited for:
       messages that they bring are given back, and would be missing for a visibility timeout otherwise.
    3. What is still running then is ended and handed back: scheduled again at once, without having lost an
       attempt.
    4. Acknowledged messages are deleted, and the worker ends.
    """

    def __init__(self, loop: MainLoop, worker: str) -> None:
        self._loop = loop
        self._worker = worker
        self._code = 0
        self._reason = ""
        self._begun = self._deadline = self._settled = 0.0
        self._asked = False
        self.under_way = False

    def begin(self, reason: str, *, code: int) -> None:
        """End the worker with exit status *code*. The second time, no handler is waited for any more."""
        now = time.monotonic()
        if self.under_way:
            self._deadline = min(self._deadline, now)
            return
        self._reason, self._code, self._begun = reason, code, now
        self._deadline = now + conf.shutdown_grace()
        self.under_way = True

    @property
    def overdue(self) -> bool:
        """Whether the worker should have ended long ago."""
        return self.under_way and time.monotonic() > self._deadline + _MARGIN

    def step(self) -> None:
        """Go as far as can be gone now."""
        now = time.monotonic()
        if self._settled:
            if now > self._settled + _EXIT:
                self.abort("it did not end in order", code=EXIT)
        elif not self._asked:
            self._asked = True
            logger.warning("ending: %s", self._reason)
            self._loop.stop_receiving(self._code)
        elif now >= self._deadline:
            if self._loop.can_kill:
                self._loop.end_all(_ANSWER)
            self.hand_back(self._reason)
            self._settle(now)
        elif self._loop.stopped.is_set():
            if not self._loop.busy and (not self._loop.polling or now > self._begun + self._loop.wait + 1.0):
                self._settle(now)
        elif self._hangs(now) and not holdings(self._worker):
            self._settle(now)

    def _hangs(self, now: float) -> bool:
        return not self._loop.stopped.is_set() and now > self._begun + _ANSWER

    def _settle(self, now: float) -> None:
        self._settled = now
        if self._hangs(now):
            self.abort("its main loop does not answer", code=EXIT)
        elif self._loop.busy and not self._loop.can_kill:
            self.abort("its pool cannot end handlers", code=self._code)
        else:
            self._loop.exit(self._code)

    def hand_back(self, reason: str) -> None:
        """Schedule the runs again that the worker holds: what their handlers do counts no more."""
        try:
            held = holdings(self._worker)
            for one in held:
                if not one.repeatable:
                    claims.orphan(
                        run_id=one.run_id,
                        worker=self._worker,
                        fence=one.fence,
                        reason=f"its handler was killed when its worker ended ({reason})",
                    )
            run_ids = [one.run_id for one in held if one.repeatable]
            if run_ids:
                back = claims.hand_back(run_ids=run_ids, worker=self._worker, reason=reason)
                logger.warning("handed %d runs back: %s", len(back), ", ".join(map(str, back)))
        except (DatabaseError, InterfaceError, psycopg.Error) as exc:
            logger.warning("could not hand runs back, they wait for their leases to run out: %s", exc)

    def abort(self, why: str, *, code: int) -> None:
        """End the process now. Its pool goes with it."""
        logger.error("ending out of order: %s", why)
        if self._loop.can_kill:
            self._loop.end_all(0.0)
        self._loop.flush()
        os._exit(code)

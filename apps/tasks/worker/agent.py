"""The thread that looks after a worker's runs while its processes execute them."""

from __future__ import annotations

import logging
import select
import socket
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psycopg
from django.db import InterfaceError, OperationalError, connection

from apps.core import context
from apps.core.pulse import Pulse
from apps.tasks import claims, conf
from apps.tasks.holdings import holdings
from apps.tasks.processes import Report
from apps.tasks.worker import losses
from apps.tasks.worker.cancellations import Cancellations
from apps.tasks.worker.leases import RunLeases
from apps.tasks.worker.mainloop import MainLoop
from apps.tasks.worker.requests import DurableRequest, run_ids
from apps.tasks.worker.shutdown import EXIT, Shutdown

logger = logging.getLogger(__name__)

#: What says that the database is away.
_AWAY = (OperationalError, InterfaceError, psycopg.OperationalError, psycopg.InterfaceError)
#: Seconds between two attempts to reach it.
_AWAY_PAUSE = 1.0
#: Seconds for which messages are kept before the queue is known.
_KEEPING = 3.0
#: Seconds between two looks while the worker is ending.
_ENDING_PAUSE = 0.1

_current: Agent | None = None


def _nothing() -> None:
    """Nothing."""


def current_agent() -> Agent | None:
    """The agent of this worker's main process; None elsewhere."""
    return _current


class Agent:
    """Renews leases, ends runs on request, settles lost ones, reports, and ends the worker in time.

    It lives in the worker's main process, beside the event loop: a handler that never yields does not lose
    its lease, and one statement renews all of them. It hears of cancellations from the database (LISTEN),
    and looks for them with every renewal in case it did not.
    """

    def __init__(self, loop: MainLoop, worker: str, report: Report) -> None:
        self.loop = loop
        self.worker = worker
        self.shutdown = Shutdown(loop, worker)
        #: Beats with every look.
        self.pulse = Pulse(conf.poll_watchdog())
        self._report = report
        self._cancellations = Cancellations(loop, worker)
        self._leases = RunLeases(loop, worker)
        self._jobs: deque[tuple[Callable[[], None], Callable[[], None]]] = deque()
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self._done = threading.Event()
        #: Since when (monotonic seconds) the database is away; 0 while it is not.
        self._away = 0.0
        self._listening = False
        #: (run, claim) that was held without being executed at the last look.
        self._strays: set[tuple[uuid.UUID, int]] = set()
        self._answered = threading.Event()
        self._next_renewal = self._next_report = self._next_keeping = self._next_marking = 0.0
        self._thread = threading.Thread(target=self._run, name="agent", daemon=True)

    # From other threads ---------------------------------------------------------------------------

    def start(self) -> None:
        """Begin."""
        global _current
        _current = self
        self._thread.start()

    def finish(self, timeout: float = 3.0) -> None:
        """Report the end of the worker, and end the thread."""
        self._done.set()
        self.wake()
        if self._thread is not threading.current_thread():
            self._thread.join(timeout)

    def wake(self) -> None:
        """Have the agent look at once. Fit for a signal handler."""
        with suppress(OSError):
            self._writer.send(b"\0")

    def submit(self, job: Callable[[], None], *, otherwise: Callable[[], None] = _nothing) -> None:
        """Have *job* done by the agent: again and again while the database is away, or else *otherwise*."""
        self._jobs.append((job, otherwise))
        self.wake()

    @property
    def away(self) -> bool:
        """Whether the database is away, as far as is known."""
        return bool(self._away)

    def database_away(self) -> None:
        """The database could not be reached: receive nothing until it can."""
        if not self._away:
            self._away = time.monotonic()
            self.loop.hold()
            self.wake()

    def lost(self, request: DurableRequest, reason: str) -> None:
        """The process that executed *request* is gone, or was told to give it up."""
        logger.warning("run %s: its process was lost: %s", request.id, reason)
        self.submit(
            lambda: losses.settle_lost(request, reason, self.worker, self.loop),
            otherwise=lambda: self.loop.reject(request),
        )

    def unknown(self, message: Any, run_id: uuid.UUID, task: str) -> None:
        """A message names a task that this worker does not know."""
        self.submit(
            lambda: losses.settle_unknown(message, run_id, task, self.worker, self.loop),
            otherwise=lambda: losses.leave(message, self.loop),
        )

    def end(self, reason: str, *, code: int) -> None:
        """End the worker in order: see `Shutdown`. Fit for a signal handler."""
        self.shutdown.begin(reason, code=code)
        self.wake()

    # The thread -----------------------------------------------------------------------------------

    def _run(self) -> None:
        with context.bind(actor="worker", worker=self.worker):
            while not self._done.is_set():
                self.pulse.beat()
                self._wait()
                self._keep_waiting()
                self._guarded(self._duties)
                self._keep_marks()
                if self.shutdown.under_way:
                    self._guarded(self.shutdown.step)
            self._leases.release()
            self._guarded(lambda: self._report.write(ended=True))
        connection.close()

    def _keep_waiting(self) -> None:
        """Not a duty to the database: messages must be kept just when it is away."""
        now = time.monotonic()
        if now >= self._next_keeping:
            self.loop.keep_waiting()
            self._next_keeping = now + (self.loop.visibility or _KEEPING) / 3

    def _keep_marks(self) -> None:
        """While the database is away: who is alive must not be found dead when it is back."""
        now = time.monotonic()
        if self._away and now >= self._next_marking:
            self._leases.keep()
            self._report.beat()
            self._next_marking = now + conf.lease() / 4

    def _guarded(self, duty: Callable[[], None]) -> None:
        try:
            duty()
        except _AWAY as exc:
            logger.warning("agent: %s: %s", type(exc).__name__, str(exc).strip())
            self._listening = False
            connection.close()
            self.database_away()
        except Exception:
            logger.exception("agent: a duty failed")

    def _duties(self) -> None:
        heard = self._listen()
        if self._away and time.monotonic() >= self._away + _AWAY_PAUSE:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
            self._away = 0.0
            self.loop.resume()
        while self._jobs:
            self._do(*self._jobs[0])
            self._jobs.popleft()
        now = time.monotonic()
        if now >= self._next_renewal:
            self._renew()
            self._next_renewal = now + conf.lease() / 4
        elif heard & set(run_ids()):
            self._cancellations.note(holdings(self.worker))
        self._cancellations.act(self.submit)
        if now >= self._next_report:
            self._report.write()
            if self._report.condemned:
                self.end(f"declared dead: {self._report.condemned}", code=EXIT)
            self._next_report = now + conf.report_every()

    def _do(self, job: Callable[[], None], otherwise: Callable[[], None]) -> None:
        try:
            job()
        except _AWAY:
            raise
        except Exception:
            logger.exception("agent: a job failed")
            otherwise()

    def _renew(self) -> None:
        in_hand = set(run_ids())
        held = holdings(self.worker)
        self._leases.renew(held)
        self._cancellations.note(held)
        strays = {(one.run_id, one.fence) for one in held if one.run_id not in in_hand}
        # Only when the main loop has answered since: it may not have seen yet that the pool began a run.
        for run_id, fence in strays & self._strays if self._answered.is_set() else ():
            # As when the database was away at the moment when the run's end was to be recorded.
            reason = f"worker {self.worker} does not execute it any more"
            claims.orphan(run_id=run_id, worker=self.worker, reason=reason, fence=fence)
        self._strays, self._answered = strays, self.loop.call(_nothing)

    # Waiting --------------------------------------------------------------------------------------

    def _wait(self) -> None:
        """Until something is to be done: woken, notified, or the time has come."""
        if self._away:
            timeout = _AWAY_PAUSE
        elif not self._listening:
            timeout = 0.0
        else:
            now = time.monotonic()
            due = min(self._next_renewal, self._next_report, self._cancellations.next_due, self._next_keeping)
            timeout = max(due - now, 0.0)
        if self.shutdown.under_way:
            timeout = min(timeout, _ENDING_PAUSE)
        readers: list[Any] = [self._reader]
        if self._listening:
            with suppress(*_AWAY):
                readers.append(connection.connection.pgconn.socket)
        select.select(readers, [], [], timeout)
        with suppress(BlockingIOError):
            self._reader.recv(4096)

    def _listen(self) -> set[uuid.UUID]:
        """The runs whose cancellation was asked for since the last call."""
        if not self._listening:
            with connection.cursor() as cursor:
                cursor.execute("LISTEN tasks_cancel")
            self._listening = True
            # What was notified meanwhile is found with the leases.
            self._next_renewal = 0.0
        heard = set()
        for notification in connection.connection.notifies(timeout=0):
            with suppress(ValueError):
                heard.add(uuid.UUID(notification.payload))
        return heard

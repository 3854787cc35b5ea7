"""What a Celery application needs to run durable tasks."""

from __future__ import annotations

import logging
import os
import threading
import uuid
from contextlib import suppress
from typing import Any

from celery import Celery, bootsteps
from celery.worker import state as worker_state
from kombu.transport import TRANSPORT_ALIASES

from apps.tasks import canvas

logger = logging.getLogger(__name__)

_identity = ""


def identity(hostname: str | None) -> str:
    """Who claims runs here: the worker's node name and the number of its main process.

    The node name alone would let a worker that was started again renew what it held before.
    """
    return _identity or f"{hostname}/{os.getpid()}"


class LeaseKeeper(bootsteps.StartStopStep):
    """Renews the leases of the runs that this worker has in hand.

    It lives in the worker's main process, so a handler that never yields does not lose its lease, and
    one statement renews all of them.
    """

    requires = ("celery.worker.components:Pool",)

    def __init__(self, parent: Any, **kwargs: Any) -> None:
        super().__init__(parent, **kwargs)
        # Before the pool forks: its processes share it.
        global _identity
        _identity = f"{parent.hostname}/{os.getpid()}"
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, parent: Any) -> None:
        """Begin to renew."""
        self._thread = threading.Thread(target=self._run, args=(_identity,), name="leases", daemon=True)
        self._thread.start()

    def stop(self, parent: Any) -> None:
        """Go on: the pool, which this step requires, stops after it and waits for its runs."""

    def terminate(self, parent: Any) -> None:
        """Stop renewing: the runs in hand are killed, and their leases are to run out."""
        self._stop.set()

    def _run(self, worker: str) -> None:
        from django.db import DatabaseError, InterfaceError, connection

        from apps.tasks import claims, conf

        while not self._stop.wait(conf.lease() / 4):
            run_ids = _in_hand()
            if not run_ids:
                continue
            try:
                claims.renew(run_ids=run_ids, worker=worker)
            except (DatabaseError, InterfaceError) as exc:
                logger.warning("could not renew %d leases: %s", len(run_ids), exc)
                connection.close()
        connection.close()


def _in_hand() -> list[uuid.UUID]:
    """The ids of the requests that the pool has accepted, as far as they can be ids of runs."""
    found = []
    for request in list(worker_state.active_requests):
        with suppress(ValueError):
            found.append(uuid.UUID(request.id))
    return found


def install(app: Celery) -> None:
    """Give *app* the guarded transport, the upkeep of leases, and ids for canvases that sort by time."""
    canvas.install()
    TRANSPORT_ALIASES["guardedsqs"] = "apps.tasks.transport:Transport"
    app.steps["worker"].add(LeaseKeeper)

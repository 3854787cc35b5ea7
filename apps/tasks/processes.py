"""What the processes of the platform report of themselves."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Self

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.db.models import Q
from django.db.models.functions import Now

from apps.core.ids import uuid7
from apps.core.resources import sql
from apps.liveness.leases import Beat, Unavailable
from apps.tasks import conf
from apps.tasks.models import Process
from apps.tasks.populations import process_leases
from apps.tasks.usage import usage

logger = logging.getLogger(__name__)

#: For how long the row of a process is kept after its end.
_KEPT = timedelta(days=1)
#: Seconds between two looks for rows that are too old.
_PRUNE_EVERY = 3600.0


class Report:
    """The row of this process, written every few seconds by a thread of its own.

    A process that has a thread for its upkeep already calls `write` from there instead of `start`.
    """

    def __init__(
        self, kind: Process.Kind, *, name: str = "", queues: Sequence[str] = (), concurrency: int = 0
    ) -> None:
        host, pid = socket.gethostname(), os.getpid()
        self._row: dict[str, Any] = {
            "id": uuid7(),
            "kind": kind.value,
            "name": name or f"{host}/{pid}",
            "host": host,
            "pid": pid,
            "version": settings.VERSION,
            "queues": json.dumps(list(queues)),
            "concurrency": concurrency,
        }
        self._member = str(self._row["id"])
        self._token = 0
        self._away = False
        #: Why somebody declared this process dead; empty: nobody has.
        self.condemned = ""
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def note(self, **facts: Any) -> None:
        """Report from now on how something stands; None: nothing to be said of it any more."""
        usage.note(**facts)

    def write(self, *, ended: bool = False) -> None:
        """Beat, and write the row, now, through the calling thread's connection."""
        self.beat(ended=ended)
        parameters = {
            **self._row,
            "token": self._token,
            "ended": ended,
            "counts": json.dumps(usage.counts()),
            "facts": json.dumps(usage.facts()),
        }
        with connection.cursor() as cursor:
            cursor.execute(sql(__package__, "report.sql"), parameters)
            condemned, reason = cursor.fetchone()
        self.condemned = (reason or "somebody did") if condemned else ""

    def beat(self, *, ended: bool = False) -> None:
        """Say in Redis that the process is alive, or is no more. Redis may be away: the row says it, too."""
        leases = process_leases()
        try:
            if ended or self.condemned:
                leases.release(self._member, self._token)
                return
            answer = leases.beat(self._member, self._token) if self._token else Beat.FENCED
            if answer is Beat.FENCED:
                # New, or taken for dead: it comes back under another token.
                self._token += 1
            if answer is not Beat.BEATING:
                leases.register(self._member, self._token)
            self._away = False
        except Unavailable as exc:
            if not self._away:
                logger.warning("this process has no mark for now: Redis does not answer: %s", exc)
            self._away = True

    def start(self) -> Self:
        """Report from now on, until `stop`."""
        self._thread = threading.Thread(target=self._run, name="report", daemon=True)
        self._thread.start()
        return self

    def stop(self, timeout: float = 5.0) -> None:
        """Report the end of the process, and return when that is written, or cannot be in time."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout)

    def _run(self) -> None:
        try:
            ended, next_pruning = False, 0.0
            while not ended:
                ended = self._stop.is_set()
                try:
                    self.write(ended=ended)
                    if self.condemned and not ended:
                        logger.warning("this process was declared dead: %s", self.condemned)
                        os.kill(os.getpid(), signal.SIGTERM)
                    if time.monotonic() >= next_pruning:
                        next_pruning = time.monotonic() + _PRUNE_EVERY
                        prune()
                except (DatabaseError, InterfaceError) as exc:
                    logger.warning("could not write this process's report: %s", exc)
                    connection.close()
                self._stop.wait(conf.report_every())
        finally:
            connection.close()


def prune() -> int:
    """Delete the rows of processes that ended or vanished a day ago; returns how many.

    What they have counted stays, by the day.
    """
    old = Now() - _KEPT
    count, _ = Process.objects.filter(Q(ended_at__lt=old) | Q(seen_at__lt=old)).delete()
    with connection.cursor() as cursor:
        cursor.execute(sql(__package__, "fold_usage.sql"))
    return count

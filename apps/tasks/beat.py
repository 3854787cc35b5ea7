"""Celery beat on the table of periodic entries: no schedule file, and any number of beats."""

from __future__ import annotations

import logging
from functools import cached_property
from typing import Any

from celery.beat import Scheduler
from django.db import DatabaseError, InterfaceError, close_old_connections, connection
from prometheus_client import Counter

from apps.core.instruments import Instrument
from apps.core.pulse import Pulse
from apps.tasks import conf
from apps.tasks.periodic import services, ticking

logger = logging.getLogger(__name__)

#: Seconds between attempts while the database is away: doubled from the first to the last.
_BACKOFF = (0.5, 15.0)
_SHORTEST_SLEEP = 0.01

TICKS = Instrument(
    Counter, "chandlery_beat_ticks", "Looks at what is due: done, or failed without the database", "outcome"
)


class DurableScheduler(Scheduler):
    """Requests a durable run for every tick of every entry, of the settings and of the admin alike.

    All it knows is in the database, and is read anew before every tick: edits take effect within
    `max_interval` seconds (Celery's option ``beat_max_loop_interval``). Outages of the database are
    waited out.
    """

    max_interval = 1.0  # type: ignore[assignment]

    _synced = False
    _pause = _BACKOFF[0]
    _hindrance = "it has not looked yet"

    @cached_property
    def pulse(self) -> Pulse:
        """Beats with every look, also at a database that is away."""
        return Pulse(conf.poll_watchdog())

    def trouble(self) -> str:
        """Why it should be started anew; empty while it looks."""
        return self.pulse.trouble()

    def hindrance(self) -> str:
        """Why it requests nothing now; empty while it does."""
        return self._hindrance

    def setup_schedule(self) -> None:
        """Nothing: the settings are read with the first tick, when the database may be away."""

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Request what is due; returns the seconds until there may be more."""
        self.pulse.beat()
        try:
            close_old_connections()
            if not self._synced:
                services.sync(
                    entries=self.app.conf.beat_schedule, timezone=str(self.app.conf.timezone or "UTC")
                )
                self._synced = True
            ticking.serve_due()
            wait = ticking.seconds_until_due()
        except (DatabaseError, InterfaceError) as exc:
            pause, self._pause = self._pause, min(self._pause * 2, _BACKOFF[1])
            logger.warning("beat: %s: %s; next attempt in %.1f s", type(exc).__name__, exc, pause)
            connection.close()
            TICKS.of("failed").inc()
            self._hindrance = "the database is away"
            return pause
        TICKS.of("done").inc()
        self._hindrance = ""
        self._pause = _BACKOFF[0]
        longest = float(self.max_interval)
        return longest if wait is None else min(max(wait, _SHORTEST_SLEEP), longest)

    @property
    def info(self) -> str:
        """What `celery beat` prints of it when it starts."""
        return "    . entries -> the table of periodic tasks, filled from CELERY_BEAT_SCHEDULE"

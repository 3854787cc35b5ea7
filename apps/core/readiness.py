"""Whether this process could serve now: what it asks other servers for is asked of them, side by side.

An answer holds for a moment and only one thread asks at a time, so that whoever asks often costs no more than
whoever asks seldom.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from threading import Event, Lock, Thread

from django.db import DEFAULT_DB_ALIAS, connection, connections

from apps.core import redaction

logger = logging.getLogger("apps.core.readiness")

#: Seconds for which a report holds.
_HOLDS = 1.0


class Status(StrEnum):
    """How much of the product there is."""

    #: All of it.
    READY = "ready"
    #: Requests are served, but something that they lead to waits, or is not limited.
    DEGRADED = "degraded"
    #: Requests would fail.
    UNREADY = "unready"


@dataclass(frozen=True, kw_only=True)
class Probe:
    """One thing to ask for."""

    name: str
    #: Returns where all is well; raises anything else. Called in a thread of its own.
    ask: Callable[[], object]
    #: Whether requests fail without it.
    essential: bool
    #: Seconds after which no answer is a failure.
    timeout: float = 2.0
    #: Seconds for which a good answer is good.
    holds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Report:
    """What came of it: why each probe failed, empty where it did not, by the probe's name."""

    status: Status
    faults: Mapping[str, str]


class Watched:
    """A probe with its last answer. One that gives none is not asked again meanwhile.

    For one thread at a time.
    """

    def __init__(self, probe: Probe) -> None:
        self.probe = probe
        self._fault = ""
        self._good_until = 0.0
        self._answered = Event()
        self._answered.set()

    def begin(self) -> None:
        """Ask, unless what is known still holds or is still waited for."""
        if self._answered.is_set() and time.monotonic() >= self._good_until:
            self._answered.clear()
            # One that hangs must not keep the process from ending.
            asking = Thread(target=self._ask, name=f"ready-{self.probe.name}", daemon=True)
            try:
                asking.start()
            except RuntimeError as exc:
                # There may be a thread for it again next time.
                self._fault = str(exc)
                self._answered.set()

    def end(self, began: float) -> str:
        """Why it failed since *began* (monotonic); empty where it did not."""
        if not self._answered.wait(max(0.0, began + self.probe.timeout - time.monotonic())):
            return f"no answer within {self.probe.timeout:g} s"
        return self._fault

    def _ask(self) -> None:
        try:
            self.probe.ask()
        except Exception as exc:
            self._fault = redaction.text(" ".join(f"{type(exc).__name__}: {exc}".split()))
        else:
            self._fault = ""
            self._good_until = time.monotonic() + self.probe.holds
        finally:
            connections.close_all()
            self._answered.set()


class Readiness:
    """These probes, and the last report. For any number of threads."""

    def __init__(self, probes: Iterable[Probe] = ()) -> None:
        self._watched = [Watched(probe) for probe in probes]
        self._asking = Lock()
        self._report: Report | None = None
        self._good_until = 0.0

    def register(self, probe: Probe) -> None:
        """Ask for this, too."""
        self._watched.append(Watched(probe))

    def report(self) -> Report:
        """How things are, or were a moment ago. Takes as long as the slowest probe may, at most."""
        known = self._report
        if known is not None and time.monotonic() < self._good_until:
            return known
        # Who comes while another asks is told what was known before, if anything was.
        if not self._asking.acquire(blocking=known is None):
            assert known is not None
            return known
        try:
            if self._report is None or time.monotonic() >= self._good_until:
                self._report = self._asked(self._report)
                self._good_until = time.monotonic() + _HOLDS
            return self._report
        finally:
            self._asking.release()

    def _asked(self, before: Report | None) -> Report:
        began = time.monotonic()
        for one in self._watched:
            one.begin()
        faults = {one.probe.name: one.end(began) for one in self._watched}
        failed = [one.probe for one in self._watched if faults[one.probe.name]]
        status = Status.DEGRADED if failed else Status.READY
        if any(probe.essential for probe in failed):
            status = Status.UNREADY
        if before is None or before.status is not status:
            _tell(status, faults)
        return Report(status=status, faults=faults)


def _tell(status: Status, faults: Mapping[str, str]) -> None:
    why = "; ".join(f"{name}: {fault}" for name, fault in faults.items() if fault)
    logger.log(logging.WARNING if why else logging.INFO, "%s%s", status.value, f" ({why})" if why else "")


def ask_database() -> None:
    """Raises where the database gives no answer."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


class NotMigrated(Exception):
    """The database is older than this code."""


def ask_migrations() -> None:
    """Raises where a migration of this code is not applied."""
    # Not needed by processes that only say what is to be asked.
    from django.db.migrations.executor import MigrationExecutor

    executor = MigrationExecutor(connections[DEFAULT_DB_ALIAS])
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if plan:
        first = plan[0][0]
        raise NotMigrated(f"{len(plan)} not applied, the first: {first.app_label}.{first.name}")


#: Of this process. Apps register what else their requests need.
readiness = Readiness(
    (
        Probe(name="database", ask=ask_database, essential=True),
        # Reading all migrations takes a moment, and they stay applied.
        Probe(name="migrations", ask=ask_migrations, essential=True, timeout=5.0, holds=math.inf),
    )
)

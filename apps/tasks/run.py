"""What a handler sees of its own run."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import Any

from django.db import InterfaceError, OperationalError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from apps.core.resources import sql
from apps.tasks import claims
from apps.tasks.errors import Cancelled, Fenced

#: Seconds between two progress reports that are stored.
_PROGRESS_EVERY = 1.0

_side = threading.local()


def side_connection() -> BaseDatabaseWrapper:
    """A second connection of this thread: what it writes is visible before the handler commits."""
    if not hasattr(_side, "connection"):
        _side.connection = connections.create_connection("default")
    connection: BaseDatabaseWrapper = _side.connection
    return connection


def close_side_connection() -> None:
    """Close this thread's progress connection; the next report opens another."""
    connection: BaseDatabaseWrapper | None = _side.__dict__.pop("connection", None)
    if connection is not None:
        connection.close()


@contextmanager
def reporting_on(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Store progress through *connection* for the duration of a block.

    For tests, whose runs exist in a transaction that no other connection sees.
    """
    close_side_connection()
    _side.connection = connection
    try:
        yield
    finally:
        _side.__dict__.pop("connection", None)


class Run:
    """A run under way, or a stand-in where the function was called directly and there is none."""

    def __init__(self, claim: claims.Claim | None = None) -> None:
        self._claim = claim
        self._next_report = 0.0
        self._step = ""
        #: True once the handler has committed its success itself.
        self.completed = False

    @property
    def id(self) -> uuid.UUID | None:
        """The run's id; None without a run."""
        return self._claim.run_id if self._claim else None

    @property
    def attempt(self) -> int:
        """Which attempt this is, from 1."""
        return self._claim.attempt if self._claim else 1

    @property
    def max_attempts(self) -> int:
        """How many attempts there may be."""
        return self._claim.max_attempts if self._claim else 1

    @property
    def idempotency_key(self) -> str:
        """The same in every attempt, and no other run's: to be passed on to external services.

        Within a step of `once` it is the step's own. Always a UUID, or empty without a run.
        """
        if self._claim is None:
            return ""
        return str(uuid.uuid5(self._claim.run_id, self._step) if self._step else self._claim.run_id)

    @property
    def scheduled_for(self) -> datetime | None:
        """The tick that a run of a periodic task stands for, however late it is; None for other runs."""
        tick = self._claim.meta.get("scheduled_for") if self._claim else None
        return datetime.fromisoformat(tick) if tick else None

    def progress(self, done: int, total: int, message: str = "") -> None:
        """Report how far the work is; at most one report a second is stored, and the last one always.

        Raises `Cancelled` when somebody asked to cancel the run, and `Fenced` when it was taken away.
        """
        now = time.monotonic()
        if self._claim is None or (now < self._next_report and done < total):
            return
        first, self._next_report = not self._next_report, now + _PROGRESS_EVERY
        parameters: dict[str, Any] = {
            "id": self._claim.run_id,
            "fence": self._claim.fence,
            "progress": json.dumps({"done": done, "total": total, "message": message}),
        }
        side = side_connection()
        if first and not side.in_atomic_block:
            # Since the run before, the server may have been restarted.
            side.close_if_unusable_or_obsolete()
        try:
            with side.cursor() as cursor:
                cursor.execute(sql(__package__, "progress.sql"), parameters)
                row = cursor.fetchone()
        except (InterfaceError, OperationalError):
            close_side_connection()
            raise
        if row is None:
            raise Fenced(f"run {self._claim.run_id} is no longer held by attempt {self._claim.attempt}")
        if row[0]:
            raise Cancelled(f"run {self._claim.run_id} was cancelled at {done} of {total}")

    def once(
        self,
        name: str,
        function: Callable[..., Any],
        *args: Any,
        uncertain: Callable[..., Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """Do a step whose effect lies outside of the database, and return its JSON result.

        The result is recorded right after the step has happened, whatever becomes of the attempt: every
        later attempt of the run, after a redrive too, gets it instead of doing the step again.

        An attempt that ended between effect and record leaves a step of which nobody knows whether it
        happened. It is done again with the same `idempotency_key`, which the function passes on; or, if
        *uncertain* is given, that is called first with the same arguments: what it returns is the result,
        and only where it returns None the step is done again.

        Names are unique within a run. Without a run, nothing is recorded and the function is called.

        Raises `Fenced` when the run was taken away, before anything is done; and `PermanentError` for a
        result that is not JSON or too large.
        """
        if self._claim is None:
            return function(*args, **kwargs)
        from apps.tasks import steps

        outer, self._step = self._step, name
        try:
            return steps.once(
                self._claim,
                name,
                lambda: function(*args, **kwargs),
                None if uncertain is None else lambda: uncertain(*args, **kwargs),
            )
        finally:
            self._step = outer

    @contextmanager
    def completing(self, result: Any = None) -> Iterator[None]:
        """Commit what the block writes together with the run's success: both or neither.

        For handlers that work outside of a transaction first. Raises `Fenced`, and rolls the block
        back, when the run was taken away meanwhile.
        """
        with transaction.atomic():
            yield
            if self._claim is not None:
                claims.succeed(self._claim, result)
        self.completed = True


_NO_RUN = Run()
_current: ContextVar[Run] = ContextVar("chandlery_run", default=_NO_RUN)


def current_run() -> Run:
    """The run whose handler is executing; a stand-in that records nothing outside of one."""
    return _current.get()


@contextmanager
def running(run: Run) -> Iterator[Run]:
    """Make *run* the current one for the duration of a block."""
    token = _current.set(run)
    try:
        yield run
    finally:
        _current.reset(token)

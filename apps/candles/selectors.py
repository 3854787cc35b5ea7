"""Reading instruments, what is stored of them, and how backfills stand."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import connection, connections, models
from django.db.models import QuerySet
from django.utils import timezone

from apps.candles.instruments import instrument_text, parse_instrument
from apps.candles.models import Backfill, BackfillChunk, Instrument
from apps.candles.sources.base import Span
from apps.candles.timeframes import Timeframe
from apps.core.resources import sql
from apps.tasks.models import TaskRun
from apps.tasks.states import ACTIVE, State

_STORAGE = "apps.candles.storage"


def instruments(
    *, exchange: str | None = None, active: bool | None = None, followed: bool | None = None
) -> QuerySet[Instrument]:
    """Instruments, by exchange and symbol."""
    filters = {"exchange": exchange, "active": active, "followed": followed}
    return Instrument.objects.filter(**{key: value for key, value in filters.items() if value is not None})


def instrument_get(text: str) -> Instrument:
    """The instrument with this text form. Raises ValueError for another shape, and DoesNotExist."""
    exchange, symbol = parse_instrument(text)
    return Instrument.objects.get(exchange=exchange, symbol=symbol)


def coverage(ids: Iterable[int], *, using: str = "default") -> dict[int, Span]:
    """The first and the last stored minute of each of these instruments that has any."""
    with connections[using].cursor() as cursor:
        cursor.execute(_ends("unnest(%(ids)s::integer[]) AS wanted (id)"), {"ids": list(ids)})
        return {pk: Span(first=first, last=last) for pk, first, last in cursor.fetchall()}


def _ends(wanted: str) -> str:
    """The query for the first and the last minute of the instruments in a relation."""
    return sql(_STORAGE, "coverage.sql").format(wanted=wanted)


def latest(ids: Iterable[int], *, since: datetime) -> dict[int, datetime]:
    """The last stored minute, from *since* on, of each of these instruments that has one there.

    The bound keeps the search to the newest partitions.
    """
    with connection.cursor() as cursor:
        cursor.execute(sql(_STORAGE, "latest.sql"), {"ids": list(ids), "since": since})
        return dict(cursor.fetchall())


def holding(ids: Iterable[int], *, frame: Timeframe, start: datetime, end: datetime) -> set[int]:
    """Those of these instruments of which any minute, or bar of *frame*, in [start, end) is stored.

    Bars whose minutes were deleted count until the roll-ups are refreshed.
    """
    with connection.cursor() as cursor:
        query = sql(_STORAGE, "held.sql").format(table=frame.table)
        cursor.execute(query, {"ids": list(ids), "start": start, "end": end})
        return {pk for (pk,) in cursor.fetchall()}


@dataclass(frozen=True, kw_only=True)
class Opening:
    """When a stored minute opens, and at which price, exactly."""

    ts: datetime
    price: Decimal


def first_minute(
    *,
    instrument_id: int,
    since: datetime,
    down_to: Decimal | None = None,
    up_to: Decimal | None = None,
) -> Opening | None:
    """The first stored minute of an instrument that opens at *since* or later; None where there is none.

    With *down_to* the first whose low is not above that price, with *up_to* whose high is not below it.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            sql(_STORAGE, "first_minute.sql"),
            {"instrument_id": instrument_id, "since": since, "down_to": down_to, "up_to": up_to},
        )
        found = cursor.fetchone()
    if found is None:
        return None
    ts, ticks, scale = found
    return Opening(ts=ts, price=Decimal(ticks).scaleb(-scale))


def exchanges_followed() -> list[str]:
    """The exchanges of which there are instruments to be followed."""
    followed = instruments(active=True, followed=True).order_by("exchange")
    return list(followed.values_list("exchange", flat=True).distinct())


def chunks_under_way() -> bool:
    """Whether there are chunks of backfills still to be fetched."""
    waiting = TaskRun.objects.filter(task="candles.ingest_chunk", state__in=ACTIVE)
    return waiting.exists()


def changed() -> list[int]:
    """The instruments whose minutes changed since their roll-ups were made."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT DISTINCT instrument_id FROM candle_dirty ORDER BY instrument_id")
        return [pk for (pk,) in cursor.fetchall()]


def oldest_change() -> datetime | None:
    """When the oldest change was made that the roll-ups were not refreshed for; None when there is none."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT min(at) FROM candle_dirty")
        oldest: datetime | None = cursor.fetchone()[0]
    return oldest


class BackfillState(models.TextChoices):
    """Where a backfill stands, read off the runs of its tasks."""

    PREPARING = "preparing", "Preparing: the instrument is being looked up and the chunks planned"
    RUNNING = "running", "Running: chunks are being fetched, or wait for their turn or next attempt"
    SUCCEEDED = "succeeded", "Succeeded: every chunk is stored"
    FAILED = "failed", "Failed: nothing moves any more, and at least one task was given up"
    CANCELLED = "cancelled", "Cancelled: nothing moves any more, and at least one task was cancelled"


@dataclass(frozen=True, kw_only=True)
class BackfillError:
    """What went wrong last in one of a backfill's tasks that has not succeeded."""

    run_id: uuid.UUID
    #: The task's state: ``dead``, or one that says that it will be tried again.
    state: str
    #: The chunk concerned; None for the preparation.
    start: datetime | None
    end: datetime | None
    type: str
    message: str


@dataclass(frozen=True, kw_only=True)
class BackfillStatus:
    """How far a backfill has come."""

    state: BackfillState
    #: None until the chunks are planned.
    chunks_total: int | None
    chunks_done: int
    #: Minutes stored by the chunks that are done.
    rows: int
    #: Rows that the exchange gave and that are in quarantine.
    quarantined: int
    #: Minutes that the exchange served no more when it was asked, as far as the runs of the chunks are kept.
    not_served: int
    #: The part of the range that is dealt with, 0 to 1, including what is fetched and not yet written.
    progress: float
    #: When it will be done if it goes on as it has since its first task began; None when nothing can be said.
    eta: datetime | None = None
    errors: list[BackfillError] = field(default_factory=list)


def backfill_status(backfill: Backfill) -> BackfillStatus:
    """How one backfill stands."""
    return backfill_statuses([backfill])[backfill.pk]


def backfill_statuses(backfills: Sequence[Backfill]) -> dict[uuid.UUID, BackfillStatus]:
    """How each of these backfills stands, in two queries.

    The runs are read first: a run that had succeeded by then has its effect among the chunks.
    """
    chunks: dict[uuid.UUID, list[BackfillChunk]] = {backfill.pk: [] for backfill in backfills}
    of_these = BackfillChunk.objects.filter(backfill__in=chunks)
    preparations = Backfill.objects.filter(pk__in=chunks).values("prepare_run").order_by()
    wanted = preparations.union(of_these.values("task_run").order_by(), all=True)
    runs = {
        run.pk: run
        for run in TaskRun.objects.only("state", "progress", "result", "error", "started_at").filter(
            pk__in=wanted
        )
    }
    for chunk in of_these.order_by("start"):
        chunks[chunk.backfill_id].append(chunk)
    return {backfill.pk: _status(backfill, chunks[backfill.pk], runs) for backfill in backfills}


def _status(backfill: Backfill, chunks: list[BackfillChunk], runs: dict[Any, TaskRun]) -> BackfillStatus:
    preparation = runs.get(backfill.prepare_run)
    pairs = [(chunk, runs.get(chunk.task_run)) for chunk in chunks]
    states = [_state(run, chunk.rows is not None) for chunk, run in pairs]
    span = (backfill.end - backfill.start).total_seconds()
    dealt_with = sum(
        (chunk.end - chunk.start).total_seconds() * _part(run, state)
        for (chunk, run), state in zip(pairs, states, strict=True)
    )
    errors = [_error(preparation, None), *(_error(run, chunk) for chunk, run in pairs)]
    state = _overall([_state(preparation, bool(chunks)), *states])
    return BackfillStatus(
        state=state,
        chunks_total=len(chunks) or None,
        chunks_done=states.count(State.SUCCEEDED),
        rows=sum(chunk.rows or 0 for chunk in chunks),
        quarantined=sum(chunk.quarantined for chunk in chunks),
        not_served=sum((run.result or {}).get("not_served", 0) for _, run in pairs if run is not None),
        progress=round(dealt_with / span, 4),
        eta=_eta(state, dealt_with / span, [run for _, run in pairs]),
        errors=[error for error in errors if error is not None],
    )


def _eta(state: BackfillState, done: float, runs: Sequence[TaskRun | None]) -> datetime | None:
    """When all is done at the pace so far."""
    started = min((run.started_at for run in runs if run is not None and run.started_at), default=None)
    if state != BackfillState.RUNNING or started is None or not done:
        return None
    now = timezone.now()
    return now + (now - started) * (1 - done) / done


def _overall(states: list[str]) -> BackfillState:
    """The state of the whole from those of the preparation, which comes first, and the chunks."""
    if any(state in ACTIVE for state in states):
        return BackfillState.PREPARING if states[0] in ACTIVE else BackfillState.RUNNING
    if State.DEAD in states:
        return BackfillState.FAILED
    if State.CANCELLED in states:
        return BackfillState.CANCELLED
    return BackfillState.SUCCEEDED


def _state(run: TaskRun | None, effect: bool) -> str:
    """A run's state. Of a run that is no longer kept, its effect tells."""
    if run is None:
        return State.SUCCEEDED if effect else State.DEAD
    return run.state


def _part(run: TaskRun | None, state: str) -> float:
    """How much of its chunk a run has dealt with, 0 to 1."""
    if state == State.SUCCEEDED:
        return 1.0
    if run is not None and state == State.RUNNING and run.progress and run.progress["total"]:
        return min(1.0, float(run.progress["done"] / run.progress["total"]))
    return 0.0


def _error(run: TaskRun | None, chunk: BackfillChunk | None) -> BackfillError | None:
    """What went wrong last in a run that has not succeeded, if anything."""
    if run is None or not run.error or run.state == State.SUCCEEDED:
        return None
    return BackfillError(
        run_id=run.pk,
        state=run.state,
        start=chunk.start if chunk else None,
        end=chunk.end if chunk else None,
        type=str(run.error.get("type", "")),
        message=str(run.error.get("message", "")),
    )


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """How much of an instrument is stored, between its first and its last minute."""

    id: int
    text: str
    #: Open times of the first and the last minute.
    first: datetime
    last: datetime
    minutes: int
    #: Minutes between them that are not stored, and of those which the exchange said that it has none.
    missing: int
    absent: int

    @property
    def complete(self) -> float:
        """The share that is stored, 0 to 1."""
        return self.minutes / (self.minutes + self.missing)


@dataclass(frozen=True, kw_only=True)
class CoverageReport:
    """Instruments with candles, followed ones first."""

    instruments: list[Coverage]
    #: How many there are besides those.
    more: int


def coverage_report(*, limit: int) -> CoverageReport:
    """The coverage of instruments that have candles, by the counts of their days: no minute is read.

    Days that were changed since the roll-ups were made count as they were then.
    """
    with connection.cursor() as cursor:
        report = sql(_STORAGE, "coverage_report.sql").format(coverage=_ends("known AS wanted"))
        cursor.execute(report, {"limit": limit})
        rows = cursor.fetchall()
        cursor.execute("SELECT count(DISTINCT instrument_id) FROM candles_revision")
        total = cursor.fetchone()[0]
    found = [
        Coverage(
            id=pk,
            text=instrument_text(exchange, symbol),
            first=first,
            last=last,
            minutes=minutes,
            missing=missing,
            absent=absent,
        )
        for pk, exchange, symbol, first, last, minutes, missing, absent in rows
    ]
    return CoverageReport(instruments=found, more=max(0, total - limit))

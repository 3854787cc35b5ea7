"""Reading backtests: which somebody may see, how they stand, and what came of them."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import Case, F, OuterRef, Q, QuerySet, Subquery, TextField, Value, When
from django.db.models.functions import Coalesce

from apps.backtests.columns import Curve, decode_curve, decode_trades
from apps.backtests.fetching import fetches, minutes_fetched
from apps.backtests.heavy import read_heavy
from apps.backtests.models import HEAVY, Backtest, BacktestResult
from apps.backtests.report.drawing import Drawing, decode_drawing
from apps.tasks.models import TaskRun
from apps.tasks.states import ENDED, State

#: What lists can be ordered by, and the column of each; the id decides between equals.
ORDERINGS = {
    "created": "id", "strategy": "strategy", "timeframe": "timeframe", "start": "start", "end": "end",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Status:
    """How a backtest stands."""

    state: str
    #: fetching, loading, signals, simulating, certificate, storing; empty where none of these is under way.
    phase: str = ""
    done: int = 0
    total: int = 0
    #: Of the last failed attempt: type and message.
    error: dict[str, str] | None = None


def backtests(*, user: AbstractBaseUser | AnonymousUser) -> QuerySet[Backtest]:
    """The backtests that *user* may see, newest first: their own; for staff, all. Without their results."""
    if getattr(user, "is_staff", False):
        return Backtest.objects.all()
    return Backtest.objects.filter(owner_id=user.pk)


def with_results(found: QuerySet[Backtest]) -> QuerySet[Backtest]:
    """The same with what is light of their results, in one query."""
    return found.select_related("result").defer(*(f"result__{name}" for name in HEAVY))


def filtered(
    found: QuerySet[Backtest],
    *,
    instrument: str | None = None,
    timeframe: str | None = None,
    strategy: str | None = None,
    state: str | None = None,
    label: str | None = None,
    shared: bool | None = None,
    created_since: datetime | None = None,
    created_until: datetime | None = None,
) -> QuerySet[Backtest]:
    """Those of *found* that fulfil all conditions that are given."""
    conditions = Q()
    if instrument is not None:
        conditions &= Q(instruments__contains=[instrument])
    if label is not None:
        conditions &= Q(labels__contains=[label])
    if shared is not None:
        conditions &= Q(share_hash__isnull=not shared)
    lookups = {
        "timeframe": timeframe, "strategy": strategy, "created_at__gte": created_since,
        "created_at__lt": created_until,
    }  # fmt: skip
    conditions &= Q(**{name: value for name, value in lookups.items() if value is not None})
    found = found.filter(conditions)
    return found if state is None else in_state(found, state)


def in_state(found: QuerySet[Backtest], state: str) -> QuerySet[Backtest]:
    """Those of *found* that stand so."""

    def of_run(column: str) -> Subquery:
        return Subquery(TaskRun.objects.filter(pk=OuterRef(column)).values("state")[:1])

    # What computes it is requested once the candles are there; until then it has not started. Where the row
    # of what has to run next was removed, nothing will come any more.
    before = Case(
        When(fetch_state__in=[State.DEAD, State.CANCELLED], then=F("fetch_state")),
        When(Q(fetch_state__isnull=True) | Q(fetch_state=State.SUCCEEDED), then=Value(State.CANCELLED.value)),
        default=Value(State.SCHEDULED.value),
        output_field=TextField(),
    )
    stands = Case(
        When(result__isnull=False, then=Value(State.SUCCEEDED.value)),
        default=Coalesce(of_run("task_run"), before, output_field=TextField()),
        output_field=TextField(),
    )
    return found.alias(fetch_state=of_run("fetch_run")).alias(stands=stands).filter(stands=state)


@dataclass(frozen=True, kw_only=True)
class Page:
    """Some backtests in their order, and where the next page begins."""

    backtests: list[Backtest]
    #: The value of the ordering's column, and the id, of the last; None where there are no more.
    last: tuple[Any, uuid.UUID] | None


def page(
    found: QuerySet[Backtest], *, ordering: str, after: tuple[Any, uuid.UUID] | None, limit: int
) -> Page:
    """Up to *limit* backtests after the one with this value and id; *ordering* as ``-created``.

    What is made meanwhile moves nothing from one page to another.
    """
    column, down = ORDERINGS[ordering.lstrip("-")], ordering.startswith("-")
    if after is not None:
        value, pk = after
        beyond = "lt" if down else "gt"
        if column == "id":
            found = found.filter(**{f"id__{beyond}": pk})
        else:
            found = found.filter(
                Q(**{f"{column}__{beyond}": value}) | Q(**{column: value, f"id__{beyond}": pk})
            )
    sign = "-" if down else ""
    some = list(found.order_by(f"{sign}{column}", f"{sign}id")[: limit + 1])
    last = some[limit - 1] if len(some) > limit else None
    return Page(
        backtests=some[:limit],
        last=None if last is None else (getattr(last, column), last.pk),
    )


def statuses(found: Sequence[Backtest]) -> dict[uuid.UUID, Status]:
    """How each of these backtests stands, in one query; two more where candles are being fetched."""
    ids = {run for one in found for run in (one.task_run, one.fetch_run) if run is not None}
    runs = TaskRun.objects.only("state", "progress", "error").in_bulk(ids)
    waiting = [one for one in found if one.result_id is None and _waits(one, runs)]
    fetched = fetches(waiting) if waiting else {}
    made = {}
    for one in found:
        if one.pk in fetched:
            done, total = minutes_fetched(fetched[one.pk])
            made[one.pk] = Status(state=State.SCHEDULED, phase="fetching", done=done, total=total)
        else:
            made[one.pk] = _status(one, runs)
    return made


def _waits(backtest: Backtest, runs: dict[Any, TaskRun]) -> bool:
    fetch = runs.get(backtest.fetch_run)
    return fetch is not None and fetch.state not in ENDED and backtest.task_run not in runs


def _status(backtest: Backtest, runs: dict[Any, TaskRun]) -> Status:
    if backtest.result_id is not None:
        return Status(state=State.SUCCEEDED)
    run = runs.get(backtest.task_run) or runs.get(backtest.fetch_run)
    if run is None or (run.state == State.SUCCEEDED and run.pk == backtest.fetch_run):
        # The row of the run that computes it was removed, and with it what is known.
        return Status(state=State.CANCELLED)
    progress = run.progress if run.state == State.RUNNING else None
    error = None if run.error is None else {key: run.error[key] for key in ("type", "message")}
    return Status(
        state=run.state,
        error=error,
        phase=progress["message"] if progress else "",
        done=progress["done"] if progress else 0,
        total=progress["total"] if progress else 0,
    )


def trades_of(backtest: Backtest) -> pa.Table:
    """All trades of a backtest that has a result, in the order of their exits; see `decode_trades`.

    Raises `BacktestResult.DoesNotExist` where the result has gone since.
    """
    assert backtest.result_id is not None
    data = read_heavy(backtest.result_id, "trades_data")
    assert data is not None
    return decode_trades(data, backtest.instruments)


def made_by_owner(backtest: Backtest) -> bool:
    """Whether the run that made the result was of a backtest, still there, of the same owner.

    Else how long it took, and when that was, tells of somebody else.
    """
    maker = None if backtest.result is None else backtest.result.maker
    if maker is None or maker == backtest.pk:
        return maker is not None
    return Backtest.objects.filter(pk=maker, owner_id=backtest.owner_id).exists()


def drawing_of(result: BacktestResult) -> Drawing | None:
    """What a report draws of the candles; None where that was never kept.

    Raises `BacktestResult.DoesNotExist` where the result has gone since.
    """
    data = read_heavy(result.pk, "drawing_data")
    return None if data is None else decode_drawing(data)


def curve_of(result: BacktestResult) -> Curve:
    """The whole equity curve; what there is of it where only a preview was ever kept.

    Raises `BacktestResult.DoesNotExist` where the result has gone since.
    """
    data = read_heavy(result.pk, "equity_data")
    if data is not None:
        return decode_curve(data)
    return Curve(
        ts=np.array(result.equity["ts"], np.int64), value=np.array(result.equity["value"], np.float64)
    )

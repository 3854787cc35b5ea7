"""Reading sweeps: which somebody may see, and how they stand."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import Count, Q, QuerySet, Sum

from apps.backtests.sweeps.models import Sweep, SweepChunk
from apps.backtests.sweeps.reading import found_of
from apps.tasks.models import TaskRun
from apps.tasks.states import ENDED, State


@dataclass(frozen=True, kw_only=True)
class Status:
    """How a sweep stands."""

    state: str
    #: Combinations, those included that a chunk under way has done.
    done: int
    total: int
    chunks: int
    chunks_done: int
    chunks_failed: int
    #: Why it came to nothing: type and message.
    error: dict[str, str] | None = None
    #: Whether its end has been: nothing more will be computed or judged by itself.
    settled: bool = False


def sweeps(*, user: AbstractBaseUser | AnonymousUser) -> QuerySet[Sweep]:
    """The sweeps that *user* may see, newest first: their own; for staff, all."""
    if getattr(user, "is_staff", False):
        return Sweep.objects.all()
    return Sweep.objects.filter(owner_id=user.pk)


def statuses(found: Sequence[Sweep]) -> dict[uuid.UUID, Status]:
    """How each of these sweeps stands, in three queries."""
    computed = Q(computed_at__isnull=False)
    rows = SweepChunk.objects.filter(sweep__in=[one.pk for one in found]).values("sweep").order_by()
    counted = {
        row["sweep"]: row
        for row in rows.annotate(
            done=Sum("count", filter=computed), chunks=Count("pk"), ready=Count("pk", filter=computed)
        )
    }
    batches = [one.batch for one in found]
    under_way: dict[uuid.UUID, int] = {}
    failed: dict[uuid.UUID, int] = {}
    active = TaskRun.objects.filter(state__in=(State.RUNNING, State.DEAD), batch_id__in=batches)
    for batch, state, progress in active.values_list("batch_id", "state", "progress"):
        assert batch is not None
        if state == State.DEAD:
            failed[batch] = failed.get(batch, 0) + 1
        else:
            under_way[batch] = under_way.get(batch, 0) + ((progress or {}).get("done") or 0)
    ends = TaskRun.objects.only("state", "error").in_bulk([one.finish_run for one in found])
    made = {}
    for one in found:
        row, end = counted.get(one.pk), ends.get(one.finish_run)
        made[one.pk] = _status(one, row, under_way, failed.get(one.batch, 0), end)
    return made


def best_so_far(sweep: Sweep) -> list[dict[str, Any]]:
    """The best so far, best first; at the end, those that the judgement is about.

    Each has ``rank``, ``number``, ``params``, ``metrics`` and ``backtest``: the id of its run in full, which
    is asked for at the end; else None.
    """
    if sweep.summary is not None:
        rows = sweep.summary["best"]
    else:
        found = found_of(sweep)
        rows = found.rows(found.best(sweep.metric, max(sweep.best_count, 1)))
    picks = {pick.number: pick.backtest_id for pick in sweep.picks.all()}
    return [{"rank": rank, **row, "backtest": picks.get(row["number"])} for rank, row in enumerate(rows, 1)]


def _status(
    sweep: Sweep,
    counted: dict[str, int | None] | None,
    under_way: dict[uuid.UUID, int],
    failed: int,
    end: TaskRun | None,
) -> Status:
    row = counted or {}
    done, ready = row.get("done") or 0, row.get("ready") or 0
    state, error = State.SCHEDULED, None
    if sweep.cancelled_at is not None:
        state = State.CANCELLED
    elif sweep.finished_at is not None:
        state = State.SUCCEEDED
    elif end is not None and end.state in (State.DEAD, State.CANCELLED):
        state = State(end.state)
        error = None if end.error is None else {key: end.error[key] for key in ("type", "message")}
    elif ready or failed or sweep.batch in under_way:
        state = State.RUNNING
    busy = under_way.get(sweep.batch, 0) if state is State.RUNNING else 0
    return Status(
        state=state,
        done=min(done + busy, sweep.combinations),
        total=sweep.combinations,
        chunks=row.get("chunks") or 0,
        chunks_done=ready,
        chunks_failed=failed,
        error=error,
        # The run of the end is there once the chunks have ended, and until it is forgotten.
        settled=sweep.finished_at is not None if end is None else end.state in ENDED,
    )

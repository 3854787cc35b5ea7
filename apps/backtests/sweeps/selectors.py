"""Reading sweeps: which somebody may see, and how they stand."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import BigIntegerField, Count, Q, QuerySet, Sum
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast

from apps.backtests.sweeps.models import Sweep, SweepChunk, SweepPick
from apps.backtests.sweeps.reading import found_of
from apps.tasks.models import TaskRun
from apps.tasks.states import ENDED, State

_NOTHING: Mapping[str, Any] = {}


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
    dead, running = Q(state=State.DEAD), Q(state=State.RUNNING)
    done = Cast(KeyTextTransform("done", "progress"), BigIntegerField())
    active = TaskRun.objects.filter(dead | running, batch_id__in=[one.batch for one in found])
    batches = {
        row["batch_id"]: row
        for row in active.values("batch_id")
        .order_by()
        .annotate(
            failed=Count("pk", filter=dead),
            running=Count("pk", filter=running),
            busy=Sum(done, filter=running),
        )
    }
    ends = TaskRun.objects.only("state", "error").in_bulk([one.finish_run for one in found])
    made = {}
    for one in found:
        chunks, runs = counted.get(one.pk, _NOTHING), batches.get(one.batch, _NOTHING)
        made[one.pk] = _status(one, chunks, runs, ends.get(one.finish_run))
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


def notes_of(sweep: Sweep) -> list[str]:
    """What the judgement had to leave out, and which runs in full are of other candles than the sweep."""
    if sweep.summary is None:
        return []
    notes = list(sweep.summary["notes"])
    # One that is older than fingerprints has none, and nothing can be compared.
    if sweep.data_fingerprint:
        full = SweepPick.objects.filter(sweep=sweep, backtest__result__isnull=False)
        other = full.exclude(backtest__result__data_fingerprint=sweep.data_fingerprint).order_by("rank")
        notes += [
            f"number {number} was run in full on other candles: they were changed meanwhile"
            for number in other.values_list("number", flat=True)
        ]
    return notes


def _status(sweep: Sweep, counted: Mapping[str, Any], runs: Mapping[str, Any], end: TaskRun | None) -> Status:
    done, ready = counted.get("done") or 0, counted.get("ready") or 0
    failed, running = runs.get("failed", 0), runs.get("running", 0)
    state, error = State.SCHEDULED, None
    if sweep.cancelled_at is not None:
        state = State.CANCELLED
    elif sweep.finished_at is not None:
        state = State.SUCCEEDED
    elif end is not None and end.state in (State.DEAD, State.CANCELLED):
        state = State(end.state)
        error = None if end.error is None else {key: end.error[key] for key in ("type", "message")}
    elif ready or failed or running:
        state = State.RUNNING
    busy = (runs.get("busy") or 0) if state is State.RUNNING else 0
    return Status(
        state=state,
        done=min(done + busy, sweep.combinations),
        total=sweep.combinations,
        chunks=counted.get("chunks") or 0,
        chunks_done=ready,
        chunks_failed=failed,
        error=error,
        # The run of the end is there once the chunks have ended, and until it is forgotten.
        settled=sweep.finished_at is not None if end is None else end.state in ENDED,
    )

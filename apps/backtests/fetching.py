"""Getting missing candles before a backtest runs: backfills, and the run that waits for them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from uuid import UUID

from django.utils import timezone

from apps.backtests import conf
from apps.backtests.asking import InvalidBacktest
from apps.backtests.lacking import Lack
from apps.backtests.models import Backtest
from apps.candles.models import Backfill
from apps.candles.ranges import Range, merged
from apps.candles.requesting import backfills_request
from apps.candles.selectors import BackfillState, BackfillStatus, backfill_statuses
from apps.candles.services import InvalidBackfill
from apps.candles.timeframes import MINUTE, to_datetime
from apps.tasks import Cancelled, PermanentError, RetryLater
from apps.tasks.models import TaskRun

#: Gaps closer together than this (ms) are fetched as one, which costs an exchange no more.
_NEAR = 1000 * MINUTE
#: So many backfills of one instrument are asked for at most: gaps further apart become one then.
_MOST = 10
#: Seconds between two looks at backfills: at first, and at most.
_SOON, _LATER = 1.0, 15.0


def backfills_order(*, lacks: Sequence[Lack], actor: str) -> list[UUID]:
    """Ask for what is lacking, in the caller's transaction. Returns the backfills.

    Raises `InvalidBacktest` where an exchange cannot give it, and where it is too much.
    """
    parts = [(lack.instrument.text, start, end) for lack in lacks for start, end in _together(lack.ranges)]
    minutes = sum((end - start) // MINUTE for _, start, end in parts)
    if minutes > conf.max_fetch():
        raise InvalidBacktest(
            "missing", f"{minutes} minutes would have to be fetched; {conf.max_fetch()} is the limit."
        )
    ordered = []
    for text, start, end in parts:
        try:
            asked = backfills_request(
                instrument_id_text=text, start=to_datetime(start), end=to_datetime(end), actor=actor
            )
        except InvalidBackfill as exc:
            raise InvalidBacktest(
                "missing", f"The missing candles of {text} cannot be fetched: {exc}."
            ) from None
        ordered += [backfill.pk for backfill in asked]
    return ordered


def candles_await(*, backtest: Backtest | None, attempt: int, run_id: UUID | None) -> None:
    """Return when all backfills of *backtest* have ended well.

    Raises `RetryLater` while they have not, `PermanentError` when one was given up or takes too long, and
    `Cancelled` when the backtest is gone or somebody asked to cancel the run *run_id*. That is locked until
    the end of the transaction: whoever asks later finds what follows it, and cancels that.
    """
    if backtest is None:
        raise Cancelled("the backtest was deleted")
    waiting = False
    for backfill, status in fetches([backtest])[backtest.pk]:
        if status.state in (BackfillState.FAILED, BackfillState.CANCELLED):
            reasons = "; ".join(error.message for error in status.errors) or "no reason is known"
            raise PermanentError(f"the backfill of {backfill.text} has {status.state.value}: {reasons}")
        waiting |= status.state is not BackfillState.SUCCEEDED
    if not waiting:
        if run_id is not None:
            _check_wanted(run_id)
        return
    if timezone.now() - backtest.created_at > conf.fetch_within():
        raise PermanentError(f"the missing candles were not there within {conf.fetch_within()}")
    raise RetryLater(min(_SOON * 1.5 ** min(attempt - 1, 20), _LATER), "missing candles are being fetched")


def _check_wanted(run_id: UUID) -> None:
    """Raises `Cancelled` where somebody asked for that; nobody can until the transaction has ended."""
    run = TaskRun.objects.select_for_update(no_key=True).filter(pk=run_id)
    if run.values_list("cancel_requested", flat=True).first():
        raise Cancelled(f"run {run_id} was cancelled when the candles were there")


def fetches(backtests: Iterable[Backtest]) -> dict[UUID, list[tuple[Backfill, BackfillStatus]]]:
    """The backfills that each of these backtests asked for, and how they stand."""
    wanted = {backtest.pk: [UUID(str(pk)) for pk in backtest.backfills] for backtest in backtests}
    every = {pk for pks in wanted.values() for pk in pks}
    found = {one.pk: one for one in Backfill.objects.filter(pk__in=every)} if every else {}
    statuses = backfill_statuses(list(found.values())) if found else {}
    return {
        backtest: [(found[pk], statuses[pk]) for pk in pks if pk in found] for backtest, pks in wanted.items()
    }


def minutes_fetched(fetched: Iterable[tuple[Backfill, BackfillStatus]]) -> tuple[int, int]:
    """How many minutes of all these backfills are dealt with, and how many there are."""
    done, total = 0.0, 0
    for backfill, status in fetched:
        minutes = int((backfill.end - backfill.start).total_seconds()) // 60
        total += minutes
        done += minutes * status.progress
    return int(done), total


def _together(ranges: list[Range]) -> list[Range]:
    """Ranges that are fetched at once, those near each other made one."""
    near = _NEAR
    while len(found := merged(ranges, near=near)) > _MOST:
        near *= 2
    return found

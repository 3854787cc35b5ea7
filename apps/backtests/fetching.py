"""Getting missing candles before a backtest runs: backfills, and the run that waits for them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from uuid import UUID

from django.contrib.auth import get_user_model
from django.db.models import Exists, OuterRef
from django.utils import timezone

from apps.backtests import conf
from apps.backtests.asking import InvalidBacktest
from apps.backtests.lacking import Lack
from apps.backtests.models import Backtest
from apps.candles.models import Backfill, BackfillChunk
from apps.candles.ranges import Range, clipped, merged, without
from apps.candles.requesting import backfills_request
from apps.candles.selectors import BackfillState, BackfillStatus, backfill_statuses
from apps.candles.services import InvalidBackfill
from apps.candles.timeframes import MINUTE, to_datetime, to_ms
from apps.tasks import Cancelled, PermanentError, RetryLater
from apps.tasks.models import TaskRun
from apps.tasks.states import ACTIVE

#: Gaps closer together than this (ms) are fetched as one, which costs an exchange no more.
_NEAR = 1000 * MINUTE
#: So many backfills of one instrument are asked for at most: gaps further apart become one then.
_MOST = 10
#: Seconds between two looks at backfills: at first, and at most.
_SOON, _LATER = 1.0, 15.0

_ACTIVE = TaskRun.objects.filter(state__in=ACTIVE)


class TooManyFetches(Exception):
    """As much as may be is being fetched for the owner already."""


def backfills_order(*, lacks: Sequence[Lack], owner_id: int) -> list[UUID]:
    """Have what is lacking fetched, in the caller's transaction. Returns the backfills to wait for.

    What somebody's backfill is going to fetch is not asked for again. Requests of one owner are dealt with
    one after the other.

    Raises `InvalidBacktest` where an exchange cannot give it, and where it is too much for one backtest;
    `TooManyFetches` where it is with what the owner waits for.
    """
    wanted = [(lack.instrument, _together(lack.ranges)) for lack in lacks]
    if (minutes := sum(_minutes(ranges) for _, ranges in wanted)) > conf.max_fetch():
        raise InvalidBacktest(
            "missing", f"{minutes} minutes would have to be fetched; {conf.max_fetch()} is the limit."
        )
    get_user_model().objects.select_for_update(no_key=True).get(pk=owner_id)
    found: list[UUID] = []
    new: list[tuple[str, Range]] = []
    for instrument, ranges in wanted:
        coming = _coming(exchange=instrument.exchange, symbol=instrument.symbol)
        found += [pk for pk, part in coming if any(clipped([part], *one) for one in ranges)]
        new += [(instrument.text, one) for one in without(ranges, merged(part for _, part in coming))]
    actor = f"user:{owner_id}"
    _check_few(owner_id, actor, _minutes(one for _, one in new))
    for text, one in new:
        found += _asked_for(text, *one, actor)
    return list(dict.fromkeys(found))


def _check_few(owner_id: int, actor: str, minutes: int) -> None:
    """Raises `TooManyFetches`. Backfills go on when the backtest that wanted them is cancelled or deleted."""
    most = conf.max_fetching()
    mine = Backtest.objects.filter(Exists(_ACTIVE.filter(pk=OuterRef("fetch_run"))), owner_id=owner_id)
    if mine.count() >= most:
        raise TooManyFetches(f"{most} of your backtests wait for candles, which is the limit.")
    coming = _minutes(part for _, part in _coming(requested_by=actor))
    if coming + minutes > most * conf.max_fetch():
        raise TooManyFetches(
            f"{coming} minutes are being fetched for you; with these it would be more than"
            f" {most * conf.max_fetch()}, which is the limit."
        )


def _coming(**of: str) -> list[tuple[UUID, Range]]:
    """What is still to be fetched by backfills of which this is true, each with its ranges."""
    whole = Backfill.objects.filter(Exists(_ACTIVE.filter(pk=OuterRef("prepare_run"))), **of)
    # These are looked for later: what has been prepared meanwhile has its chunks now.
    chunks = BackfillChunk.objects.filter(
        Exists(_ACTIVE.filter(pk=OuterRef("task_run"))),
        **{f"backfill__{name}": value for name, value in of.items()},
    )
    rows = [*whole.values_list("pk", "start", "end"), *chunks.values_list("backfill_id", "start", "end")]
    return [(pk, (to_ms(start), to_ms(end))) for pk, start, end in rows]


def _asked_for(text: str, start: int, end: int, actor: str) -> list[UUID]:
    """New backfills."""
    try:
        asked = backfills_request(
            instrument_id_text=text, start=to_datetime(start), end=to_datetime(end), actor=actor
        )
    except InvalidBackfill as exc:
        raise InvalidBacktest("missing", f"The missing candles of {text} cannot be fetched: {exc}.") from None
    return [backfill.pk for backfill in asked]


def _minutes(ranges: Iterable[Range]) -> int:
    return sum((end - start) // MINUTE for start, end in ranges)


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

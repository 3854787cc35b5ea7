"""Filling gaps, and telling why some cannot be filled."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from apps.candles import selectors
from apps.candles.gaps import Range, find_gaps, without
from apps.candles.ingestion import Fetched, fetch_sifted
from apps.candles.models import Gap, Instrument
from apps.candles.quarantine import quarantine
from apps.candles.storage.writer import write_candles
from apps.candles.timeframes import MINUTE, to_datetime, to_ms
from apps.candles.venues.catalogue import find_venue

#: Gaps closer together than this many minutes are asked for at once: an answer holds that many.
_PAGE = 1000 * MINUTE
#: Of so many other instruments it is asked what they have where one has nothing.
_WITNESSES = 50


@dataclass(frozen=True, kw_only=True)
class RepairResult:
    """What a repair came to, in minutes."""

    missing: int
    #: Stored now.
    filled: int
    #: In quarantine.
    quarantined: int
    #: Which the exchange does not have.
    absent: int


#: Minutes dealt with, of how many.
OnProgress = Callable[[int, int], None]


def open_gaps(
    *, instrument: Instrument, start: datetime | None = None, end: datetime | None = None
) -> list[Range]:
    """The gaps (ms, half-open) of which the exchange has not said that it has nothing there."""
    found = find_gaps(instrument_id=instrument.pk, start=start, end=end)
    return without(found, _known(instrument))


def repair(
    *,
    instrument: Instrument,
    start: datetime | None = None,
    end: datetime | None = None,
    again: bool = False,
    run: uuid.UUID | None = None,
    on_progress: OnProgress | None = None,
) -> RepairResult:
    """Ask the exchange for what is missing in [start, end), store it, and note what it does not have.

    Not asked for again is what the exchange did not have before, unless *again* is set. Every answer is
    stored in a transaction of its own, so a repair that is broken off has lost nothing. Raises `VenueError`.
    """
    found = find_gaps(instrument_id=instrument.pk, start=start, end=end)
    gaps = found if again else without(found, _known(instrument))
    total = sum(hi - lo for lo, hi in gaps) // MINUTE
    filled = quarantined = absent = done = 0
    history = find_venue(instrument.exchange).history
    for together in _pages(gaps):
        lo, hi = together[0][0], together[-1][1]
        oldest = to_ms(timezone.now() - history + timedelta(minutes=1)) if history else lo
        fetched = None
        if hi > oldest:
            fetched = fetch_sifted(
                instrument=instrument, start=to_datetime(max(lo, oldest)), end=to_datetime(hi)
            )
        with transaction.atomic():
            if fetched is not None:
                filled += write_candles(instrument=instrument, minutes=fetched.minutes).inserted
                quarantined += quarantine(
                    instrument=instrument, rejected=fetched.rejected, origin="repair", run=run
                )
            absent += _note_absent(instrument, together, fetched)
        done += sum(end - start for start, end in together) // MINUTE
        if on_progress is not None:
            on_progress(done, total)
    return RepairResult(missing=total, filled=filled, quarantined=quarantined, absent=absent)


def _known(instrument: Instrument) -> list[Range]:
    rows = Gap.objects.filter(instrument=instrument).order_by("start").values_list("start", "end")
    return [(to_ms(start), to_ms(end)) for start, end in rows]


def _pages(gaps: Iterable[Range]) -> list[list[Range]]:
    """Gaps that one answer of an exchange can hold, together."""
    pages: list[list[Range]] = []
    for gap in gaps:
        if pages and gap[1] - pages[-1][0][0] <= _PAGE:
            pages[-1].append(gap)
        else:
            pages.append([gap])
    return pages


def _note_absent(instrument: Instrument, asked: list[Range], fetched: Fetched | None) -> int:
    """Note what is still missing of what was asked for, each part with its cause. Returns the minutes."""
    lo, hi = asked[0][0], asked[-1][1]
    served = fetched.start if fetched is not None else hi
    bad = [(one.ts, one.ts + MINUTE) for one in (fetched.rejected if fetched else []) if one.ts is not None]
    missing = find_gaps(instrument_id=instrument.pk, start=to_datetime(lo), end=to_datetime(hi))
    # What is in quarantine may be readmitted, or be right the next time.
    absent = without(missing, bad)
    Gap.objects.filter(instrument=instrument, start__lt=to_datetime(hi), end__gt=to_datetime(lo)).delete()
    now = timezone.now()
    parts = [
        (start, end, cause)
        for gap in absent
        for start, end, cause in (
            (gap[0], min(gap[1], served), Gap.Cause.EXPIRED),
            (max(gap[0], served), gap[1], Gap.Cause.UNEXPLAINED),
        )
        if start < end
    ]
    Gap.objects.bulk_create(
        Gap(
            instrument=instrument,
            start=to_datetime(start),
            end=to_datetime(end),
            cause=cause,
            asked_at=now,
        )
        for start, end, cause in parts
    )
    explain(exchange=instrument.exchange, start=to_datetime(lo), end=to_datetime(hi))
    return sum(end - start for start, end, _ in parts) // MINUTE


def explain(*, exchange: str, start: datetime, end: datetime) -> None:
    """Tell the causes of what the exchange did not have in [start, end), by what its other instruments have.

    Most of those that were asked for it lack it as well: an outage. Some have it: no trades.
    """
    gaps = Gap.objects.filter(instrument__exchange=exchange, start__lt=end, end__gt=start)
    for gap in gaps.exclude(cause=Gap.Cause.EXPIRED):
        cause = _cause(exchange, gap)
        if cause != gap.cause:
            Gap.objects.filter(pk=gap.pk).update(cause=cause)


def _cause(exchange: str, gap: Gap) -> str:
    lacking = set(
        Gap.objects.filter(instrument__exchange=exchange, start__lte=gap.start, end__gte=gap.end)
        .exclude(instrument=gap.instrument_id)
        .values_list("instrument", flat=True)[:_WITNESSES]
    )
    others = Instrument.objects.filter(exchange=exchange).exclude(pk=gap.instrument_id)
    witnesses = list(others.filter(followed=True).values_list("pk", flat=True)[:_WITNESSES])
    having = selectors.having_minutes({*witnesses} - lacking, start=gap.start, end=gap.end)
    if lacking and len(lacking) >= len(having):
        return Gap.Cause.OUTAGE
    return Gap.Cause.NO_TRADES if having else Gap.Cause.UNEXPLAINED

"""Filling gaps, and telling why some cannot be filled."""

from __future__ import annotations

import uuid
from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from apps.candles.gaps import find_gaps
from apps.candles.ingestion import Fetched, exchange_time, fetch_sifted, kept_from
from apps.candles.models import Gap, Instrument
from apps.candles.ranges import Range, clipped, merged, without
from apps.candles.selectors import coverage
from apps.candles.storage import locks
from apps.candles.storing import store_fetched
from apps.candles.timeframes import M1, MINUTE, to_datetime, to_ms
from apps.candles.venues.catalogue import find_venue
from apps.core.resources import sql

#: Gaps closer together than this (ms) are asked for at once: an answer holds that many minutes.
_PAGE = 1000 * MINUTE
#: Longer gaps (ms) are asked for in parts.
_LONGEST = 5 * _PAGE
#: Longer ones are not repaired unasked: between two backfills there may be years that nobody wanted.
ROUTINE = timedelta(days=7)
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
    *,
    instrument: Instrument,
    start: datetime | None = None,
    end: datetime | None = None,
    longest: timedelta | None = None,
) -> list[Range]:
    """The gaps (ms, half-open) of which the exchange has not said that it has nothing there.

    What would not be kept for long is none. With *longest* those that are longer are left out.
    """
    return without(_gaps(instrument, start, end, longest), _known(instrument))


def requests_for(*, exchange: str, gaps: Iterable[Range]) -> int:
    """How many requests a repair of these gaps makes."""
    page = find_venue(exchange).page * MINUTE
    return 1 + sum(-(-(together[-1][1] - together[0][0]) // page) for together in _pages(gaps))


def repair(
    *,
    instrument: Instrument,
    start: datetime | None = None,
    end: datetime | None = None,
    again: bool = False,
    longest: timedelta | None = None,
    run: uuid.UUID | None = None,
    on_progress: OnProgress | None = None,
) -> RepairResult:
    """Ask the exchange for what is missing in [start, end), store it, and note what it does not have.

    Not asked for again is what the exchange did not have before, unless *again* is set. With *longest* gaps
    that are longer are left out. Every answer is stored in a transaction of its own, so a repair that is
    broken off has lost nothing. What was noted as absent and is stored by now is forgotten first. Raises
    `VenueError`.
    """
    forget_filled(instrument=instrument, start=start, end=end)
    found = _gaps(instrument, start, end, longest)
    gaps = found if again else without(found, _known(instrument))
    total = sum(hi - lo for lo, hi in gaps) // MINUTE
    filled = quarantined = absent = done = 0
    clock = exchange_time(instrument.exchange) if gaps else 0
    oldest = find_venue(instrument.exchange).first_minute(clock)
    for together in _pages(gaps):
        lo, hi = together[0][0], together[-1][1]
        served = lo if oldest is None else max(lo, oldest)
        fetched = None
        if served < hi:
            fetched = fetch_sifted(
                instrument=instrument, start=to_datetime(served), end=to_datetime(hi), now_ms=clock
            )
        with transaction.atomic():
            if fetched is not None:
                stored = store_fetched(instrument=instrument, fetched=fetched, origin="repair", run=run)
                fetched = stored.fetched
                filled += stored.written.inserted
                quarantined += stored.quarantined
            absent += _note_absent(instrument, lo, hi, fetched)
        done += sum(end - start for start, end in together) // MINUTE
        if on_progress is not None:
            on_progress(done, total)
    return RepairResult(missing=total, filled=filled, quarantined=quarantined, absent=absent)


def instruments_noted() -> QuerySet[Instrument]:
    """The instruments of which it is noted that their exchange does not have something."""
    return Instrument.objects.filter(Exists(Gap.objects.filter(instrument=OuterRef("pk"))))


def forget_filled(
    *, instrument: Instrument, start: datetime | None = None, end: datetime | None = None
) -> int:
    """Let the minutes of [start, end) that are stored by now, however they came, be noted as absent no more.

    Returns how many these were. Causes that were told by them are told anew.
    """
    if not _filled(instrument, start, end):
        return 0
    with transaction.atomic():
        locks.lock_causes(instrument.exchange)
        filled = _filled(instrument, start, end)
        if filled:
            _forget(instrument, filled)
            explain(
                exchange=instrument.exchange,
                start=to_datetime(filled[0][0]),
                end=to_datetime(filled[-1][1]),
            )
    return sum(hi - lo for lo, hi in filled) // MINUTE


def _filled(instrument: Instrument, start: datetime | None, end: datetime | None) -> list[Range]:
    """What is noted of [start, end) although it is stored. Beyond the ends of what is stored nothing is."""
    noted = _known(instrument)
    span = coverage([instrument.pk]).get(instrument.pk) if noted else None
    if span is None:
        return []
    first, last = to_ms(span.first), to_ms(span.last) + MINUTE
    noted = clipped(
        noted,
        max(first, M1.ceil(to_ms(start))) if start else first,
        min(last, M1.ceil(to_ms(end))) if end else last,
    )
    if not noted:
        return []
    lo, hi = to_datetime(noted[0][0]), to_datetime(noted[-1][1])
    return without(noted, find_gaps(instrument_id=instrument.pk, start=lo, end=hi))


def _gaps(
    instrument: Instrument, start: datetime | None, end: datetime | None, longest: timedelta | None
) -> list[Range]:
    kept = kept_from()
    if kept is not None:
        start = kept if start is None else max(start, kept)
    found = find_gaps(instrument_id=instrument.pk, start=start, end=end)
    if longest is None:
        return found
    most = int(longest.total_seconds() * 1000)
    return [(lo, hi) for lo, hi in found if hi - lo <= most]


def _known(instrument: Instrument) -> list[Range]:
    rows = Gap.objects.filter(instrument=instrument).order_by("start").values_list("start", "end")
    return [(to_ms(start), to_ms(end)) for start, end in rows]


def _pages(gaps: Iterable[Range]) -> list[list[Range]]:
    """Gaps that one answer of an exchange can hold, together; long ones in parts."""
    pages: list[list[Range]] = []
    for gap in gaps:
        for at in range(*gap, _LONGEST):
            part = at, min(gap[1], at + _LONGEST)
            if pages and part[1] - pages[-1][0][0] <= _PAGE:
                pages[-1].append(part)
            else:
                pages.append([part])
    return pages


def _note_absent(instrument: Instrument, lo: int, hi: int, fetched: Fetched | None) -> int:
    """Note what is still missing in [lo, hi), each part with its cause. Returns how many minutes that is."""
    locks.lock_causes(instrument.exchange)
    served = max(lo, fetched.start) if fetched is not None else hi
    # What is in quarantine may be readmitted, or be right the next time.
    bad = {M1.floor(one.ts) for one in (fetched.rejected if fetched else []) if one.ts is not None}
    missing = find_gaps(instrument_id=instrument.pk, start=to_datetime(lo), end=to_datetime(hi))
    absent = without(missing, [(ts, ts + MINUTE) for ts in bad])
    _forget(instrument, [(served, hi)])
    # What the exchange serves no more keeps the cause that was found when it did.
    expired = without(clipped(absent, lo, served), _known(instrument))
    parts = [
        *((*part, Gap.Cause.EXPIRED) for part in expired),
        *((*part, Gap.Cause.UNEXPLAINED) for part in clipped(absent, served, hi)),
    ]
    now = timezone.now()
    Gap.objects.bulk_create(
        Gap(instrument=instrument, start=to_datetime(start), end=to_datetime(end), cause=cause, asked_at=now)
        for start, end, cause in parts
    )
    explain(exchange=instrument.exchange, start=to_datetime(lo), end=to_datetime(hi))
    return sum(end - start for start, end in absent) // MINUTE


def _forget(instrument: Instrument, ranges: Iterable[Range]) -> None:
    """Let nothing be noted of *ranges*. What is noted around them stays as it is."""
    ranges = merged(ranges)
    if not ranges:
        return
    noted = Gap.objects.filter(
        instrument=instrument, start__lt=to_datetime(ranges[-1][1]), end__gt=to_datetime(ranges[0][0])
    )
    gaps = {(to_ms(gap.start), to_ms(gap.end)): gap for gap in noted.order_by("start")}
    left = without(gaps, ranges)
    kept = set(left)
    Gap.objects.filter(pk__in=[gap.pk for span, gap in gaps.items() if span not in kept]).delete()
    starts, found = [start for start, _ in gaps], list(gaps.values())
    rests = [(found[bisect_right(starts, lo) - 1], lo, hi) for lo, hi in left if (lo, hi) not in gaps]
    Gap.objects.bulk_create(
        Gap(
            instrument=instrument,
            start=to_datetime(lo),
            end=to_datetime(hi),
            cause=gap.cause,
            asked_at=gap.asked_at,
        )
        for gap, lo, hi in rests
    )


def explain(*, exchange: str, start: datetime, end: datetime) -> None:
    """Tell the causes of what the exchange did not have in [start, end), by what its other instruments have.

    The minute in the middle of a gap decides. Most of those that were asked for it lack it as well: an
    outage. Some have it: no trades.
    """
    parameters: dict[str, Any] = {"exchange": exchange, "start": start, "end": end, "witnesses": _WITNESSES}
    with connection.cursor() as cursor:
        cursor.execute(sql(__package__, "explain.sql"), parameters)

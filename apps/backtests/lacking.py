"""Minutes that a backtest needs and that are not stored."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from apps.backtests import conf
from apps.backtests.asking import InvalidBacktest, Question
from apps.candles.gaps import find_gaps
from apps.candles.ingestion import kept_from
from apps.candles.models import Gap, Instrument
from apps.candles.ranges import Range, clipped, merged, without
from apps.candles.selectors import coverage, holding
from apps.candles.sources.base import Span
from apps.candles.timeframes import MINUTE, to_datetime, to_ms


@dataclass(frozen=True, kw_only=True)
class Lack:
    """What one instrument lacks of a range."""

    instrument: Instrument
    #: Minutes without a noted cause, as ranges in order of time (ms).
    ranges: list[Range]


class MissingCandles(Exception):
    """Minutes of the range are missing, and it was not asked to fetch or to ignore them.

    *fetch*: whether whoever asked could have them fetched.
    """

    def __init__(self, lacks: Sequence[Lack], *, fetch: bool = True) -> None:
        self.lacks = [lack for lack in lacks if lack.ranges]
        self.minutes = sum((hi - lo) // MINUTE for lack in lacks for lo, hi in lack.ranges)
        ways = 'fetched first ("missing": "fetch"), or ignored' if fetch else "ignored"
        super().__init__(
            f"{self.minutes} minutes are missing, in {self.count} gaps. They can be {ways}"
            ' ("missing": "ignore").'
        )

    @property
    def count(self) -> int:
        """How many gaps there are."""
        return sum(len(lack.ranges) for lack in self.lacks)

    def listed(self) -> list[dict[str, object]]:
        """The first gaps, for clients."""
        every = (
            {
                "instrument": lack.instrument.text,
                "start": to_datetime(lo).isoformat(),
                "end": to_datetime(hi).isoformat(),
                "minutes": (hi - lo) // MINUTE,
            }
            for lack in self.lacks
            for lo, hi in lack.ranges
        )
        return [gap for gap, _ in zip(every, range(conf.max_gaps_listed()), strict=False)]


def find_lacks(asked: Question) -> list[Lack]:
    """What each instrument lacks of the range, before its first and after its last stored minute included.

    What its exchange does not have, by a noted cause, and what lies before it was listed is not missing.
    Nor are minutes that are no longer kept. Raises `InvalidBacktest` for an instrument that has nothing in
    the range and cannot get it either, and where there are more minutes than are looked through.
    """
    _check_size(asked)
    ids = [one.pk for one in asked.instruments]
    spans, held = coverage(ids), _holding(asked)
    found = Gap.objects.filter(
        instrument__in=ids, start__lt=to_datetime(asked.end), end__gt=to_datetime(asked.start)
    )
    noted: defaultdict[int, list[Range]] = defaultdict(list)
    for pk, start, end in found.values_list("instrument_id", "start", "end"):
        noted[pk].append((to_ms(start), to_ms(end)))
    lacks = []
    for one in asked.instruments:
        every = _missing(one, spans.get(one.pk), asked.start, asked.end)
        known = noted[one.pk]
        if one.listed_at is not None:
            known.append((0, to_ms(one.listed_at)))
        ranges = without(every, merged(known))
        if not ranges and one.pk not in held:
            raise _nothing_of(one)
        lacks.append(Lack(instrument=one, ranges=ranges))
    return lacks


def check_not_empty(asked: Question) -> None:
    """Raises `InvalidBacktest` when nothing of an instrument is stored in the range, to run on."""
    held = _holding(asked)
    for one in asked.instruments:
        if one.pk not in held:
            raise _nothing_of(one)


def _holding(asked: Question) -> set[int]:
    ids = [one.pk for one in asked.instruments]
    return holding(ids, frame=asked.frame, start=to_datetime(asked.start), end=to_datetime(asked.end))


def _nothing_of(instrument: Instrument) -> InvalidBacktest:
    return InvalidBacktest("start", f"There are no candles of {instrument.text} in this range.")


def _check_size(asked: Question) -> None:
    """Refuse what would have too many minutes looked at while somebody waits for the answer."""
    minutes = (asked.end - asked.start) // MINUTE * len(asked.instruments)
    if minutes > conf.max_search():
        raise InvalidBacktest(
            "missing",
            f"All instruments have {minutes} minutes in this range; missing ones are looked for in at most"
            f' {conf.max_search()}. With "ignore" the backtest runs on what is there.',
        )


def _missing(instrument: Instrument, span: Span | None, start: int, end: int) -> list[Range]:
    """The minutes of [start, end) that are not stored and would be kept."""
    kept = kept_from()
    if kept is not None:
        start = max(start, to_ms(kept))
    if start >= end:
        return []
    if span is None:
        return [(start, end)]
    first, last = to_ms(span.first), to_ms(span.last) + MINUTE
    inside = find_gaps(instrument_id=instrument.pk, start=to_datetime(start), end=to_datetime(end))
    outside = clipped([(start, first), (last, end)], start, end)
    return merged([*inside, *outside])

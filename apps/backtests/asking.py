"""From what somebody asks for to what can be run: checked whole, before anything is queued."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils import timezone

from apps.backtests import conf, strategies
from apps.backtests.engine import Spec, SpecError
from apps.candles import conf as candles_conf
from apps.candles.models import Instrument
from apps.candles.selectors import instrument_get
from apps.candles.timeframes import TIMEFRAMES, Timeframe, to_datetime, to_ms


class InvalidBacktest(ValueError):
    """The request cannot be run. ``field`` names the part at fault; ``place`` may say where in it.

    That is a ``position`` in a text, and a ``suggestion``, each where it is known.
    """

    def __init__(self, field: str, message: str, place: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.field = field
        self.place = dict(place or {})

    @classmethod
    def of(cls, exc: SpecError) -> InvalidBacktest:
        """What the engine refuses, as a sentence."""
        end = "" if exc.message.endswith((".", "?", "!")) else "."
        told = {"position": exc.position, "suggestion": exc.suggestion}
        place = {name: one for name, one in told.items() if one is not None}
        return cls(exc.field, f"{exc.message[:1].upper()}{exc.message[1:]}{end}", place)


@dataclass(frozen=True, kw_only=True)
class Question:
    """A backtest that can be run. Times are in milliseconds."""

    instruments: tuple[Instrument, ...]
    frame: Timeframe
    #: Where the first bar may open, and the end of the last: both are boundaries of the timeframe.
    start: int
    end: int
    spec: Spec
    #: The strategy's name.
    strategy: str

    @property
    def names(self) -> list[str]:
        """The instruments' text forms."""
        return [one.text for one in self.instruments]


def question(
    *,
    instruments: Sequence[str],
    timeframe: str,
    start: datetime,
    end: datetime,
    spec: Mapping[str, Any],
) -> Question:
    """What is asked for, or `InvalidBacktest` that names the field.

    The range becomes that of the bars that open in [start, end) and have ended by now, with the time that
    their last minute may take to be stored (``CANDLES_SETTLE_SECONDS``).
    """
    frame = TIMEFRAMES.get(timeframe)
    if frame is None:
        raise InvalidBacktest("timeframe", f"{timeframe!r} is not one of {', '.join(TIMEFRAMES)}.")
    found = _instruments(instruments)
    first, last = _range(frame, start, end)
    try:
        complete = Spec.from_dict(spec)
        strategy = strategies.fitted(complete, frame.width)
    except SpecError as exc:
        raise InvalidBacktest.of(exc) from None
    _check_text(complete)
    asked = Question(
        instruments=found, frame=frame, start=first, end=last, spec=complete, strategy=strategy.name
    )
    _check_size(asked, strategies.cost_of(strategy, complete.params))
    return asked


def _instruments(texts: Sequence[str]) -> tuple[Instrument, ...]:
    field = "instrument" if len(texts) == 1 else "instruments"
    if not 1 <= len(texts) <= conf.max_instruments():
        raise InvalidBacktest("instruments", f"From 1 to {conf.max_instruments()}, not {len(texts)}.")
    found = []
    for text in texts:
        if texts.count(text) > 1:
            raise InvalidBacktest(field, f"{text!r} is named twice.")
        try:
            found.append(instrument_get(text))
        except (ValueError, Instrument.DoesNotExist):
            raise InvalidBacktest(field, f"{text!r} is not a known instrument.") from None
    quotes = sorted({one.quote for one in found})
    if len(quotes) > 1:
        raise InvalidBacktest(
            field, f"One account has one currency; these are quoted in {', '.join(quotes)}."
        )
    return tuple(found)


def _range(frame: Timeframe, start: datetime, end: datetime) -> tuple[int, int]:
    if start >= end:
        raise InvalidBacktest("start", "Must be before end.")
    now = timezone.now()
    if end > now:
        raise InvalidBacktest("end", "Is in the future.")
    first, last = frame.ceil(to_ms(start)), frame.ceil(to_ms(end))
    last = min(last, frame.floor(to_ms(now - candles_conf.settle())))
    if first >= last:
        raise InvalidBacktest("end", f"No {frame.name} bar opens in this range and has ended.")
    return first, last


def _check_size(asked: Question, cost: float) -> None:
    """Refuse what would take too much time or memory."""
    bars = asked.frame.count(asked.start, asked.end)
    detail = 0
    finer = asked.spec.execution.detail
    if finer is not None:
        inside = TIMEFRAMES.get(finer)
        if inside is None or inside.width >= asked.frame.width:
            known = ", ".join(name for name, one in TIMEFRAMES.items() if one.width < asked.frame.width)
            raise InvalidBacktest(
                "execution.detail", f"Must be finer than {asked.frame.name}: one of {known or 'none'}."
            )
        detail = inside.count(asked.start, asked.end)
    for count, name in ((bars, asked.frame.name), (detail, finer)):
        if count > conf.max_bars():
            raise InvalidBacktest(
                "start", f"The range spans {count} bars of {name}; {conf.max_bars()} is the limit."
            )
    number = len(asked.instruments)
    if (bars + detail) * number > conf.max_all_bars():
        raise InvalidBacktest(
            "start",
            f"All instruments have {(bars + detail) * number} bars; {conf.max_all_bars()} is the limit.",
        )
    work = (bars * cost + detail) * number
    if work > conf.max_work():
        raise InvalidBacktest(
            "start",
            f"{bars} bars of {number} instrument(s) at a cost of {cost:g} each are {work:.3g} units of work;"
            f" {conf.max_work():.3g} is the limit.",
        )


def _check_text(spec: Spec) -> None:
    """Refuse text that no database holds: NUL and halves of surrogate pairs."""
    for name, value in spec.as_dict().items():
        if not _storable(value):
            raise InvalidBacktest(name, "Holds a character that cannot be stored.")


def _storable(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" not in value and not any("\ud800" <= char <= "\udfff" for char in value)
    if isinstance(value, Mapping):
        return all(_storable(key) and _storable(item) for key, item in value.items())
    if isinstance(value, list | tuple):
        return all(map(_storable, value))
    return True


def asked_again(instruments: Sequence[Instrument], names: Sequence[str]) -> tuple[Instrument, ...]:
    """*instruments* in the order of *names*."""
    by_text = {one.text: one for one in instruments}
    return tuple(by_text[name] for name in names)


def moments(asked: Question) -> tuple[datetime, datetime]:
    """The range of a question as moments."""
    return to_datetime(asked.start), to_datetime(asked.end)

"""The latest prices of instruments as pages show them, with the line of the last day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.urls import reverse

from apps.candles.api.latest import latest_prices
from apps.candles.following import closes
from apps.candles.models import Instrument
from apps.tasks import wording

#: Of the drawing of a line.
LINE_WIDTH, LINE_HEIGHT = 100.0, 24.0


@dataclass(frozen=True, kw_only=True)
class Quote:
    """One instrument. Texts are empty where nothing is stored, or nothing that old."""

    instrument: str
    symbol: str
    exchange: str
    kind: str
    #: The address of its chart.
    url: str
    #: The close of the newest minute, with the decimals of the exchange.
    price: str
    #: Per cent over 24 hours.
    change: str
    #: up, down or nothing.
    direction: str
    #: Since the newest minute ended.
    age: str
    #: Whether that is too long ago.
    stale: bool
    #: The closes of the last day, as the path of an SVG of `LINE_WIDTH` and `LINE_HEIGHT`.
    line: str


def quotes(instruments: Sequence[Instrument]) -> list[Quote]:
    """How these instruments stand, in two queries, in the same order."""
    ids = [one.pk for one in instruments]
    latest, lines = latest_prices(ids), closes(ids)
    return [_quote(one, latest[one.text], lines.get(one.pk, ())) for one in instruments if one.text in latest]


def _quote(instrument: Instrument, latest: Mapping[str, Any], values: Sequence[int]) -> Quote:
    price, change, age = latest["price"], latest["change_percent"], latest["age"]
    return Quote(
        instrument=instrument.text,
        symbol=instrument.symbol,
        exchange=instrument.exchange,
        kind=instrument.kind,
        url=reverse("chart", args=[instrument.exchange, instrument.symbol]),
        price="" if price is None else f"{price:,.{instrument.price_scale}f}",
        change="" if change is None else f"{change:+.2f} %",
        direction="" if not change else "up" if change > 0 else "down",
        age=wording.age(age),
        stale=bool(latest["stale"]),
        line=line(values),
    )


def line(values: Sequence[int]) -> str:
    """Values as the path of a line over the whole drawing; empty for fewer than two."""
    if len(values) < 2:
        return ""
    low, span = min(values), max(values) - min(values)
    step = LINE_WIDTH / (len(values) - 1)
    points = (
        f"{round(place * step, 2):g} {round(LINE_HEIGHT * (1 - (value - low) / span if span else 0.5), 2):g}"
        for place, value in enumerate(values)
    )
    return f"M{'L'.join(points)}"

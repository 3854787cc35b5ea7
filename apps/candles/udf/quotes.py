"""Last prices for the charting library's watch list."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.db import connection
from django.utils import timezone

from apps.candles.models import Instrument
from apps.candles.sources.base import VALUES
from apps.candles.sources.timescale import TimescaleSource
from apps.candles.udf.symbols import description, find_all, ticker
from apps.core.resources import sql

#: The values of one day by their names in `VALUES`.
Day = dict[str, float]


def quotes(names: Sequence[str]) -> dict[str, Any]:
    """One entry for each of these names, in their order and under the name that was asked for.

    The values are those of the newest stored day (UTC); the change is from the close of the day
    stored before it. There is no order book here, so no ``bid`` and no ``ask``.
    """
    found = find_all(names)
    days = _days(found.values())
    return {"s": "ok", "d": [_entry(name, found.get(name), days) for name in names]}


def _entry(name: str, instrument: Instrument | None, days: dict[int, list[Day]]) -> dict[str, Any]:
    if instrument is None:
        return {"s": "error", "n": name, "v": {}}
    values: dict[str, Any] = {
        "short_name": instrument.symbol.upper(),
        "original_name": ticker(instrument),
        "exchange": instrument.exchange.upper(),
        "description": description(instrument),
    }
    held = days.get(instrument.pk, [])
    if held:
        day = held[0]
        values |= {
            "lp": day["close"],
            "open_price": day["open"],
            "high_price": day["high"],
            "low_price": day["low"],
            "volume": day["volume"],
        }
    if len(held) > 1 and held[1]["close"]:
        previous = held[1]["close"]
        change = held[0]["close"] - previous
        values |= {
            "prev_close_price": previous,
            "ch": round(change, instrument.price_scale),
            "chp": round(100 * change / previous, 2),
        }
    return {"s": "ok", "n": name, "v": values}


def _days(instruments: Iterable[Instrument]) -> dict[int, list[Day]]:
    """The newest two stored days of each of these instruments, the newer first.

    In one query; days that are not refreshed yet are read as any other bars are, one instrument at a time.
    """
    wanted = {instrument.pk: instrument for instrument in instruments}
    days: dict[int, list[Day]] = {}
    waiting = []
    with connection.cursor() as cursor:
        cursor.execute(sql(__package__, "quotes.sql"), {"ids": list(wanted)})
        for pk, waits, price_scale, volume_scale, *prices, volume in cursor.fetchall():
            if waits:
                waiting.append(pk)
                continue
            values = [*(price / 10.0**price_scale for price in prices), volume / 10.0**volume_scale]
            days.setdefault(pk, []).append(dict(zip(VALUES, values, strict=True)))
    for pk in waiting:
        bars = TimescaleSource().load_last(wanted[pk].text, "1d", timezone.now(), 2)
        days[pk] = [
            {name: float(getattr(bars, name)[at]) for name in VALUES} for at in range(len(bars))[::-1]
        ]
    return days

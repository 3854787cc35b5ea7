"""Last prices for the charting library's watch list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import connection

from apps.candles.models import Instrument
from apps.candles.udf.symbols import description, find_all, ticker
from apps.core.resources import sql


def quotes(names: Sequence[str]) -> dict[str, Any]:
    """One entry for each of these names, in their order and under the name that was asked for.

    The values are those of the newest stored day (UTC); the change is from the close of the day
    stored before it. There is no order book here, so no ``bid`` and no ``ask``.
    """
    found = find_all(names)
    days = _days({instrument.pk for instrument in found.values()})
    return {"s": "ok", "d": [_entry(name, found.get(name), days) for name in names]}


def _entry(
    name: str, instrument: Instrument | None, days: dict[int, list[dict[str, float]]]
) -> dict[str, Any]:
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


def _days(ids: set[int]) -> dict[int, list[dict[str, float]]]:
    """The newest two stored days of each of these instruments, the newer first."""
    days: dict[int, list[dict[str, float]]] = {}
    with connection.cursor() as cursor:
        cursor.execute(sql(__package__, "quotes.sql"), {"ids": list(ids)})
        for pk, price_scale, volume_scale, *prices, volume in cursor.fetchall():
            day = dict(
                zip(("open", "high", "low", "close"), (v / 10.0**price_scale for v in prices), strict=True)
            )
            days.setdefault(pk, []).append({**day, "volume": volume / 10.0**volume_scale})
    return days

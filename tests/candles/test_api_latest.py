"""Latest prices over HTTP."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test import Client

from apps.candles.models import Instrument
from apps.candles.services import write_candles
from tests.candles.asking import LATEST, problem_of
from tests.candles.helpers import MINUTE, MONDAY, Arrays, instrument, utc, walk

pytestmark = pytest.mark.django_db

DAY = 1440


def closes(minutes: Arrays) -> dict[int, int]:
    """Closes by the number of the minute after midnight."""
    return {int(ts - MONDAY) // MINUTE: int(c) for ts, c in zip(minutes.ts, minutes.close, strict=True)}


def latest(client: Client, *names: str) -> list[dict[str, Any]]:
    body = client.get(LATEST, {"instrument": names} if names else {}).json()
    prices: list[dict[str, Any]] = body["prices"]
    assert body["count"] == len(prices)
    return prices


def test_a_price_is_the_close_of_the_newest_minute_with_its_change_and_age(client: Client) -> None:
    market, minutes = instrument("BTC/USDT"), walk(3000)
    write_candles(instrument=market, minutes=minutes)
    new, old = int(minutes.close[2999]), int(minutes.close[2999 - DAY])
    with time_machine.travel(utc(2024, 1, 3, 2, 0, 30), tick=False):
        assert latest(client, market.text) == [
            {
                "instrument": market.text,
                "ts": MONDAY + 2999 * MINUTE,
                "price": new / 100,
                "change": (new - old) / 100,
                "change_percent": round(100 * (new - old) / old, 4),
                "age": 30.0,
                "stale": False,
            }
        ]


def test_the_change_is_from_the_last_minute_that_had_opened_a_day_before(client: Client) -> None:
    market, minutes = instrument(), walk(4000)
    # A hole around the minute a day before, and nothing at all a day before that.
    kept = [*range(1000, 1500), *range(1600, 3000)]
    write_candles(instrument=market, minutes=minutes[kept])
    by_minute = closes(minutes)
    (price,) = latest(client, market.text)
    assert price["change"] == (by_minute[2999] - by_minute[1499]) / 100


@pytest.mark.parametrize(("count", "known"), [(DAY, False), (DAY + 1, True)])
def test_without_a_price_a_day_before_there_is_no_change(client: Client, count: int, known: bool) -> None:
    market = instrument()
    write_candles(instrument=market, minutes=walk(count))
    (price,) = latest(client, market.text)
    assert (price["change"] is not None, price["change_percent"] is not None) == (known, known)
    assert price["price"] is not None


def test_a_price_of_zero_a_day_before_has_no_percentage_and_spoils_no_other_price(client: Client) -> None:
    market, other, minutes = instrument(followed=True), instrument(followed=True), walk(DAY + 1)
    zero = minutes[:1]
    flat = replace(zero, **dict.fromkeys(("open", "high", "low", "close"), zero.ts * 0))
    write_candles(instrument=market, minutes=minutes)
    write_candles(instrument=market, minutes=flat)
    write_candles(instrument=other, minutes=minutes)
    first, second = latest(client)
    assert (first["change"], first["change_percent"]) == (first["price"], None)
    assert first["price"] == minutes.close[-1] / 100
    assert second["change_percent"] is not None


def test_a_price_two_days_older_is_not_compared_with(client: Client) -> None:
    market, minutes = instrument(), walk(4000)
    write_candles(instrument=market, minutes=minutes[[0, 2 * DAY]])
    assert latest(client, market.text)[0]["change"] is None
    write_candles(instrument=market, minutes=minutes[[1]])
    assert latest(client, market.text)[0]["change"] is not None


@pytest.mark.parametrize(("seconds", "stale"), [(300, False), (301, True)])
def test_an_old_price_is_stale(client: Client, settings: Any, seconds: int, stale: bool) -> None:
    market = instrument()
    write_candles(instrument=market, minutes=walk(60))
    with time_machine.travel(MONDAY / 1000 + 3600 + seconds, tick=False):
        (price,) = latest(client, market.text)
        assert (price["age"], price["stale"]) == (seconds, stale)
        settings.CANDLES_STALE_SECONDS = 10
        assert latest(client, market.text)[0]["stale"] is True


def test_prices_come_in_the_order_of_the_names_empty_ones_too(client: Client) -> None:
    names = []
    for count in (5, 0, 7):
        names.append(instrument().text)
        write_candles(instrument=Instrument.objects.latest("pk"), minutes=walk(count))
    prices = latest(client, *reversed(names))
    assert [price["instrument"] for price in prices] == names[::-1]
    assert prices[1] == {
        "instrument": names[1], "ts": None, "price": None, "change": None, "change_percent": None,
        "age": None, "stale": None,
    }  # fmt: skip
    assert [price["ts"] for price in prices] == [MONDAY + 6 * MINUTE, None, MONDAY + 4 * MINUTE]


def test_without_a_name_those_that_are_followed_and_traded_are_given(client: Client) -> None:
    assert latest(client) == []
    for symbol, fields in {
        "B/USDT": {"followed": True},
        "A/USDT": {"followed": True},
        "C/USDT": {},
        "D/USDT": {"followed": True, "active": False},
    }.items():
        write_candles(instrument=instrument(symbol, **fields), minutes=walk(2))
    assert [price["instrument"] for price in latest(client)] == ["binance:A/USDT", "binance:B/USDT"]


def test_prices_take_two_queries_however_many_they_are(
    client: Client, django_assert_num_queries: Any
) -> None:
    names = []
    for _ in range(50):
        market = instrument(followed=True)
        write_candles(instrument=market, minutes=walk(3))
        names.append(market.text)
    for asked in (names[:1], names, []):
        with django_assert_num_queries(2, connection=connection):
            assert len(latest(client, *asked)) == (len(asked) or 50)


def test_only_partitions_that_may_hold_the_price_are_touched(client: Client) -> None:
    market = instrument()
    for month in range(12):
        write_candles(instrument=market, minutes=walk(2, start=MONDAY + month * 31 * DAY * MINUTE))
    plans: list[str] = []

    def explain(execute: Any, query: str, parameters: Any, many: bool, context: Any) -> Any:
        if "newest" in query:
            with connection.connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN (ANALYZE, COSTS off, TIMING off) {query}", parameters)
                plans.append("\n".join(row[0] for row in cursor.fetchall()))
        return execute(query, parameters, many, context)

    with connection.execute_wrapper(explain):
        latest(client, market.text)
    scans = [line for line in plans[0].splitlines() if "candle_1m_" in line and "(actual" in line]
    assert scans, plans[0]
    # Every month that was written is looked at once, at its newest row; of the day before only those near it.
    assert sum("never executed" not in line for line in scans) <= 14


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("instrument=binance:NONE/USDT", "instrument"),
        ("instrument=BTCUSDT", "instrument"),
        ("instrument=", "instrument"),
        ("instrument=a&instrument=a", "instrument"),
        ("&".join(f"instrument=binance:A{i}/B" for i in range(51)), "instrument"),
        ("instruments=all", "instruments"),
        ("timeframe=1h", "timeframe"),
    ],
)
def test_what_is_wrong_is_named(client: Client, query: str, field: str) -> None:
    problem_of(client.get(f"{LATEST}?{query}"), 400, field)


def test_prices_cannot_be_written(staff: Client) -> None:
    problem_of(staff.post(LATEST, "{}", content_type="application/json"), 405)

"""Bars in pages, and the bar that is still forming."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
import time_machine
from django.test import Client

from apps.candles.models import Instrument
from apps.candles.services import write_candles
from apps.candles.sources.timescale import TimescaleSource
from apps.candles.timeframes import TIMEFRAMES, to_datetime
from tests.candles.asking import CANDLES
from tests.candles.helpers import MINUTE, MONDAY, Arrays, instrument, utc, walk

pytestmark = pytest.mark.django_db

HOUR = 60 * MINUTE


def pages(client: Client, query: dict[str, Any]) -> list[dict[str, Any]]:
    """Every page, from the first on."""
    found = []
    while True:
        response = client.get(CANDLES, query)
        found.append(response.json())
        following = found[-1]["next"]
        assert response.headers.get("Candles-Next") == (None if following is None else str(following))
        if following is None:
            return found
        query = {**query, "start": str(following)}


@pytest.mark.parametrize("timeframe", ["1m", "5m", "1h"])
@pytest.mark.parametrize("limit", [1, 7, 40])
@pytest.mark.parametrize("refresh", [True, False])
def test_pages_together_are_the_whole(client: Client, timeframe: str, limit: int, refresh: bool) -> None:
    market, minutes = instrument(), walk(20_000)
    # Two stretches with a fortnight of nothing between them, and holes in both.
    kept = [*range(40), *range(43, 60), *range(19_700, 19_800), *range(19_990, 20_000)]
    write_candles(instrument=market, minutes=minutes[kept], refresh=refresh)
    query = {"instrument": market.text, "timeframe": timeframe, "limit": str(limit)}
    # It starts and ends within buckets.
    query |= {"start": str(MONDAY + 2 * MINUTE), "end": str(MONDAY + 19_995 * MINUTE)}
    whole = TimescaleSource().load(
        market.text, timeframe, to_datetime(MONDAY + 2 * MINUTE), to_datetime(MONDAY + 19_995 * MINUTE)
    )
    found = pages(client, query)
    assert [ts for page in found for ts in page["ts"]] == whole.ts.tolist()
    assert [close for page in found for close in page["close"]] == whole.close.tolist()
    assert all(page["count"] == limit for page in found[:-1])


def test_pages_of_several_instruments_lose_and_repeat_nothing(client: Client) -> None:
    markets = [instrument() for _ in range(3)]
    for place, market in enumerate(markets[:2]):
        write_candles(instrument=market, minutes=walk(700, seed=place, gaps=0.2 + 0.6 * place))
    names = [market.text for market in markets]
    query = {"instrument": names, "timeframe": "1m", "start": str(MONDAY), "end": str(MONDAY + 700 * MINUTE)}
    whole = client.get(CANDLES, query).json()
    found = pages(client, {**query, "limit": "50"})
    assert len(found) > 5
    for place, one in enumerate(whole["series"]):
        for name in ("ts", "open", "volume"):
            assert [v for page in found for v in page["series"][place][name]] == one[name]
    for page in found:
        assert max(one["count"] for one in page["series"]) <= 50
        assert page["count"] == sum(one["count"] for one in page["series"])


def test_a_page_may_go_on_until_now(client: Client) -> None:
    market = instrument()
    write_candles(instrument=market, minutes=walk(100))
    query = {"instrument": market.text, "timeframe": "1m", "start": str(MONDAY), "limit": "60"}
    first, second = pages(client, query)
    assert (first["count"], first["next"]) == (60, MONDAY + 60 * MINUTE)
    assert (second["count"], second["next"]) == (40, None)


@pytest.fixture
def asked(client: Client) -> Callable[..., Any]:
    """Ask at a moment for the newest hours of a market whose minutes end at another."""

    def ask(now: datetime, minutes: Arrays, **query: str) -> Any:
        market = instrument()
        write_candles(instrument=market, minutes=minutes)
        with time_machine.travel(now, tick=False):
            return client.get(CANDLES, {"instrument": market.text, "timeframe": "1h", **query})

    return ask


@pytest.mark.parametrize(
    ("now", "stored", "forming"),
    [
        # Minutes stored since midnight; the newest bar of an hour is the one that the last of them lies in.
        (utc(2024, 1, 1, 10, 30), 630, True),
        (utc(2024, 1, 1, 10, 59, 59), 659, True),
        (utc(2024, 1, 1, 11, 0), 660, False),
        # The hour has ended, and its last minute is on its way.
        (utc(2024, 1, 1, 11, 0), 659, True),
        (utc(2024, 1, 1, 11, 1, 59), 650, True),
        # It seems that nobody traded.
        (utc(2024, 1, 1, 11, 2), 650, False),
        (utc(2024, 1, 5), 650, False),
    ],
)
def test_the_forming_bar_is_marked_and_can_be_left_out(
    asked: Callable[..., Any], now: datetime, stored: int, forming: bool
) -> None:
    response = asked(now, walk(stored))
    body = response.json()
    assert body["forming"] is forming
    assert body["ts"][-1] == MONDAY + 10 * HOUR
    assert response["Candles-Forming"] == (body["instrument"] if forming else "")
    for query in ({}, {"start": str(MONDAY)}, {"limit": "5"}, {"start": str(MONDAY), "limit": "20"}):
        closed = asked(now, walk(stored), closed="true", **query)
        body = closed.json()
        assert body["forming"] is False
        assert closed["Candles-Forming"] == ""
        assert body["ts"][-1] == MONDAY + (9 if forming else 10) * HOUR
        if "limit" in query:
            assert body["count"] == (5 if "start" not in query else 10 if forming else 11)
            assert body["next"] is None


def test_how_long_a_bar_waits_for_its_last_minute_is_a_setting(
    asked: Callable[..., Any], settings: Any
) -> None:
    settings.CANDLES_SETTLE_SECONDS = 10
    assert asked(utc(2024, 1, 1, 11, 0, 9), walk(650)).json()["forming"] is True
    assert asked(utc(2024, 1, 1, 11, 0, 10), walk(650)).json()["forming"] is False


def test_a_bar_that_ends_before_the_newest_is_not_forming(asked: Callable[..., Any]) -> None:
    body = asked(utc(2024, 1, 1, 10, 30), walk(630), end="2024-01-01T10:00Z").json()
    assert (body["ts"][-1], body["forming"]) == (MONDAY + 9 * HOUR, False)
    body = asked(utc(2024, 1, 1, 10, 30), walk(630), start=str(MONDAY), limit="10").json()
    assert (body["ts"][-1], body["forming"], body["next"]) == (MONDAY + 9 * HOUR, False, MONDAY + 10 * HOUR)


def test_minutes_are_never_forming(asked: Callable[..., Any]) -> None:
    assert asked(utc(2024, 1, 1, 10, 30), walk(630), timeframe="1m").json()["forming"] is False


def test_of_several_each_says_for_itself_whether_it_forms(client: Client) -> None:
    markets = [instrument(f"{name}/USDT") for name in ("LIVE", "LA,TE", "DEAD")]
    for market, count in zip(markets, (660, 655, 300), strict=True):
        write_candles(instrument=market, minutes=walk(count))
    query = {"instrument": [market.text for market in markets], "timeframe": "1h", "limit": "3"}
    with time_machine.travel(utc(2024, 1, 1, 11, 0, 30), tick=False):
        response = client.get(CANDLES, query)
        assert [one["forming"] for one in response.json()["series"]] == [False, True, False]
        assert response["Candles-Forming"] == "binance:LA%2CTE/USDT"
        closed = client.get(CANDLES, {**query, "closed": "1"}).json()
    assert [one["ts"][-1] // HOUR - MONDAY // HOUR for one in closed["series"]] == [10, 9, 4]
    assert [one["count"] for one in closed["series"]] == [3, 3, 3]


@pytest.mark.parametrize("timeframe", TIMEFRAMES)
def test_the_first_bars_are_what_the_source_loads(timeframe: str) -> None:
    market: Instrument = instrument()
    write_candles(instrument=market, minutes=walk(3000, gaps=0.5))
    source, start, end = TimescaleSource(), utc(2023, 12, 1), utc(2024, 2, 1)
    whole = source.load(market.text, timeframe, start, end)
    for count in (1, len(whole) - 1, len(whole), len(whole) + 1):
        first = source.load_first(market.text, timeframe, start, end, count)
        assert first.ts.tolist() == whole.ts[:count].tolist()
        assert first.volume.tolist() == whole.volume[:count].tolist()

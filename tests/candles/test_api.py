"""Bars over HTTP: what is answered, and how it is refused."""

from __future__ import annotations

from copy import copy
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from apps.candles.models import Instrument
from apps.candles.services import write_candles
from apps.candles.sources.timescale import TimescaleSource
from apps.candles.timeframes import TIMEFRAMES, minute_of
from tests.candles.asking import CANDLES, problem_of
from tests.candles.helpers import MINUTE, MONDAY, instrument, utc, walk

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def stored(for_all: Any) -> Instrument:
    with for_all():
        market = instrument("BTC/USDT")
        write_candles(instrument=market, minutes=walk(3000, gaps=0.1))
    return market


@pytest.fixture
def market(stored: Instrument) -> Instrument:
    return copy(stored)


@pytest.mark.parametrize("timeframe", TIMEFRAMES)
def test_candles_are_what_the_source_loads(client: Client, market: Instrument, timeframe: str) -> None:
    start, end = utc(2024, 1, 1), utc(2024, 1, 3)
    query = {
        "instrument": market.text,
        "timeframe": timeframe,
        "start": start.isoformat(),
        "end": end.isoformat(),
    }
    response = client.get(CANDLES, query)
    assert response.status_code == 200
    body = response.json()
    expected = TimescaleSource().load(market.text, timeframe, start, end)
    assert list(body) == [
        "instrument", "timeframe", "start", "end", "count", "forming", "next",
        "ts", "open", "high", "low", "close", "volume",
    ]  # fmt: skip
    assert (body["forming"], body["next"]) == (False, None)
    assert (body["instrument"], body["timeframe"], body["count"]) == (market.text, timeframe, len(expected))
    for name in ("ts", "open", "high", "low", "close", "volume"):
        assert np.array_equal(np.array(body[name]), getattr(expected, name)), name
    assert [datetime.fromisoformat(body[side]) for side in ("start", "end")] == [start, end]


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2024-01-01T05:30:00+05:30", "2024-01-01T01:00:00Z"),
        (str(MONDAY), str(MONDAY + 60 * MINUTE)),
        ("2024-01-01T00:00Z", "20240101T010000Z"),
    ],
)
def test_moments_may_be_written_in_several_ways(client: Client, start: str, end: str) -> None:
    market = instrument()
    write_candles(instrument=market, minutes=walk(100))
    body = client.get(
        CANDLES, {"instrument": market.text, "timeframe": "1m", "start": start, "end": end}
    ).json()
    assert body["ts"] == [MONDAY + i * MINUTE for i in range(60)]


def test_as_many_bars_as_a_form_takes_may_be_asked_for_whatever_their_width(
    client: Client, market: Instrument
) -> None:
    expected = TimescaleSource().load(market.text, "1w", utc(2023, 1, 1), utc(2025, 1, 1))
    response = client.get(
        CANDLES, {"instrument": market.text, "timeframe": "1w", "format": "csv", "limit": 600_000}
    )
    assert response.status_code == 200
    assert len(response.content.splitlines()) == 1 + len(expected) > 1


def test_without_a_range_the_latest_500_bars_are_given(client: Client) -> None:
    market = instrument()
    begin = minute_of(timezone.now()) - timedelta(minutes=700)
    first = int(begin.timestamp() * 1000)
    write_candles(instrument=market, minutes=walk(700, start=first))
    body = client.get(CANDLES, {"instrument": market.text, "timeframe": "1m"}).json()
    assert body["ts"] == [first + MINUTE * place for place in range(200, 700)]
    assert datetime.fromisoformat(body["start"]).timestamp() * 1000 == body["ts"][0]
    assert datetime.fromisoformat(body["end"]).timestamp() * 1000 > body["ts"][-1]
    body = client.get(CANDLES, {"instrument": market.text, "timeframe": "5m"}).json()
    assert 140 <= body["count"] <= 141


@pytest.mark.parametrize("gap", [1, 600, 400_000])
def test_the_last_bars_are_found_over_any_gap(client: Client, gap: int) -> None:
    market = instrument()
    minutes = walk(30 + gap)
    write_candles(instrument=market, minutes=minutes[np.r_[0:20, 20 + gap : 30 + gap]])
    end = str(MONDAY + (30 + gap) * MINUTE)
    query = {"instrument": market.text, "timeframe": "1m", "end": end, "limit": "15"}
    body = client.get(CANDLES, query).json()
    assert body["ts"] == minutes.ts[np.r_[15:20, 20 + gap : 30 + gap]].tolist()
    assert body["close"] == (minutes.close[np.r_[15:20, 20 + gap : 30 + gap]] / 100).tolist()


def test_exactly_as_many_bars_as_are_allowed_are_given(client: Client, settings: Any) -> None:
    settings.CANDLES_MAX_BARS = 50
    market = instrument()
    write_candles(instrument=market, minutes=walk(100))
    query = {"instrument": market.text, "timeframe": "1m", "start": str(MONDAY)}
    assert client.get(CANDLES, {**query, "end": str(MONDAY + 50 * MINUTE)}).json()["count"] == 50
    body = problem_of(client.get(CANDLES, {**query, "end": str(MONDAY + 51 * MINUTE)}), 400, "start")
    assert "51" in body["detail"]
    assert "50" in body["detail"]


def test_an_instrument_without_candles_has_no_bars(client: Client) -> None:
    body = client.get(CANDLES, {"instrument": instrument().text, "timeframe": "1w"}).json()
    assert (body["count"], body["ts"], body["close"]) == (0, [], [])


GOOD = {
    "instrument": "binance:BTC/USDT",
    "timeframe": "1h",
    "start": "2024-01-01T00:00Z",
    "end": "2024-01-02T00:00Z",
}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"instrument": None}, "instrument"),
        ({"instrument": ""}, "instrument"),
        ({"instrument": "binance:NONE/USDT"}, "instrument"),
        ({"instrument": "BTCUSDT"}, "instrument"),
        ({"instrument": "binance:BTC/USDT\0"}, "instrument"),
        ({"instrument": "binance:BTC/USDT'; --"}, "instrument"),
        ({"timeframe": None}, "timeframe"),
        ({"timeframe": ""}, "timeframe"),
        ({"timeframe": "2h"}, "timeframe"),
        ({"timeframe": "1H"}, "timeframe"),
        ({"start": "2024-01-03T00:00Z"}, "start"),
        ({"start": "2024-01-02T00:00Z"}, "start"),
        ({"start": "1999-01-01T00:00Z"}, "start"),
        ({"start": ""}, "start"),
        ({"start": "yesterday"}, "start"),
        ({"start": "2024-01-01"}, "start"),
        ({"start": "2024-01-01T00:00:00"}, "start"),
        ({"start": "2024-01-01T00:00:00 00:00"}, "start"),
        ({"start": "2024-13-01T00:00Z"}, "start"),
        ({"start": "0001-01-01T00:00+14:00"}, "start"),
        ({"start": "1.7e12"}, "start"),
        ({"start": "-1"}, "start"),
        ({"end": "9999-12-31T23:59:59-14:00"}, "end"),
        ({"end": "9" * 18}, "end"),
        ({"end": "9" * 40}, "end"),
        ({"end": "NaN"}, "end"),
        ({"limit": "0"}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"limit": "10001"}, "limit"),
        ({"closed": "perhaps"}, "closed"),
        ({"format": "xlsx"}, "format"),
        ({"format": "JSON"}, "format"),
        ({"Start": "2024-01-01T00:00Z"}, "Start"),
    ],
)
def test_what_is_wrong_with_a_query_is_named(
    client: Client, market: Instrument, change: dict[str, str | None], field: str
) -> None:
    query = {name: value for name, value in {**GOOD, **change}.items() if value is not None}
    problem_of(client.get(CANDLES, query), 400, field)


def test_all_that_is_wrong_is_named_at_once(client: Client) -> None:
    query = {"instrument": "binance:BTC/USDT", "timeframe": "2h", "start": "x", "end": "y"}
    problem_of(client.get(CANDLES, query), 400, "timeframe", "start", "end")


def test_a_parameter_given_twice_is_refused(client: Client, market: Instrument) -> None:
    query = f"?instrument={quote(market.text)}&timeframe=1h&start={MONDAY}&start={MONDAY + MINUTE}"
    problem_of(client.get(CANDLES + query), 400, "start")


def test_several_instruments_come_in_their_order(client: Client, market: Instrument) -> None:
    other, empty = instrument("AAA/USDT"), instrument("ZZZ/USDT")
    write_candles(instrument=other, minutes=walk(500, seed=1))
    start, end = utc(2024, 1, 1), utc(2024, 1, 2)
    names = [market.text, empty.text, other.text]
    query = {"instrument": names, "timeframe": "1h", "start": start.isoformat(), "end": end.isoformat()}
    body = client.get(CANDLES, query).json()
    assert list(body) == ["timeframe", "start", "end", "count", "next", "series"]
    assert [one["instrument"] for one in body["series"]] == names
    assert [list(one) for one in body["series"]] == [
        ["instrument", "count", "forming", "ts", "open", "high", "low", "close", "volume"]
    ] * 3
    loaded = [TimescaleSource().load(name, "1h", start, end) for name in names]
    assert body["count"] == sum(map(len, loaded)) == 24 + 0 + 9
    for one, expected in zip(body["series"], loaded, strict=True):
        assert one["count"] == len(expected)
        for name in ("ts", "open", "high", "low", "close", "volume"):
            assert one[name] == getattr(expected, name).tolist()


def test_the_limit_of_bars_is_over_all_instruments(client: Client, settings: Any) -> None:
    settings.CANDLES_MAX_BARS = 50
    names = [instrument().text, instrument().text]
    query = {"instrument": names, "timeframe": "1m", "start": str(MONDAY)}
    assert client.get(CANDLES, {**query, "end": str(MONDAY + 25 * MINUTE)}).status_code == 200
    problem_of(client.get(CANDLES, {**query, "end": str(MONDAY + 26 * MINUTE)}), 400, "start")
    assert client.get(CANDLES, {**query, "limit": "25"}).status_code == 200
    assert "26" in problem_of(client.get(CANDLES, {**query, "limit": "26"}), 400, "limit")["detail"]
    problem_of(client.get(CANDLES, {"instrument": names, "timeframe": "1m"}), 400, "limit")


def test_instruments_are_limited_in_number_and_named_once(client: Client, settings: Any) -> None:
    settings.CANDLES_MAX_SERIES = 2
    names = [instrument().text for _ in range(3)]
    query = {"timeframe": "1h", "end": "2024-01-02T00:00Z"}
    assert client.get(CANDLES, {**query, "instrument": names[:2]}).status_code == 200
    problem_of(client.get(CANDLES, {**query, "instrument": names}), 400, "instrument")
    problem_of(client.get(CANDLES, {**query, "instrument": [names[0], names[0]]}), 400, "instrument")
    unknown = client.get(CANDLES, {**query, "instrument": [names[0], "binance:NONE/USDT"]})
    assert "NONE/USDT" in problem_of(unknown, 400, "instrument")["detail"]


def test_two_exchanges_with_the_same_symbols_are_kept_apart(client: Client, market: Instrument) -> None:
    other = Instrument.objects.create(
        exchange="kraken", symbol="BTC/USDT", base="BTC", quote="USDT", price_scale=2, volume_scale=5
    )
    eth = instrument("ETH/USDT")
    query = {"timeframe": "1h", "end": "2024-01-02T00:00Z", "limit": "5"}
    body = client.get(CANDLES, {**query, "instrument": [other.text, eth.text, market.text]}).json()
    assert [one["count"] for one in body["series"]] == [0, 0, 5]
    problem_of(
        client.get(CANDLES, {**query, "instrument": ["kraken:ETH/USDT", market.text]}), 400, "instrument"
    )


def test_who_reads_is_not_looked_at(client: Client, market: Instrument) -> None:
    response = client.get(CANDLES, GOOD, headers={"Authorization": "Token nonsense"})
    assert response.status_code == 200
    assert "Cookie" not in response["Vary"]


def test_bars_are_answered_with_one_query_beside_their_own(client: Client, market: Instrument) -> None:
    seen: list[str] = []

    def note(execute: Any, query: str, *rest: Any) -> Any:
        seen.append(query)
        return execute(query, *rest)

    with connection.execute_wrapper(note):
        assert client.get(CANDLES, GOOD).json()["count"] == 24
    # The bars themselves are read beside Django's cursors.
    assert len(seen) == 1

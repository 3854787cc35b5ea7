"""Entity tags: what a client has is not sent again, and what changed always is."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test import Client

from apps.candles.models import Instrument
from apps.candles.services import delete_candles, raise_scale, write_candles
from apps.candles.timeframes import to_datetime
from tests.candles.asking import CANDLES
from tests.candles.helpers import MINUTE, MONDAY, instrument, utc, walk

pytestmark = pytest.mark.django_db

MINUTES = walk(3000)
PAST = {"timeframe": "1h", "start": "2024-01-01T00:00Z", "end": "2024-01-02T00:00Z"}
NOW = {"timeframe": "1h"}


@pytest.fixture
def market() -> Instrument:
    market = instrument("BTC/USDT")
    write_candles(instrument=market, minutes=MINUTES[:2000])
    return market


@pytest.fixture
def tag(client: Client, market: Instrument) -> Callable[..., str]:
    """The tag of an answer."""

    def ask(**query: Any) -> str:
        response = client.get(CANDLES, {"instrument": market.text, **query})
        assert response.status_code == 200
        return str(response["ETag"])

    return ask


@pytest.mark.parametrize("query", [PAST, {**PAST, "limit": "3"}, {**NOW, "end": "2024-01-02T00:00Z"}, NOW])
@pytest.mark.parametrize("form", ["json", "rows", "csv", "arrow", "npz"])
def test_what_the_client_has_is_not_sent_again(
    client: Client, market: Instrument, query: dict[str, str], form: str
) -> None:
    query = {"instrument": market.text, "format": form, **query}
    with time_machine.travel(utc(2024, 1, 2, 9, 20), tick=False):
        first = client.get(CANDLES, query)
        assert first["ETag"].startswith('W/"')
        assert first["Cache-Control"] == "no-cache"
        for held in (first["ETag"], first["ETag"].removeprefix("W/"), f'"x", {first["ETag"]}', "*"):
            again = client.get(CANDLES, query, headers={"If-None-Match": held})
            assert (again.status_code, again.content) == (304, b"")
            assert again["ETag"] == first["ETag"]
            assert again["Cache-Control"] == "no-cache"
            assert again["Vary"] == first["Vary"]
            assert "Content-Type" not in again.headers
        for held in ('"x"', f'{first["ETag"][:-1]}0"', "", "nonsense"):
            assert client.get(CANDLES, query, headers={"If-None-Match": held}).status_code == 200


def test_no_bars_are_read_for_who_has_them(
    client: Client, market: Instrument, tag: Callable[..., str]
) -> None:
    held = tag(**PAST)
    with connection.cursor() as cursor:
        # Whoever reads them from now on fails.
        cursor.execute("ALTER TABLE candle_1h RENAME TO candle_hidden")
        response = client.get(CANDLES, {"instrument": market.text, **PAST}, headers={"If-None-Match": held})
    assert response.status_code == 304


def test_a_change_of_any_value_changes_the_tag(market: Instrument, tag: Callable[..., str]) -> None:
    seen = [tag(**PAST)]
    write_candles(instrument=market, minutes=MINUTES[:2000])
    assert tag(**PAST) == seen[0]
    corrected = MINUTES[100:101]
    corrected.close[0] -= 1
    write_candles(instrument=market, minutes=corrected)
    seen.append(tag(**PAST))
    delete_candles(instrument=market, start=to_datetime(MONDAY), end=to_datetime(MONDAY + MINUTE))
    seen.append(tag(**PAST))
    write_candles(instrument=market, minutes=MINUTES[2000:], refresh=False)
    seen.append(tag(**PAST))
    assert len(set(seen)) == 4


def test_a_change_behind_the_back_of_the_writer_changes_the_tag(
    market: Instrument, tag: Callable[..., str]
) -> None:
    before = tag(**PAST)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE candle_1m SET volume = volume + 1 WHERE ts = %s", [to_datetime(MONDAY)])
    assert tag(**PAST) != before


def test_more_decimals_of_the_same_values_do_not_change_the_tag(
    market: Instrument, tag: Callable[..., str]
) -> None:
    before = tag(**PAST)
    raise_scale(instrument=market, price_scale=4, volume_scale=6)
    assert tag(**PAST) == before


def test_changes_in_other_months_and_instruments_do_not_matter(
    market: Instrument, tag: Callable[..., str]
) -> None:
    before = tag(**PAST)
    write_candles(instrument=market, minutes=walk(10, start=MONDAY - 40 * 1440 * MINUTE))
    write_candles(instrument=market, minutes=walk(10, start=MONDAY + 40 * 1440 * MINUTE))
    write_candles(instrument=instrument(), minutes=MINUTES)
    assert tag(**PAST) == before


def test_a_bar_that_reaches_into_the_next_month_changes_with_it(
    market: Instrument, tag: Callable[..., str]
) -> None:
    # Monday, 2024-01-29, opens a week that ends in February.
    query = {"timeframe": "1w", "start": "2024-01-29T00:00Z", "end": "2024-01-30T00:00Z"}
    before = tag(**query)
    write_candles(instrument=market, minutes=walk(10, start=MONDAY + 33 * 1440 * MINUTE))
    assert tag(**query) != before


def test_every_parameter_matters_and_ranges_are_the_same_within_buckets(tag: Callable[..., str]) -> None:
    with time_machine.travel(utc(2024, 1, 2, 9, 20), tick=False):
        queries: list[dict[str, str]] = [
            PAST, {**PAST, "timeframe": "30m"}, {**PAST, "start": "2024-01-01T01:00Z"},
            {**PAST, "end": "2024-01-01T23:00Z"}, {**PAST, "limit": "2"}, {**PAST, "limit": "3"},
            {**PAST, "closed": "true"}, {**PAST, "format": "rows"}, {**PAST, "format": "csv"},
            {"timeframe": "1h", "end": PAST["end"]}, NOW,
        ]  # fmt: skip
        assert len({tag(**query) for query in queries}) == len(queries)
        assert tag(**{**PAST, "start": "2023-12-31T23:00:00.001Z"}) == tag(**PAST)
        assert tag(**{**PAST, "end": "2024-01-01T23:00:01Z"}) == tag(**PAST)
        assert tag(**PAST, format="json") == tag(**PAST)


def test_the_tag_of_several_instruments_changes_with_each_and_with_their_order(
    client: Client, market: Instrument
) -> None:
    other = instrument("AAA/USDT")

    def tag(*names: str) -> str:
        return str(client.get(CANDLES, {"instrument": names, **PAST})["ETag"])

    before = tag(market.text, other.text)
    assert tag(market.text, other.text) == before
    assert tag(other.text, market.text) != before
    write_candles(instrument=other, minutes=MINUTES[:5])
    assert tag(market.text, other.text) != before


def test_the_tag_up_to_now_is_the_same_until_the_bucket_or_its_state_changes(
    client: Client, tag: Callable[..., str]
) -> None:
    """Whenever the answer differs, the tag does; within a bucket that has settled neither does."""
    answers: dict[str, bytes] = {}
    begin = utc(2024, 1, 2, 9, 19, 59)
    changes = 0
    last = ""
    for second in range(0, 3 * 3600, 13):
        with time_machine.travel(begin + timedelta(seconds=second), tick=False):
            response = client.get(CANDLES, {"instrument": "binance:BTC/USDT", "timeframe": "1h"})
        found = response["ETag"]
        assert answers.setdefault(found, response.content) == response.content
        changes += found != last
        last = found
    # At the first question, at each of three new hours, and when the one before it has settled.
    assert changes == 1 + 3 + 3
    assert len(set(answers.values())) > 1


def test_a_range_long_past_keeps_its_tag_for_ever(tag: Callable[..., str]) -> None:
    with time_machine.travel(utc(2024, 3, 1), tick=False):
        before = tag(**PAST)
    with time_machine.travel(utc(2031, 5, 6, 7, 8, 9), tick=False):
        assert tag(**PAST) == before

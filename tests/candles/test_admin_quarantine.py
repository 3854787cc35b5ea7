"""The quarantine in the admin: candles are looked at, readmitted as they came or corrected, and discarded."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from apps.candles.models import Instrument, QuarantinedCandle
from apps.candles.quality import sift_minutes
from apps.candles.services import quarantine, write_candles
from apps.candles.timeframes import to_ms
from tests.candles.admining import XSS, act, answer, cells, listed, listing, page_of, staff, text, told
from tests.candles.helpers import MINUTE, MONDAY, assert_levels_match, instrument, stored, walk

pytestmark = pytest.mark.django_db

State = QuarantinedCandle.State


@pytest.fixture
def operator(admin_client: Client) -> Client:
    return admin_client


@pytest.fixture
def market() -> Instrument:
    return instrument("BTC/USDT")


def hold(market: Instrument, *row: Any, origin: str = "sync") -> QuarantinedCandle:
    """Have a row rejected by the gate."""
    sifted = sift_minutes(
        [row], start_ms=None, end_ms=None, now_ms=to_ms(timezone.now()),
        price_scale=market.price_scale, volume_scale=market.volume_scale,
    )  # fmt: skip
    quarantine(instrument=market, rejected=sifted.rejected, origin=origin)
    return QuarantinedCandle.objects.latest("first_seen")


def bad(market: Instrument, minute: int = 0, high: str = "NaN", **more: Any) -> QuarantinedCandle:
    return hold(market, MONDAY + minute * MINUTE, "10", high, "9", "10", "1.5", **more)


def fields(**changes: str) -> dict[str, str]:
    """The form of `bad`, corrected."""
    ts = "2024-01-01T00:00:00Z"
    values = {"ts": ts, "open": "10", "high": "11.25", "low": "9", "close": "10", "volume": "1.5"}
    return {**values, "readmit": "", **changes}


def test_the_list_says_what_was_rejected_and_why_and_filters_it(operator: Client, market: Instrument) -> None:
    other = instrument("ETH/USDT")
    nan = bad(market)
    short = hold(other, MONDAY, "1", origin=f"import:{XSS}.csv")
    timeless = hold(other, "never", "1", "1", "1", "1", "1", origin="upload")
    page = text(operator.get(listing("quarantinedcandle")))
    assert sorted(cells(page, "at")) == [
        "2024-01-01 00:00:00 binance:BTC/USDT", "2024-01-01 00:00:00 binance:ETH/USDT",
        "none binance:ETH/USDT",
    ]  # fmt: skip
    assert XSS not in page
    assert any("high is not finite" in cell for cell in cells(page, "why"))
    everything = {nan.pk, short.pk, timeless.pk}
    for query, wanted in (
        ({}, everything), ({"reason": "not_finite"}, {nan.pk}), ({"origin": "import"}, {short.pk}),
        ({"origin": "sync"}, {nan.pk}), ({"exchange": "binance"}, everything), ({"exchange": "x"}, set()),
        ({"state__exact": "held"}, everything), ({"state__exact": "discarded"}, set()),
        ({"q": "ETH"}, {short.pk, timeless.pk}), ({"q": "finite"}, {nan.pk}),
        ({"instrument__id__exact": market.pk}, {nan.pk}),
    ):  # fmt: skip
        assert set(listed(operator, "quarantinedcandle", **query)) == wanted, query


def test_a_candle_is_shown_by_columns_beside_what_is_stored(operator: Client, market: Instrument) -> None:
    write_candles(instrument=market, minutes=walk(3))
    candle = hold(market, MONDAY + MINUTE, "10", f"1{XSS}", "9", "10", "1.5", "extra")
    page = text(operator.get(page_of(candle)))
    assert "<code>extra</code>" in page
    assert XSS not in page
    assert "2024-01-01 00:01 (this minute)" in page
    assert page.count('class="n"') == 15
    assert 'value="2024-01-01T00:01:00Z"' in page


def test_a_corrected_candle_is_stored_with_every_level(operator: Client, market: Instrument) -> None:
    write_candles(instrument=market, minutes=walk(3))
    candle = bad(market)
    done = operator.post(page_of(candle), fields(), follow=True)
    assert told(done) == ["The candle was readmitted."]
    assert stored("candle_1m", market)[MONDAY] == (1000, 1125, 900, 1000, 150_000)
    assert_levels_match(market)
    candle.refresh_from_db()
    assert candle.state == State.READMITTED
    assert candle.row == [MONDAY, "10", "11.25", "9", "10", "1.5"]
    assert candle.decided_by.startswith("user:")
    page = text(operator.get(page_of(candle)))
    assert 'name="readmit"' not in page
    again = operator.post(page_of(candle), fields(high="12"))
    assert told(again) == ["Not readmitted: this candle was readmitted already"]
    assert stored("candle_1m", market)[MONDAY][1] == 1125


def test_the_time_can_be_corrected_as_iso_or_as_a_number(operator: Client, market: Instrument) -> None:
    for minute, ts in enumerate(
        ("2024-01-01 00:00", str(MONDAY + MINUTE), str((MONDAY + 2 * MINUTE) * 1000))
    ):
        candle = hold(market, MONDAY + 7 + minute, "10", "11", "9", "10", "1")
        assert candle.reason == "not_on_minute"
        operator.post(page_of(candle), fields(ts=ts))
    assert sorted(stored("candle_1m", market)) == [MONDAY, MONDAY + MINUTE, MONDAY + 2 * MINUTE]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"high": "NaN"}, "high is not finite"),
        ({"high": "8"}, "has its high below its low"),
        ({"high": "1e30"}, "high needs 2**53 or more"),
        ({"ts": "2024-01-01T00:00:30Z"}, "does not open on a minute"),
        ({"ts": "2199-01-01T00:00Z"}, "lies in the future"),
        ({"ts": "soon"}, "No time"),
        ({"ts": ""}, "This field is required"),
        ({"volume": ""}, "This field is required"),
        (
            dict(zip(("open", "high", "low", "close"), [*"121", "1.000000000000001"], strict=True)),
            "do not fit",
        ),
    ],
)
def test_what_is_still_not_sound_is_said_and_nothing_is_changed(
    operator: Client, market: Instrument, changes: dict[str, str], words: str
) -> None:
    write_candles(instrument=market, minutes=walk(3))
    before, candle = stored("candle_1m", market), bad(market)
    page = operator.post(page_of(candle), fields(**changes))
    assert words in text(page)
    # What was typed stays.
    assert all(f'value="{value}"' in text(page) for value in changes.values() if value)
    candle.refresh_from_db()
    assert (candle.state, stored("candle_1m", market)) == (State.HELD, before)


def test_a_candle_is_discarded_and_can_be_readmitted_all_the_same(
    operator: Client, market: Instrument
) -> None:
    candle = bad(market)
    assert told(operator.post(page_of(candle), {"discard": ""}, follow=True)) == ["The candle was discarded."]
    candle.refresh_from_db()
    assert candle.state == State.DISCARDED
    assert told(operator.post(page_of(candle), {"discard": ""})) == [
        "Not discarded: this candle is discarded already"
    ]
    operator.post(page_of(candle), fields())
    assert MONDAY in stored("candle_1m", market)


def test_several_are_readmitted_as_they_came_and_each_refusal_is_told(
    operator: Client, market: Instrument
) -> None:
    # Rejected as forming or as a conflict, they are sound by themselves.
    rows = [(MONDAY, *["10"] * 4, "1"), (MONDAY, *["11"] * 4, "1")]
    sifted = sift_minutes(
        rows, start_ms=None, end_ms=None, now_ms=to_ms(timezone.now()), price_scale=2, volume_scale=5
    )
    quarantine(instrument=market, rejected=sifted.rejected, origin="repair")
    first = QuarantinedCandle.objects.order_by("id").first()
    assert first is not None
    nan, other = bad(market, 5), bad(market, 6, "x")
    asked = act(operator, "quarantinedcandle", "readmit", [first, nan, other])
    assert "conflict: comes twice" in text(asked)
    assert stored("candle_1m", market) == {}
    done = told(answer(operator, "quarantinedcandle", asked))
    assert done[0] == "1 candle readmitted."
    assert sorted(done[1:]) == [
        "Not readmitted: binance:BTC/USDT at 2024-01-01 00:05:00: high is not finite",
        "Not readmitted: binance:BTC/USDT at 2024-01-01 00:06:00: high is no number: 'x'",
    ]
    assert sorted(stored("candle_1m", market)) == [MONDAY]
    first.refresh_from_db()
    assert first.row == [MONDAY, *[first.row[1]] * 4, "1"]


def test_several_are_discarded_after_a_question(operator: Client, market: Instrument) -> None:
    candles = [bad(market, minute) for minute in range(3)]
    operator.post(page_of(candles[0]), fields())
    asked = act(operator, "quarantinedcandle", "discard", candles)
    assert text(asked).count('name="_selected_action"') == 2
    assert told(answer(operator, "quarantinedcandle", asked)) == ["2 candles discarded."]
    assert QuarantinedCandle.objects.filter(state=State.DISCARDED).count() == 2
    again = act(operator, "quarantinedcandle", "discard", candles)
    assert told(again) == ["Of none of these there is anything to decide."]


def test_minutes_that_are_not_kept_any_more_are_refused_and_not_an_error(
    operator: Client, market: Instrument, settings: Any
) -> None:
    settings.CANDLES_RETENTION_DAYS = 30
    candle = bad(market)
    assert "are not kept" in told(operator.post(page_of(candle), fields()))[0]
    settings.CANDLES_RETENTION_DAYS = None
    assert timezone.now() - timedelta(days=30) > candle.ts
    assert told(operator.post(page_of(candle), fields(), follow=True)) == ["The candle was readmitted."]


def test_a_row_without_any_columns_can_be_looked_at_and_filled_in(
    operator: Client, market: Instrument
) -> None:
    candle = hold(market)
    assert candle.reason == "short_row"
    assert "<code>" not in text(operator.get(page_of(candle)))
    operator.post(page_of(candle), fields())
    assert MONDAY in stored("candle_1m", market)


def test_who_may_only_look_decides_nothing(operator: Client, market: Instrument) -> None:
    candle = bad(market)
    looker = staff("looker", "view_quarantinedcandle")
    page = text(looker.get(page_of(candle)))
    assert 'name="readmit"' not in page
    assert looker.post(page_of(candle), fields()).status_code == 403
    act(looker, "quarantinedcandle", "discard", [candle], answered="yes")
    candle.refresh_from_db()
    assert candle.state == State.HELD
    assert staff("nobody").get(page_of(candle)).status_code == 403
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = operator.cookies
    assert strict.post(page_of(candle), fields()).status_code == 403
    assert operator.get("/admin/candles/quarantinedcandle/add/").status_code == 403

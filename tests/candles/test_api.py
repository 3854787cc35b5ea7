"""The candle API: what it answers, and how it refuses."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import numpy as np
import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.utils import timezone

from apps.candles.models import Backfill, Instrument
from apps.candles.services import write_candles
from apps.candles.sources.timescale import TimescaleSource
from apps.candles.timeframes import TIMEFRAMES, minute_of
from apps.tasks.models import TaskRun
from tests.candles.helpers import MINUTE, MONDAY, instrument, utc, walk

pytestmark = pytest.mark.django_db

CANDLES, INSTRUMENTS, BACKFILLS = "/api/v1/candles", "/api/v1/instruments", "/api/v1/backfills"


@pytest.fixture
def market() -> Instrument:
    market = instrument("BTC/USDT")
    write_candles(instrument=market, minutes=walk(3000, gaps=0.1))
    return market


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(get_user_model().objects.create_user("operator", is_staff=True))
    return client


def problem_of(response: Any, status: int, *fields: str) -> dict[str, Any]:
    """The problem, after a check that it names these fields and no others."""
    assert response.status_code == status, response.content
    assert response["Content-Type"].startswith("application/problem+json")
    body: dict[str, Any] = response.json()
    assert body["status"] == status
    assert {error["field"] for error in body.get("errors", [])} == set(fields), body
    assert all(error["detail"] for error in body.get("errors", []))
    return body


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
        "instrument", "timeframe", "start", "end", "count", "ts", "open", "high", "low", "close", "volume",
    ]  # fmt: skip
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


def test_without_a_range_the_latest_500_bars_are_given(client: Client) -> None:
    market = instrument()
    begin = minute_of(timezone.now()) - timedelta(minutes=700)
    write_candles(instrument=market, minutes=walk(700, start=int(begin.timestamp() * 1000)))
    body = client.get(CANDLES, {"instrument": market.text, "timeframe": "1m"}).json()
    last = int(begin.timestamp() * 1000) + 699 * MINUTE
    # The newest of the 500 is the minute that is forming now, of which nothing is stored.
    assert 498 <= body["count"] <= 499
    assert body["ts"][-1] == last
    body = client.get(
        CANDLES, {"instrument": market.text, "timeframe": "5m", "end": str(last + MINUTE)}
    ).json()
    assert body["ts"][-1] + 5 * MINUTE > last >= body["ts"][-1]
    assert 140 <= body["count"] <= 141


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
        ({"limit": "5"}, "limit"),
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


def test_instruments_are_listed_with_what_is_stored_of_them(client: Client, market: Instrument) -> None:
    instrument("AAA/USDT", active=False)
    stored = TimescaleSource().load(market.text, "1m", utc(2024, 1, 1), utc(2024, 2, 1))
    body = client.get(INSTRUMENTS).json()
    assert body["count"] == 2
    empty, full = body["instruments"]
    assert (empty["id"], empty["active"], empty["first"], empty["last"]) == (
        "binance:AAA/USDT",
        False,
        None,
        None,
    )
    assert (full["id"], full["base"], full["quote"], full["kind"]) == (
        "binance:BTC/USDT",
        "BTC",
        "USDT",
        "spot",
    )
    assert [datetime.fromisoformat(full[side]).timestamp() * 1000 for side in ("first", "last")] == [
        stored.ts[0],
        stored.ts[-1],
    ]
    assert client.get(INSTRUMENTS, {"exchange": "kraken"}).json() == {"count": 0, "instruments": []}
    problem_of(client.get(INSTRUMENTS, {"exchnage": "kraken"}), 400, "exchnage")


def _post(client: Client, body: Any) -> Any:
    text = body if isinstance(body, str) else json.dumps(body)
    return client.post(BACKFILLS, text, content_type="application/json")


ASK = {"instrument": "binance:BTC/USDT", "start": "2024-01-01T00:00:00Z", "end": 1_704_326_400_000}


def test_a_backfill_is_accepted_with_a_place_to_ask(staff: Client) -> None:
    response = _post(staff, ASK)
    assert response.status_code == 202
    body = response.json()
    assert (body["instrument"], body["state"], body["progress"]) == ("binance:BTC/USDT", "preparing", 0.0)
    assert (body["chunks_total"], body["rows"], body["errors"]) == (None, 0, [])
    assert response["Location"] == body["url"] == f"http://testserver{BACKFILLS}/{body['id']}"
    backfill = Backfill.objects.get()
    assert (backfill.start, backfill.end) == (utc(2024, 1, 1), utc(2024, 1, 4))
    assert backfill.requested_by == f"user:{get_user_model().objects.get().pk}"
    run = TaskRun.objects.get()
    assert (run.task, run.kwargs) == ("candles.prepare_backfill", {"backfill_id": str(backfill.pk)})
    again = staff.get(response["Location"])
    assert again.json() == body
    TaskRun.objects.filter(pk=run.pk).update(
        state="dead", error={"type": "PermanentError", "message": "no such thing", "trace": ""}
    )
    body = staff.get(response["Location"]).json()
    assert body["state"] == "failed"
    assert body["errors"] == [
        {
            "run": str(run.pk), "state": "dead", "start": None, "end": None,
            "type": "PermanentError", "message": "no such thing",
        }
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({"instrument": "BTCUSDT"}, ["instrument"]),
        ({"instrument": "nowhere:BTC/USDT"}, ["instrument"]),
        ({"instrument": 5}, ["instrument"]),
        ({"instrument": ["binance:BTC/USDT"]}, ["instrument"]),
        ({"instrument": None}, ["instrument"]),
        ({"instrument": "binance:B\0/USDT"}, ["instrument"]),
        ({"instrument": "binance:B\ud800/USDT"}, ["instrument"]),
        ({"start": "2024-02-01T00:00Z"}, ["start"]),
        ({"start": "2022-01-01T00:00Z"}, ["start"]),
        ({"start": True}, ["start"]),
        ({"start": None}, ["start"]),
        ({"start": 1.5}, ["start"]),
        ({"start": {"at": 1}}, ["start"]),
        ({"start": "2024-01-01T00:00:00"}, ["start"]),
        ({"end": "2199-01-01T00:00Z"}, ["end"]),
        ({"end": 10**30}, ["end"]),
        ({"note": "please", "start": "x"}, ["note"]),
    ],
)
def test_what_is_wrong_with_a_backfill_is_named(
    staff: Client, change: dict[str, Any], fields: list[str]
) -> None:
    problem_of(_post(staff, {**ASK, **change}), 400, *fields)
    assert Backfill.objects.count() == TaskRun.objects.count() == 0


def test_missing_fields_of_a_backfill_are_named(staff: Client) -> None:
    problem_of(_post(staff, {}), 400, "instrument", "start", "end")


@pytest.mark.parametrize("body", ["{", "", "[1, 2]", "null", "5"])
def test_a_body_that_is_no_object_is_refused(staff: Client, body: str) -> None:
    response = _post(staff, body)
    assert response.status_code == 400
    assert response["Content-Type"].startswith("application/problem+json")
    assert Backfill.objects.count() == 0


def test_backfills_are_for_staff(client: Client) -> None:
    problem_of(_post(client, ASK), 401)
    problem_of(client.get(f"{BACKFILLS}/{uuid4()}"), 401)
    client.force_login(get_user_model().objects.create_user("somebody"))
    problem_of(_post(client, ASK), 403)
    problem_of(client.get(f"{BACKFILLS}/{uuid4()}"), 403)


@pytest.mark.parametrize("name", ["2220223d-f060-4f3a-8979-da3942f28309", "nonsense", "1"])
def test_an_unknown_backfill_is_not_found(staff: Client, name: str) -> None:
    problem_of(staff.get(f"{BACKFILLS}/{name}"), 404)


@pytest.mark.parametrize("path", [CANDLES, INSTRUMENTS])
def test_candles_and_instruments_cannot_be_written(staff: Client, path: str) -> None:
    problem_of(staff.post(path, "{}", content_type="application/json"), 405)

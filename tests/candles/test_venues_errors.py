"""What each failure of an exchange becomes: the real client, the simulated exchange, faults on demand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from apps.candles.quality import Reason, Sifted, sift_minutes
from apps.candles.venues import (
    VenueError,
    VenueRefused,
    VenueRubbish,
    VenueUnavailable,
    fetch_minutes,
    load_instrument,
    server_time,
    venue_client,
    venue_errors,
)
from tests.stack.exchange_process import RunningExchange, running_exchange
from tests.stack.exchanges import exchange, running

__all__ = ["exchange", "running"]

MINUTE = 60_000
START = 1_700_000_040_000
END = START + 100 * MINUTE
MIDDLE = START + 50 * MINUTE
KLINES = "/api/v3/klines"


@pytest.fixture(scope="module")
def client(running: RunningExchange) -> Any:
    made = venue_client("binance", base_urls={"binance": running.url})
    made.load_markets()
    return made


def failure(client: Any) -> VenueError:
    """How a fetch fails; a second one, without the fault, must succeed."""
    with pytest.raises(VenueError) as raised:
        fetch_minutes(client, "BTC/USDT", START, END, now_ms=END + MINUTE)
    assert len(fetch_minutes(client, "BTC/USDT", START, END, now_ms=END + MINUTE)) == 100
    return raised.value


def status(number: int, code: int | None = None, **more: Any) -> dict[str, Any]:
    """A ``status`` rule, with a body like Binance's when *code* is given."""
    body = {} if code is None else {"body": {"code": code, "msg": "What the exchange says."}}
    return {"path": KLINES, "kind": "status", "status": number, **body, **more}


@pytest.mark.parametrize(
    ("rule", "kind", "retry_after"),
    [
        (status(429, headers={"Retry-After": "7"}), VenueUnavailable, 7.0),
        (status(418, headers={"Retry-After": "120"}), VenueUnavailable, 120.0),
        (status(429), VenueUnavailable, None),
        (status(429, headers={"Retry-After": "soon"}), VenueUnavailable, None),
        (status(503, headers={"Retry-After": "30"}), VenueUnavailable, 30.0),
        (status(400, -1003), VenueUnavailable, None),
        (status(400, -1021), VenueUnavailable, None),
        (status(403), VenueUnavailable, None),
        (status(500), VenueUnavailable, None),
        (status(500, -1001), VenueUnavailable, None),
        (status(500, -9999), VenueUnavailable, None),
        (status(503), VenueUnavailable, None),
        (status(504), VenueUnavailable, None),
        (status(200, -1003), VenueUnavailable, None),
        (status(200, -1008), VenueUnavailable, None),
        ({"path": KLINES, "kind": "html"}, VenueUnavailable, None),
        ({"path": KLINES, "kind": "reset"}, VenueUnavailable, None),
        ({"path": KLINES, "kind": "garbage"}, VenueRubbish, None),
        (status(200, body={"rows": []}), VenueRubbish, None),
        (status(200, body=[1, 2]), VenueRubbish, None),
        (status(200, body=[[]]), VenueRubbish, None),
        (status(200, body=[["yesterday", "1", "1", "1", "1", "1"]]), VenueRubbish, None),
        (status(200, body=[[START - MINUTE, "1", "1", "1", "1", "1"]]), VenueRubbish, None),
        (status(200, body="null"), VenueRubbish, None),
        (status(200, body=""), VenueRubbish, None),
        (status(400, -1121), VenueRefused, None),
        (status(400, -1120), VenueRefused, None),
        (status(400, -1100), VenueRefused, None),
        (status(400, -9999), VenueRefused, None),
        (status(401, -2015), VenueRefused, None),
        (status(400, -1016), VenueRefused, None),
        (
            status(451, body={"code": 0, "msg": "Service unavailable from a restricted location."}),
            VenueRefused,
            None,
        ),
    ],
    ids=lambda value: (
        f"{value['kind']}-{value.get('status')}-{value.get('body')}" if isinstance(value, dict) else None
    ),
)
def test_every_failure_is_of_the_right_kind(
    exchange: RunningExchange,
    client: Any,
    rule: dict[str, Any],
    kind: type[VenueError],
    retry_after: float | None,
) -> None:
    exchange.order(rule)
    error = failure(client)
    assert type(error) is kind, error
    assert error.retry_after == retry_after
    assert "binance: minutes of BTC/USDT" in str(error)
    assert "\n" not in str(error)
    assert len(str(error)) < 500


def test_an_answer_that_takes_too_long_may_come_later(exchange: RunningExchange) -> None:
    client = venue_client("binance", base_urls={"binance": exchange.url}, timeout=0.5)
    exchange.order({"path": KLINES, "kind": "delay", "seconds": 30, "times": 1})
    assert type(failure(client)) is VenueUnavailable


def test_an_exchange_that_is_gone_may_come_back() -> None:
    with running_exchange() as gone:
        client = venue_client("binance", base_urls={"binance": gone.url})
        client.load_markets()
    for ask in (server_time, lambda client: fetch_minutes(client, "BTC/USDT", START, END)):
        with pytest.raises(VenueUnavailable):
            ask(client)


def test_retry_after_may_be_a_date(exchange: RunningExchange, client: Any) -> None:
    moment = datetime.now(tz=UTC) + timedelta(seconds=90)
    exchange.order(status(429, headers={"Retry-After": format_datetime(moment, usegmt=True)}))
    wait = failure(client).retry_after
    assert wait is not None
    assert 0 < wait <= 90


def test_the_wait_that_an_earlier_answer_asked_for_is_not_taken_for_a_later_one(
    exchange: RunningExchange, client: Any
) -> None:
    exchange.order(status(429, headers={"Retry-After": "60"}), {"path": KLINES, "kind": "reset"})
    with pytest.raises(VenueUnavailable) as limited:
        fetch_minutes(client, "BTC/USDT", START, END, now_ms=END)
    assert limited.value.retry_after == 60
    assert failure(client).retry_after is None


def test_the_exchanges_own_limit_is_met_with_its_own_wait() -> None:
    with running_exchange() as busy:
        client = venue_client("binance", base_urls={"binance": busy.url})
        client.load_markets()
        for _ in range(200):  # a new minute may begin, and with it a new allowance
            if busy.request("GET", "/api/v3/ticker/24hr").status == 429:
                break
        with pytest.raises(VenueUnavailable) as limited:
            fetch_minutes(client, "BTC/USDT", START, END, now_ms=END)
        assert limited.value.retry_after is not None
        assert 1 <= limited.value.retry_after <= 60


def test_a_symbol_that_the_exchange_does_not_have_is_refused(exchange: RunningExchange, client: Any) -> None:
    for ask in (load_instrument, lambda *arguments: fetch_minutes(*arguments, START, END)):
        with pytest.raises(VenueRefused, match="no market NONE/USDT"):
            ask(client, "NONE/USDT")
    with pytest.raises(VenueRefused, match="-1121"), venue_errors(client, "klines"):
        client.publicGetKlines({"symbol": "NONEUSDT", "interval": "1m"})


@pytest.mark.parametrize(
    ("rule", "kind"),
    [
        ({"kind": "garbage"}, VenueRubbish),
        ({"kind": "status", "status": 200, "body": {"symbols": []}}, VenueRubbish),
        ({"kind": "status", "status": 200, "body": {"symbols": [7]}}, VenueRubbish),
        ({"kind": "html"}, VenueUnavailable),
        ({"kind": "status", "status": 500}, VenueUnavailable),
        ({"kind": "status", "status": 503}, VenueUnavailable),
        ({"kind": "reset"}, VenueUnavailable),
    ],
)
def test_a_list_of_markets_that_fails_makes_no_symbol_unknown(
    exchange: RunningExchange, rule: dict[str, Any], kind: type[VenueError]
) -> None:
    client = venue_client("binance", base_urls={"binance": exchange.url})
    exchange.order({"path": "/api/v3/exchangeInfo", **rule})
    with pytest.raises(VenueError) as raised:
        load_instrument(client, "BTC/USDT")
    assert type(raised.value) is kind, raised.value
    assert load_instrument(client, "BTC/USDT").base == "BTC"


def test_a_server_time_that_is_none_is_rubbish(exchange: RunningExchange, client: Any) -> None:
    exchange.order({"path": "/api/v3/time", "kind": "status", "status": 200, "body": {}})
    with pytest.raises(VenueRubbish):
        server_time(client)


# Rubbish candles


def sifted(client: Any) -> Sifted:
    """The range as it comes through the gate."""
    raw = fetch_minutes(client, "BTC/USDT", START, END)
    return sift_minutes(raw, start_ms=START, end_ms=END, now_ms=raw.now_ms, price_scale=2, volume_scale=5)


@pytest.mark.parametrize(
    ("rows", "reason", "kept"),
    [
        ("nan", Reason.NOT_FINITE, 99),
        ("negative", Reason.NEGATIVE, 99),
        ("high_below_low", Reason.HIGH_BELOW_LOW, 99),
        ("duplicate", Reason.DUPLICATE, 100),
        ("wrong_types", Reason.NOT_A_NUMBER, 99),
        ("short_row", Reason.SHORT_ROW, 99),
    ],
)
def test_a_rubbish_candle_is_rejected_and_the_others_are_kept(
    exchange: RunningExchange, client: Any, rows: str, reason: Reason, kept: int
) -> None:
    exchange.order({"path": KLINES, "kind": "rows", "rows": rows, "times": 1})
    spoilt = sifted(client)
    assert [(one.reason, one.ts) for one in spoilt.rejected] == [(reason, MIDDLE)]
    assert len(spoilt.minutes) == kept
    sound = sifted(client)
    assert (len(sound.minutes), sound.rejected) == (100, [])


def test_a_candle_of_the_future_is_rejected(exchange: RunningExchange, client: Any) -> None:
    exchange.order({"path": KLINES, "kind": "rows", "rows": "future"})
    rejected = sifted(client).rejected
    assert {one.reason for one in rejected} == {Reason.FUTURE}
    assert all(one.ts is not None and one.ts > server_time(client) for one in rejected)


def test_candles_out_of_order_are_put_in_order(exchange: RunningExchange, client: Any) -> None:
    exchange.order({"path": KLINES, "kind": "rows", "rows": "unsorted", "times": 1})
    moved, straight = sifted(client), sifted(client)
    assert moved.rejected == []
    assert moved.minutes.ts.tolist() == straight.minutes.ts.tolist()
    assert moved.minutes.close.tolist() == straight.minutes.close.tolist()


def test_a_gap_is_no_rubbish(exchange: RunningExchange, client: Any) -> None:
    exchange.order({"path": KLINES, "kind": "rows", "rows": "gap"})
    gap = sifted(client)
    assert (len(gap.minutes), gap.rejected) == (99, [])


def test_a_finer_value_makes_the_scale_finer(exchange: RunningExchange, client: Any) -> None:
    exchange.order({"path": KLINES, "kind": "rows", "rows": "finer", "times": 1})
    finer = sifted(client)
    assert (finer.minutes.price_scale, finer.minutes.volume_scale) == (2, 9)
    assert (len(finer.minutes), finer.rejected) == (100, [])

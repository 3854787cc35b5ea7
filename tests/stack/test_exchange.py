"""The simulated exchange over HTTP: candles, parameters, weights, replay."""

from __future__ import annotations

import gzip
import itertools
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from apps.stack.exchange.errors import ApiError
from apps.stack.exchange.limits import WeightLimiter
from tests.stack.exchange_process import REAL_MINUTES, RunningExchange, running_exchange, write_minutes

MINUTE = 60_000
DAY = 86_400_000
START = 1_700_000_040_000  # 2023-11-14T22:14Z, the middle of an hour, a day, a week and a month


@pytest.fixture(scope="module")
def exchange() -> Iterator[RunningExchange]:
    with running_exchange("--seed", "7") as running:
        yield running


def minutes_of(exchange: RunningExchange, start: int, end: int, symbol: str = "BTCUSDT") -> list[list[Any]]:
    """Every minute in [start, end), page by page."""
    rows: list[list[Any]] = []
    for page in range(start, end, 1000 * MINUTE):
        rows += exchange.klines(symbol=symbol, startTime=page, endTime=end - 1, limit=1000)
    return rows


# Candles


def test_history_is_the_same_after_a_restart_and_with_any_page_size(exchange: RunningExchange) -> None:
    whole = exchange.klines(startTime=START, limit=1000)
    in_pieces = [
        row
        for page in range(START, START + 1000 * MINUTE, 125 * MINUTE)
        for row in exchange.klines(startTime=page, limit=125)
    ]
    assert in_pieces == whole
    with running_exchange("--seed", "7") as again:
        assert again.klines(startTime=START, limit=1000) == whole
    with running_exchange("--seed", "8") as other:
        assert other.klines(startTime=START, limit=1000) != whole


def test_symbols_have_histories_of_their_own(exchange: RunningExchange) -> None:
    changes = {}
    for symbol in exchange.get("/_sim/info")["symbols"]:
        rows = exchange.klines(symbol=symbol, startTime=START, limit=500)
        changes[symbol] = tuple(Decimal(row[4]) > Decimal(row[1]) for row in rows)
    assert len(set(changes.values())) == len(changes) >= 6


@pytest.mark.parametrize("symbol", ["BTCUSDT", "ETHUSDT", "DOGEUSDT", "ETHBTC"])
def test_candles_are_consistent_and_fit_the_filters(exchange: RunningExchange, symbol: str) -> None:
    described = exchange.get("/api/v3/exchangeInfo", symbol=symbol)["symbols"][0]
    filters = {entry["filterType"]: entry for entry in described["filters"]}
    tick, lot = Decimal(filters["PRICE_FILTER"]["tickSize"]), Decimal(filters["LOT_SIZE"]["stepSize"])
    rows = minutes_of(exchange, START, START + 5000 * MINUTE, symbol)
    assert [row[0] for row in rows] == list(range(START, START + 5000 * MINUTE, MINUTE))
    for row in rows:
        opening, high, low, close, volume, quote, taker, taker_quote = (
            Decimal(row[place]) for place in (1, 2, 3, 4, 5, 7, 9, 10)
        )
        assert 0 < low <= min(opening, close) <= max(opening, close) <= high
        assert all(price % tick == 0 for price in (opening, high, low, close))
        assert volume % lot == 0
        assert (volume > 0) == (row[8] > 0)
        assert 0 <= taker <= volume
        assert 0 <= taker_quote <= quote
        assert low * volume - tick <= quote <= high * volume
        if not volume:
            assert opening == high == low == close
    continued = sum(before[4] == after[1] for before, after in itertools.pairwise(rows))
    assert continued > 0.8 * len(rows)
    silent = sum(row[8] == 0 for row in rows)
    assert 0 < silent < 0.1 * len(rows)


def test_a_candle_has_twelve_columns_of_the_right_types(exchange: RunningExchange) -> None:
    row = exchange.klines(startTime=START, limit=1)[0]
    types = [type(value) for value in row]
    assert types == [int, str, str, str, str, str, int, str, int, str, str, str]
    assert row[6] == row[0] + MINUTE - 1
    assert row[11] == "0"
    assert all(len(row[place].partition(".")[2]) == 8 for place in (1, 2, 3, 4, 5, 7, 9, 10))


@pytest.mark.parametrize("symbol", ["BTCUSDT", "ETHBTC"])
@pytest.mark.parametrize(
    ("interval", "start", "width"),
    [
        ("5m", "2023-11-14T22:15", 300_000),
        ("1h", "2023-11-14T23:00", 3_600_000),
        ("4h", "2023-11-15T00:00", 14_400_000),
        ("1d", "2023-11-15T00:00", DAY),
        ("1w", "2023-11-20T00:00", 7 * DAY),
    ],
)
def test_longer_bars_are_exactly_their_minutes(
    exchange: RunningExchange, symbol: str, interval: str, start: str, width: int
) -> None:
    opening = int(datetime.fromisoformat(start).replace(tzinfo=UTC).timestamp() * 1000)
    bar = exchange.klines(interval, symbol, startTime=opening, limit=1)[0]
    assert bar == summed(minutes_of(exchange, opening, opening + width, symbol), opening, width)


def test_a_month_begins_on_its_first_day_and_is_exactly_its_minutes(exchange: RunningExchange) -> None:
    february = int(datetime(2023, 2, 1, tzinfo=UTC).timestamp() * 1000)
    bars = exchange.klines("1M", startTime=february - 5 * DAY, limit=2)
    assert bars[0] == summed(minutes_of(exchange, february, february + 28 * DAY), february, 28 * DAY)
    assert bars[1][0] == february + 28 * DAY


def summed(rows: list[list[Any]], opening: int, width: int) -> list[Any]:
    """One bar out of minutes, by decimal arithmetic."""
    assert len(rows) == width // MINUTE

    def total(place: int) -> str:
        return f"{sum((Decimal(row[place]) for row in rows), Decimal(0)):.8f}"

    return [
        opening,
        rows[0][1],
        max((row[2] for row in rows), key=Decimal),
        min((row[3] for row in rows), key=Decimal),
        rows[-1][4],
        total(5),
        opening + width - 1,
        total(7),
        sum(row[8] for row in rows),
        total(9),
        total(10),
        "0",
    ]


def test_the_last_bar_is_still_forming_and_the_others_stay(exchange: RunningExchange) -> None:
    before = exchange.klines(limit=5)
    now = exchange.get("/api/v3/time")["serverTime"]
    after = exchange.klines(limit=5)
    assert before[-1][0] <= now <= after[-1][6]
    closed = {row[0]: row for row in before[:-1]}
    assert all(row == closed[row[0]] for row in after if row[0] in closed)
    daily = exchange.klines("1d", limit=2)
    assert now <= daily[-1][6]
    assert daily[-1][0] <= exchange.get("/api/v3/time")["serverTime"]
    assert exchange.klines(startTime=now + DAY) == []


def test_a_minute_grows_until_it_has_ended() -> None:
    from apps.stack.exchange.markets import MARKETS
    from apps.stack.exchange.synthetic import Synthetic

    source = Synthetic(market=MARKETS["BTCUSDT"], seed=7)
    minute = START // MINUTE
    quarter = source.minutes(minute, minute + 1, now_ms=START + 15_000)
    whole = source.minutes(minute, minute + 1, now_ms=START + 60_000)
    assert quarter.open[0] == whole.open[0]
    assert whole.low[0] <= quarter.low[0] <= quarter.close[0] <= quarter.high[0] <= whole.high[0]
    assert 0 < quarter.volume[0] < whole.volume[0]
    assert not len(source.minutes(minute, minute + 1, now_ms=START - 1))


def test_which_bars_a_request_gets(exchange: RunningExchange) -> None:
    def openings(**parameters: int) -> list[int]:
        return [(row[0] - START) // MINUTE for row in exchange.klines(**parameters)]

    assert openings(startTime=START, limit=3) == [0, 1, 2]
    assert openings(startTime=START + 1, limit=2) == [1, 2]
    assert openings(endTime=START, limit=3) == [-2, -1, 0]
    assert openings(endTime=START - 1, limit=2) == [-2, -1]
    assert openings(startTime=START, endTime=START + 2 * MINUTE) == [0, 1, 2]
    assert openings(startTime=START, endTime=START + 900 * MINUTE, limit=2) == [0, 1]
    assert openings(startTime=START, endTime=START - 1) == []
    assert len(exchange.klines()) == 500
    assert len(exchange.klines(limit=5000)) == 1000


def test_history_begins_with_the_listing(exchange: RunningExchange) -> None:
    first = exchange.get("/_sim/info")["symbols"]["BTCUSDT"]
    assert first == {"source": "synthetic", "first": first["first"], "last": None}
    assert exchange.klines(startTime=0, limit=1)[0][0] == first["first"]
    assert exchange.klines(endTime=first["first"] - 1) == []


# Errors


@pytest.mark.parametrize(
    ("path", "code", "message"),
    [
        ("/api/v3/klines?symbol=NONEUSDT&interval=1m", -1121, "Invalid symbol."),
        ("/api/v3/klines?symbol=BTCUSDT&interval=7m", -1120, "Invalid interval."),
        (
            "/api/v3/klines?symbol=btc/usdt&interval=1m",
            -1100,
            "Illegal characters found in parameter 'symbol'; legal range is '^[A-Z0-9-_.]{1,20}$'.",
        ),
        (
            "/api/v3/klines?symbol=BTCUSDT&interval=1m&startTime=-5",
            -1100,
            "Illegal characters found in parameter 'startTime'; legal range is '^[0-9]{1,20}$'.",
        ),
        (
            "/api/v3/klines?interval=1m",
            -1102,
            "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.",
        ),
        (
            "/api/v3/klines?symbol=BTCUSDT",
            -1102,
            "Mandatory parameter 'interval' was not sent, was empty/null, or malformed.",
        ),
        ("/api/v3/klines?symbol=&interval=1m", -1105, "Parameter 'symbol' was empty."),
        ("/api/v3/klines?symbol=BTCUSDT&interval=1m&endTime=", -1105, "Parameter 'endTime' was empty."),
        (
            "/api/v3/klines?symbol=BTCUSDT&interval=1m&limit=0",
            -1130,
            "Data sent for parameter 'limit' is not valid.",
        ),
        (
            "/api/v3/klines?symbol=BTCUSDT&interval=1m&since=5",
            -1104,
            "Not all sent parameters were read; read '2' parameter(s) but was sent '3'.",
        ),
        ("/api/v3/time?x=1", -1101, "Too many parameters; expected '0' and received '1'."),
        ("/api/v3/ticker/price?symbol=NONE", -1121, "Invalid symbol."),
        (
            "/api/v3/exchangeInfo?symbols=%5B%22BTCUSDT%22,%22BTCUSDT%22%5D",
            -1151,
            "Symbol is present multiple times in the list.",
        ),
    ],
)
def test_bad_parameters_get_the_exchanges_codes(
    exchange: RunningExchange, path: str, code: int, message: str
) -> None:
    reply = exchange.request("GET", path)
    assert reply.status == 400
    assert reply.json == {"code": code, "msg": message}


def test_an_unknown_path_is_not_found(exchange: RunningExchange) -> None:
    assert exchange.request("GET", "/api/v3/nothing").status == 404
    assert exchange.request("POST", "/api/v3/klines").status == 404


# Weights


def test_each_answer_tells_the_weight_used() -> None:
    with running_exchange() as fresh:
        paths = ("/api/v3/ping", "/api/v3/exchangeInfo", "/api/v3/klines?symbol=BTCUSDT&interval=1m")
        used = [int(fresh.request("GET", path).headers["X-MBX-USED-WEIGHT-1M"]) for path in paths]
        # A new minute may have begun in between.
        assert used == [1, 21, 23] or used[-1] in (2, 22)


def test_too_much_weight_is_refused_and_going_on_is_a_ban() -> None:
    with running_exchange() as fresh:
        statuses: list[int] = []
        for _ in range(400):
            reply = fresh.request("GET", "/api/v3/ticker/24hr")
            statuses.append(reply.status)
            if reply.status == 429:
                assert reply.json["code"] == -1003
                assert "current limit is 6000" in reply.json["msg"]
                assert 1 <= int(reply.headers["Retry-After"]) <= 60
            if reply.status == 418:
                break
        assert [status for status, _ in itertools.groupby(statuses)][-3:] == [200, 429, 418]
        assert "IP banned until" in reply.json["msg"]
        assert 60 < int(reply.headers["Retry-After"]) <= 120
        # The ban covers all of the exchange, but not the interface of the simulation.
        assert fresh.request("GET", "/api/v3/ping").status == 418
        assert fresh.request("GET", "/_sim/info").status == 200


def test_weights_are_per_minute_and_bans_end() -> None:
    limiter = WeightLimiter(limit=100)
    noon = 1_700_000_040_000
    assert limiter.charge("a", 60, now_ms=noon) == 60
    with pytest.raises(ApiError) as refusal:
        limiter.charge("a", 60, now_ms=noon + 59_500)
    assert (refusal.value.status, refusal.value.retry_after) == (429, 1)
    assert limiter.charge("b", 60, now_ms=noon + 59_600) == 60
    assert limiter.charge("a", 60, now_ms=noon + 60_000) == 60
    statuses = []
    for attempt in range(15):
        with pytest.raises(ApiError) as refusal:
            limiter.charge("a", 60, now_ms=noon + 60_001 + attempt)
        statuses.append(refusal.value.status)
    assert statuses == [429] * 10 + [418] * 5
    assert limiter.charge("a", 60, now_ms=noon + 60_000 + 130_000) == 60


# Replay

LINES = [
    "2023-03-01 00:00:00+00:00,23140.48,23150.8,23128.52,23142.31,2.131777",
    "2023-03-01 00:01:00+00:00,23143.89,23148.8,23137.61,23137.77,9e-06",
    "2023-03-01 00:02:00+00:00,23141.8,23141.8,23141.8,23141.8,0.0",
    # Two minutes are missing here.
    "2023-03-01 00:05:00+00:00,23152.98,23158.23,23152.98,23158.23,0.185996",
]
MARCH = 1_677_628_800_000


@pytest.fixture(scope="module")
def replaying(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningExchange]:
    path = write_minutes(tmp_path_factory.mktemp("replay") / "anywhere_ethusdt_1m_few.csv.gz", LINES)
    with running_exchange("--candles", str(path)) as running:
        yield running


def test_a_file_is_replayed_word_for_word(replaying: RunningExchange) -> None:
    rows = replaying.klines(symbol="ETHUSDT", startTime=0)
    assert [row[0] for row in rows] == [MARCH + minute * MINUTE for minute in (0, 1, 2, 5)]
    assert [row[1:6] for row in rows] == [line.split(",")[1:] for line in LINES]
    assert [len(row) for row in rows] == [12] * 4
    assert replaying.klines(symbol="ETHUSDT") == rows


def test_what_the_file_lacks_does_not_exist(replaying: RunningExchange) -> None:
    def count(**parameters: int) -> int:
        return len(replaying.klines(symbol="ETHUSDT", **parameters))

    assert count(startTime=MARCH + 3 * MINUTE, endTime=MARCH + 4 * MINUTE) == 0
    assert count(startTime=MARCH + 6 * MINUTE) == 0
    assert count(endTime=MARCH - 1) == 0
    assert count(startTime=MARCH + MINUTE, limit=2) == 2
    assert count(endTime=MARCH + 5 * MINUTE, limit=3) == 3


def test_longer_bars_of_a_file_are_made_of_what_is_there(replaying: RunningExchange) -> None:
    bars = replaying.klines("5m", "ETHUSDT", startTime=MARCH)
    assert [row[:6] for row in bars] == [
        [MARCH, "23140.48000000", "23150.80000000", "23128.52000000", "23141.80000000", "2.13178600"],
        [
            MARCH + 5 * MINUTE,
            "23152.98000000",
            "23158.23000000",
            "23152.98000000",
            "23158.23000000",
            "0.18599600",
        ],
    ]
    assert len(replaying.klines("1M", "ETHUSDT")) == 1


def test_a_client_can_find_the_replayed_range_and_the_others_stay_synthetic(
    replaying: RunningExchange,
) -> None:
    symbols = replaying.get("/_sim/info")["symbols"]
    assert symbols["ETHUSDT"] == {"source": "replay", "first": MARCH, "last": MARCH + 5 * MINUTE}
    assert symbols["BTCUSDT"]["source"] == "synthetic"
    assert len(replaying.klines(symbol="BTCUSDT")) == 500


def test_the_filters_and_tickers_of_a_replayed_symbol_fit_its_file(replaying: RunningExchange) -> None:
    described = replaying.get("/api/v3/exchangeInfo", symbol="ETHUSDT")["symbols"][0]
    filters = {entry["filterType"]: entry for entry in described["filters"]}
    assert filters["PRICE_FILTER"]["tickSize"] == "0.01000000"
    assert filters["LOT_SIZE"]["stepSize"] == "0.00000100"
    assert replaying.get("/api/v3/ticker/price", symbol="ETHUSDT")["price"] == "23158.23000000"
    day = replaying.get("/api/v3/ticker/24hr", symbol="ETHUSDT")
    assert (day["openPrice"], day["highPrice"], day["volume"]) == (
        "23140.48000000",
        "23158.23000000",
        "2.31778200",
    )


def test_the_symbol_can_be_named_and_may_be_new(tmp_path: Path) -> None:
    path = write_minutes(tmp_path / "whatever.csv.gz", LINES)
    with running_exchange("--candles", str(path), "--symbol", "NEWUSDC") as running:
        assert len(running.klines(symbol="NEWUSDC")) == 4
        described = running.get("/api/v3/exchangeInfo", symbol="NEWUSDC")["symbols"][0]
        assert (described["baseAsset"], described["quoteAsset"]) == ("NEW", "USDC")
    with running_exchange("--candles", str(path)) as running:
        assert running.get("/_sim/info")["symbols"]["BTCUSDT"]["source"] == "replay"


@pytest.mark.skipif(not REAL_MINUTES.exists(), reason="the shared file of real minutes is not here")
def test_real_minutes_are_replayed_word_for_word() -> None:
    lines = gzip.decompress(REAL_MINUTES.read_bytes()).decode().splitlines()[1:]
    with running_exchange("--candles", str(REAL_MINUTES)) as running:
        range_ = running.get("/_sim/info")["symbols"]["BTCUSDT"]
        rows = minutes_of(running, range_["first"], range_["last"] + MINUTE)
    assert [",".join(row[1:6]) for row in rows] == [line.partition(",")[2] for line in lines]


# Faults


@pytest.fixture
def faulty(exchange: RunningExchange) -> Iterator[RunningExchange]:
    exchange.calm()
    yield exchange
    exchange.calm()


def test_a_fault_happens_as_often_as_ordered_and_only_on_its_path(faulty: RunningExchange) -> None:
    faulty.order({"path": "/api/v3/time", "times": 2, "kind": "status", "status": 503})
    assert faulty.request("GET", "/api/v3/ping").status == 200
    replies = [faulty.request("GET", "/api/v3/time") for _ in range(3)]
    assert [reply.status for reply in replies] == [503, 503, 200]
    assert replies[0].json["code"] == -1008
    assert faulty.get("/_sim/faults") == []


def test_a_fault_for_ever_ends_when_it_is_cleared(faulty: RunningExchange) -> None:
    faulty.order({"path": "*", "times": None, "kind": "html"})
    assert [faulty.request("GET", path).status for path in ("/api/v3/ping", "/api/v3/time")] == [502, 502]
    assert faulty.get("/_sim/faults") == [{"path": "*", "times": None, "kind": "html"}]
    faulty.calm()
    assert faulty.request("GET", "/api/v3/ping").status == 200


def test_a_fault_may_be_for_one_symbol(faulty: RunningExchange) -> None:
    faulty.order({"path": "/api/v3/klines", "kind": "status", "status": 500, "symbol": "ETHUSDT"})
    assert len(faulty.klines(symbol="BTCUSDT", limit=2)) == 2
    query = "/api/v3/klines?symbol=ETHUSDT&interval=1m"
    assert [faulty.request("GET", query).status for _ in range(2)] == [500, 200]


def test_a_status_fault_sends_the_body_and_headers_it_was_given(faulty: RunningExchange) -> None:
    faulty.order(
        {
            "path": "/api/v3/ping",
            "kind": "status",
            "status": 429,
            "body": {"code": -1003, "msg": "slow"},
            "headers": {"Retry-After": 7},
        }
    )
    reply = faulty.request("GET", "/api/v3/ping")
    assert (reply.status, reply.json["msg"], reply.headers["Retry-After"]) == (429, "slow", "7")


def test_a_reset_cuts_the_connection_without_an_answer(faulty: RunningExchange) -> None:
    before = faulty.get("/_sim/stats")["paths"].get("/api/v3/ping", {"outcomes": {}})["outcomes"]
    faulty.order({"path": "/api/v3/ping", "kind": "reset"})
    with pytest.raises(ConnectionError):
        faulty.request("GET", "/api/v3/ping")
    after = faulty.get("/_sim/stats")["paths"]["/api/v3/ping"]["outcomes"]
    assert after["reset"] == before.get("reset", 0) + 1


@pytest.mark.parametrize(
    ("rule", "field"),
    [
        ({"kind": "html"}, "path"),
        ({"path": "*", "kind": "flood"}, "kind"),
        ({"path": "*", "kind": "html", "times": 0}, "times"),
        ({"path": "*", "kind": "status", "status": "bad"}, "status"),
        ({"path": "/api/v3/klines", "kind": "rows", "rows": "odd"}, "rows"),
        ({"path": "*", "kind": "rows", "rows": "nan"}, "path"),
        ({"path": "*", "kind": "delay", "seconds": -1}, "seconds"),
        ({"path": "*", "kind": "html", "colour": 1}, "colour"),
        ("html", "object"),
    ],
)
def test_a_rule_that_cannot_be_followed_is_refused(faulty: RunningExchange, rule: Any, field: str) -> None:
    reply = faulty.request("POST", "/_sim/faults", body=[rule])
    assert reply.status == 400
    assert field in reply.json["error"]
    assert faulty.get("/_sim/faults") == []


def test_requests_are_counted_by_path_and_outcome() -> None:
    with running_exchange() as fresh:
        fresh.klines(limit=1)
        fresh.request("GET", "/api/v3/klines")
        fresh.request("GET", "/x/../y")
        assert fresh.get("/_sim/stats") == {
            "paths": {
                "/api/v3/klines": {"requests": 2, "outcomes": {"200": 1, "400": 1}},
                "other": {"requests": 1, "outcomes": {"404": 1}},
            }
        }

"""The bars of TradingView's datafeed protocol: one test for each of its rules."""

from __future__ import annotations

from copy import copy
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.candles.models import Instrument
from apps.candles.services import raise_scale, write_candles
from apps.candles.timeframes import TIMEFRAMES, minute_of, to_ms
from apps.candles.udf.parameters import RESOLUTIONS
from tests.candles.helpers import MONDAY, Arrays, instrument, rolled, walk

pytestmark = pytest.mark.django_db

HISTORY = "/udf/history"
DAY = 86_400
FIRST = MONDAY // 1000
#: After four dense days nothing is stored for 200 days, then again four days.
SECOND_RUN = FIRST + 200 * DAY
END = SECOND_RUN + 4 * DAY


@pytest.fixture(scope="module")
def minutes() -> Arrays:
    early, late = walk(4 * 1440, gaps=0.2), walk(4 * 1440, start=SECOND_RUN * 1000, seed=1, gaps=0.2)
    joined = {
        name: np.concatenate([getattr(early, name), getattr(late, name)])
        for name in ("ts", "open", "high", "low", "close", "volume")
    }
    return Arrays(**joined)


@pytest.fixture(scope="module")
def stored(minutes: Arrays, for_all: Any) -> Instrument:
    with for_all():
        market = instrument("BTC/USDT")
        write_candles(instrument=market, minutes=minutes)
    return market


@pytest.fixture
def market(stored: Instrument) -> Instrument:
    return copy(stored)


def ask(client: Client, **query: Any) -> dict[str, Any]:
    """The answer, which has the status 200 whatever it says."""
    given = {"symbol": "BINANCE:BTC/USDT", "resolution": "60", **query}
    response = client.get(HISTORY, {name: value for name, value in given.items() if value is not None})
    assert response.status_code == 200
    assert response["Content-Type"] == "application/json"
    body: dict[str, Any] = response.json()
    return body


def refused(client: Client, **query: Any) -> str:
    """What is said about a bad parameter."""
    body = ask(client, **query)
    assert body.keys() == {"s", "errmsg"}, body
    assert body["s"] == "error"
    message: str = body["errmsg"]
    return message


def expected(minutes: Arrays, resolution: str) -> dict[int, tuple[float, ...]]:
    """The bars of a resolution made of the minutes one by one, by time in seconds."""
    width = RESOLUTIONS[resolution].width
    return {
        ts // 1000: (o / 100, h / 100, low / 100, c / 100, v / 100_000)
        for ts, (o, h, low, c, v, _) in rolled(minutes.bars(), width).items()
    }


def by_time(body: dict[str, Any]) -> dict[int, tuple[float, ...]]:
    assert body["s"] == "ok", body
    assert body.keys() == set("stohlcv")
    assert body["t"] == sorted(set(body["t"]))
    return dict(zip(body["t"], zip(*(body[name] for name in "ohlcv"), strict=True), strict=True))


@pytest.mark.parametrize("resolution", RESOLUTIONS)
def test_a_range_gives_the_bars_that_open_from_its_start_until_before_its_end(
    client: Client, market: Instrument, minutes: Arrays, resolution: str
) -> None:
    width = RESOLUTIONS[resolution].width // 1000
    start, end = (FIRST, END) if width >= 1800 else (SECOND_RUN + 3600, SECOND_RUN + 90_000)
    body = ask(client, resolution=resolution, **{"from": start, "to": end})
    wanted = {ts: bar for ts, bar in expected(minutes, resolution).items() if start <= ts < end}
    assert by_time(body) == wanted
    assert wanted


@pytest.mark.parametrize("resolution", RESOLUTIONS)
@pytest.mark.parametrize("count", [1, 2, 7, 150])
def test_countback_gives_exactly_that_many_bars_over_a_gap(
    client: Client, market: Instrument, minutes: Arrays, resolution: str, count: int
) -> None:
    every = expected(minutes, resolution)
    # A little after the gap: most of the bars lie on its other side, or all of them in the gap's middle.
    for end in (SECOND_RUN + 2 * RESOLUTIONS[resolution].width // 1000, FIRST + 100 * DAY):
        wanted = {ts: every[ts] for ts in sorted(ts for ts in every if ts < end)[-count:]}
        assert by_time(ask(client, resolution=resolution, to=end, countback=count)) == wanted


def test_countback_outranks_from(client: Client, market: Instrument) -> None:
    alone = ask(client, to=END, countback=10)
    assert len(alone["t"]) == 10
    for start in (FIRST, END - 3600, END, END + DAY, -5 * DAY):
        assert ask(client, to=END, countback=10, **{"from": start}) == alone


def test_countback_gives_what_there_is_where_there_is_less(client: Client, market: Instrument) -> None:
    body = ask(client, to=FIRST + 5 * 3600, countback=5000)
    assert body["t"] == [FIRST + hour * 3600 for hour in range(5)]


def test_to_is_exclusive(client: Client, market: Instrument) -> None:
    opens = FIRST + 3 * 3600
    for query in ({"countback": 2}, {"from": FIRST + 3600}):
        assert ask(client, to=opens, **query)["t"][-1] == opens - 3600
        assert ask(client, to=opens + 1, **query)["t"][-1] == opens


def test_from_is_inclusive(client: Client, market: Instrument) -> None:
    end = FIRST + 6 * 3600
    assert ask(client, to=end, **{"from": FIRST + 3600})["t"][0] == FIRST + 3600
    assert ask(client, to=end, **{"from": FIRST + 3601})["t"][0] == FIRST + 7200


@pytest.mark.parametrize("resolution", RESOLUTIONS)
def test_no_data_names_the_next_bar_to_the_left(
    client: Client, market: Instrument, minutes: Arrays, resolution: str
) -> None:
    start, end = FIRST + 100 * DAY, FIRST + 101 * DAY
    before = max(ts for ts in expected(minutes, resolution) if ts < start)
    body = ask(client, resolution=resolution, **{"from": start, "to": end})
    assert body == {"s": "no_data", "nextTime": before}


def test_no_data_without_older_bars_names_none(client: Client, market: Instrument) -> None:
    assert ask(client, to=FIRST, **{"from": FIRST - DAY}) == {"s": "no_data"}
    assert ask(client, to=FIRST, countback=300) == {"s": "no_data"}
    assert ask(client, to=FIRST, **{"from": FIRST}) == {"s": "no_data"}


def test_an_instrument_without_candles_has_no_data(client: Client) -> None:
    instrument("NEW/USDT")
    assert ask(client, symbol="NEW/USDT", to=END, countback=300) == {"s": "no_data"}
    assert ask(client, symbol="NEW/USDT", to=END, **{"from": END - DAY}) == {"s": "no_data"}


def test_an_empty_range_has_no_data(client: Client, market: Instrument) -> None:
    body = ask(client, to=END, **{"from": END})
    assert body["s"] == "no_data"
    assert body["nextTime"] == END - 3600


@pytest.mark.parametrize(("alias", "name"), [("D", "1D"), ("W", "1W"), ("d", "1D"), ("1w", "1W")])
def test_a_unit_without_a_number_means_one_of_it(
    client: Client, market: Instrument, alias: str, name: str
) -> None:
    query = {"to": END, "countback": 300}
    assert by_time(ask(client, resolution=alias, **query)) == by_time(ask(client, resolution=name, **query))


def test_days_open_at_midnight_and_weeks_on_monday(client: Client, market: Instrument) -> None:
    days = ask(client, resolution="1D", to=END, countback=300)["t"]
    assert days
    assert all(ts % DAY == 0 for ts in days)
    weeks = ask(client, resolution="1W", to=END, countback=300)["t"]
    assert weeks
    assert all((ts - FIRST) % (7 * DAY) == 0 for ts in weeks)


def test_the_forming_bar_is_included(client: Client) -> None:
    market = instrument("ETH/USDT")
    now = minute_of(timezone.now())
    write_candles(instrument=market, minutes=walk(90, start=to_ms(now - timedelta(minutes=89))))
    forming = TIMEFRAMES["1h"].floor(to_ms(now)) // 1000
    # As the adapter does it every ten seconds: two bars until now.
    to = int(timezone.now().timestamp()) + 1
    body = ask(client, symbol="ETH/USDT", to=to, countback=2, **{"from": to - 10 * 3600})
    assert body["t"] == [forming - 3600, forming]
    last = walk(90, start=to_ms(now - timedelta(minutes=89))).close[-1]
    assert body["c"][-1] == last / 100


def test_an_end_in_the_future_gives_the_newest_bars(client: Client, market: Instrument) -> None:
    newest = ask(client, to=END, countback=3)
    assert ask(client, to=int(timezone.now().timestamp()) + 365 * DAY, countback=3) == newest


@pytest.mark.parametrize("symbol", ["BINANCE:BTC/USDT", "binance:btc/usdt", "btc/usdt", "BTC/USDT"])
def test_symbols_are_found_whatever_their_case(client: Client, market: Instrument, symbol: str) -> None:
    assert len(ask(client, symbol=symbol, to=END, countback=3)["t"]) == 3


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"symbol": None}, "symbol"),
        ({"symbol": ""}, "symbol"),
        ({"symbol": "BINANCE:NONE/USDT"}, "BINANCE:NONE/USDT"),
        ({"symbol": "KRAKEN:BTC/USDT"}, "KRAKEN:BTC/USDT"),
        ({"symbol": "%"}, "%"),
        ({"symbol": "BTC\x00/USDT"}, "symbol"),
        ({"symbol": "x" * 3000}, "unknown symbol"),
        ({"resolution": None}, "resolution"),
        ({"resolution": "7"}, "7"),
        ({"resolution": "1M"}, "1M"),
        ({"resolution": "2D"}, "2D"),
        ({"resolution": "1h"}, "1h"),
        ({"resolution": "1S"}, "1S"),
        ({"to": None}, "to"),
        ({"to": "now"}, "now"),
        ({"to": "1704067200.5"}, "1704067200.5"),
        ({"to": "1e9"}, "1e9"),
        ({"to": "-1"}, "-1"),
        ({"to": "1704067200000"}, "seconds"),
        ({"to": "٣"}, "to"),
        ({"to": "9" * 40}, "to"),
        ({"from": None}, "from"),
        ({"from": ""}, "from"),
        ({"from": "NaN"}, "NaN"),
        ({"from": "1.5"}, "1.5"),
        ({"from": "-1"}, "-1"),
        ({"from": END + 1}, "after"),
        ({"resolution": "1", "from": 0}, "10000"),
        ({"countback": "0"}, "countback"),
        ({"countback": "-3"}, "countback"),
        ({"countback": "10001"}, "10000"),
        ({"countback": "999999999999"}, "10000"),
        ({"countback": "2.5"}, "2.5"),
        ({"countback": ""}, "countback"),
        ({"countback": "all"}, "all"),
        ({"countback": "3", "from": "x"}, "from"),
        ({"countback": ["3", "4"]}, "countback"),
    ],
)
def test_a_bad_parameter_is_an_error_that_says_what_is_wrong(
    client: Client, market: Instrument, query: dict[str, Any], named: str
) -> None:
    assert named in refused(client, **{"from": END - DAY, "to": END, **query})


def test_the_most_bars_that_may_be_counted_back_are_given(client: Client, market: Instrument) -> None:
    minutes_stored = len(ask(client, resolution="1", to=END, countback=10_000)["t"])
    assert 8_000 < minutes_stored < 10_000


def test_parameters_of_the_adapter_that_mean_nothing_here_are_passed_over(
    client: Client, market: Instrument
) -> None:
    assert ask(client, to=END, countback=2, currencyCode="USDT", unitId="x")["s"] == "ok"


@pytest.mark.parametrize(
    ("resolution", "count", "end", "most"),
    [("240", 20, END, 4), ("60", 90, END, 4), ("60", 500, END, 8), ("1", 500, FIRST + 100 * DAY, 8)],
    ids=["four hours without a gap", "hours without a gap", "over the gap", "from the middle of the gap"],
)
def test_history_takes_few_queries(
    client: Client, market: Instrument, resolution: str, count: int, end: int, most: int
) -> None:
    query = {"resolution": resolution, "to": end, "countback": count}
    ask(client, **query)
    with CaptureQueriesContext(connection) as queries:
        assert ask(client, **query)["s"] == "ok"
    assert len(queries) <= most, [query["sql"] for query in queries]


def test_bars_stay_the_same_when_the_scales_grow(client: Client, market: Instrument) -> None:
    before = ask(client, to=END, countback=50)
    raise_scale(instrument=market, price_scale=6, volume_scale=8)
    assert ask(client, to=END, countback=50) == before

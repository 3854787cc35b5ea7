"""``candles gaps``, ``repair`` and ``verify``: what is missing, what is filled, and what differs."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from apps.candles.models import Candle1m, Gap, Instrument
from apps.candles.services import delete_candles, write_candles
from tests.candles.commanding import candles, iso
from tests.candles.conftest import SimulatedExchange
from tests.candles.helpers import MINUTE, Arrays, assert_levels_match, instrument, stored, utc, walk

pytestmark = pytest.mark.usefixtures("shared_candles")

TEXT = "binance:BTC/USDT"
KLINES = "/api/v3/klines"
START = utc(2024, 1, 2)
END = START + timedelta(hours=10)
RANGE = ("--start", iso(START), "--end", iso(END))


def fetched(exchange: SimulatedExchange, start: datetime = START, end: datetime = END) -> Arrays:
    """The minutes that the exchange has."""
    lines = [row[:6] for row in exchange.klines("BTCUSDT", start, end)]
    columns = list(zip(*lines, strict=True))
    made: dict[str, Any] = {"ts": np.array(columns[0], np.int64)}
    for name, column, factor in zip(
        ("open", "high", "low", "close", "volume"), columns[1:], (100, 100, 100, 100, 100_000), strict=True
    ):
        made[name] = np.array([int(Decimal(value) * factor) for value in column], np.int64)
    return Arrays(**made)


@pytest.fixture
def market(exchange: SimulatedExchange) -> Instrument:
    """An instrument whose minutes are stored as the exchange has them."""
    made = instrument("BTC/USDT", followed=True)
    write_candles(instrument=made, minutes=fetched(exchange))
    return made


def lose(market: Instrument, hour: int, minutes: int) -> int:
    """Remove minutes; returns how many there were."""
    start = START + timedelta(hours=hour)
    return delete_candles(instrument=market, start=start, end=start + timedelta(minutes=minutes))


# Gaps and repairs ---------------------------------------------------------------------------------


def test_gaps_are_listed_with_their_length_and_those_known_with_their_cause() -> None:
    market = instrument("BTC/USDT")
    minutes = walk(300)
    kept = np.ones(300, bool)
    kept[[10, 100, 101, 200]] = False
    write_candles(instrument=market, minutes=minutes[kept])
    monday = utc(2024, 1, 1)
    Gap.objects.create(
        instrument=market, start=monday + timedelta(minutes=200), end=monday + timedelta(minutes=201),
        cause=Gap.Cause.NO_TRADES, asked_at=monday,
    )  # fmt: skip
    said = candles("gaps", TEXT)
    assert said.status == 0
    assert [" ".join(line.split()) for line in said.lines] == [
        "binance:BTC/USDT: 3 minutes missing, 1 more that the exchange does not have",
        "2024-01-01 00:10 to 2024-01-01 00:11 UTC 1 minute open",
        "2024-01-01 01:40 to 2024-01-01 01:42 UTC 2 minutes open",
    ]
    known = candles("gaps", TEXT, "--known", "--limit", "2")
    assert known.lines[-1] == "  and 1 more: --limit, --json"
    assert candles("gaps", TEXT, "--known").lines[-1].endswith("1 minute  no_trades")
    [found] = json.loads(candles("gaps", TEXT, "--known", "--json").out)
    assert (found["open_minutes"], found["known_minutes"]) == (3, 1)
    assert [(gap["minutes"], gap["cause"]) for gap in found["gaps"]] == [
        (1, None),
        (2, None),
        (1, "no_trades"),
    ]
    [part] = json.loads(candles("gaps", TEXT, "--json", "--start", "2024-01-01T01:41Z",
                                "--end", "2024-01-01T03:20Z").out)  # fmt: skip
    assert (part["open_minutes"], part["known_minutes"]) == (1, 0)


def test_gaps_are_cut_to_the_range_and_to_minutes() -> None:
    market = instrument("BTC/USDT")
    minutes = walk(300)
    kept = np.ones(300, bool)
    kept[[*range(60, 70), *range(200, 210)]] = False
    write_candles(instrument=market, minutes=minutes[kept])
    monday = utc(2024, 1, 1)
    Gap.objects.create(
        instrument=market, start=monday + timedelta(minutes=200), end=monday + timedelta(minutes=210),
        cause=Gap.Cause.NO_TRADES, asked_at=monday,
    )  # fmt: skip
    [found] = json.loads(candles("gaps", TEXT, "--known", "--json", "--start", "2024-01-01T01:04:30Z",
                                 "--end", "2024-01-01T03:22:01Z").out)  # fmt: skip
    assert (found["open_minutes"], found["known_minutes"]) == (5, 3)
    assert [(gap["start"][11:16], gap["end"][11:16], gap["minutes"]) for gap in found["gaps"]] == [
        ("01:05", "01:10", 5),
        ("03:20", "03:23", 3),
    ]


def test_gaps_of_all_that_is_followed(market: Instrument) -> None:
    instrument("ETH/USDT")
    lose(market, 3, 5)
    found = json.loads(candles("gaps", "--followed", "--json").out)
    assert [one["instrument"] for one in found] == [TEXT]
    assert found[0]["open_minutes"] >= 5


@pytest.mark.parametrize("command", ["gaps", "repair"])
def test_which_instruments_must_be_said(command: str) -> None:
    assert candles(command).status == 2
    assert candles(command, TEXT, "--followed").status == 2
    assert candles(command, TEXT).error.startswith(f"INSTRUMENT: {TEXT} is not known here")
    assert candles(command, "--followed").error == "--followed: no instrument is followed"
    instrument("BTC/USDT")
    reversed_ = ("--start", "2024-01-02T00:00Z", "--end", "2024-01-01T00:00Z")
    assert candles(command, TEXT, *reversed_).error.startswith("--start")


@pytest.mark.parametrize("moment", ["9999-12-31T23:59-12:00", "0001-01-01T00:00+01:00"])
def test_a_moment_beyond_the_calendar_is_refused(moment: str) -> None:
    instrument("BTC/USDT")
    said = candles("gaps", TEXT, "--start", moment)
    assert said.status
    assert f"argument --start: '{moment}' lies beyond the years 1 to 9999" in said.error


@pytest.mark.parametrize("number", ["-1", "0", "x"])
def test_so_many_instruments_of_the_store_is_a_number_from_1(number: str) -> None:
    with pytest.raises(CommandError, match=f"argument --instruments: '{number}' is no number from 1"):
        call_command("candles_status", f"--instruments={number}")


def test_a_repair_fills_what_the_exchange_has_and_knows_what_it_has_not(
    market: Instrument, exchange: SimulatedExchange
) -> None:
    before = stored("candle_1m", market)
    outage = START + timedelta(hours=5)
    exchange.interrupt(
        {
            "exchange": "binance",
            "market": "BTCUSDT",
            "start": int(outage.timestamp() * 1000),
            "end": int(outage.timestamp() * 1000) + 30 * MINUTE,
        }
    )
    lost, silent = lose(market, 3, 20), lose(market, 5, 30)
    open_minutes = json.loads(candles("gaps", TEXT, "--json").out)[0]["open_minutes"]
    said = candles("repair", TEXT)
    assert said.status == 0
    after = stored("candle_1m", market)
    assert len(before) - len(after) == silent
    absent = open_minutes - lost
    assert said.lines == [
        f"{TEXT}: {open_minutes:,} minutes missing, {lost} filled, 0 in quarantine,"
        f" {absent} that the exchange does not have"
    ]
    assert f"{open_minutes:,} of {open_minutes:,}, 100%" in said.err
    assert_levels_match(market)
    requests = exchange.requests(KLINES)
    assert candles("repair", "--followed").lines[0].startswith(f"{TEXT}: 0 minutes missing")
    assert exchange.requests(KLINES) == requests
    assert candles("repair", TEXT, "--again").lines[0].startswith(f"{TEXT}: {absent} minutes missing")
    assert exchange.requests(KLINES) > requests


def test_the_trouble_of_one_repair_is_told_and_the_others_go_on(
    market: Instrument, exchange: SimulatedExchange
) -> None:
    gone = instrument("DELISTED/USDT", followed=True)
    write_candles(instrument=gone, minutes=walk(10)[[0, 1, 9]])
    lost = lose(market, 3, 20)
    said = candles("repair", gone.text, TEXT)
    assert (said.status, said.error) == (1, "1 instrument not repaired")
    assert f"{gone.text}: VenueRefused" in said.err
    assert f"{lost} filled" in said.lines[0]


# Verifying ----------------------------------------------------------------------------------------


def test_what_agrees_is_said_so(market: Instrument) -> None:
    said = candles("verify", TEXT, *RANGE)
    assert said.status == 0
    count = len(stored("candle_1m", market))
    assert said.lines == [
        f"{TEXT}: {count} minutes the same, 0 different, 0 not stored, 0 that the exchange does not have,"
        " 0 of the exchange's rejected, 0 mended"
    ]
    assert "600 of 600, 100%" in said.err


def test_differences_are_told_in_decimals_and_mended_when_asked(market: Instrument) -> None:
    before = stored("candle_1m", market)
    ts = sorted(before)
    first = utc(1970, 1, 1) + timedelta(milliseconds=ts[3])
    Candle1m.objects.filter(instrument=market, ts=first).update(high=9_000_001, volume=7)
    second = utc(1970, 1, 1) + timedelta(milliseconds=ts[8])
    delete_candles(instrument=market, start=second, end=second + timedelta(minutes=1))
    said = candles("verify", TEXT, *RANGE)
    assert (said.status, said.error) == (1, f"{TEXT}: they differ")
    assert f"{len(before) - 2} minutes the same, 1 different, 1 not stored" in said.lines[0]
    told = "\n".join(said.lines)
    assert f"  {first:%Y-%m-%d %H:%M} UTC\n    stored    open " in told
    assert "high 90000.01" in told
    assert "volume 0.00007" in told
    assert f"  {second:%Y-%m-%d %H:%M} UTC\n    stored    none\n    exchange  open " in told
    [one, other] = json.loads(candles("verify", TEXT, *RANGE, "--json").out)["differences"]
    high = Decimal(before[ts[3]][1]).scaleb(-2)
    assert (one["stored"]["high"], one["exchange"]["high"], other["stored"]) == ("90000.01", f"{high}", None)
    mended = candles("verify", TEXT, *RANGE, "--mend")
    assert mended.status == 1
    assert mended.lines[0].endswith("2 mended")
    assert stored("candle_1m", market) == before
    assert candles("verify", TEXT, *RANGE).status == 0
    assert_levels_match(market)


def test_decimals_are_right_where_the_exchange_is_finer(exchange: SimulatedExchange) -> None:
    coarse = instrument("BTC/USDT", price_scale=0, volume_scale=0)
    exact = fetched(exchange)
    one = exact.ts[:1]
    write_candles(
        instrument=coarse,
        minutes=Arrays(ts=one, open=one * 0 + 5, high=one * 0 + 5, low=one * 0 + 5, close=one * 0 + 5,
                       volume=one * 0 + 1, price_scale=0, volume_scale=0),
    )  # fmt: skip
    until = START + timedelta(minutes=1)
    said = candles("verify", TEXT, "--start", iso(START), "--end", iso(until), "--json")
    [found] = json.loads(said.out)["differences"]
    assert Decimal(found["stored"]["open"]) == 5
    assert Decimal(found["exchange"]["open"]) == Decimal(int(exact.open[0])).scaleb(-2)
    assert Decimal(found["exchange"]["volume"]) == Decimal(int(exact.volume[0])).scaleb(-5)


def test_an_exchange_that_does_not_answer_is_no_agreement(
    market: Instrument, exchange: SimulatedExchange
) -> None:
    exchange.disturb({"path": KLINES, "kind": "status", "status": 400, "times": None})
    said = candles("verify", TEXT, *RANGE)
    assert said.status == 1
    assert said.error.startswith(f"{TEXT}: Venue")
    assert said.out == ""

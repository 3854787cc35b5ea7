"""``candles sync-markets``, ``backfill`` and ``sync`` against exchanges that answer and do not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings as configured
from django.db import connection
from django.utils import timezone

from apps.candles.models import Backfill, Instrument
from apps.candles.models import Exchange as KnownExchange
from apps.candles.timeframes import minute_of
from apps.tasks import services as task_services
from apps.tasks.models import TaskRun
from apps.tasks.testing import run_pending
from tests.candles.commanding import Said, candles
from tests.candles.conftest import SimulatedExchange
from tests.candles.helpers import assert_levels_match, instrument, stored
from tests.platform import Platform

pytestmark = pytest.mark.usefixtures("shared_candles")

KLINES = "/api/v3/klines"
TEXT = "binance:BTC/USDT"
RANGE = ("--start", "2024-01-01T00:00Z", "--end", "2024-01-02T12:00Z")


@pytest.fixture(autouse=True)
def _short_ranges(settings: Any) -> None:
    settings.CANDLES_CHUNK_DAYS = 1
    settings.CANDLES_SYNC_LOOKBACK_HOURS = 1


def working(*arguments: Any) -> Said:
    """The command, while tasks are executed beside it until there are none."""
    done = threading.Event()

    def work() -> None:
        while not done.is_set():
            run_pending()
            done.wait(0.05)
        connection.close()

    worker = threading.Thread(target=work)
    worker.start()
    try:
        return candles(*arguments)
    finally:
        done.set()
        worker.join(60)


# Markets ------------------------------------------------------------------------------------------


def test_the_markets_of_exchanges_become_instruments(exchange: SimulatedExchange) -> None:
    said = candles("sync-markets", "--all", "--json")
    assert said.status == 0
    result = json.loads(said.out)
    listed = {one["exchange"]: one["listed"] for one in result["exchanges"]}
    assert set(listed) == {"binance", "bybit", "kraken"}
    for name, count in listed.items():
        assert Instrument.objects.filter(exchange=name).count() == count > 0
    assert not Instrument.objects.filter(followed=True).exists()
    again = candles("sync-markets", "binance")
    assert again.lines == [
        f"binance: {listed['binance']} listed, 0 added, 0 changed, 0 delisted, 0 unreadable"
    ]


def test_some_of_them_are_followed_and_those_that_there_are_not_are_named(
    exchange: SimulatedExchange,
) -> None:
    said = candles("sync-markets", "binance", "--follow", "BTC/USDT", "binance:ETH/USDT", "NO/SUCH")
    assert (said.status, said.error) == (1, "--follow: not in the list: binance:NO/SUCH")
    assert said.lines[1:] == ["binance:BTC/USDT: followed", "binance:ETH/USDT: followed"]
    followed = Instrument.objects.filter(followed=True)
    assert {one.text for one in followed} == {"binance:BTC/USDT", "binance:ETH/USDT"}


def test_a_contract_is_followed_by_its_symbol_alone(exchange: SimulatedExchange) -> None:
    symbol = "BTC/USDT:USDT"
    assert candles("sync-markets", "bybit", "--follow", symbol).lines[-1] == f"bybit:{symbol}: followed"
    market = Instrument.objects.get(followed=True)
    assert (market.kind, market.settle) == ("swap", "USDT")


def test_the_trouble_of_one_exchange_is_told_and_the_others_are_read(exchange: SimulatedExchange) -> None:
    exchange.disturb(
        {"path": "/api/v3/exchangeInfo", "kind": "status", "status": 429, "headers": {"Retry-After": "60"}}
    )
    said = candles("sync-markets", "binance", "kraken")
    assert (said.status, said.error) == (1, "not every exchange was read")
    assert "binance: VenueUnavailable" in said.err
    assert said.lines[0].startswith("kraken: ")
    assert not Instrument.objects.filter(exchange="binance").exists()
    # It asked to be left alone, so it is not even asked.
    requests = exchange.requests("/api/v3/exchangeInfo")
    assert candles("sync-markets", "binance").status == 1
    assert exchange.requests("/api/v3/exchangeInfo") == requests
    assert KnownExchange.objects.get(name="binance").resting_until is not None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "EXCHANGE"),
        (["binance", "--all"], "EXCHANGE"),
        (["nowhere"], "no exchange 'nowhere' here; there is binance"),
        (["binance", "kraken", "--follow", "BTC/USDT"], "--follow"),
        (["binance", "--follow", "kraken:BTC/USD"], "--follow"),
    ],
)
def test_markets_that_make_no_sense(arguments: list[str], words: str) -> None:
    said = candles("sync-markets", *arguments)
    assert said.status == 2
    assert words in said.error


# Backfills ----------------------------------------------------------------------------------------


def test_a_backfill_is_watched_to_its_end(exchange: SimulatedExchange) -> None:
    said = working("backfill", TEXT, "binance:ETH/USDT", *RANGE)
    assert said.status == 0
    assert Instrument.objects.count() == Backfill.objects.count() == 2
    for one in Backfill.objects.all():
        assert one.instrument is not None
        minutes = stored("candle_1m", one.instrument)
        assert len(minutes) > 2000
        assert (
            f"{one.pk}: {one.text}: succeeded, {len(minutes):,} minutes stored, 0 in quarantine" in said.lines
        )
        assert one.requested_by.startswith("cli:")
        assert f"{one.text} 2024-01-01 00:00 to 2024-01-02 12:00: 100 of 100, 100%, succeeded" in said.err


def test_a_detached_backfill_is_watched_later_and_says_what_failed(exchange: SimulatedExchange) -> None:
    said = candles("backfill", "binance:NONE/USDT", *RANGE, "--detach")
    assert said.status == 0
    [pk] = said.lines
    assert Backfill.objects.get().pk.hex == pk.replace("-", "")
    run_pending()
    watched = candles("backfill", "--watch", pk)
    assert (watched.status, watched.error) == (1, "not all of it succeeded")
    assert watched.lines == [f"{pk}: binance:NONE/USDT: failed, 0 minutes stored, 0 in quarantine"]
    assert "VenueRefused" in watched.err


def test_rows_in_quarantine_are_told(exchange: SimulatedExchange) -> None:
    exchange.disturb({"path": KLINES, "kind": "rows", "rows": "nan"})
    [pk] = candles("backfill", TEXT, *RANGE, "--detach").lines
    run_pending()
    said = candles("backfill", "--watch", pk, "--quiet")
    assert said.status == 0
    assert not said.lines[0].endswith(" 0 in quarantine")
    assert said.err == ""


def test_a_cancelled_backfill_did_not_succeed(exchange: SimulatedExchange) -> None:
    [pk] = candles("backfill", TEXT, *RANGE, "--detach").lines
    task_services.cancel(run_id=Backfill.objects.get().prepare_run)
    said = candles("backfill", "--watch", pk)
    assert (said.status, said.lines[0].split(": ")[2].split(",")[0]) == (1, "cancelled")


def test_a_range_that_is_too_long_for_one_backfill_is_several_cut_at_midnight(settings: Any) -> None:
    settings.CANDLES_MAX_BACKFILL_DAYS = 2
    said = candles("backfill", TEXT, "--detach", "--start", "2024-01-01T07:30Z", "--end", "2024-01-06T12:00Z")
    assert (said.status, len(said.lines)) == (0, 3)
    parts = sorted((one.start, one.end) for one in Backfill.objects.all())
    assert [(f"{lo:%d %H:%M}", f"{hi:%d %H:%M}") for lo, hi in parts] == [
        ("01 07:30", "03 00:00"), ("03 00:00", "05 00:00"), ("05 00:00", "06 12:00"),
    ]  # fmt: skip


def test_what_makes_no_sense_of_one_instrument_asks_for_none(settings: Any) -> None:
    for arguments, words in (
        ([TEXT, "kraken:BTC/USD", *RANGE], "--end: kraken serves"),
        ([TEXT, "BTCUSDT", *RANGE], "INSTRUMENT: 'BTCUSDT'"),
        ([TEXT, "nowhere:BTC/USDT", *RANGE], "no exchange 'nowhere' here"),
        ([TEXT, "--start", "2024-01-01T00:00Z", "--end", "2199-01-01T00:00Z"], "--end: end is in the future"),
        ([TEXT, "--start", "2024-01-02T00:00Z", "--end", "2024-01-01T00:00Z"], "--start"),
        ([TEXT], "--start: say from when on"),
        ([TEXT, "--start", "yesterday"], "--start"),
        (["--watch", "x"], "--watch: 'x' is no id"),
        (["--watch", "00000000-0000-7000-8000-000000000000"], "--watch: there is no backfill"),
        ([], "INSTRUMENT"),
        ([TEXT, "--watch", "x"], "INSTRUMENT"),
    ):
        said = candles("backfill", "--detach", *arguments)
        assert said.status != 0, arguments
        assert words in said.error
    assert Backfill.objects.count() == TaskRun.objects.count() == 0


def test_a_backfill_goes_on_in_workers_when_its_watcher_is_stopped(
    exchange: SimulatedExchange, platform: Platform
) -> None:
    platform.environ["EXCHANGE_BINANCE_URL"] = exchange.url
    exchange.disturb({"path": KLINES, "kind": "delay", "seconds": 5})
    command = [sys.executable, "-u", "manage.py", "candles", "backfill", TEXT, *RANGE]
    with subprocess.Popen(
        command,
        cwd=configured.BASE_DIR,
        env={**os.environ, **platform.environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as watcher:
        # Until it says so, it has no worker and waits.
        assert watcher.stderr is not None
        told = ""
        while "no worker of the queue ingest runs" not in told:
            told += watcher.stderr.readline()
        watcher.send_signal(signal.SIGINT)
        rest = watcher.stderr.read()
        assert watcher.wait(60) == 130
    backfill = Backfill.objects.get()
    assert f"candles backfill --watch {backfill.pk}" in rest
    assert "Traceback" not in rest
    platform.relay()
    platform.worker("default", "ingest")
    said = candles("backfill", "--watch", backfill.pk)
    assert said.status == 0
    market = Instrument.objects.get()
    assert len(stored("candle_1m", market)) > 2000
    assert market.followed


# Sync ---------------------------------------------------------------------------------------------


def test_a_sync_brings_what_is_followed_up_to_now(exchange: SimulatedExchange) -> None:
    one, other = instrument("BTC/USDT", followed=True), instrument("ETH/USDT")
    before = minute_of(timezone.now())
    said = candles("sync")
    assert said.status == 0
    assert said.lines[0].startswith("1 instrument up to date, ")
    minutes = stored("candle_1m", one)
    assert max(minutes) >= (before - timedelta(minutes=11)).timestamp() * 1000
    assert stored("candle_1m", other) == {}
    assert_levels_match(one)
    assert "binance: 1 of 1, 100%" in said.err
    assert candles("sync", other.text, "--quiet").err == ""
    assert stored("candle_1m", other)


def test_a_sync_of_an_exchange_leaves_others_alone_and_tells_what_failed(exchange: SimulatedExchange) -> None:
    good, gone = instrument("BTC/USDT", followed=True), instrument("DELISTED/USDT", followed=True)
    assert candles("sync", "--exchange", "kraken").error == "no instrument is followed there"
    said = candles("sync", "--exchange", "binance")
    assert (said.status, said.error) == (1, "1 instrument not brought up to date")
    assert f"{gone.text}: VenueRefused" in said.err
    assert stored("candle_1m", good)
    assert candles("sync", "--exchange", "nowhere").status == 2
    assert candles("sync", good.text, "--exchange", "binance").status == 2

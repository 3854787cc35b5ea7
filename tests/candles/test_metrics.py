"""Prometheus is told how far behind the candles of each exchange are."""

from __future__ import annotations

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.candles.metrics import CandleCollector
from apps.candles.services import write_candles
from tests.candles.helpers import instrument, utc, walk

pytestmark = pytest.mark.django_db


def figures() -> dict[tuple[str, str], float]:
    return {
        (sample.name.removeprefix("chandlery_candles_"), sample.labels["exchange"]): sample.value
        for family in CandleCollector().collect()
        for sample in family.samples
    }


def test_the_lag_of_an_exchange_is_that_of_its_newest_minute_and_late_instruments_are_counted():
    ahead, behind = instrument(followed=True), instrument(followed=True)
    instrument(followed=True, exchange="kraken")
    # Neither of these is kept up.
    instrument()
    instrument(followed=True, active=False)
    write_candles(instrument=ahead, minutes=walk(600))
    write_candles(instrument=behind, minutes=walk(590))
    with time_machine.travel(utc(2024, 1, 1, 10, 1), tick=False):
        assert figures() == {
            ("followed", "binance"): 2, ("stale", "binance"): 1, ("lag_seconds", "binance"): 60,
            # It never had any.
            ("followed", "kraken"): 1, ("stale", "kraken"): 1, ("lag_seconds", "kraken"): 86_400,
        }  # fmt: skip
        with CaptureQueriesContext(connection) as queries:
            figures()
        assert len(queries) == 1

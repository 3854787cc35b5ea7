"""How many rows the status of a store tells of, in every store."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from apps.candles.models import Instrument
from apps.candles.services import delete_candles, refresh_rollups, write_candles
from apps.candles.storage.partitions import drop_partitions
from apps.candles.storage.status import status
from apps.candles.storage.stores import Base, Rollups, Store
from apps.candles.timeframes import to_ms
from tests.candles.helpers import TABLES, instrument, utc, walk
from tests.candles.stores import shared_candles, store

__all__ = ["shared_candles", "store"]

pytestmark = pytest.mark.django_db(transaction=True)

#: Minutes that take more than 10 MB.
MANY = 150_000


@pytest.fixture
def market(store: Store, shared_candles: None) -> Instrument:
    return instrument()


def told() -> dict[str, int]:
    return {one.name: one.rows for one in status().relations}


def counted(store: Store) -> dict[str, int]:
    """All rows; of views what of them is stored."""
    rows = {}
    with connection.cursor() as cursor:
        for table in TABLES:
            view = store.rollups == Rollups.AGGREGATES and table != "candle_1m"
            cursor.execute(f"SELECT count(*) FROM {table}{'_done' if view else ''}")
            (rows[table],) = cursor.fetchone()
    return rows


def drop(before: Any, store: Store) -> None:
    """Drop minutes as the retention does."""
    if store.base == Base.PARTITIONS:
        drop_partitions(to_ms(before))
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT drop_chunks('candle_1m', %s::timestamptz)", [before])


def test_the_rows_of_a_new_store_are_counted(store: Store, market: Instrument) -> None:
    assert set(told().values()) == {0}
    write_candles(instrument=market, minutes=walk(3000))
    assert told() == counted(store)
    assert told()["candle_1m"] == 3000
    refresh_rollups()
    assert told() == counted(store)
    delete_candles(instrument=market, start=utc(2024, 1, 1), end=utc(2024, 1, 2))
    assert told() == counted(store)
    assert told()["candle_1m"] == 1560


def test_many_minutes_are_counted_by_their_days(store: Store, market: Instrument) -> None:
    write_candles(instrument=market, minutes=walk(MANY, gaps=0.1))
    refresh_rollups()
    assert told() == counted(store)
    assert told()["candle_1m"] > 0.8 * MANY
    drop(utc(2024, 2, 3), store)
    assert 0 < counted(store)["candle_1m"] < 0.85 * MANY
    assert told()["candle_1m"] == counted(store)["candle_1m"]


def test_many_minutes_whose_days_are_not_there_yet_are_estimated(store: Store, market: Instrument) -> None:
    write_candles(instrument=market, minutes=walk(MANY), refresh=False)
    # Pages that PostgreSQL has made ahead count as well.
    assert told()["candle_1m"] == pytest.approx(MANY, rel=0.2)


def test_rows_are_told_of_the_present_without_minutes_of_before(store: Store, market: Instrument) -> None:
    start = to_ms(timezone.now() - timedelta(days=2)) // 60_000 * 60_000
    write_candles(instrument=market, minutes=walk(2 * 1440, start=start))
    assert told() == counted(store)

"""Changes of what is neither old nor of this very minute: continuous aggregates hold a part of the day."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from apps.candles.models import Instrument
from apps.candles.services import delete_candles, refresh_rollups, write_candles
from apps.candles.storage.stores import Rollups, Store
from apps.candles.timeframes import D1, H4, to_datetime, to_ms
from tests.candles.helpers import MINUTE, assert_levels_match, assert_read_as_rolled, instrument, walk
from tests.candles.stores import shared_candles, store

__all__ = ["shared_candles", "store"]

pytestmark = pytest.mark.django_db(transaction=True)

HOUR = 60 * MINUTE


@pytest.fixture
def market(store: Store, shared_candles: None) -> Instrument:
    """An instrument whose candles are committed."""
    return instrument()


def hours_ago(hours: int) -> int:
    """The minute that was so long ago (ms)."""
    return to_ms(timezone.now().replace(second=0, microsecond=0) - timedelta(hours=hours))


def test_hours_up_to_now_are_in_every_roll_up_where_those_of_others_are_materialised(
    market: Instrument,
) -> None:
    """As after a restart, or an upload; then with some of them deleted or added by SQL."""
    other, start = instrument(), hours_ago(7)
    write_candles(instrument=other, minutes=walk(6 * 60, start=start))
    refresh_rollups()
    write_candles(instrument=market, minutes=walk(7 * 60, start=start, seed=1))
    assert_read_as_rolled(market)
    refresh_rollups()
    deleted = delete_candles(
        instrument=market, start=to_datetime(start + HOUR), end=to_datetime(start + 3 * HOUR)
    )
    assert deleted == 120
    assert_read_as_rolled(market)
    refresh_rollups()
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO candle_1m SELECT %s, ts, open, high, low, close, volume FROM candle_1m"
            " WHERE instrument_id = %s AND ts >= %s AND ts < %s",
            [market.pk, other.pk, to_datetime(start + 2 * HOUR), to_datetime(start + 3 * HOUR)],
        )
        assert_read_as_rolled(market)
        cursor.execute(
            "DELETE FROM candle_1m WHERE instrument_id = %s AND ts < %s",
            [market.pk, to_datetime(start + HOUR // 2)],
        )
    assert_read_as_rolled(market)
    refresh_rollups()
    assert_levels_match(market)
    assert_levels_match(other)


def test_a_refresh_of_the_last_hours_hides_nobodys_minutes(market: Instrument, store: Store) -> None:
    other, start = instrument(), H4.floor(hours_ago(7))
    write_candles(instrument=other, minutes=walk(60, start=start - HOUR))
    refresh_rollups()
    write_candles(instrument=other, minutes=walk((hours_ago(0) - start) // MINUTE, start=start, seed=1))
    if store.rollups == Rollups.AGGREGATES:
        # What is stored when it is new is not logged; what is of a day that is materialised is.
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM candle_dirty WHERE lo >= %s", [to_datetime(D1.floor(hours_ago(0)))])
    write_candles(instrument=market, minutes=walk(10, start=hours_ago(3)))
    refresh_rollups()
    for one in (market, other):
        assert_read_as_rolled(one)
        assert_levels_match(one)

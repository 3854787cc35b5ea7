"""Scales: the number of decimals that an instrument's stored integers carry."""

from __future__ import annotations

from datetime import timedelta

from django.db import connection, transaction

from apps.candles.models import MAX_SCALE, Instrument
from apps.candles.storage import locks, stores
from apps.candles.storage.exact import LIMIT, ScaleOverflow
from apps.candles.storage.rollups import refresh_locked, unlimited
from apps.candles.storage.stores import Rollups
from apps.candles.timeframes import M1, ROLLUPS
from apps.core.resources import sql


@transaction.atomic
def raise_scale(*, instrument: Instrument, price_scale: int, volume_scale: int) -> bool:
    """Let an instrument's stored values carry at least this many decimals.

    Multiplies what is stored on every level, in one transaction; roll-ups that TimescaleDB keeps are logged
    for their refresh. A scale that is already as high is
    left alone: scales never shrink. Returns whether anything changed; *instrument* then has the new
    scales too. Raises `ScaleOverflow` when a value on any level would not stay below 2^53.
    """
    locks.lock_instruments([instrument.pk])
    stored = Instrument.objects.only("price_scale", "volume_scale").get(pk=instrument.pk)
    price_scale = max(price_scale, stored.price_scale)
    volume_scale = max(volume_scale, stored.volume_scale)
    if (price_scale, volume_scale) == (stored.price_scale, stored.volume_scale):
        instrument.price_scale, instrument.volume_scale = price_scale, volume_scale
        return False
    if max(price_scale, volume_scale) > MAX_SCALE:
        raise ScaleOverflow(f"{instrument}: more than {MAX_SCALE} decimals are not kept")
    price_factor = 10 ** (price_scale - stored.price_scale)
    volume_factor = 10 ** (volume_scale - stored.volume_scale)
    store = stores.in_force()
    ours = store.rollups == Rollups.INCREMENTAL
    if ours:
        # With nothing dirty, multiplying every level keeps all of them right.
        refresh_locked([instrument.pk], store)
    with connection.cursor() as cursor:
        cursor.execute(sql(__package__, "extremes.sql"), {"instrument_id": instrument.pk})
        price, volume = cursor.fetchone()
        if price * price_factor >= LIMIT or volume * volume_factor >= LIMIT:
            raise ScaleOverflow(
                f"{instrument}: the stored values do not fit {price_scale} price"
                f" and {volume_scale} volume decimals"
            )
        unlimited(cursor, store)
        cursor.execute("SET LOCAL chandlery.quiet = 'on'")
        factors = {"price": price_factor, "volume": volume_factor, "instrument_id": instrument.pk}
        rescale = sql(__package__, "rescale.sql")
        for level in (M1, *ROLLUPS) if ours else (M1,):
            cursor.execute(rescale.format(table=level.table, condition=""), factors)
        cursor.execute("SET LOCAL chandlery.quiet = 'off'")
        if not ours:
            # Roll-ups of TimescaleDB hold the old integers until they are refreshed. Those whose minutes are
            # gone never are.
            cursor.execute(sql(__package__, "all_dirty.sql"), {"instrument_id": instrument.pk})
            for level in ROLLUPS:
                older = sql(__package__, "older_than_minutes.sql")
                older = older.format(width=timedelta(milliseconds=level.width))
                cursor.execute(rescale.format(table=f"{level.table}_done", condition=older), factors)
    Instrument.objects.filter(pk=instrument.pk).update(price_scale=price_scale, volume_scale=volume_scale)
    instrument.price_scale, instrument.volume_scale = price_scale, volume_scale
    return True

"""Scales: the number of decimals that an instrument's stored integers carry."""

from __future__ import annotations

from django.db import connection, transaction

from apps.candles.models import MAX_SCALE, Instrument
from apps.candles.storage import locks
from apps.candles.storage.exact import LIMIT, ScaleOverflow
from apps.candles.storage.rollups import refresh_locked
from apps.candles.timeframes import M1, ROLLUPS
from apps.core.resources import sql


@transaction.atomic
def raise_scale(*, instrument: Instrument, price_scale: int, volume_scale: int) -> bool:
    """Let an instrument's stored values carry at least this many decimals.

    Multiplies what is stored on every level, in one transaction. A scale that is already as high is
    left alone: scales never shrink. Returns whether anything changed; *instrument* then has the new
    scales too. Raises `ScaleOverflow` when a value on any level would not stay below 2^53.
    """
    locks.lock_instrument(instrument.pk)
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
    # With nothing dirty the days hold the extremes of all levels.
    refresh_locked(instrument.pk)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(greatest(max(high), -min(low)), 0), coalesce(max(volume), 0)"
            " FROM candle_1d WHERE instrument_id = %s",
            [instrument.pk],
        )
        price, volume = cursor.fetchone()
        if price * price_factor >= LIMIT or volume * volume_factor >= LIMIT:
            raise ScaleOverflow(
                f"{instrument}: the stored values do not fit {price_scale} price"
                f" and {volume_scale} volume decimals"
            )
        cursor.execute("SET LOCAL chandlery.rescaling = 'on'")
        for level in (M1, *ROLLUPS):
            cursor.execute(
                sql(__package__, "rescale.sql").format(table=level.table),
                {"price": price_factor, "volume": volume_factor, "instrument_id": instrument.pk},
            )
        cursor.execute("SET LOCAL chandlery.rescaling = 'off'")
    Instrument.objects.filter(pk=instrument.pk).update(price_scale=price_scale, volume_scale=volume_scale)
    instrument.price_scale, instrument.volume_scale = price_scale, volume_scale
    return True

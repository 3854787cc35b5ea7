-- An instrument, and which of its minutes changed since its roll-ups were made.
SELECT id, price_scale, volume_scale, dirty.lo, dirty.hi
FROM candles_instrument
CROSS JOIN LATERAL (
    SELECT array_agg(lo) AS lo, array_agg(hi) AS hi FROM candle_dirty WHERE instrument_id = candles_instrument.id
) AS dirty
WHERE exchange = %(exchange)s AND symbol = %(symbol)s

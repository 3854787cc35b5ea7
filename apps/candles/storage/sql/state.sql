-- An instrument, which of its minutes changed since its roll-ups were made, and whether TimescaleDB keeps those.
SELECT id, price_scale, volume_scale, dirty.lo, dirty.hi,
       (SELECT relkind = 'v' FROM pg_class WHERE oid = 'candle_5m'::regclass)
FROM candles_instrument
CROSS JOIN LATERAL (
    SELECT array_agg(lo) AS lo, array_agg(hi) AS hi FROM candle_dirty WHERE instrument_id = candles_instrument.id
) AS dirty
WHERE exchange = %(exchange)s AND symbol = %(symbol)s

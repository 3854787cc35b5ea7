-- Instruments of these exchanges with these symbols: which of their minutes changed since their roll-ups were made,
-- and the version of their minutes in a range of months. Of one moment: bars that are read afterwards are of this
-- version or of a later one.
SELECT exchange, symbol, id, price_scale, volume_scale, dirty.lo, dirty.hi,
       (SELECT relkind = 'v' FROM pg_class WHERE oid = 'candle_5m'::regclass),
       (SELECT bit_xor(token) FROM candles_revision
        WHERE instrument_id = candles_instrument.id AND month >= %(first)s AND month < %(last)s)
FROM candles_instrument
CROSS JOIN LATERAL (
    SELECT array_agg(lo) AS lo, array_agg(hi) AS hi FROM candle_dirty WHERE instrument_id = candles_instrument.id
) AS dirty
WHERE exchange = ANY (%(exchanges)s) AND symbol = ANY (%(symbols)s)

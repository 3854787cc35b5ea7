-- The last two days of instruments, the newer first, with the scales of that very moment.
SELECT instrument.id, instrument.price_scale, instrument.volume_scale,
       day.open, day.high, day.low, day.close, day.volume
FROM candles_instrument AS instrument
CROSS JOIN LATERAL (
    SELECT ts, open, high, low, close, volume FROM candle_1d
    WHERE instrument_id = instrument.id
    ORDER BY ts DESC LIMIT 2
) AS day
WHERE instrument.id = ANY(%(ids)s)
ORDER BY instrument.id, day.ts DESC

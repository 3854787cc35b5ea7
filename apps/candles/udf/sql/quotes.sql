-- The last two days of instruments, the newer first, with the scales of that very moment. Of one with changes that
-- its roll-ups wait for, only that it is such a one.
SELECT instrument.id, log.waits, instrument.price_scale, instrument.volume_scale,
       day.open, day.high, day.low, day.close, day.volume
FROM candles_instrument AS instrument
CROSS JOIN LATERAL (
    SELECT EXISTS (SELECT FROM candle_dirty WHERE instrument_id = instrument.id) AS waits
) AS log
LEFT JOIN LATERAL (
    SELECT ts, open, high, low, close, volume FROM candle_1d
    WHERE instrument_id = instrument.id AND NOT log.waits
    ORDER BY ts DESC LIMIT 2
) AS day ON true
WHERE instrument.id = ANY(%(ids)s) AND (log.waits OR day.ts IS NOT NULL)
ORDER BY instrument.id, day.ts DESC

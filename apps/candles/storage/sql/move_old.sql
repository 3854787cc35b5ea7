-- Bars that ended before the first minute of their instrument.
INSERT INTO {new} (instrument_id, ts, open, high, low, close, volume, n)
SELECT bar.instrument_id, bar.ts, bar.open, bar.high, bar.low, bar.close, bar.volume, bar.n
FROM candles_instrument AS instrument
CROSS JOIN LATERAL (
    SELECT coalesce(min(ts), 'infinity') AS first FROM candle_1m WHERE instrument_id = instrument.id
) AS kept
JOIN {old} AS bar ON bar.instrument_id = instrument.id AND bar.ts <= kept.first - interval '{width}'

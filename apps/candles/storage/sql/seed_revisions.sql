-- A first token for every month of every instrument that has candles.
INSERT INTO candles_revision (instrument_id, month, token)
SELECT instrument_id, month, hashtextextended(gen_random_uuid()::text, 0)
FROM (
    SELECT instrument_id, date_trunc('month', ts, 'UTC')::date AS month FROM candle_1d
    UNION SELECT instrument_id, date_trunc('month', lo, 'UTC')::date FROM candle_dirty
) AS months

-- A first token for every month of every instrument that has candles.
INSERT INTO candles_revision (instrument_id, month, token)
SELECT instrument_id, month, hashtextextended(gen_random_uuid()::text, 0)
FROM (SELECT DISTINCT instrument_id, date_trunc('month', ts, 'UTC')::date AS month FROM candle_1d) AS months

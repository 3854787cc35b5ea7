-- A first token for every month of every instrument that has candles.
INSERT INTO candles_revision (instrument_id, month, token)
SELECT instrument_id, month, gen_random_uuid()
FROM (SELECT DISTINCT instrument_id, date_trunc('month', ts, 'UTC')::date AS month FROM candle_1d) AS months
ON CONFLICT DO NOTHING

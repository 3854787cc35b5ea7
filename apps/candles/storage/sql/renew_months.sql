-- Other versions for the months that are older than a moment, or that it lies in; none for those of which nothing
-- is left.
WITH old AS (
    DELETE FROM candles_revision WHERE month <= %(before)s::timestamptz AT TIME ZONE 'UTC'
    RETURNING instrument_id, month
)
INSERT INTO candles_revision (instrument_id, month, token)
SELECT instrument_id, month, hashtextextended(gen_random_uuid()::text, 0)
FROM (SELECT DISTINCT instrument_id, month FROM old) AS months
WHERE EXISTS (
    SELECT FROM candle_1m AS c
    WHERE c.instrument_id = months.instrument_id AND c.ts >= months.month::timestamp AT TIME ZONE 'UTC'
      AND c.ts < (months.month + interval '1 month') AT TIME ZONE 'UTC'
)

-- Other versions for the months that are older than a moment, or that it lies in. Those of which no minute is left
-- have roll-ups still.
WITH old AS (
    DELETE FROM candles_revision WHERE month <= %(before)s::timestamptz AT TIME ZONE 'UTC'
    RETURNING instrument_id, month
)
INSERT INTO candles_revision (instrument_id, month, token)
SELECT instrument_id, month, hashtextextended(gen_random_uuid()::text, 0)
FROM (SELECT DISTINCT instrument_id, month FROM old) AS months

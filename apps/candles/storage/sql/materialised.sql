-- Where nothing is materialised, TimescaleDB says the beginning of time.
SELECT greatest(
    candle_materialised(%s),
    (SELECT min(month)::timestamp AT TIME ZONE 'UTC' FROM candles_revision),
    '1970-01-01 00:00+00'
)

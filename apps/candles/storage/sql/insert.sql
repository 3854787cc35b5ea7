-- A few rows. Returns what load.sql does, and how many of the written rows are new: all parts of a statement see what
-- was there before it.
WITH given AS MATERIALIZED (
    SELECT * FROM unnest(
        %(instrument_id)s::integer[], %(ts)s::timestamptz[], %(open)s::bigint[], %(high)s::bigint[],
        %(low)s::bigint[], %(close)s::bigint[], %(volume)s::bigint[]
    ) AS given (instrument_id, ts, open, high, low, close, volume)
), known AS (
    SELECT given.instrument_id, given.ts FROM given
    WHERE EXISTS (
        SELECT FROM candle_1m
        WHERE instrument_id = given.instrument_id AND ts = given.ts AND ts BETWEEN %(first)s AND %(last)s
        OFFSET 0
    )
), written AS (
    {upsert}
)
SELECT instrument_id, min(written.ts), max(written.ts), count(*), count(*) FILTER (WHERE known.ts IS NULL)
FROM written LEFT JOIN known USING (instrument_id, ts)
GROUP BY instrument_id, date_bin('1 day', written.ts, '1970-01-05 00:00+00')

-- Make the buckets that dirty ranges touch anew from the next lower level. {minutes} is how many minutes a
-- group of rows of the lower level holds. For the ranges and bounds see rollup_clear.sql; what comes last is
-- rollup_conflict.sql, or nothing. First and last are taken of one order, because to sort a second time would take
-- half as long again.
WITH dirty AS (
    SELECT instrument_id,
           date_bin('{width}', min(lo), '1970-01-05 00:00+00') AS lo,
           date_bin('{width}', max(hi), '1970-01-05 00:00+00') + interval '{width}' AS hi
    FROM unnest(%(ids)s::integer[], %(lo)s::timestamptz[], %(hi)s::timestamptz[]) AS given (instrument_id, lo, hi)
    GROUP BY instrument_id, date_bin('{span}', lo, '1970-01-05 00:00+00')
)
INSERT INTO {table} (instrument_id, ts, open, high, low, close, volume, n)
SELECT dirty.instrument_id, made.*
FROM dirty
CROSS JOIN LATERAL (
    SELECT date_bin('{width}', ts, '1970-01-05 00:00+00'),
           (array_agg(open ORDER BY ts))[1],
           max(high),
           min(low),
           (array_agg(close ORDER BY ts))[count(*)],
           sum(volume)::bigint,
           {minutes}::integer
    FROM {lower}
    WHERE instrument_id = dirty.instrument_id AND ts >= dirty.lo AND ts < dirty.hi
      AND ts >= %(first)s AND ts < %(last)s
    GROUP BY 1
) AS made
{conflict}

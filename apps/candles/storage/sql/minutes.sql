-- The open times of one instrument's minutes in some ranges.
SELECT (extract(epoch FROM c.ts) * 1000)::bigint
FROM unnest(%(lo)s::timestamptz[], %(hi)s::timestamptz[]) AS given (lo, hi)
CROSS JOIN LATERAL (
    SELECT ts FROM {table}
    WHERE instrument_id = %(instrument_id)s AND ts >= given.lo AND ts < given.hi
      AND ts >= %(first)s AND ts < %(last)s
) AS c

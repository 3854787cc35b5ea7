-- The open times of one instrument's minutes in some ranges. OFFSET 0 has each range looked up by itself: joined,
-- every stored minute would be compared with every range.
SELECT (extract(epoch FROM c.ts) * 1000)::bigint
FROM unnest(%(lo)s::timestamptz[], %(hi)s::timestamptz[]) AS given (lo, hi)
CROSS JOIN LATERAL (
    SELECT ts FROM {table}
    WHERE instrument_id = %(instrument_id)s AND ts >= given.lo AND ts < given.hi
      AND ts >= %(first)s AND ts < %(last)s
    OFFSET 0
) AS c

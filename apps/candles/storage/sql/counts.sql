-- Buckets of one instrument in some ranges, with how many minutes are in each. For OFFSET 0 see minutes.sql.
SELECT (extract(epoch FROM c.ts) * 1000)::bigint, c.n::bigint
FROM unnest(%(lo)s::timestamptz[], %(hi)s::timestamptz[]) AS given (lo, hi)
CROSS JOIN LATERAL (
    SELECT ts, n FROM {table}
    WHERE instrument_id = %(instrument_id)s AND ts >= given.lo AND ts < given.hi
      AND ts >= %(first)s AND ts < %(last)s
    OFFSET 0
) AS c
ORDER BY c.ts

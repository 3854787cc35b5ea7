-- Buckets of one instrument in some ranges, with how many minutes are in each.
SELECT (extract(epoch FROM c.ts) * 1000)::bigint, c.n::bigint
FROM unnest(%(lo)s::timestamptz[], %(hi)s::timestamptz[]) AS given (lo, hi)
JOIN {table} AS c ON c.instrument_id = %(instrument_id)s AND c.ts >= given.lo AND c.ts < given.hi
WHERE c.ts >= %(first)s AND c.ts < %(last)s
ORDER BY c.ts

-- Remove the buckets of one instrument that dirty ranges touch. Ranges lie within a UTC day each, and so do
-- buckets, so no bucket is named by two ranges.
DELETE FROM {table} AS t
USING unnest(%(lo)s::timestamptz[], %(hi)s::timestamptz[]) AS dirty (lo, hi)
WHERE t.instrument_id = %(instrument_id)s
  AND t.ts >= date_bin(%(width)s::interval, dirty.lo, '1970-01-05 00:00+00')
  AND t.ts <= dirty.hi

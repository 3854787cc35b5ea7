-- Remove the buckets that dirty ranges touch. A range lies within a UTC day; {span} is the bucket's width, or a
-- day where that is wider, so that ranges which share a bucket become one. The bounds around all ranges, and the
-- instruments once more, let the planner leave partitions, chunks and batches out.
WITH dirty AS (
    SELECT instrument_id, date_bin('{width}', min(lo), '1970-01-05 00:00+00') AS lo, max(hi) AS hi
    FROM unnest(%(ids)s::integer[], %(lo)s::timestamptz[], %(hi)s::timestamptz[]) AS given (instrument_id, lo, hi)
    GROUP BY instrument_id, date_bin('{span}', lo, '1970-01-05 00:00+00')
)
DELETE FROM {table} AS t
USING dirty
WHERE t.instrument_id = dirty.instrument_id AND t.ts >= dirty.lo AND t.ts <= dirty.hi
  AND t.instrument_id = ANY (%(ids)s::integer[]) AND t.ts >= %(first)s AND t.ts < %(last)s

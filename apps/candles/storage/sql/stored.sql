-- How many minutes are stored in a range of each of some instruments. The bounds around all ranges are literals,
-- by which partitions and chunks are left out.
SELECT given.id, (
    SELECT count(*) FROM candle_1m
    WHERE instrument_id = given.id AND ts BETWEEN given.lo AND given.hi AND ts BETWEEN %(first)s AND %(last)s
)
FROM unnest(%(ids)s::integer[], %(lo)s::timestamptz[], %(hi)s::timestamptz[]) AS given (id, lo, hi)

-- The first and the last stored minute of instruments. The days say where to look, so that only the
-- partitions concerned are touched.
SELECT wanted.id, first.ts, last.ts
FROM unnest(%(ids)s::integer[]) AS wanted (id)
CROSS JOIN LATERAL (
    SELECT (SELECT ts FROM candle_1d WHERE instrument_id = wanted.id ORDER BY ts LIMIT 1) AS first,
           (SELECT ts FROM candle_1d WHERE instrument_id = wanted.id ORDER BY ts DESC LIMIT 1) AS last
) AS day
CROSS JOIN LATERAL (
    SELECT ts FROM candle_1m
    WHERE instrument_id = wanted.id AND ts >= day.first AND ts < day.first + interval '1 day'
    ORDER BY ts LIMIT 1
) AS first
CROSS JOIN LATERAL (
    SELECT ts FROM candle_1m
    WHERE instrument_id = wanted.id AND ts >= day.last AND ts < day.last + interval '1 day'
    ORDER BY ts DESC LIMIT 1
) AS last

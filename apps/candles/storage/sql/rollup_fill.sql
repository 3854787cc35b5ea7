-- Make the buckets that dirty ranges touch anew from the next lower level. {minutes} is how many minutes a
-- group of rows of the lower level holds. The days around all ranges let the planner leave partitions out.
INSERT INTO {table} (instrument_id, ts, open, high, low, close, volume, n)
SELECT %(instrument_id)s, made.*
FROM unnest(%(lo)s::timestamptz[], %(hi)s::timestamptz[]) AS dirty (lo, hi)
CROSS JOIN LATERAL (
    SELECT date_bin(%(width)s::interval, ts, '1970-01-05 00:00+00'),
           (array_agg(open ORDER BY ts))[1],
           max(high),
           min(low),
           (array_agg(close ORDER BY ts DESC))[1],
           sum(volume)::bigint,
           {minutes}::integer
    FROM {lower}
    WHERE instrument_id = %(instrument_id)s
      AND ts >= %(first_day)s AND ts < %(last_day)s::timestamptz + interval '1 day'
      AND ts >= date_bin(%(width)s::interval, dirty.lo, '1970-01-05 00:00+00')
      AND ts < date_bin(%(width)s::interval, dirty.hi, '1970-01-05 00:00+00') + %(width)s::interval
    GROUP BY 1
) AS made

-- The open time of the oldest of the last %(rows)s stored bars that open before a moment. The key's index
-- is read backwards, and no further than that many rows. The table's name stands in the braces.
SELECT min(ts)
FROM (
    SELECT ts FROM {table}
    WHERE instrument_id = %(instrument)s AND ts < %(before)s
    ORDER BY ts DESC LIMIT %(rows)s
) AS last

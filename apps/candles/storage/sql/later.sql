-- The key's index is read forwards, and no further than that many rows.
SELECT count(*), max(ts) FROM (
    SELECT ts FROM {table}
    WHERE instrument_id = %(instrument_id)s AND ts >= %(start)s AND ts < %(end)s
    ORDER BY ts LIMIT %(rows)s
) AS first

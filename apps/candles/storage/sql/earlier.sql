-- The key's index is read backwards, and no further than that many rows.
SELECT count(*), min(ts), max(ts) FROM (
    SELECT ts FROM {table}
    WHERE instrument_id = %(instrument_id)s AND ts < %(end)s
    ORDER BY ts DESC LIMIT %(rows)s
) AS last

-- What is staged. Returns which days of each instrument were written: their first and last written minute, and how
-- many were.
WITH written AS (
    {upsert}
)
SELECT instrument_id, min(ts), max(ts), count(*) FROM written
GROUP BY instrument_id, date_bin('1 day', ts, '1970-01-05 00:00+00')

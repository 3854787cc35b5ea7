-- Remove what is known to be dirty of some instruments, merged to one range for each of their UTC days. A day
-- that deletions have logged may be logged again from here on.
WITH taken AS (
    DELETE FROM candle_dirty WHERE instrument_id = ANY (%(ids)s) RETURNING instrument_id, lo, hi, removed
)
SELECT instrument_id, min(lo), max(hi), bool_or(removed), set_config('chandlery.day_logged', '', true)
FROM taken
GROUP BY instrument_id, date_bin('1 day', lo, '1970-01-05 00:00+00')
ORDER BY 1, 2

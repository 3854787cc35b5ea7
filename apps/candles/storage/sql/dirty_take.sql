-- Remove what is known to be dirty of one instrument, merged to one range for each UTC day.
WITH taken AS (
    DELETE FROM candle_dirty WHERE instrument_id = %(instrument_id)s RETURNING lo, hi
)
SELECT min(lo), max(hi)
FROM taken
GROUP BY date_bin('1 day', lo, '1970-01-05 00:00+00')
ORDER BY 1

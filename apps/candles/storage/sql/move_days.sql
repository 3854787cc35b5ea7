-- The days of which there are minutes, with the first and the last minute of each.
SELECT instrument_id, min(ts), max(ts)
FROM candle_1m{suffix} WHERE ts >= %(start)s AND ts < %(end)s
GROUP BY instrument_id, date_bin('1 day', ts, '1970-01-05 00:00+00')

-- The first and the last minute in a range, of all instruments.
SELECT min(ts), max(ts) FROM candle_1m{suffix} WHERE ts >= %(start)s AND ts < %(end)s

-- How many minutes the days from a moment on were made of.
SELECT coalesce(sum(n), 0) FROM candle_1d WHERE ts >= %s

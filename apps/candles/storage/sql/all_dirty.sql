-- Log every day of one instrument.
INSERT INTO candle_dirty (instrument_id, lo, hi)
SELECT instrument_id, min(ts), max(ts) FROM candle_1m WHERE instrument_id = %(instrument_id)s
GROUP BY instrument_id, date_bin('1 day', ts, '1970-01-05 00:00+00')

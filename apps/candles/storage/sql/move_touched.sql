INSERT INTO candle_dirty (instrument_id, lo, hi)
SELECT DISTINCT instrument_id, day, day + interval '1439 minutes' FROM candle_move_touched

-- Take the log: days of instruments, each with its first and its last minute.
WITH taken AS (
    DELETE FROM candle_move_log RETURNING instrument_id, day
), days AS (
    SELECT DISTINCT instrument_id, day FROM taken
), noted AS (
    INSERT INTO candle_move_touched SELECT instrument_id, day FROM days
)
SELECT instrument_id, day, day + interval '1439 minutes' FROM days

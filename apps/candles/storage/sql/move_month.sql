INSERT INTO candle_1m_next (instrument_id, ts, open, high, low, close, volume)
SELECT instrument_id, ts, open, high, low, close, volume
FROM candle_1m WHERE ts >= %(start)s AND ts < %(end)s

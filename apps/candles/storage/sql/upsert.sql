-- Identical rows are left alone: writing them would make dead rows and dirty days for nothing.
    INSERT INTO candle_1m AS c (instrument_id, ts, open, high, low, close, volume)
    SELECT instrument_id, ts, open, high, low, close, volume FROM {given}
    ON CONFLICT (instrument_id, ts) DO UPDATE
    SET open = excluded.open, high = excluded.high, low = excluded.low, close = excluded.close,
        volume = excluded.volume
    WHERE (c.open, c.high, c.low, c.close, c.volume)
        IS DISTINCT FROM (excluded.open, excluded.high, excluded.low, excluded.close, excluded.volume)
    RETURNING c.instrument_id, c.ts

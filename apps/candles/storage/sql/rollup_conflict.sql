-- Where buckets that are there were not cleared.
ON CONFLICT (instrument_id, ts) DO UPDATE
SET open = excluded.open, high = excluded.high, low = excluded.low, close = excluded.close,
    volume = excluded.volume, n = excluded.n

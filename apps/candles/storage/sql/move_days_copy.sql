INSERT INTO candle_1m_next (instrument_id, ts, open, high, low, close, volume)
SELECT c.instrument_id, c.ts, c.open, c.high, c.low, c.close, c.volume
FROM unnest(%(ids)s::integer[], %(lo)s::timestamptz[], %(hi)s::timestamptz[]) AS day (instrument_id, lo, hi)
JOIN candle_1m AS c ON c.instrument_id = day.instrument_id AND c.ts BETWEEN day.lo AND day.hi
WHERE c.ts BETWEEN %(first)s AND %(last)s

DELETE FROM candle_1m_next AS t
USING unnest(%(ids)s::integer[], %(lo)s::timestamptz[], %(hi)s::timestamptz[]) AS day (instrument_id, lo, hi)
WHERE t.instrument_id = day.instrument_id AND t.ts BETWEEN day.lo AND day.hi
  AND t.ts BETWEEN %(first)s AND %(last)s

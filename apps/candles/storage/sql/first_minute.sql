-- The first stored minute of an instrument from a moment on, of those that reach a price if one is given.
SELECT minute.ts, minute.open, instrument.price_scale
FROM candle_1m AS minute
JOIN candles_instrument AS instrument ON instrument.id = minute.instrument_id
WHERE minute.instrument_id = %(instrument_id)s
  AND minute.ts >= %(since)s
  AND (%(down_to)s::numeric IS NULL OR minute.low <= %(down_to)s::numeric * 10::numeric ^ instrument.price_scale)
  AND (%(up_to)s::numeric IS NULL OR minute.high >= %(up_to)s::numeric * 10::numeric ^ instrument.price_scale)
ORDER BY minute.ts
LIMIT 1

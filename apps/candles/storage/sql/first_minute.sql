-- The first stored minute of an instrument from a moment on, of those that reach a price if one is given.
-- Prices are compared in ticks, which are made of the given ones once and not for each minute.
WITH market AS MATERIALIZED (
    SELECT id, price_scale, 10::numeric ^ price_scale AS ticks
    FROM candles_instrument
    WHERE id = %(instrument_id)s
)
SELECT minute.ts, minute.open, market.price_scale
FROM market
JOIN candle_1m AS minute ON minute.instrument_id = market.id
WHERE minute.instrument_id = %(instrument_id)s
  AND minute.ts >= %(since)s
  AND (%(down_to)s::numeric IS NULL
       OR minute.low <= (SELECT least(floor(%(down_to)s::numeric * ticks), 9223372036854775807)::bigint FROM market))
  AND (%(up_to)s::numeric IS NULL
       OR minute.high >= (SELECT least(ceil(%(up_to)s::numeric * ticks), 9223372036854775807)::bigint FROM market))
ORDER BY minute.ts
LIMIT 1

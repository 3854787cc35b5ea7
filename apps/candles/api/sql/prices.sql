-- The newest minute of instruments, and the last one that had opened a day before it. The months that were ever
-- written say where the newest is, and the older is looked for in the day before: no more than a few partitions or
-- chunks are touched. With the scales of that very moment.
SELECT instrument.id, instrument.exchange, instrument.symbol, instrument.price_scale,
       newest.ts, newest.close, previous.close
FROM candles_instrument AS instrument
LEFT JOIN LATERAL (
    SELECT minute.ts, minute.close
    FROM (SELECT DISTINCT month::timestamp AT TIME ZONE 'UTC' AS month FROM candles_revision
          WHERE instrument_id = instrument.id) AS months
    CROSS JOIN LATERAL (
        SELECT ts, close FROM candle_1m
        WHERE instrument_id = instrument.id AND ts >= month AND ts < month + interval '1 month'
        ORDER BY ts DESC LIMIT 1
    ) AS minute
    ORDER BY months.month DESC LIMIT 1
) AS newest ON true
LEFT JOIN LATERAL (
    SELECT close FROM candle_1m
    WHERE instrument_id = instrument.id
      AND ts > newest.ts - interval '2 days' AND ts <= newest.ts - interval '1 day'
    ORDER BY ts DESC LIMIT 1
) AS previous ON true
WHERE instrument.id = ANY (%(ids)s)
ORDER BY instrument.exchange, instrument.symbol

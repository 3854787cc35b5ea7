-- Instruments to be followed: the newest minute, looked for in the newest partitions only, and how many minutes the
-- roll-ups have of some hours, with the first of these hours.
SELECT i.id, i.exchange, i.symbol, newest.ts, hours.first, hours.n
FROM candles_instrument AS i
LEFT JOIN LATERAL (
    SELECT ts FROM candle_1m
    WHERE instrument_id = i.id AND ts >= %(since)s
    ORDER BY ts DESC LIMIT 1
) AS newest ON true
LEFT JOIN LATERAL (
    SELECT min(ts) AS first, sum(n)::bigint AS n FROM candle_1h
    WHERE instrument_id = i.id AND ts >= %(start)s AND ts < %(end)s
) AS hours ON true
WHERE i.followed AND i.active
ORDER BY i.exchange, i.symbol

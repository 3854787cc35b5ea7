-- How old the newest minutes of followed instruments are, exchange by exchange. The bound keeps the search to the
-- newest partitions.
SELECT i.exchange, count(*), count(*) FILTER (WHERE last.ts IS NULL OR last.ts < %(fresh)s), max(last.ts)
FROM candles_instrument AS i
LEFT JOIN LATERAL (
    SELECT ts FROM candle_1m
    WHERE instrument_id = i.id AND ts >= %(since)s
    ORDER BY ts DESC LIMIT 1
) AS last ON true
WHERE i.active AND i.followed
GROUP BY i.exchange
ORDER BY i.exchange

-- Coverage of instruments with candles, by the counts of their days.
WITH known AS (
    SELECT i.id, i.exchange, i.symbol, i.followed
    FROM candles_instrument AS i
    WHERE EXISTS (SELECT FROM candles_revision AS r WHERE r.instrument_id = i.id)
    ORDER BY i.followed DESC, i.exchange, i.symbol
    LIMIT %(limit)s
), days AS (
    SELECT known.*, d.n, d.first_day, d.last_day
    FROM known
    CROSS JOIN LATERAL (
        SELECT sum(n)::bigint AS n, min(ts) AS first_day, max(ts) AS last_day
        FROM candle_1d WHERE instrument_id = known.id
    ) AS d
    WHERE d.n IS NOT NULL
), edges AS (
    SELECT days.*,
           (SELECT min(ts) FROM candle_1m WHERE instrument_id = days.id
            AND ts >= first_day AND ts < first_day + interval '1 day') AS first,
           (SELECT max(ts) FROM candle_1m WHERE instrument_id = days.id
            AND ts >= last_day AND ts < last_day + interval '1 day') AS last
    FROM days
)
SELECT id, exchange, symbol, first, last, n,
       greatest(0, (extract(epoch FROM last - first) / 60)::bigint + 1 - n),
       coalesce((SELECT sum(extract(epoch FROM g."end" - g.start) / 60)::bigint
                 FROM candles_gap AS g WHERE g.instrument_id = edges.id), 0)
FROM edges
WHERE first IS NOT NULL AND last IS NOT NULL
ORDER BY followed DESC, exchange, symbol

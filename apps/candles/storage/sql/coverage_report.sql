-- Coverage of instruments with candles, by the counts of their days. Days stay when their minutes are dropped, so the
-- first and the last minute count.
WITH known AS (
    SELECT i.id, i.exchange, i.symbol, i.followed
    FROM candles_instrument AS i
    WHERE EXISTS (SELECT FROM candles_revision AS r WHERE r.instrument_id = i.id)
    ORDER BY i.followed DESC, i.exchange, i.symbol
    LIMIT %(limit)s
), edges AS (
    {coverage}
), days AS (
    SELECT known.*, edges.first, edges.last, d.n
    FROM known JOIN edges USING (id)
    CROSS JOIN LATERAL (
        SELECT sum(n)::bigint AS n FROM candle_1d
        WHERE instrument_id = edges.id AND ts >= date_trunc('day', edges.first, 'UTC') AND ts <= edges.last
    ) AS d
)
SELECT id, exchange, symbol, first, last, n,
       greatest(0, (extract(epoch FROM last - first) / 60)::bigint + 1 - n),
       coalesce((SELECT sum(extract(epoch FROM g."end" - g.start) / 60)::bigint
                 FROM candles_gap AS g WHERE g.instrument_id = days.id), 0)
FROM days
WHERE n IS NOT NULL
ORDER BY followed DESC, exchange, symbol

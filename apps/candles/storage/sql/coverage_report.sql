-- Coverage of instruments with candles, by the counts of their days. As in coverage.sql, the months that were ever
-- written say where the first and the last minute are: days stay when their minutes are dropped.
WITH known AS (
    SELECT i.id, i.exchange, i.symbol, i.followed
    FROM candles_instrument AS i
    WHERE EXISTS (SELECT FROM candles_revision AS r WHERE r.instrument_id = i.id)
    ORDER BY i.followed DESC, i.exchange, i.symbol
    LIMIT %(limit)s
), edges AS (
    SELECT known.*, first.ts AS first, last.ts AS last
    FROM known
    CROSS JOIN LATERAL (
        SELECT minute.ts
        FROM (SELECT DISTINCT month::timestamp AT TIME ZONE 'UTC' AS month FROM candles_revision
              WHERE instrument_id = known.id ORDER BY 1) AS months
        CROSS JOIN LATERAL (
            SELECT ts FROM candle_1m
            WHERE instrument_id = known.id AND ts >= month AND ts < month + interval '1 month'
            ORDER BY ts LIMIT 1
        ) AS minute
        ORDER BY months.month LIMIT 1
    ) AS first
    CROSS JOIN LATERAL (
        SELECT minute.ts
        FROM (SELECT DISTINCT month::timestamp AT TIME ZONE 'UTC' AS month FROM candles_revision
              WHERE instrument_id = known.id ORDER BY 1 DESC) AS months
        CROSS JOIN LATERAL (
            SELECT ts FROM candle_1m
            WHERE instrument_id = known.id AND ts >= month AND ts < month + interval '1 month'
            ORDER BY ts DESC LIMIT 1
        ) AS minute
        ORDER BY months.month DESC LIMIT 1
    ) AS last
), days AS (
    SELECT edges.*, d.n
    FROM edges
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

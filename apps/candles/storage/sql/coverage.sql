-- The first and the last stored minute of those wanted. The months that were ever written say where to look, so
-- that only the partitions or chunks concerned are touched.
SELECT wanted.id, first.ts AS first, last.ts AS last
FROM {wanted}
CROSS JOIN LATERAL (
    SELECT minute.ts
    FROM (SELECT DISTINCT month::timestamp AT TIME ZONE 'UTC' AS month FROM candles_revision
          WHERE instrument_id = wanted.id ORDER BY 1) AS months
    CROSS JOIN LATERAL (
        SELECT ts FROM candle_1m
        WHERE instrument_id = wanted.id AND ts >= month AND ts < month + interval '1 month'
        ORDER BY ts LIMIT 1
    ) AS minute
    ORDER BY months.month LIMIT 1
) AS first
CROSS JOIN LATERAL (
    SELECT minute.ts
    FROM (SELECT DISTINCT month::timestamp AT TIME ZONE 'UTC' AS month FROM candles_revision
          WHERE instrument_id = wanted.id ORDER BY 1 DESC) AS months
    CROSS JOIN LATERAL (
        SELECT ts FROM candle_1m
        WHERE instrument_id = wanted.id AND ts >= month AND ts < month + interval '1 month'
        ORDER BY ts DESC LIMIT 1
    ) AS minute
    ORDER BY months.month DESC LIMIT 1
) AS last

-- The last stored minute of instruments, looked for in the newest partitions only.
SELECT wanted.id, last.ts
FROM unnest(%(ids)s::integer[]) AS wanted (id)
CROSS JOIN LATERAL (
    SELECT ts FROM candle_1m
    WHERE instrument_id = wanted.id AND ts >= %(since)s
    ORDER BY ts DESC LIMIT 1
) AS last

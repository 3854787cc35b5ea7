-- The price farthest from zero and the largest volume of a week of one instrument, also of weeks whose minutes are
-- not kept any more.
SELECT coalesce(max(price), 0), coalesce(max(volume), 0) FROM (
    SELECT greatest(max(high), -min(low)) AS price, sum(volume) AS volume FROM candle_1m
    WHERE instrument_id = %(instrument_id)s
    GROUP BY date_bin('7 days', ts, '1970-01-05 00:00+00')
    UNION ALL
    SELECT greatest(max(high), -min(low)), max(volume) FROM candle_1w WHERE instrument_id = %(instrument_id)s
) AS weeks

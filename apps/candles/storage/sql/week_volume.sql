-- The largest volume of a week among those of one instrument that open in a range of whole weeks.
SELECT max(volume) FROM (
    SELECT sum(volume) AS volume FROM candle_1m
    WHERE instrument_id = %(instrument_id)s AND ts >= %(first)s AND ts < %(last)s
    GROUP BY date_bin('7 days', ts, '1970-01-05 00:00+00')
) AS weeks

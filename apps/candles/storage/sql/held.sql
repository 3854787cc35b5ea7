-- Those of the instruments that have any minute in a range.
SELECT wanted.id
FROM unnest(%(ids)s::integer[]) AS wanted (id)
WHERE EXISTS (
    SELECT FROM candle_1m WHERE instrument_id = wanted.id AND ts >= %(start)s AND ts < %(end)s
)

-- Those of the instruments that have any bar in a range: minutes, or bars of the roll-up, which outlive them.
SELECT wanted.id
FROM unnest(%(ids)s::integer[]) AS wanted (id)
WHERE EXISTS (SELECT FROM candle_1m WHERE instrument_id = wanted.id AND ts >= %(start)s AND ts < %(end)s)
   OR EXISTS (SELECT FROM {table} WHERE instrument_id = wanted.id AND ts >= %(start)s AND ts < %(end)s)

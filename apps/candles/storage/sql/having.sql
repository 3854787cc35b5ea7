-- Which of some instruments have a minute in a range.
SELECT id FROM unnest(%(ids)s::integer[]) AS given (id)
WHERE EXISTS (SELECT FROM candle_1m WHERE instrument_id = given.id AND ts >= %(start)s AND ts < %(end)s)

-- The closes of the bars of instruments from some moment on, in the order of time.
SELECT instrument_id, array_agg(close ORDER BY ts)
FROM {table}
WHERE instrument_id = ANY (%(ids)s) AND ts >= %(since)s
GROUP BY instrument_id

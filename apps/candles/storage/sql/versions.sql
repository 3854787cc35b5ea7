SELECT instrument_id, month, bit_xor(token) FROM candles_revision
WHERE instrument_id = ANY (%(ids)s) AND month >= %(first)s AND month < %(last)s
GROUP BY instrument_id, month
ORDER BY instrument_id, month

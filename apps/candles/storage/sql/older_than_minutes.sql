AND ts + interval '{width}' <= (
    SELECT coalesce(min(ts), 'infinity') FROM candle_1m WHERE instrument_id = %(instrument_id)s
)

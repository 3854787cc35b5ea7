UPDATE {table}
SET open = open * %(price)s, high = high * %(price)s, low = low * %(price)s, close = close * %(price)s,
    volume = volume * %(volume)s
WHERE instrument_id = %(instrument_id)s {condition}

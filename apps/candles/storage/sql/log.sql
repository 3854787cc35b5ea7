SELECT candle_log(%(ids)s::integer[], %(lo)s::timestamptz[], %(hi)s::timestamptz[])

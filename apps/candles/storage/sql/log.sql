-- Minutes that were stored: none is gone.
SELECT candle_log(%(ids)s::integer[], %(lo)s::timestamptz[], %(hi)s::timestamptz[], false)

-- The instruments of an exchange that a sender may mean, the likeliest first: by the symbol, by the exchange's
-- own name, and by base and quote written together; spot before the rest, unless contracts are asked for.
SELECT id, rank, kind
FROM (
    SELECT id, kind,
           CASE WHEN upper(symbol) = %(text)s THEN 1 WHEN upper(venue_id) = %(text)s THEN 2 ELSE 3 END AS rank
    FROM candles_instrument
    WHERE exchange = %(exchange)s AND active
      AND (upper(symbol) = %(text)s OR upper(venue_id) = %(text)s OR upper(base || quote) = %(text)s)
      AND (%(swap)s::boolean IS NULL OR (kind = 'swap') = %(swap)s)
) AS found
ORDER BY rank, kind <> 'spot', kind
LIMIT 2

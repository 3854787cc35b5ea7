-- Tell the causes of what an exchange did not have in a range, by what its other instruments have in the middle
-- minute of each gap. What had expired says nothing, of itself and of others.
WITH witness AS MATERIALIZED (
    SELECT id FROM candles_instrument
    WHERE exchange = %(exchange)s AND followed
    ORDER BY id LIMIT %(witnesses)s
), gap AS MATERIALIZED (
    SELECT g.id, g.instrument_id, g.start, g."end", g.cause,
           date_bin('1 minute', g.start + (g."end" - g.start) / 2, '1970-01-05 00:00+00') AS middle
    FROM candles_gap AS g JOIN candles_instrument AS i ON i.id = g.instrument_id
    WHERE i.exchange = %(exchange)s AND g.start < %(end)s AND g."end" > %(start)s AND g.cause <> 'expired'
), around AS MATERIALIZED (
    SELECT g.instrument_id, g.start, g."end"
    FROM candles_gap AS g JOIN candles_instrument AS i ON i.id = g.instrument_id
    WHERE i.exchange = %(exchange)s AND g.cause <> 'expired'
      AND g.start < (SELECT max("end") FROM gap) AND g."end" > (SELECT min(start) FROM gap)
), told AS (
    SELECT gap.id,
           CASE WHEN lacking.n > 0 AND lacking.n >= having_it.n THEN 'outage'
                WHEN having_it.n > 0 THEN 'no_trades'
                ELSE 'unexplained' END AS cause
    FROM gap
    CROSS JOIN LATERAL (
        SELECT count(*) AS n FROM around AS other
        WHERE other.instrument_id <> gap.instrument_id
          AND other.start <= gap.middle AND other."end" > gap.middle
    ) AS lacking
    CROSS JOIN LATERAL (
        SELECT count(*) AS n FROM witness
        WHERE witness.id <> gap.instrument_id
          AND EXISTS (SELECT FROM candle_1m WHERE instrument_id = witness.id AND ts = gap.middle)
    ) AS having_it
)
UPDATE candles_gap SET cause = told.cause
FROM told
WHERE candles_gap.id = told.id AND candles_gap.cause <> told.cause

-- Other versions for months whose minutes are gone: a copy of them is not right any more.
INSERT INTO candles_revision (instrument_id, month, token)
SELECT instrument_id, month, hashtextextended(gen_random_uuid()::text, 0)
FROM (
    SELECT DISTINCT instrument_id, month FROM candles_revision
    WHERE 'candle_1m_' || to_char(month, 'YYYY_MM') = ANY (%s)
) AS months

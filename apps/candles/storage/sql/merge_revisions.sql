-- Each row is taken once, also where two of these meet.
WITH many AS (
    SELECT instrument_id, month FROM candles_revision GROUP BY instrument_id, month HAVING count(*) > 1
), taken AS (
    DELETE FROM candles_revision AS r USING many
    WHERE r.instrument_id = many.instrument_id AND r.month = many.month
    RETURNING r.instrument_id, r.month, r.token
)
INSERT INTO candles_revision (instrument_id, month, token)
SELECT instrument_id, month, bit_xor(token) FROM taken GROUP BY instrument_id, month

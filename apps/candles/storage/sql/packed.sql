-- The bars of a range as one value, because a message for every bar takes several times as long: six big-endian
-- int64 for each. With the scales of the very moment that they were read at. {whole} is whether {table} holds all
-- of the range: where it does not, nothing is read.
SELECT price_scale, volume_scale, whole, CASE WHEN whole THEN (
    SELECT string_agg(
        timestamptz_send(ts) || int8send(open) || int8send(high) || int8send(low) || int8send(close) || int8send(volume),
        ''::bytea ORDER BY ts
    )
    FROM {table}
    WHERE instrument_id = {instrument_id:d} AND ts >= '{start:%Y-%m-%d %H:%M:%S.%f%z}' AND ts < '{end:%Y-%m-%d %H:%M:%S.%f%z}'
) END
FROM candles_instrument
CROSS JOIN (SELECT {whole} AS whole OFFSET 0) AS held
WHERE id = {instrument_id:d}

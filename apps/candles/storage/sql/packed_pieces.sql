-- As packed.sql, a piece of the range in each row: very long values are put together slowly. All of it is of one moment.
SELECT price_scale, volume_scale, whole, CASE WHEN whole THEN (
    SELECT string_agg(
        timestamptz_send(ts) || int8send(open) || int8send(high) || int8send(low) || int8send(close) || int8send(volume),
        ''::bytea ORDER BY ts
    )
    FROM {table}
    WHERE instrument_id = {instrument_id:d}
      AND ts >= '{start:%Y-%m-%d %H:%M:%S.%f%z}' AND ts < '{end:%Y-%m-%d %H:%M:%S.%f%z}'
      AND ts >= piece AND ts < piece + interval '{step:d} seconds'
) END
FROM candles_instrument
CROSS JOIN (SELECT {whole} AS whole OFFSET 0) AS held
CROSS JOIN generate_series(
    '{start:%Y-%m-%d %H:%M:%S.%f%z}'::timestamptz,
    '{end:%Y-%m-%d %H:%M:%S.%f%z}'::timestamptz - interval '1 microsecond',
    interval '{step:d} seconds'
) AS piece
WHERE id = {instrument_id:d}
ORDER BY piece

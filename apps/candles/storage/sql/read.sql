-- COPY takes no parameters: what stands in the braces is written by the reader, from numbers and times.
SELECT {columns}
FROM {table}
WHERE instrument_id = {instrument_id:d} AND ts >= '{start:%Y-%m-%d %H:%M:%S.%f%z}' AND ts < '{end:%Y-%m-%d %H:%M:%S.%f%z}'
ORDER BY ts

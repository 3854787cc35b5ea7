-- A roll-up that TimescaleDB keeps. What is not materialised yet is computed when it is read.
CREATE MATERIALIZED VIEW {table} WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS
SELECT instrument_id,
       time_bucket('{width}', ts) AS ts,
       first(open, ts) AS open,
       max(high) AS high,
       min(low) AS low,
       last(close, ts) AS close,
       sum(volume)::bigint AS volume,
       {minutes}::integer AS n
FROM {lower}
GROUP BY instrument_id, time_bucket('{width}', ts)
WITH NO DATA

-- Up to when an aggregate is materialised.
CREATE OR REPLACE FUNCTION candle_materialised(aggregate name) RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT _timescaledb_functions.to_timestamp(_timescaledb_functions.cagg_watermark(mat_hypertable_id))
    FROM _timescaledb_catalog.continuous_agg WHERE user_view_name = aggregate
$$

-- What is materialised of an aggregate, and nothing that would have to be computed.
DO $$
DECLARE place text;
BEGIN
    SELECT format('%I.%I', materialization_hypertable_schema, materialization_hypertable_name) INTO place
    FROM timescaledb_information.continuous_aggregates WHERE view_name = '{table}';
    EXECUTE 'CREATE VIEW {table}_done AS'
        ' SELECT instrument_id, ts, open, high, low, close, volume, n FROM ' || place;
END $$

ALTER MATERIALIZED VIEW {table} SET (
    timescaledb.enable_columnstore, timescaledb.segmentby = 'instrument_id', timescaledb.orderby = 'ts'
)

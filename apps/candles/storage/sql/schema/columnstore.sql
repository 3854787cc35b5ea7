-- The order that compresses best: an instrument's values one after the other.
ALTER TABLE {table} SET (
    timescaledb.enable_columnstore, timescaledb.segmentby = 'instrument_id', timescaledb.orderby = 'ts'
)

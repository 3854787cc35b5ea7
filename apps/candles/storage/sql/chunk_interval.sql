SELECT time_interval FROM timescaledb_information.dimensions WHERE hypertable_name = %s

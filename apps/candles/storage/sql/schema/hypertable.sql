SELECT create_hypertable(
    '{table}', by_range('ts', interval '{days} days'), create_default_indexes => false
)

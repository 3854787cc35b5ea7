SELECT add_continuous_aggregate_policy(
    %s, start_offset => %s::interval, end_offset => %s::interval, schedule_interval => %s::interval,
    buckets_per_batch => %s
)

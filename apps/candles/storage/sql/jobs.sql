-- TimescaleDB's policies on some relations, with how they went so far.
SELECT j.proc_name, j.hypertable_name,
       (j.config ->> 'compress_after')::interval, (j.config ->> 'drop_after')::interval,
       (j.config ->> 'start_offset')::interval, (j.config ->> 'end_offset')::interval,
       (j.config ->> 'buckets_per_batch')::integer,
       s.last_run_status, nullif(s.last_successful_finish, '-infinity'), nullif(s.next_start, '-infinity'),
       coalesce(s.total_failures, 0)
FROM timescaledb_information.jobs AS j
LEFT JOIN timescaledb_information.job_stats AS s USING (job_id)
WHERE j.hypertable_name = ANY (%s) AND j.proc_name LIKE 'policy\_%%'
ORDER BY j.hypertable_name, j.proc_name
